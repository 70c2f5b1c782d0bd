//! This machine, looked at by both: what counts lies between two looks of `node_exporter`'s.

use mote_tests::agent::left_out;

use super::page::{Page, name};
use super::programs::{metrics, node_exporter, scrape, start};
use mote_tests::scraped::{agent, promtool};

/// Gauges that depend on nothing but what this machine is, and so must be the same.
const FIXED: [&str; 12] = [
    "node_boot_time_seconds",
    "node_filefd_maximum",
    "node_filesystem_device_error",
    "node_filesystem_files",
    "node_filesystem_readonly",
    "node_filesystem_size_bytes",
    "node_memory_MemTotal_bytes",
    "node_network_info",
    "node_network_mtu_bytes",
    "node_network_up",
    "node_os_info",
    "node_uname_info",
];

/// What goes on whatever happens, though it is no counter.
const GOING_ON: [&str; 2] = ["node_time_seconds", "node_vmstat_"];

/// What the kernel may take back, as it says itself (`Documentation/filesystems/proc.rst`), and
/// what it adds up anew from estimates at each look.
const MAY_GO_BACK: [&str; 2] = ["mode=\"iowait\"", "mode=\"idle\""];

fn is_between(before: &Page, mine: &Page, after: &Page, series: &str) -> bool {
    let number = mine.series[series];
    match (before.series.get(series), after.series.get(series)) {
        (Some(least), Some(most)) => (*least..=*most).contains(&number),
        _ => false,
    }
}

#[test]
fn counters_lie_between_two_looks_of_node_exporters() {
    if left_out("what node_exporter sees of another kind of machine") {
        return;
    }
    let (_agent, address) = start(&agent().unwrap().flag("metrics-interfaces-include", "*"));
    let exporter = node_exporter(&["--collector.netdev.device-exclude=".to_owned()]);
    let before = scrape(exporter.address);
    let mine = scrape(address);
    let after = scrape(exporter.address);
    let mut looked_at = 0;
    for series in mine.series.keys().filter(|it| it.starts_with("node_")) {
        let family = name(series);
        let grows = mine.types[family] == "counter"
            || GOING_ON.iter().any(|begin| family.starts_with(begin));
        if grows && !MAY_GO_BACK.iter().any(|mode| series.contains(mode)) {
            looked_at += 1;
            assert!(
                is_between(&before, &mine, &after, series),
                "{series} is {:?}, and was {:?} before and {:?} after",
                mine.series[series],
                before.series.get(series),
                after.series.get(series)
            );
        }
        if FIXED.contains(&family) {
            looked_at += 1;
            assert_eq!(
                Some(&mine.series[series]),
                before.series.get(series),
                "{series}"
            );
        }
        // Whatever it says, it is one of theirs.
        let is_there = before.series.contains_key(series) || after.series.contains_key(series);
        assert!(is_there, "{series} is not theirs");
    }
    assert!(looked_at > 50, "{looked_at} series looked at");
    let offered = |series: &&String| mine.types.contains_key(name(series));
    for series in before.series.keys().filter(offered) {
        assert!(mine.series.contains_key(series), "{series} is missing");
    }
    assert_eq!(promtool(&metrics(address)).unwrap(), Vec::<String>::new());
}
