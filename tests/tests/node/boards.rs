//! The fixture trees, looked at by both: every series of a family that mote offers is the same, to
//! the last bit, and none is missing.

use std::path::{Path, PathBuf};

use mote_tests::agent::left_out;
use mote_tests::wait::poll_until;

use super::LONG;
use super::page::{Page, name};
use super::programs::{metrics, node_exporter_at, scrape, start};
use mote_tests::scraped::{COLLECTORS, agent, promtool};

const BOARDS: [&str; 4] = ["x86-server", "raspberry-pi", "mips-router", "kernel-3.10"];

/// What moves between two looks, whatever tree is looked at, as these are asked of the kernel that
/// runs: the time, its discipline, and how long looking took. They are held against
/// `node_exporter` in `live.rs`.
const LIVE: [&str; 3] = [
    "node_time_seconds",
    "node_timex_",
    "node_scrape_collector_duration_seconds",
];

fn tree(board: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixtures.join(board).canonicalize().unwrap()
}

fn is_live(series: &str) -> bool {
    LIVE.iter().any(|live| series.starts_with(live))
}

/// What is wrong with `mine`, if `theirs` is right.
fn differences(mine: &Page, theirs: &Page) -> Vec<String> {
    let offered = |series: &&String| mine.types.contains_key(name(series));
    let node = mine.series.iter().filter(|(it, _)| it.starts_with("node_"));
    let mut found = Vec::new();
    for (series, number) in node.filter(|(it, _)| !is_live(it)) {
        match theirs.series.get(series) {
            None => found.push(format!("{series} is not theirs")),
            Some(right) if right != number => {
                found.push(format!("{series} is {number:?} and should be {right:?}"));
            }
            Some(_) => {}
        }
    }
    let missing = theirs
        .series
        .keys()
        .filter(offered)
        .filter(|series| !mine.series.contains_key(*series));
    found.extend(missing.map(|series| format!("{series} is missing")));
    for (family, kind) in mine.types.iter().filter(|(it, _)| it.starts_with("node_")) {
        if theirs.types.get(family).is_some_and(|right| right != kind) {
            found.push(format!("{family} is no {kind}"));
        }
    }
    found
}

#[test]
fn every_series_of_every_board_is_node_exporters() {
    if left_out("what node_exporter sees of another kind of machine") {
        return;
    }
    for board in BOARDS {
        let tree = tree(board);
        let builder = agent()
            .unwrap()
            .flag("proc", tree.join("proc"))
            .flag("sys", tree.join("sys"))
            .flag("rootfs", &tree)
            .flag("metrics-interfaces-include", "*");
        let (_agent, address) = start(&builder);
        let exporter = node_exporter_at(&tree);
        // The mount points are folders of this machine's disk, on which others write: what is free
        // can be compared when it was the same before and after.
        let mut last = Vec::new();
        let same = poll_until("the two pages to be the same", LONG, || {
            let before = scrape(exporter.address);
            let mine = scrape(address);
            let after = scrape(exporter.address);
            let steady = |(series, number): &(&String, &f64)| {
                is_live(series) || after.series.get(*series) == Some(*number)
            };
            if !before.series.iter().all(|series| steady(&series)) {
                return None;
            }
            last = differences(&mine, &before);
            last.is_empty().then_some(mine)
        });
        let page = same.unwrap_or_else(|error| panic!("{board}: {error}: {last:#?}"));
        let collectors = page
            .series
            .keys()
            .filter(|series| series.starts_with("node_scrape_collector_success"));
        assert_eq!(collectors.count(), COLLECTORS.len(), "{board}");
        // A board with a processor, a disk, an interface and a file system shows them.
        for family in [
            "cpu_seconds_total",
            "disk_io_now",
            "network_up",
            "filesystem_size_bytes",
        ] {
            let family = format!("node_{family}");
            assert!(page.types.contains_key(&family), "{board} has no {family}");
        }
        assert!(page.families("node_memory_").count() > 30, "{board}");
        let wrong = promtool(&metrics(address)).unwrap();
        assert_eq!(wrong, Vec::<String>::new(), "{board}");
    }
}

#[test]
fn interfaces_with_hardware_are_shown_and_patterns_change_that() {
    let devices = |arguments: &[(&str, &str)]| {
        let tree = tree("x86-server");
        let mut builder = agent()
            .unwrap()
            .flag("proc", tree.join("proc"))
            .flag("sys", tree.join("sys"));
        for (name, value) in arguments {
            builder = builder.flag(name, *value);
        }
        let (_agent, address) = start(&builder);
        let page = scrape(address);
        let of = |family: &str| -> Vec<String> {
            let begin = format!("{family}{{device=\"");
            let series = page.series.keys().filter_map(|it| it.strip_prefix(&begin));
            series
                .map(|it| it.trim_end_matches("\"}").to_owned())
                .collect()
        };
        let counted = of("node_network_receive_bytes_total");
        assert_eq!(counted, of("node_network_up"));
        counted
    };
    assert_eq!(devices(&[]), ["eno1np0", "eno2np1"]);
    assert_eq!(
        devices(&[("metrics-interfaces-exclude", "eno2*")]),
        ["eno1np0"]
    );
    assert_eq!(
        devices(&[
            ("metrics-interfaces-include", "bond?, lo, eno*"),
            ("metrics-interfaces-exclude", "*np1"),
        ]),
        ["bond0", "eno1np0", "lo"]
    );
}

#[test]
fn mounts_that_may_block_are_never_shown_and_patterns_change_the_rest() {
    let points = |arguments: &[(&str, &str)]| -> Vec<String> {
        let tree = tree("x86-server");
        let mut builder = agent()
            .unwrap()
            .flag("proc", tree.join("proc"))
            .flag("rootfs", &tree);
        for (name, value) in arguments {
            builder = builder.flag(name, *value);
        }
        let (_agent, address) = start(&builder);
        let page = scrape(address);
        let series = page.series.keys();
        let errors = series.filter(|series| series.starts_with("node_filesystem_device_error"));
        errors
            .map(|series| {
                let point = series.split_once("mountpoint=\"").unwrap().1;
                point.trim_end_matches("\"}").to_owned()
            })
            .collect()
    };
    let mut all = points(&[]);
    all.sort_unstable();
    let usual = [
        "/",
        "/boot/efi",
        "/run",
        "/run/user/0",
        "/srv/gone",
        "/srv/my disk",
        "/var/lib/docker",
    ];
    assert_eq!(all, usual);
    let some = [
        ("metrics-mounts-include", "/srv/*, /run*, /var/lib/docker/*"),
        ("metrics-mounts-exclude", "/srv/gone, /run/user/?"),
    ];
    let mut chosen = points(&some);
    chosen.sort_unstable();
    let expected = [
        "/run",
        "/run/credentials/systemd-sysctl.service",
        "/run/docker/netns/default",
        "/srv/my disk",
        "/var/lib/docker/overlay2/2f9c/merged",
    ];
    assert_eq!(chosen, expected);
}
