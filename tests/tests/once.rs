//! What one reading says: the figures of the fixture trees to the last digit, those of this machine
//! beside what its own tools say, and what becomes of figures that the kernel does not give.
//!
//! Percentages have one decimal, half goes up. Bytes and seconds are whole.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, Signal};
use mote_tests::hub::{Hub, HubConfig, Received};
use mote_tests::namespace::{self, Own};
use mote_tests::suite::LONG;
use serde_json::Value;

const BOARDS: [&str; 4] = ["x86-server", "raspberry-pi", "mips-router", "kernel-3.10"];

/// Figures that have another name in the live form.
const LIVE_NAMES: [(&str, &str); 4] = [
    ("cpu_percent", "cpu_pct"),
    ("memory_percent", "mem_used_pct"),
    ("network_bytes_sent", "net_tx_bytes"),
    ("network_bytes_recv", "net_rx_bytes"),
];

fn board_dir(board: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(board)
}

fn expected(board: &str) -> Value {
    let text = fs::read_to_string(board_dir(board).join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// An agent that looks at a tree instead of this machine.
fn looking_at(tree: &Path) -> AgentBuilder {
    AgentBuilder::new()
        .unwrap()
        .flag("proc", tree.join("proc"))
        .flag("sys", tree.join("sys"))
        .flag("etc", tree.join("etc"))
}

/// The sample that `mote once` printed, which is the last thing it says.
fn sample(agent: &mut AgentUnderTest) -> Value {
    let status = agent.wait_exit(LONG).unwrap();
    assert!(status.success(), "{status}: {:?}", agent.stderr());
    agent.log().pop().unwrap().json.unwrap()
}

fn once(builder: AgentBuilder) -> Value {
    sample(&mut builder.command("once").start().unwrap())
}

/// The names of an object, in order of the alphabet.
fn names(object: &Value) -> Vec<&str> {
    object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn every_board_gives_its_figures_in_every_form() {
    let forms = ["both", "documented", "live"];
    let mut runs = Vec::new();
    for board in BOARDS {
        for form in forms {
            let builder = looking_at(&board_dir(board)).flag("payload", form);
            runs.push((board, form, builder.command("once").start().unwrap()));
        }
    }
    for (board, form, mut agent) in runs {
        let (sample, expected) = (sample(&mut agent), expected(board));
        assert_eq!(agent.log().len(), 1, "{board} {form}: one line");
        let mut wanted = vec!["timestamp"];
        for (documented, live) in LIVE_NAMES {
            if form != "live" {
                wanted.push(documented);
                let figure = &sample[documented];
                assert_eq!(figure, &expected[documented], "{board} {form} {documented}");
            }
            if form != "documented" {
                wanted.push(live);
                let figure = &sample[live];
                assert_eq!(figure, &expected[documented], "{board} {form} {live}");
            }
        }
        if form != "live" {
            wanted.extend(["hostname", "disk_percent"]);
            assert_eq!(sample["hostname"], expected["hostname"], "{board} {form}");
        }
        if form != "documented" {
            wanted.extend(["uptime_s", "disk_used_pct", "system_info"]);
            assert_eq!(sample["uptime_s"], expected["uptime_s"], "{board} {form}");
            let info = &sample["system_info"];
            for name in names(info) {
                // The disk is this machine's, in every tree.
                if name != "disk_total_gb" {
                    assert_eq!(info[name], expected[name], "{board} {form} {name}");
                }
            }
            assert_eq!(names(info).len(), 8, "{board} {form}: {info}");
        }
        wanted.sort_unstable();
        assert_eq!(names(&sample), wanted, "{board} {form}");
    }
}

/// Overwrites a file in place: the agent holds it open.
fn overwrite(path: &Path, text: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(text, 0).unwrap();
    file.set_len(text.len() as u64).unwrap();
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Runs the agent on a board whose second reading comes while it runs.
fn check_later(board: &str) {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let from = board_dir(board);
    let place = AgentBuilder::new().unwrap();
    let tree = place.dir().join("tree");
    copy_tree(&from, &tree);
    let builder = looking_at(&tree).for_hub(&hub).hurried();
    let mut agent = builder.start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    // Stopped, it sees both files change at once, or between two files of one sample.
    agent.signal(Signal::SIGSTOP).unwrap();
    for file in ["stat", "net/dev"] {
        let later = fs::read(from.join("proc-later").join(file)).unwrap();
        overwrite(&tree.join("proc").join(file), &later);
    }
    let before = hub.stats().delivered;
    agent.signal(Signal::SIGCONT).unwrap();
    let mut samples = hub.wait_for(before + 5, LONG).unwrap();
    // On a busy machine a newer one may overtake.
    samples.sort_by_key(Received::sample_number);

    let (first, later) = (expected(board), expected(board)["later"].clone());
    let mut changes = [0; 3];
    for (at, sample) in samples.iter().enumerate() {
        for (slot, name) in ["cpu_percent", "network_bytes_sent", "network_bytes_recv"]
            .into_iter()
            .enumerate()
        {
            let is_later = sample.body[name] == later[name];
            let figure = if is_later { &later } else { &first };
            assert_eq!(sample.body[name], figure[name], "{board} {name} of {at}");
            if is_later && changes[slot] == 0 {
                changes[slot] = at;
            }
            // Nothing moves any more: the totals stay, and so does the share of the last window.
            assert_eq!(is_later, changes[slot] > 0, "{board} {name} of {at}");
        }
    }
    assert!(changes.iter().all(|at| *at > 0), "{board}: {changes:?}");
    assert!(hub.violations().is_empty(), "{:?}", hub.violations());
}

#[test]
fn a_later_reading_of_a_server_gives_the_share_between_and_running_totals() {
    check_later("x86-server");
}

#[test]
fn k2_a_counter_that_wraps_or_begins_anew_does_not_take_the_total_back() {
    check_later("mips-router");
}

/// The last line of a tool's table as numbers.
fn last_line(tool: &str, arguments: &[&OsStr]) -> Vec<u64> {
    let output = Command::new(tool).args(arguments).output().unwrap();
    assert!(output.status.success(), "{tool}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .last()
        .unwrap()
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect()
}

/// Used and available bytes, as df has them.
fn df(path: &Path) -> (u64, u64) {
    let flags = ["--block-size=1", "--output=used,avail"].map(OsStr::new);
    match last_line("df", &[flags[0], flags[1], path.as_os_str()])[..] {
        [used, available] => (used, available),
        ref other => panic!("df said {other:?}"),
    }
}

#[test]
fn the_disk_share_is_that_of_df_to_the_last_digit() {
    if !namespace::enter(
        Own::Mounts,
        "the_disk_share_is_that_of_df_to_the_last_digit",
    ) {
        return;
    }
    let place = AgentBuilder::new().unwrap();
    let folder = place.dir().join("disk");
    fs::create_dir(&folder).unwrap();
    namespace::mount_memory(&folder, 1024 * 1024);
    // 75 of 256 blocks are 29.296875 percent; 2 and 254 are 0.78125 and 99.21875.
    for (kib, share) in [(0, 0.0), (8, 0.8), (300, 29.3), (1016, 99.2), (1024, 100.0)] {
        fs::write(folder.join("file"), vec![7; kib * 1024]).unwrap();
        let (used, available) = df(&folder);
        assert_eq!((used, used + available), (kib as u64 * 1024, 1024 * 1024));
        let sample = once(AgentBuilder::new().unwrap().flag("disk", &folder));
        assert_eq!(sample["disk_percent"].as_f64(), Some(share), "{kib} KiB");
        assert_eq!(sample["disk_used_pct"].as_f64(), Some(share), "{kib} KiB");
    }
}

/// Total and used share of memory, as free has them.
fn free_share() -> f64 {
    let output = Command::new("free").arg("-b").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.starts_with("Mem:")).unwrap();
    let numbers: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .map(|number| number.parse().unwrap())
        .collect();
    // total, used, free, shared, buff/cache, available
    100.0 * (numbers[0] - numbers[5]) / numbers[0]
}

/// Bytes sent and received by the interfaces of this machine that count.
fn network_totals() -> (u64, u64) {
    let is_physical = |name: &str| Path::new(&format!("/sys/class/net/{name}/device")).exists();
    let text = fs::read_to_string("/proc/net/dev").unwrap();
    let interfaces: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .collect();
    let any_physical = interfaces.iter().any(|(name, _)| is_physical(name));
    let mut totals = (0, 0);
    for (name, figures) in interfaces {
        let figures: Vec<u64> = figures
            .split_whitespace()
            .map(|figure| figure.parse().unwrap())
            .collect();
        if if any_physical {
            is_physical(name)
        } else {
            name != "lo"
        } {
            totals = (totals.0 + figures[8], totals.1 + figures[0]);
        }
    }
    totals
}

fn uptime_s() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap();
    text.split('.').next().unwrap().parse().unwrap()
}

/// The share of the root file system that is used.
fn root_share() -> f64 {
    let (used, available) = df(Path::new("/"));
    let share_millionths = u32::try_from(used * 1_000_000 / (used + available)).unwrap();
    f64::from(share_millionths) / 10_000.0
}

/// A figure lies between two readings of another tool, give or take.
fn check_between<T: PartialOrd + Copy + std::fmt::Debug>(what: &str, low: T, figure: T, high: T) {
    assert!(
        low <= figure && figure <= high,
        "{what}: {low:?} {figure:?} {high:?}"
    );
}

#[test]
fn this_machines_figures_are_those_of_its_own_tools() {
    let before = (free_share(), root_share(), network_totals(), uptime_s());
    let sample = once(AgentBuilder::new().unwrap());
    let after = (free_share(), root_share(), network_totals(), uptime_s());
    let share = |name: &str| sample[name].as_f64().unwrap();
    let count = |name: &str| sample[name].as_u64().unwrap();
    for (name, one, other) in [
        ("memory_percent", before.0, after.0),
        ("disk_percent", before.1, after.1),
    ] {
        check_between(
            name,
            one.min(other) - 1.0,
            share(name),
            one.max(other) + 1.0,
        );
    }
    let (sent, received) = (count("network_bytes_sent"), count("network_bytes_recv"));
    check_between("sent", before.2.0, sent, after.2.0);
    check_between("received", before.2.1, received, after.2.1);
    check_between("uptime", before.3, count("uptime_s"), after.3);
    check_between("cpu", 0.0, share("cpu_percent"), 100.0);
}

#[test]
fn k1_figures_that_the_kernel_does_not_give_are_left_out() {
    let place = AgentBuilder::new().unwrap();
    let sample = once(looking_at(&place.dir().join("nothing")));
    assert_eq!(
        names(&sample),
        [
            "disk_percent",
            "disk_used_pct",
            "hostname",
            "system_info",
            "timestamp"
        ]
    );
    assert_eq!(sample["hostname"], "localhost");
    let sample = once(looking_at(place.dir()).flag("disk", "/no/such/place"));
    assert_eq!(names(&sample), ["hostname", "system_info", "timestamp"]);
}

#[test]
fn of_interfaces_that_are_named_and_not_there_nothing_is_made_up() {
    let builder = looking_at(&board_dir("raspberry-pi")).flag("interfaces", "nope0,nope1");
    let mut agent = builder.command("once").start().unwrap();
    let sample = sample(&mut agent);
    assert_eq!(sample.get("net_rx_bytes"), None, "{sample}");
    assert_eq!(sample.get("network_bytes_sent"), None, "{sample}");
    let said = agent.stderr().join("\n");
    assert!(said.contains("No such network interface"), "{said}");
    assert!(said.contains("nope0,nope1"), "{said}");
}

#[test]
fn k1_one_lost_file_costs_only_its_own_figures() {
    let from = board_dir("raspberry-pi");
    for (file, lost) in [
        ("stat", &["cpu_percent", "cpu_pct"][..]),
        ("meminfo", &["memory_percent", "mem_used_pct"]),
        (
            "net/dev",
            &[
                "network_bytes_recv",
                "network_bytes_sent",
                "net_rx_bytes",
                "net_tx_bytes",
            ],
        ),
        ("uptime", &["uptime_s"]),
    ] {
        let place = AgentBuilder::new().unwrap();
        let tree = place.dir().join("tree");
        copy_tree(&from, &tree);
        let whole = once(looking_at(&tree));
        fs::remove_file(tree.join("proc").join(file)).unwrap();
        let sample = once(looking_at(&tree));
        let mut left = names(&whole);
        left.retain(|name| !lost.contains(name));
        assert_eq!(names(&sample), left, "without {file}");
    }
}
