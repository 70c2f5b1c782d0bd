//! The whole way from `/proc` to figures, on the four fixture trees: the figures that were worked
//! out by hand for each, and every cut of every file.

use mote_core::cpu_meter::CpuMeter;
use mote_core::network::NetTotals;
use mote_core::proc::loadavg::LoadAvg;
use mote_core::proc::meminfo::MemInfo;
use mote_core::proc::net_dev::{NetDevError, interfaces};
use mote_core::proc::stat::{CpuTimes, boot_time_s, count_cpus};
use mote_core::proc::uptime::Uptime;
use mote_core::sample::{NetBytes, Tenths};
use mote_core::text::percent;
use mote_core::time::Rfc3339;

struct Board {
    name: &'static str,
    stat: &'static [u8],
    meminfo: &'static [u8],
    net_dev: &'static [u8],
    uptime: &'static [u8],
    loadavg: &'static [u8],
    expected: &'static str,
    physical: &'static [&'static str],
    /// `stat` and `net/dev` some ten seconds later.
    later: Option<[&'static [u8]; 2]>,
}

macro_rules! fixture {
    ($board:literal, $file:literal) => {
        include_bytes!(concat!("../../tests/fixtures/", $board, "/", $file))
    };
}

macro_rules! board {
    ($name:literal, $physical:expr, $later:expr) => {
        Board {
            name: $name,
            stat: fixture!($name, "proc/stat"),
            meminfo: fixture!($name, "proc/meminfo"),
            net_dev: fixture!($name, "proc/net/dev"),
            uptime: fixture!($name, "proc/uptime"),
            loadavg: fixture!($name, "proc/loadavg"),
            expected: include_str!(concat!("../../tests/fixtures/", $name, "/expected.json")),
            physical: $physical,
            later: $later,
        }
    };
}

const BOARDS: [Board; 4] = [
    board!(
        "x86-server",
        &["eno1np0", "eno2np1"],
        Some([
            fixture!("x86-server", "proc-later/stat"),
            fixture!("x86-server", "proc-later/net/dev"),
        ])
    ),
    board!("raspberry-pi", &["eth0", "wlan0"], None),
    board!(
        "mips-router",
        &["eth0", "wlan0"],
        Some([
            fixture!("mips-router", "proc-later/stat"),
            fixture!("mips-router", "proc-later/net/dev"),
        ])
    ),
    board!("kernel-3.10", &["eth0"], None),
];

impl Board {
    /// What stands behind a name in a part of `expected.json`, whose lines hold one name each.
    fn expected(part: &'static str, name: &str) -> &'static str {
        let key = format!("\"{name}\": ");
        let from = part.find(&key).unwrap_or_else(|| panic!("no {name}")) + key.len();
        let line_end = part[from..]
            .find('\n')
            .map_or(part.len(), |length| from + length);
        part[from..line_end].trim_end_matches(',').trim_matches('"')
    }

    fn check(&self, part: &'static str, name: &str, got: &impl ToString) {
        assert_eq!(
            got.to_string(),
            Self::expected(part, name),
            "{} {name}",
            self.name
        );
    }

    fn check_share(&self, part: &'static str, name: &str, share: Tenths) {
        self.check(part, name, &percent(share, &mut [0; 5]).unwrap_or("absent"));
    }

    fn totals(&self, totals: &mut NetTotals<8>, net_dev: &[u8]) -> NetBytes {
        totals.begin();
        for interface in interfaces(net_dev) {
            let interface = interface.unwrap_or_else(|e| panic!("{}: {e}", self.name));
            if self
                .physical
                .iter()
                .any(|name| name.as_bytes() == interface.name)
            {
                totals.add(&interface);
            }
        }
        totals.finish()
    }
}

#[test]
fn the_figures_are_those_worked_out_by_hand() {
    for board in BOARDS {
        let first = board.expected.split("\"later\"").next().unwrap();
        let mut meter = CpuMeter::new();
        let mut totals = NetTotals::new();

        let share = meter.update(CpuTimes::parse(board.stat).unwrap());
        board.check_share(first, "cpu_percent", share);
        let memory = MemInfo::parse(board.meminfo).unwrap();
        let used_kb = memory.total_kb - memory.available_kb;
        board.check_share(
            first,
            "memory_percent",
            Tenths::of(used_kb, memory.total_kb),
        );
        board.check(first, "memory_total_mb", &(memory.total_kb / 1024));
        let NetBytes { sent, recv } = board.totals(&mut totals, board.net_dev);
        board.check(first, "network_bytes_sent", &sent);
        board.check(first, "network_bytes_recv", &recv);
        let uptime = Uptime::parse(board.uptime).unwrap();
        board.check(first, "uptime_s", &(uptime.up_hundredths / 100));
        board.check(first, "cpu_cores", &count_cpus(board.stat));
        let boot_ms = boot_time_s(board.stat).unwrap() * 1000;
        board.check(first, "last_boot_time", &Rfc3339(boot_ms));

        if let Some([stat, net_dev]) = board.later {
            let later = board.expected.split("\"later\"").nth(1).unwrap();
            let share = meter.update(CpuTimes::parse(stat).unwrap());
            board.check_share(later, "cpu_percent", share);
            let NetBytes { sent, recv } = board.totals(&mut totals, net_dev);
            board.check(later, "network_bytes_sent", &sent);
            board.check(later, "network_bytes_recv", &recv);
        }
    }
}

/// Parses every beginning of a file: refused or as good as the whole.
fn check_cuts<T: PartialEq + std::fmt::Debug, E: std::fmt::Debug>(
    board: &str,
    text: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, E>,
) {
    let whole = parse(text).expect("the whole file can be read");
    let mut refused = 0;
    for cut in 0..text.len() {
        match parse(&text[..cut]) {
            Ok(part) => assert_eq!(part, whole, "{board} cut at byte {cut}"),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 0, "{board}: no cut was refused");
}

#[test]
fn a_cut_read_is_refused_or_right() {
    for board in BOARDS {
        check_cuts(board.name, board.stat, CpuTimes::parse);
        check_cuts(board.name, board.stat, |text| boot_time_s(text).ok_or(()));
        check_cuts(board.name, board.meminfo, MemInfo::parse);
        check_cuts(board.name, board.uptime, Uptime::parse);
        check_cuts(board.name, board.loadavg, LoadAvg::parse);
    }
}

#[test]
fn a_cut_list_of_interfaces_is_never_wrong() {
    for board in BOARDS {
        let whole: Vec<_> = interfaces(board.net_dev).map(Result::unwrap).collect();
        for cut in 0..board.net_dev.len() {
            let (good, bad): (Vec<_>, Vec<_>) =
                interfaces(&board.net_dev[..cut]).partition(Result::is_ok);
            let good: Vec<_> = good.into_iter().map(Result::unwrap).collect();
            assert_eq!(
                good,
                &whole[..good.len()],
                "{} cut at byte {cut}",
                board.name
            );
            let at_a_line_end = cut == 0 || board.net_dev[cut - 1] == b'\n';
            let expected = if at_a_line_end {
                vec![]
            } else {
                vec![Err(NetDevError::Cut)]
            };
            assert_eq!(bad, expected, "{} cut at byte {cut}", board.name);
        }
    }
}
