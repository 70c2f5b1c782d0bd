//! The tools that drive the agent are themselves tried, on small programs that are not the agent.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use std::{env, fs};

use mote_tests::agent::{AgentBuilder, AgentUnderTest, Signal, left_out};
use mote_tests::hub::{Hub, HubConfig};
use mote_tests::strace::lateness_ms;
use mote_tests::suite::LONG;
use mote_tests::wait::poll_until;

/// Set for a program that is to read `/proc/stat`.
const READER: &str = "MOTE_TESTS_READER";

/// A shell script in the agent's place.
fn script(text: &str) -> AgentBuilder {
    let builder = AgentBuilder::new().unwrap();
    let path = builder.write_file("script", text).unwrap();
    let builder = builder.binary("/bin/sh");
    builder.command(path.to_str().unwrap())
}

#[test]
fn flags_and_environment_arrive_and_nothing_else_does() {
    if left_out("how the key is given") {
        return;
    }
    let hub = Hub::start(HubConfig::default()).unwrap();
    let builder = script("echo \"$@\"; env; ls; cat mote.yaml")
        .for_hub(&hub)
        .flag("interval", "1s")
        .flag("interval", "100ms")
        .env("MOTE_DISK", "/data")
        .config("payload: live\n")
        .unwrap();
    let base = builder.base_dir();
    let mut agent = builder.without_flag("base-dir").start().unwrap();
    assert!(agent.wait_exit(LONG).unwrap().success());
    let lines: Vec<String> = agent.log().into_iter().map(|line| line.text).collect();
    let arguments = &lines[0];
    let url = hub.url();
    assert!(arguments.starts_with(&format!("--server-url {url} --api-key demo-key --tls-ca")));
    assert!(
        arguments.contains("--interval 100ms") && !arguments.contains("1s"),
        "{arguments}"
    );
    assert!(!arguments.contains(base.to_str().unwrap()), "{arguments}");
    assert!(lines.contains(&"MOTE_DISK=/data".into()) && lines.contains(&"payload: live".into()));
    assert!(
        !lines.iter().any(|line| line.starts_with("CARGO")),
        "{lines:?}"
    );
}

#[test]
fn the_log_is_read_as_it_comes_and_signals_arrive() {
    let text = "trap 'echo \"{\\\"msg\\\":\\\"stopping\\\"}\"; exit 3' TERM
        echo '{\"msg\":\"ready\",\"n\":1}'
        while :; do read -r line <fifo; done";
    let builder = script(&format!("mkfifo fifo; {text}"));
    let mut agent = builder.start().unwrap();
    let ready = agent
        .wait_for_log(|line| line.msg() == "ready", LONG)
        .unwrap();
    assert_eq!(ready.field("n"), Some(&1.into()));
    assert!(agent.is_running());
    let from = agent.log().len();
    agent.signal(Signal::SIGTERM).unwrap();
    agent
        .wait_for_log_from(from, |line| line.msg() == "stopping", LONG)
        .unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(3));
    assert!(agent.signal(Signal::SIGTERM).is_err());
}

#[test]
fn an_agent_that_dies_is_reported_with_its_last_words() {
    let mut agent = script("echo hello; echo 'no such key' >&2; exit 78")
        .start()
        .unwrap();
    let words = agent
        .wait_for_log(|line| line.msg() == "ready", 30 * LONG)
        .unwrap_err()
        .0;
    assert!(
        words.contains("hello") && words.contains("stderr: no such key"),
        "{words}"
    );
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(78));
}

#[test]
fn an_agent_that_does_not_end_in_time_is_reported_and_killed_when_dropped() {
    let agent = script("mkfifo fifo; echo here; exec cat fifo")
        .start()
        .unwrap();
    assert!(agent.wait_for_log(|line| line.text == "here", LONG).is_ok());
    drop(agent);
    let mut agent = script("mkfifo fifo; echo here; read -r x <fifo")
        .start()
        .unwrap();
    agent
        .wait_for_log(|line| line.text == "here", LONG)
        .unwrap();
    let words = agent.wait_exit(Duration::from_millis(30)).unwrap_err().0;
    assert!(words.contains("the agent's end"), "{words}");
    let (pid, dir) = (agent.pid(), agent.dir().to_owned());
    drop(agent);
    assert!(!fs::exists(format!("/proc/{pid}")).unwrap());
    assert!(!dir.exists());
}

