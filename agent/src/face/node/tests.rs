//! The page over trees of made-up files, the cases that no real device here has.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn board(name: &str) -> Settings {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let tree = tree.join(name);
    Settings {
        proc_root: tree.join("proc"),
        sys_root: tree.join("sys"),
        rootfs: tree,
        metrics_interfaces_include: vec!["*".into()],
        ..Settings::default()
    }
}

/// The whole page, in pieces of so many bytes.
fn written(node: &mut Node, bytes: usize) -> String {
    let mut page = String::new();
    for part in 0..Node::PARTS {
        let mut line = 0;
        loop {
            let mut buffer = vec![0; bytes];
            let mut out = Lines::new(&mut buffer, line);
            let done = node.write(part, &mut out).is_ok();
            line = out.line();
            let used = out.len();
            assert!(done || used > 0, "stuck in part {part} at line {line}");
            page.push_str(std::str::from_utf8(&buffer[..used]).unwrap());
            if done {
                break;
            }
        }
    }
    page
}

/// Without what moves by itself.
fn still(page: &str) -> Vec<&str> {
    let moves = [
        "node_time_seconds ",
        "node_timex_",
        "node_scrape_collector_duration_seconds{",
        "node_filesystem_avail_bytes{",
        "node_filesystem_free_bytes{",
        "node_filesystem_files_free{",
    ];
    page.lines()
        .filter(|line| !moves.iter().any(|name| line.starts_with(name)))
        .collect()
}

#[test]
fn the_pieces_make_the_same_page_however_small_they_are() {
    for name in ["x86-server", "mips-router"] {
        let mut node = Node::new(&board(name));
        let whole = written(&mut node, 1024 * 1024);
        assert!(whole.contains("node_load1 "), "{whole}");
        for bytes in [512, 1_000, 8_192] {
            let pieces = written(&mut node, bytes);
            assert_eq!(still(&pieces), still(&whole), "{name} in pieces of {bytes}");
        }
    }
}

#[test]
fn two_who_ask_at_once_each_get_a_whole_page() {
    let mut node = Node::new(&board("raspberry-pi"));
    let whole = written(&mut node, 1024 * 1024);
    let (mut pages, mut places) = ([String::new(), String::new()], [(0, 0); 2]);
    for turn in 0.. {
        let (page, place) = (&mut pages[turn % 2], &mut places[turn % 2]);
        if place.0 < Node::PARTS {
            // The second asks for larger pieces, so that they are in different parts.
            let mut buffer = vec![0; 700 + 1_300 * (turn % 2)];
            let mut out = Lines::new(&mut buffer, place.1);
            let done = node.write(place.0, &mut out).is_ok();
            *place = if done {
                (place.0 + 1, 0)
            } else {
                (place.0, out.line())
            };
            let used = out.len();
            page.push_str(std::str::from_utf8(&buffer[..used]).unwrap());
        } else if places.iter().all(|place| place.0 == Node::PARTS) {
            break;
        }
    }
    for page in &pages {
        assert_eq!(still(page), still(&whole));
    }
}

/// A tree that is there until it is dropped.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str) -> Self {
        let folder = format!("mote-node-{name}-{}", std::process::id());
        let tree = Self(std::env::temp_dir().join(folder));
        let _ = fs::remove_dir_all(&tree.0);
        fs::create_dir_all(&tree.0).unwrap();
        tree
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn settings(&self) -> Settings {
        Settings {
            proc_root: self.0.join("proc"),
            sys_root: self.0.join("sys"),
            rootfs: self.0.clone(),
            ..Settings::default()
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn number<'p>(page: &'p str, series: &str) -> Option<&'p str> {
    page.lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
}

#[test]
fn what_is_not_there_is_left_out_and_its_collector_says_so() {
    let tree = Tree::new("empty");
    let page = written(&mut Node::new(&tree.settings()), 8_192);
    for collector in [
        "cpu",
        "stat",
        "meminfo",
        "netdev",
        "conntrack",
        "pressure",
        "os",
    ] {
        let series = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
        assert_eq!(number(&page, &series), Some("0"), "{collector}");
    }
    // A device without temperatures, or without text files, lacks nothing.
    for collector in ["thermal_zone", "textfile", "time", "uname"] {
        let series = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
        assert_eq!(number(&page, &series), Some("1"), "{collector}");
    }
    assert!(!page.contains("node_load1") && !page.contains("node_memory"));
}

#[test]
fn a_damaged_line_costs_only_itself() {
    let tree = Tree::new("damaged");
    tree.write(
        "proc/stat",
        "cpu 1 2 3 4\ncpu0 1 2 x 4\ncpu1 5 6 7 8\nbtime 7\n",
    );
    tree.write(
        "proc/meminfo",
        "MemTotal: 5 kB\nMem\"x: 7 kB\nMemFree: 3 kB\n",
    );
    tree.write("proc/vmstat", "pgfault x\npgmajfault 7\n");
    let page = written(&mut Node::new(&tree.settings()), 8_192);
    let user = |cpu| format!("node_cpu_seconds_total{{cpu=\"{cpu}\",mode=\"user\"}}");
    assert_eq!(number(&page, &user(0)), None);
    assert_eq!(number(&page, &user(1)), Some("0.05"));
    assert_eq!(number(&page, "node_memory_MemFree_bytes"), Some("3072"));
    assert_eq!(number(&page, "node_vmstat_pgmajfault"), Some("7"));
    for collector in ["cpu", "stat", "meminfo", "vmstat"] {
        let series = format!("node_scrape_collector_success{{collector=\"{collector}\"}}");
        assert_eq!(number(&page, &series), Some("0"), "{collector}");
    }
}

