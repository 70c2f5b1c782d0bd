//! Single system calls on the state that fail: each is survived, and nothing is lost.

use std::os::unix::fs::PermissionsExt;

use super::*;

const UNWRITABLE: &str = "State cannot be written, going on from memory";

/// An outage in which these calls fail as strace is told; then a stop, and a good start that has it
/// all. Gives the trace.
fn check(calls: &str, fault: &str) -> String {
    let hub = hub_away();
    let builder = hurried(&hub);
    let inject = format!("inject={calls}:{fault}");
    let trace = "trace=pwrite64,fdatasync,fsync,rename,ftruncate";
    let paths = ["backlog", "backlog.new"].map(|name| state_file(&builder, name));
    let mut arguments = words(&["-e", trace, "-e", &inject]);
    for path in &paths {
        arguments.extend(["-P".to_owned(), path.display().to_string()]);
    }
    let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
    wait_for_save(&builder, 0);
    wait_for_held(&agent, 25);
    let stopped = stop(&mut agent);
    assert_eq!(count(&stopped, "dropped"), 0, "{calls} {fault}");
    assert!(times_said(&agent, UNWRITABLE) <= 1, "{calls} {fault}");
    hub.misbehave(Misbehaviour::Normal);
    let _agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=count(&stopped, "collected")));
    fs::read_to_string(builder.dir().join("trace")).unwrap()
}

#[test]
fn d3_d4_a_write_or_a_flush_that_fails_in_mid_run_loses_nothing() {
    if needs_own_calls() {
        return;
    }
    for call in ["pwrite64", "fdatasync"] {
        for error in ["EIO", "ENOSPC", "EROFS"] {
            let trace = check(call, &format!("error={error}:when=1"));
            assert!(trace.contains(&format!("{error} (")), "{call}: {trace}");
        }
    }
}

#[test]
fn d4_after_a_failed_flush_a_new_file_is_written_and_the_old_one_not_flushed_again() {
    if needs_own_calls() {
        return;
    }
    let trace = check("fdatasync", "error=EIO:when=1");
    let calls: Vec<&str> = trace
        .lines()
        .filter(|line| line.contains("sync(") || line.contains("rename("))
        .collect();
    assert!(calls[0].contains("/backlog>) = -1 EIO"), "{calls:?}");
    assert!(
        calls[1].contains("sync(") && calls[1].contains("/backlog.new>"),
        "{calls:?}"
    );
    assert!(calls[2].contains("rename("), "{calls:?}");
}

#[test]
fn d4_when_the_new_file_fails_too_it_goes_on_from_memory_and_tries_again() {
    if needs_own_calls() {
        return;
    }
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut taken = Vec::new();
    for (start, calls) in [(1, "fdatasync"), (2, "rename"), (3, "openat")] {
        let inject = format!("inject={calls}:error=EIO:when=1..2");
        let mut arguments = words(&["-e", &format!("trace={calls}"), "-e", &inject]);
        for name in ["backlog", "backlog.new"] {
            arguments.push("-P".into());
            arguments.push(state_file(&builder, name).display().to_string());
        }
        let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
        wait_for_held(&agent, 20 * start);
        let stopped = stop(&mut agent);
        assert_eq!(count(&stopped, "dropped"), 0, "{calls}");
        taken.extend(names(start, 1..=count(&stopped, "collected")));
    }
    hub.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &taken);
    stop(&mut agent);
}

#[test]
fn d5_interrupted_and_short_writes_are_completed_or_taken_back() {
    if needs_own_calls() {
        return;
    }
    check("pwrite64,fdatasync", "error=EINTR:when=1+2");
    // A limit on file sizes cuts a write short, and then fails it.
    let hub = hub_away();
    let builder = hurried(&hub);
    let script = builder.dir().join("limited");
    let mote = mote_binary().unwrap();
    let text = format!("#!/bin/sh\nulimit -f 2\nexec {} \"$@\"\n", mote.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut agent = builder.clone().binary(&script).start().unwrap();
    let fails = |line: &LogLine| line.msg() == UNWRITABLE;
    agent.wait_for_log(fails, LONG).unwrap();
    let bytes = file_bytes(&state_file(&builder, "backlog"));
    assert!(bytes <= 1024, "{bytes}");
    wait_for_held(&agent, 30);
    stop(&mut agent);
    // What fitted is whole.
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 3);
    let torn = agent.log().iter().any(|line| line.msg().contains("torn"));
    assert!(!torn);
    stop(&mut agent);
}