#[test]
fn a_second_start_finds_what_the_first_one_left() {
    let builder = script("test -e left && echo again; touch left");
    let run = |builder: &AgentBuilder| {
        let mut agent = builder.start().unwrap();
        agent.wait_exit(LONG).unwrap();
        agent.log().len()
    };
    assert_eq!(run(&builder), 0);
    assert_eq!(run(&builder), 1);
}

#[test]
fn threads_and_memory_are_the_kernels_own_figures() {
    let agent = script("mkfifo fifo; echo here; read -r x <fifo")
        .start()
        .unwrap();
    agent
        .wait_for_log(|line| line.text == "here", LONG)
        .unwrap();
    assert_eq!(agent.threads().unwrap(), 1);
    let memory = agent.memory().unwrap();
    assert!(
        memory.anonymous_kb > 0 && memory.anonymous_kb < memory.rss_kb,
        "{memory:?}"
    );
    assert!(
        memory.rss_kb <= memory.peak_rss_kb && memory.rss_kb < 100_000,
        "{memory:?}"
    );
}

#[test]
fn a_missing_program_is_named() {
    let error = AgentBuilder::new()
        .unwrap()
        .binary("/no/such/mote")
        .start()
        .unwrap_err();
    assert!(error.to_string().contains("/no/such/mote"), "{error}");
}

/// This program itself, as a reader of `/proc/stat` under strace.
fn traced_reader() -> AgentUnderTest {
    AgentBuilder::new()
        .unwrap()
        .without_flag("base-dir")
        .binary(env::current_exe().unwrap())
        .command("reads_proc_stat_each_20_ms")
        .argument("--exact")
        .argument("--ignored")
        .env(READER, "1")
        .trace_reads_of("/proc/stat")
        .start()
        .unwrap()
}

#[test]
fn reads_are_seen_by_strace_when_they_happen() {
    let mut agent = traced_reader();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
    let times_ms = poll_until("six reads in the trace", LONG, || {
        agent.read_times_ms().ok().filter(|times| times.len() >= 6)
    })
    .unwrap();
    assert_eq!(times_ms.len(), 6, "{times_ms:?}");
    for pair in times_ms.windows(2) {
        assert!(pair[1] - pair[0] >= 20.0, "{times_ms:?}");
    }
    assert!(lateness_ms(&times_ms, 20.0).is_some());
}

#[test]
fn a_traced_agent_gets_its_own_signals() {
    let builder = script("mkfifo fifo; echo $$; read -r x <fifo").trace_reads_of("/proc/stat");
    let mut agent = builder.start().unwrap();
    let pid = agent.wait_for_log(|_| true, LONG).unwrap().text;
    assert_eq!(pid, agent.pid().to_string());
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(
        agent.wait_exit(LONG).unwrap().signal(),
        Some(Signal::SIGTERM as i32)
    );
}

#[test]
#[ignore = "it is the program that another test traces"]
fn reads_proc_stat_each_20_ms() {
    assert!(
        env::var_os(READER).is_some(),
        "run by reads_are_seen_by_strace_when_they_happen"
    );
    let stat = fs::File::open("/proc/stat").unwrap();
    for _ in 0..6 {
        let mut text = [0; 64];
        let first = stat.read_at(&mut text, 0).unwrap();
        // The next piece of the same reading, which is not to be counted.
        stat.read_at(&mut text, first as u64).unwrap();
        let never = || None::<()>;
        poll_until("the next reading", Duration::from_millis(20), never).unwrap_err();
    }
}
