//! What it writes to its outputs never stops it and never has the key in it.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, Signal, mote_binary};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour};
use mote_tests::suite::{LONG, good_hub};
use serde_json::Value;

/// How much a pipe holds (pipe(7)).
const PIPE_BYTES: usize = 65_536;

/// An agent whose outputs a shell arranges: `$mote` in the script is the agent with its flags.
fn through_shell(hub: &Hub, script: &str) -> AgentUnderTest {
    let mote = mote_binary().unwrap();
    let script = script.replace("$mote", &format!("{} run \"$@\"", mote.display()));
    let builder = AgentBuilder::new().unwrap().for_hub(hub).hurried();
    let path = builder.write_file("arrange", &script).unwrap();
    let builder = builder.binary("/bin/sh").command(path.to_str().unwrap());
    builder.start().unwrap()
}

#[test]
fn p13_outputs_that_take_nothing_stop_nothing() {
    for script in [
        "exec $mote >&-",
        "exec $mote <&- >&- 2>&-",
        "exec $mote >/dev/full 2>/dev/full",
        // A pipe whose reader has gone.
        "mkfifo pipe; true <pipe & exec $mote >pipe",
    ] {
        let hub = good_hub();
        let mut agent = through_shell(&hub, script);
        hub.wait_for(5, LONG).unwrap();
        assert_eq!(agent.threads().unwrap(), 1);
        assert_eq!(
            agent.stop(Signal::SIGTERM).unwrap().code(),
            Some(0),
            "{script}"
        );
    }
}

#[test]
fn p13_a_program_that_cannot_hide_its_key_outlives_its_reader_too() {
    let hub = good_hub();
    // Deleted since it was started: the agent cannot execute itself again.
    let gone = format!(
        "cp {} gone; exec 9<gone; rm gone",
        mote_binary().unwrap().display()
    );
    let reader = "mkfifo pipe; true <pipe &";
    let mut agent = through_shell(
        &hub,
        &format!("{gone}; {reader} exec /proc/self/fd/9 run \"$@\" >pipe"),
    );
    hub.wait_for(5, LONG).unwrap();
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn p13_a_full_pipe_that_nobody_reads_stops_nothing_and_what_was_lost_is_counted() {
    let hub = good_hub();
    // It holds both ends itself, so that the pipe is there and nobody reads it.
    let full = format!("mkfifo pipe; exec 3<>pipe; head -c {PIPE_BYTES} /dev/zero >&3");
    let mut agent = through_shell(&hub, &format!("{full}; exec $mote >pipe"));
    hub.wait_for(10, LONG).unwrap();
    let mut pipe = BufReader::new(File::open(agent.dir().join("pipe")).unwrap());
    pipe.read_exact(&mut vec![0; PIPE_BYTES]).unwrap();
    let mut read = || {
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let first = read();
    assert_eq!(
        (&first["level"], &first["msg"]),
        (&"warn".into(), &"Log lines dropped".into())
    );
    // The start, the system information, and a line for each sample.
    assert!(first["dropped"].as_u64() >= Some(11), "{first}");
    assert_eq!(read()["msg"], "Metrics sent successfully");
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

/// What must never be seen.
const CANARY: &str = "canary-8b1f5c0de7";

/// Everything that it said, on either output.
fn everything(agent: &AgentUnderTest) -> String {
    let out: Vec<String> = agent.log().into_iter().map(|line| line.text).collect();
    out.join("\n") + &agent.stderr().join("\n")
}

#[test]
fn the_key_is_never_told_wherever_it_came_from() {
    let hub = || {
        Hub::start(HubConfig {
            api_key: CANARY.into(),
            ..HubConfig::default()
        })
        .unwrap()
    };
    for source in ["flag", "environment", "file", "key file"] {
        let hub = hub();
        // Everything that can go wrong once the key is in use.
        hub.script([
            Misbehaviour::status(401),
            Misbehaviour::status(400),
            Misbehaviour::status(404),
            Misbehaviour::status(500),
            Misbehaviour::ResetMidBody,
            Misbehaviour::Garbage,
        ]);
        let builder = AgentBuilder::new().unwrap().for_hub(&hub).hurried();
        let builder = builder.flag("log-level", "debug");
        let builder = match source {
            "flag" => builder,
            "environment" => builder.without_flag("api-key").env("MOTE_API_KEY", CANARY),
            "file" => builder
                .without_flag("api-key")
                .config(&format!("api_key: {CANARY}\n"))
                .unwrap(),
            _ => {
                let file = builder.write_file("key", CANARY).unwrap();
                builder.without_flag("api-key").flag("api-key-file", file)
            }
        };
        let mut agent = builder.start().unwrap();
        hub.wait_for(3, LONG).unwrap();
        assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
        let said = everything(&agent);
        assert!(said.contains("api_key_hash"), "{source}: {said}");
        assert!(!said.contains(CANARY), "{source}: {said}");
    }
}

#[test]
fn a_server_that_repeats_the_key_does_not_get_it_into_the_log() {
    for status in [400, 401, 404, 500] {
        let hub = Hub::start(HubConfig {
            api_key: CANARY.into(),
            ..HubConfig::default()
        })
        .unwrap();
        let words = format!("{{\"error\":\"refused: Bearer {CANARY}\"}}");
        hub.script([Misbehaviour::status_with(status, &[], &words)]);
        let builder = AgentBuilder::new().unwrap().for_hub(&hub).hurried();
        let mut agent = builder.start().unwrap();
        let errs = |line: &LogLine| line.level() == "error";
        let line = agent.wait_for_log(errs, LONG).unwrap();
        assert!(line.str("answer").contains("refused"), "{}", line.text);
        assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
        assert!(
            !everything(&agent).contains(CANARY),
            "{}",
            everything(&agent)
        );
    }
}

#[test]
fn a_configuration_that_is_refused_does_not_tell_the_key() {
    let with = || AgentBuilder::new().unwrap().flag("api-key", CANARY);
    let url = "https://127.0.0.1:1";
    for builder in [
        with(),
        with().flag("server-url", "http://hub.example"),
        with().flag("server-url", url).flag("interval", "never"),
        with().flag("server-url", url).argument("--wings"),
        with()
            .flag("server-url", url)
            .flag("api-key", format!("{CANARY}\u{1}")),
        with().flag("server-url", format!("https://me:{CANARY}@hub.example")),
        with().command("help"),
        with().command("once"),
    ] {
        let mut agent = builder.start().unwrap();
        agent.wait_exit(LONG).unwrap();
        let said = everything(&agent);
        assert!(!said.is_empty() && !said.contains(CANARY), "{said}");
    }
}
