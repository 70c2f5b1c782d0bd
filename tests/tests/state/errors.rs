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
    // What is opened first is the old file, at the start.
    for (start, calls, nth) in [(1, "fsync", 1), (2, "rename", 1), (3, "?open,openat", 2)] {
        let also = format!("inject={calls}:error=EIO:when={nth}");
        let mut arguments = words(&["-e", &format!("trace=fdatasync,{calls}"), "-e"]);
        arguments.extend(words(&["inject=fdatasync:error=EIO:when=1", "-e", &also]));
        for name in ["backlog", "backlog.new"] {
            arguments.push("-P".into());
            arguments.push(state_file(&builder, name).display().to_string());
        }
        let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
        wait_for_held(&agent, 20 * start);
        let stopped = stop(&mut agent);
        assert_eq!(count(&stopped, "dropped"), 0, "{calls}");
        assert_eq!(times_said(&agent, UNWRITABLE), 1, "{calls}");
        let trace = fs::read_to_string(builder.dir().join("trace")).unwrap();
        assert_eq!(trace.matches("(INJECTED)").count(), 2, "{calls}: {trace}");
        taken.extend(names(start, 1..=count(&stopped, "collected")));
    }
    hub.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &taken);
    stop(&mut agent);
}

#[test]
fn d4_a_file_that_cannot_be_read_is_kept_aside_and_what_is_in_it_counted() {
    if needs_own_calls() {
        return;
    }
    // Not opened, neither for writing nor for reading; then a read in the midst of it.
    for (calls, when) in [("?open,openat", "1..2"), ("pread64", "6")] {
        let hub = hub_away();
        let builder = hurried(&hub);
        let mut agent = builder.start().unwrap();
        wait_for_held(&agent, 20);
        let taken = count(&stop(&mut agent), "collected");
        let path = state_file(&builder, "backlog");
        let bytes = fs::read(&path).unwrap();

        let inject = format!("inject={calls}:error=EIO:when={when}");
        let mut arguments = words(&["-e", &format!("trace={calls}"), "-e", &inject, "-P"]);
        arguments.push(path.display().to_string());
        let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
        let is_said = |line: &LogLine| line.msg().starts_with("State file cannot be read");
        let said = agent.wait_for_log(is_said, LONG).unwrap();
        let unread = count(&said, "unread_bytes");
        assert!(unread > 0, "{calls}: {}", said.text);
        wait_for_held(&agent, 5);
        let stopped = stop(&mut agent);
        // Heads are few, and a sample is 48 bytes.
        let dropped = count(&stopped, "dropped");
        assert!(
            dropped.abs_diff(unread / 48) <= 1,
            "{calls}: {}",
            stopped.text
        );
        let aside = state_file(&builder, "backlog.damaged");
        assert_eq!(fs::read(&aside).unwrap(), bytes, "{calls}");

        // Whoever gets it read again puts it back.
        fs::rename(&aside, &path).unwrap();
        hub.misbehave(Misbehaviour::Normal);
        let mut agent = builder.start().unwrap();
        wait_for_all(&hub, &names(1, 1..=taken));
        stop(&mut agent);
    }
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
