//! The results that are kept for a repeat: what is written of them is counted, and a disk that takes
//! nothing is survived and said once. The full file system needs root, for one of its own.

use std::path::Path;

use mote_tests::agent::{LogLine, Signal};
use mote_tests::namespace::{Own, enter, mount_memory_with};

use crate::{LONG, builder, end, execute, hub, wait_for_result};

/// Gives back 60,000 bytes.
const RUN: &str = r#"#!/bin/sh
printf '{"x":"%060000d"}' 0
"#;

#[test]
fn what_is_kept_for_a_repeat_is_counted_as_written() {
    let hub = hub();
    hub.give(execute("i-1"));
    let builder = builder(&hub, "action");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let mut agent = builder.start().unwrap();
    let bytes = wait_for_result(&hub, "i-1").raw.len() as u64;
    assert!(bytes > 60_000, "{bytes}");
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    let log = agent.log();
    let stopped = log.iter().rfind(|line| line.msg() == "Stopped").unwrap();
    let written = stopped.field("state_bytes_written").unwrap().as_u64();
    // Once into the journal, and once to be kept.
    assert!(written.unwrap() >= 2 * bytes, "{}", stopped.text);
    assert_eq!(hub.violations(), Vec::<String>::new());
}

#[test]
fn on_a_full_file_system_results_are_reported_and_kept_again_when_there_is_room() {
    let name = "kept::on_a_full_file_system_results_are_reported_and_kept_again_when_there_is_room";
    if !enter(Own::Mounts, name) {
        return;
    }
    let hub = hub();
    let builder = builder(&hub, "action");
    let base = builder.base_dir();
    std::fs::create_dir_all(&base).unwrap();
    mount_memory_with(&base, "size=512k");
    builder.plugin_file("once", "run.sh", RUN).unwrap();
    let agent = builder.start().unwrap();
    let filler = base.join("filler");
    let mut full = std::fs::File::create(&filler).unwrap();
    std::io::copy(&mut std::io::repeat(1), &mut full).unwrap_err();
    drop(full);
    for id in ["i-1", "i-2", "i-3"] {
        hub.give(execute(id));
        // Nothing runs without a ledger.
        assert_eq!(wait_for_result(&hub, id).body["status"], "failed");
    }
    let of_results = |line: &LogLine, words: &str| {
        let path = line.field("path").and_then(|path| path.as_str());
        line.msg() == words && path.is_some_and(|path| path.ends_with("/results"))
    };
    let said = |words: &str| {
        agent
            .log()
            .iter()
            .filter(|line| of_results(line, words))
            .count()
    };
    let unwritable = "State cannot be written, going on from memory";
    assert_eq!(said(unwritable), 1);
    let log = agent.log();
    let troubled = log.iter().filter(|line| line.msg() == unwritable);
    let mut paths: Vec<_> = troubled.map(|line| line.field("path")).collect();
    paths.sort_unstable_by_key(|path| path.map(ToString::to_string));
    assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
    assert_eq!(files(&base.join("data/state/results")), 0);
    std::fs::remove_file(&filler).unwrap();
    hub.give(execute("i-4"));
    wait_for_result(&hub, "i-4");
    let again = |line: &LogLine| of_results(line, "State is written again");
    agent.wait_for_log(again, LONG).unwrap();
    assert_eq!(files(&base.join("data/state/results")), 1);
    end(&hub, agent);
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}