#[test]
fn a_device_with_more_than_there_is_room_for_shows_the_first_and_says_so() {
    let tree = Tree::new("large");
    let line = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
    let interfaces: String = (0..4_000)
        .map(|at| ["veth", &at.to_string(), ": ", line, "\n"].concat())
        .collect();
    tree.write("proc/net/dev", interfaces);
    // 256 processors all have room.
    let mut stat = String::from("cpu 1 2 3 4\n");
    for cpu in 0..256 {
        let ticks = "1234567890 2345678901 3456789012 4567890123 5 6 7 8 9 10";
        stat += &["cpu", &cpu.to_string(), " ", ticks, "\n"].concat();
    }
    stat += &["intr 7", &" 4294967295".repeat(9_000), "\nctxt 9\n"].concat();
    tree.write("proc/stat", stat);
    let page = written(&mut Node::new(&tree.settings()), 8_192);
    assert_eq!(
        number(&page, "node_network_up{device=\"veth0\"}"),
        Some("0")
    );
    let series = "node_network_transmit_compressed_total{device=\"veth0\"}";
    assert_eq!(number(&page, series), Some("16"));
    assert_eq!(number(&page, "node_network_up{device=\"veth3999\"}"), None);
    let success = |name| format!("node_scrape_collector_success{{collector=\"{name}\"}}");
    assert_eq!(number(&page, &success("netdev")), Some("0"));
    assert_eq!(number(&page, &success("cpu")), Some("1"));
    let last = "node_cpu_seconds_total{cpu=\"255\",mode=\"steal\"}";
    assert_eq!(number(&page, last), Some("0.08"));
    assert_eq!(number(&page, "node_intr_total"), Some("7"));
    assert_eq!(number(&page, "node_context_switches_total"), Some("9"));
}

#[test]
fn what_changes_in_files_that_are_held_open_is_on_the_next_page() {
    let tree = Tree::new("held");
    let line = |name: &str| [name, ": ", "1 ".repeat(16).trim_end(), "\n"].concat();
    tree.write("proc/net/dev", line("eth0"));
    tree.write("sys/class/net/eth0/operstate", "down\n");
    tree.write("sys/class/thermal/thermal_zone1/type", "cpu\n");
    tree.write("sys/class/thermal/thermal_zone1/temp", "41000\n");
    tree.write("proc/1/mounts", "disk / ext4 rw 0 0\n");
    let mut node = Node::new(&tree.settings());
    let temperature = "node_thermal_zone_temp{type=\"cpu\",zone=\"1\"}";
    let read_only = |device, point| {
        let labels = [
            "{device=\"",
            device,
            "\",fstype=\"ext4\",mountpoint=\"",
            point,
        ];
        ["node_filesystem_readonly", &labels.concat(), "\"}"].concat()
    };
    let page = written(&mut node, 8_192);
    assert_eq!(number(&page, "node_network_up{device=\"eth0\"}"), Some("0"));
    assert_eq!(number(&page, temperature), Some("41"));
    assert_eq!(number(&page, &read_only("disk", "/")), Some("0"));

    tree.write("proc/net/dev", [line("eth0"), line("eth1")].concat());
    for name in ["eth0", "eth1"] {
        tree.write(&["sys/class/net/", name, "/operstate"].concat(), "up\n");
    }
    tree.write("sys/class/net/eth0/mtu", "1500\n");
    tree.write("sys/class/thermal/thermal_zone1/temp", "-1500\n");
    tree.write(
        "proc/1/mounts",
        "disk / ext4 ro 0 0\nother /a\\040b ext4 rw 0 0\n",
    );
    let page = written(&mut node, 8_192);
    for name in ["eth0", "eth1"] {
        let up = ["node_network_up{device=\"", name, "\"}"].concat();
        assert_eq!(number(&page, &up), Some("1"), "{name}");
    }
    let mtu = "node_network_mtu_bytes{device=\"eth0\"}";
    assert_eq!(number(&page, mtu), Some("1500"));
    assert_eq!(number(&page, temperature), Some("-1.5"));
    assert_eq!(number(&page, &read_only("disk", "/")), Some("1"));
    let error = read_only("other", "/a b").replace("readonly", "device_error");
    assert_eq!(number(&page, &error), Some("1"));
}

#[test]
fn a_name_of_ours_is_known_whoever_writes_it() {
    for name in [
        "node_load1",
        "node_memory_x",
        "node_vmstat_y",
        "mote_ready",
        "process_cpu",
    ] {
        assert!(is_ours(name.as_bytes(), "mote_"), "{name}");
    }
    for name in [
        "node_reboot_required",
        "load1",
        "node_",
        "mote",
        "node_disk_smart",
    ] {
        assert!(!is_ours(name.as_bytes(), "mote_"), "{name}");
    }
}
