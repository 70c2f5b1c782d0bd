//! How much is written.

use super::*;

/// The writes to the state in a trace: how many calls, how many bytes, how many flushes.
fn writes(trace: &str) -> (u32, u64, u32) {
    let (mut calls, mut bytes, mut flushes) = (0, 0, 0);
    for line in trace.lines() {
        if line.contains("sync(") {
            flushes += 1;
        } else if let Some((_, length)) = line.rsplit_once(" = ") {
            calls += 1;
            bytes += length.trim().parse::<u64>().unwrap_or(0);
        }
    }
    (calls, bytes, flushes)
}

#[test]
fn d11_online_nothing_is_written_and_in_an_outage_one_record_and_one_flush_a_period() {
    if needs_own_calls() {
        return;
    }
    let hub = good_hub();
    // A hundred times as fast as usual: 100 ms for 10 s, and two seconds for three minutes.
    let builder = hurried(&hub).flag("buffer-save-every", "2s");
    let mut arguments = words(&[
        "-e",
        "trace=pwrite64,write,fdatasync,fsync,rename,ftruncate",
    ]);
    for name in [
        "backlog",
        "backlog.new",
        "start",
        "start.new",
        "time",
        "time.new",
    ] {
        arguments.push("-P".into());
        arguments.push(state_file(&builder, name).display().to_string());
    }
    let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
    let trace = || fs::read_to_string(builder.dir().join("trace")).unwrap();
    hub.wait_for(3, LONG).unwrap();
    let at_start = writes(&trace());
    hub.wait_for(40, LONG).unwrap();
    assert_eq!(writes(&trace()), at_start, "online");
    hub.misbehave(Misbehaviour::RefuseConnections);
    let mut bytes = 0;
    for _ in 0..4 {
        bytes = wait_for_save(&builder, bytes);
    }
    // The flush of the last save is behind it, and on a busy machine so may be another save.
    ask_status(&mut agent);
    let trace = trace();
    let status = ask_status(&mut agent);
    let (calls, written, flushes) = writes(&trace);
    let (calls, flushes) = (calls - at_start.0, flushes - at_start.2);
    let written = written - at_start.1;
    assert!((4..=5).contains(&flushes), "{trace}");
    // The first tells the origin too; none is longer than its samples and a head need.
    assert!((flushes + 1..=flushes + 2).contains(&calls), "{trace}");
    let samples = count(&status, "collected");
    assert!(
        written <= samples * 48 + 6 * 20 + 300,
        "{written} for {samples}"
    );
    assert!(count(&status, "state_bytes_written") >= written);
    hub.misbehave(Misbehaviour::Normal);
    let file = state_file(&builder, "backlog");
    poll_until("an empty file", LONG, || {
        (file_bytes(&file) == 0).then_some(())
    })
    .unwrap();
    stop(&mut agent);
}
