//! Clocks that were never set, that jump, and that nobody keeps.
//!
//! A false clock is libfaketime's, under an emulator of this very machine: a static program reads
//! the clock by system calls there, and the emulator by libc. `CLOCK_BOOTTIME` stays true. Whether
//! the clock is synchronized is what strace(1) lets adjtimex(2) say.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use mote_tests::agent::{Signal, left_out};
use mote_tests::hub::Certificate;
use serde_json::Value;

use super::*;

const DAY_S: u64 = 86_400;
const IN_1970_S: u64 = 10;
const IN_2040_S: u64 = 2_208_988_800;

/// The clock of one agent.
struct FalseClock {
    file: PathBuf,
}

impl FalseClock {
    fn set(&self, unix_s: u64) {
        // It is read whenever the agent reads the clock: never half a time.
        let fresh = self.file.with_extension("fresh");
        fs::write(&fresh, format!("@{}\n", written(unix_s))).unwrap();
        fs::rename(fresh, &self.file).unwrap();
    }
}

/// A time as libfaketime reads it, in UTC.
fn written(unix_s: u64) -> String {
    let text = mote_core::time::format_rfc3339(unix_s * 1000);
    let text = std::str::from_utf8(&text).unwrap();
    text[..19].replace('T', " ")
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The agent with a clock of its own, which says this at first; none where clocks cannot be false.
fn with_clock(hub: &Hub, unix_s: u64) -> Option<(AgentBuilder, FalseClock)> {
    with_clock_within(hub, unix_s, "")
}

/// The same on a device that was switched on so many seconds ago (`time_namespaces(7)`).
fn switched_on(
    hub: &Hub,
    ago_s: u64,
    unix_s: u64,
    test: &str,
) -> Option<(AgentBuilder, FalseClock)> {
    let seconds = |uptime: &str| uptime.split('.').next()?.parse::<u64>().ok();
    let uptime = fs::read_to_string("/proc/uptime").unwrap();
    let offset_s = ago_s.cast_signed() - seconds(&uptime).unwrap().cast_signed();
    let namespace = format!("unshare --time --boottime {offset_s}");
    // The kernel gives who executes a program the namespace that he made since Linux 6.0.
    let words = format!("{namespace} cat /proc/uptime");
    let there = Command::new("sh").args(["-c", &words]).output().unwrap();
    let there_s = seconds(&String::from_utf8_lossy(&there.stdout));
    if there_s.is_none_or(|there_s| there_s.abs_diff(ago_s) > 10) {
        let why = "needs root and time namespaces as of Linux 6.0";
        writeln!(io::stderr(), "SKIPPED {test}: {why}").ok();
        return None;
    }
    with_clock_within(hub, unix_s, &namespace)
}

fn with_clock_within(
    hub: &Hub,
    unix_s: u64,
    namespace: &str,
) -> Option<(AgentBuilder, FalseClock)> {
    if left_out("what a false clock does") {
        return None;
    }
    let mut faketime = Command::new("faketime");
    let output = faketime
        .args(["-f", "+0", "printenv", "LD_PRELOAD"])
        .output()
        .unwrap();
    let library = String::from_utf8(output.stdout).unwrap();
    assert!(library.contains("libfaketime"), "{library:?}");
    let builder = hurried(hub).without_flag("api-key");
    // It must not execute itself again: the kernel would start it without the emulator.
    let key = builder.write_file("key", hub.api_key()).unwrap();
    let clock = FalseClock {
        file: builder.dir().join("clock"),
    };
    clock.set(unix_s);
    let emulator = format!(
        "{namespace} env TZ=UTC 'LD_PRELOAD={}' FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1 qemu-x86_64",
        library.trim(),
        clock.file.display()
    );
    let builder = started_by(builder.flag("api-key-file", key), &emulator);
    Some((builder, clock))
}

fn certified(certificate: Certificate) -> Hub {
    Hub::start(HubConfig {
        certificate,
        ..HubConfig::default()
    })
    .unwrap()
}

#[test]
fn n14_a_device_that_wakes_in_1970_still_verifies_its_server() {
    let hub = certified(Certificate::LongLived);
    let Some((builder, _clock)) = with_clock(&hub, IN_1970_S) else {
        return;
    };
    let agent = builder.start().unwrap();
    let said = agent
        .wait_for_log(|line| line.msg().starts_with("Clock is not set"), LONG)
        .unwrap();
    assert!(
        said.str("clock").starts_with("1970-01-01T00:00:1"),
        "{}",
        said.text
    );
    assert!(said.str("judged_by").starts_with("20"), "{}", said.text);
    // Without the floor, a certificate of 2000 would not be valid yet.
    wait_for_each(&hub, 1..=3);
    assert_eq!(failures(&agent).len(), 0);
    // With it, one that nobody vouches for is still none.
    hub.set_certificate(Certificate::ForeignCa).unwrap();
    hub.drop_connections();
    wait_for_failure(&agent, 0, "tls");
}

#[test]
fn n14_what_a_device_takes_right_after_power_on_waits_for_its_clock() {
    let hub = certified(Certificate::Good);
    let test = "n14_what_a_device_takes_right_after_power_on_waits_for_its_clock";
    let Some((builder, clock)) = switched_on(&hub, 20, IN_1970_S, test) else {
        return;
    };
    let mut agent = builder.start().unwrap();
    let unset = |line: &LogLine| line.msg().starts_with("Clock is not set");
    agent.wait_for_log(unset, LONG).unwrap();
    let holds_five = |line: &LogLine| {
        let held = line.field("held").and_then(Value::as_u64);
        line.msg() == "Status" && held >= Some(5)
    };
    while !agent.log().iter().any(holds_five) {
        let from = agent.log().len();
        agent.signal(Signal::SIGUSR1).unwrap();
        let status = |line: &LogLine| line.msg() == "Status";
        agent.wait_for_log_from(from, status, LONG).unwrap();
    }
    assert_eq!(hub.stats().requests, 0);
    let right_s = now_s();
    clock.set(right_s);
    for sample in wait_for_each(&hub, 1..=8) {
        let at_s = sample.timestamp_ms().unwrap() / 1000;
        assert!(at_s.abs_diff(right_s) < 60, "{at_s} {right_s}");
    }
}

#[test]
fn n14_a_device_that_never_learns_the_time_sends_after_two_minutes_all_the_same() {
    let hub = certified(Certificate::LongLived);
    let test = "n14_a_device_that_never_learns_the_time_sends_after_two_minutes_all_the_same";
    let Some((builder, _clock)) = switched_on(&hub, 117, IN_1970_S, test) else {
        return;
    };
    let agent = builder.start().unwrap();
    let samples = wait_for_each(&hub, 1..=3);
    assert!(samples[0].timestamp_ms().unwrap() / 1000 < IN_1970_S + 600);
    assert_eq!(failures(&agent).len(), 0);
}

/// A certificate that is not valid by a wrong clock is tried again as soon as the clock is right,
/// though the next attempt would be an hour away.
fn check_recovery(wrong_s: u64, right_s: u64, certificate: Certificate, words: &str, said: &str) {
    let hub = certified(certificate);
    let Some((builder, clock)) = with_clock(&hub, wrong_s) else {
        return;
    };
    let builder = builder.flag("retry-backoff", "1h").flag("retry-max", "1h");
    let agent = builder.start().unwrap();
    let failed = wait_for_failure(&agent, 0, "tls");
    assert!(failed.str("error").contains(words), "{}", failed.text);
    assert_eq!(hub.stats().requests, 0);
    clock.set(right_s);
    wait_for_message(&agent, 0, said);
    let samples = wait_for_each(&hub, 1..=4);
    // What was taken before the clock was set has the right time all the same.
    for sample in &samples {
        let at_s = sample.timestamp_ms().unwrap() / 1000;
        assert!(at_s.abs_diff(right_s) < 60, "{at_s} {right_s}");
    }
    assert_eq!(failures(&agent).len(), 1);
}

#[test]
fn n14_once_the_clock_is_set_what_was_refused_for_its_dates_is_tried_again() {
    check_recovery(
        IN_1970_S,
        now_s() + 2 * DAY_S,
        Certificate::NotYetValid,
        "this device's clock is not set: it says 1970-01-01",
        "Clock is set",
    );
}

#[test]
fn n14_a_clock_that_runs_decades_ahead_is_told_and_mended_without_a_restart() {
    check_recovery(
        IN_2040_S,
        now_s(),
        Certificate::Good,
        "this device's clock says 2040-01-01",
        "Clock was set anew",
    );
}

#[test]
fn k4_a_clock_that_jumps_costs_no_sample_and_no_moment() {
    let hub = Hub::start(HubConfig {
        plain: true,
        ..HubConfig::default()
    })
    .unwrap();
    let start_s = now_s();
    let Some((builder, clock)) = with_clock(&hub, start_s) else {
        return;
    };
    let agent = builder.start().unwrap();
    wait_for_each(&hub, 1..=5);
    let jumps = [
        start_s + 400 * DAY_S,
        start_s - 1_000,
        start_s + 400 * DAY_S,
        IN_1970_S,
        start_s,
    ];
    for to_s in jumps {
        let from = agent.log().len();
        clock.set(to_s);
        let said =
            |line: &LogLine| line.msg().starts_with("Clock ") && line.field("by_ms").is_some();
        agent.wait_for_log_from(from, said, LONG).unwrap();
        // When the device started is another time now.
        let is_read = |line: &LogLine| line.msg() == "System info collected";
        agent.wait_for_log_from(from, is_read, LONG).unwrap();
        let before = newest(&hub);
        let samples = wait_for_each(&hub, 1..=before + 5);
        let last = samples.last().unwrap().timestamp_ms().unwrap() / 1000;
        assert!(last.abs_diff(to_s) < 60, "{last} {to_s}");
    }
    // Ten a second all along: neither a burst nor a pause.
    assert_eq!(failures(&agent).len(), 0);
    let attempts = hub.received();
    let first_ms = attempts[0].when_ms;
    let last = attempts.last().unwrap();
    let expected = (last.when_ms - first_ms) / 100;
    let taken = last.sample_number().unwrap();
    assert!(
        taken.abs_diff(expected) <= 2 + expected / 10,
        "{taken} {expected}"
    );
}

/// An agent to which the kernel says this of its clock (adjtimex(2)): 0 is synchronized, 5 is not.
fn told_by_the_kernel(hub: &Hub, state: u32) -> Option<AgentBuilder> {
    if left_out("what the kernel says of its clock") {
        return None;
    }
    let builder = hurried(hub).argument("--tls-allow-unsynced-clock");
    let strace = format!(
        "strace -D -f -q -o /dev/null -e trace=adjtimex,clock_adjtime \
         -e inject=adjtimex,clock_adjtime:retval={state}"
    );
    Some(started_by(builder, &strace))
}

#[test]
fn n14_dates_are_forgiven_on_request_and_only_while_nobody_keeps_the_clock() {
    for certificate in [Certificate::Expired, Certificate::NotYetValid] {
        let hub = certified(certificate);
        let Some(builder) = told_by_the_kernel(&hub, 5) else {
            return;
        };
        let agent = builder.start().unwrap();
        wait_for_each(&hub, 1..=3);
        let forgiven = |line: &LogLine| line.msg().starts_with("Dates of the server's certificate");
        agent.wait_for_log(forgiven, LONG).unwrap();
        // Dates, and nothing else.
        for worse in [Certificate::WrongName, Certificate::ForeignCa] {
            let from = agent.log().len();
            hub.set_certificate(worse).unwrap();
            hub.drop_connections();
            wait_for_failure(&agent, from, "tls");
        }
        drop(agent);
        let hub = certified(certificate);
        let Some(builder) = told_by_the_kernel(&hub, 0) else {
            return;
        };
        let agent = builder.start().unwrap();
        wait_for_failure(&agent, 0, "tls");
        assert_eq!(hub.stats().requests, 0);
    }
}
