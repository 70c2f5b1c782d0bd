//! What an operator does to an agent that runs: changes its configuration, asks how it is doing,
//! looks at it in /proc, calls it by the name of the agent that it replaced.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::PathBuf;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, Signal, left_out, mote_binary};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour, Received, Stats};
use mote_tests::suite::{LONG, good_hub};
use mote_tests::wait::poll_until;
use nix::libc::O_NONBLOCK;

const CANARY: &str = "canary-41c7d0b2aa";

fn config_for(hub: &Hub, more: &str) -> String {
    format!(
        "server_url: {}\napi_key: {}\ntls:\n  ca_file: {}\nretry_backoff: 50ms\nretry_max: 200ms\n\
         backfill_rate: 50\n{more}",
        hub.url(),
        hub.api_key(),
        hub.ca_pem_path().display()
    )
}

/// An agent that has everything from a file, which it can be told to read again.
fn from_file(hub: &Hub, more: &str) -> AgentUnderTest {
    let builder = AgentBuilder::new()
        .unwrap()
        .config(&config_for(hub, more))
        .unwrap();
    builder.start().unwrap()
}

/// Puts another configuration in place and says so; gives the first line said about it.
fn reload(agent: &mut AgentUnderTest, text: &str) -> LogLine {
    let file = fs::read_dir(agent.dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .unwrap();
    fs::write(file, text).unwrap();
    let before = agent.log().len();
    agent.signal(Signal::SIGHUP).unwrap();
    let about = |line: &LogLine| line.msg().starts_with("Configuration ");
    agent.wait_for_log_from(before, about, LONG).unwrap()
}

fn numbers<'a>(samples: impl IntoIterator<Item = &'a Received>) -> Vec<u64> {
    let mut numbers: Vec<u64> = samples
        .into_iter()
        .filter_map(Received::sample_number)
        .collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn a_reload_changes_what_can_change_and_names_what_cannot() {
    let hub = good_hub();
    let mut agent = from_file(&hub, "interval: 1h\n");
    hub.wait_for(1, LONG).unwrap();
    let text = config_for(
        &hub,
        "interval: 100ms\nhostname: other\nbuffer: {samples: 5}\n",
    );
    let line = reload(&mut agent, &text);
    assert_eq!(line.msg(), "Configuration reloaded");
    assert_eq!(line.field("interval_ms").unwrap(), 100);
    let samples = hub.wait_for(5, LONG).unwrap();
    let keys: Vec<String> = agent
        .log()
        .iter()
        .filter(|line| line.msg() == "Changed by a restart only")
        .map(|line| line.str("key").to_owned())
        .collect();
    assert_eq!(keys, ["hostname", "buffer.samples"]);
    assert_eq!(samples[0].body["hostname"], samples[4].body["hostname"]);
    assert_eq!(hub.violations(), Vec::<String>::new());
}

#[test]
fn a_reload_keeps_what_is_held_and_can_send_it_elsewhere() {
    let (away, back) = (good_hub(), good_hub());
    away.misbehave(Misbehaviour::RefuseConnections);
    let mut agent = from_file(&away, "interval: 100ms\n");
    let holding = |line: &LogLine| {
        line.field("held")
            .is_some_and(|held| held.as_u64() > Some(5))
    };
    agent.wait_for_log(holding, LONG).unwrap();
    let line = reload(&mut agent, &config_for(&back, "interval: 100ms\n"));
    assert_eq!(line.msg(), "Configuration reloaded");
    back.wait_until("the samples of the outage", LONG, |_, attempts| {
        let delivered: Vec<Received> = attempts
            .iter()
            .filter(|sample| sample.delivered)
            .cloned()
            .collect();
        numbers(&delivered).starts_with(&[1, 2, 3, 4, 5, 6])
    })
    .unwrap();
    assert_eq!(away.received().len(), 0);
    assert_eq!(back.violations(), Vec::<String>::new());
}

#[test]
fn a_reload_that_may_have_helped_is_followed_by_an_attempt() {
    let (hub, stranger) = (good_hub(), good_hub());
    // By itself the second attempt comes in half an hour at the earliest.
    let right = config_for(&hub, "interval: 100ms\n").replace(
        "retry_backoff: 50ms\nretry_max: 200ms",
        "retry_backoff: 1h\nretry_max: 1h",
    );
    assert!(right.contains("1h"), "{right}");
    let authority = |hub: &Hub| hub.ca_pem_path().display().to_string();
    let wrong = right.replace(&authority(&hub), &authority(&stranger));
    let builder = AgentBuilder::new().unwrap().config(&wrong).unwrap();
    let mut agent = builder.start().unwrap();
    let failed = |line: &LogLine| line.level() == "error";
    agent.wait_for_log(failed, LONG).unwrap();
    reload(&mut agent, &right);
    hub.wait_for(1, LONG).unwrap();
}

#[test]
fn a_wrong_configuration_changes_nothing() {
    let hub = good_hub();
    let mut agent = from_file(&hub, "interval: 100ms\n");
    hub.wait_for(2, LONG).unwrap();
    for (text, words) in [
        (
            config_for(&hub, "interval: soon\n"),
            "interval: \"soon\" is not a duration",
        ),
        ("interval: 1s\n".to_owned(), "server_url is missing"),
        ("a: [\n".to_owned(), "not valid YAML"),
    ] {
        let line = reload(&mut agent, &text);
        assert_eq!(
            (line.msg(), line.level()),
            ("Configuration not reloaded", "error")
        );
        assert!(line.str("error").contains(words), "{}", line.text);
        let before = hub.received().len() as u64;
        hub.wait_for(before + 2, LONG).unwrap();
    }
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn a_status_line_says_how_it_is_doing() {
    let hub = good_hub();
    let mut agent = AgentBuilder::new()
        .unwrap()
        .for_hub(&hub)
        .hurried()
        .start()
        .unwrap();
    hub.wait_for(3, LONG).unwrap();
    agent.signal(Signal::SIGUSR1).unwrap();
    let line = agent
        .wait_for_log(|line| line.msg() == "Status", LONG)
        .unwrap();
    assert_eq!(line.str("server"), "delivering");
    assert!(
        line.field("sent").unwrap().as_u64() >= Some(3),
        "{}",
        line.text
    );
    for count in ["failures", "dropped", "log_lines_dropped"] {
        assert_eq!(line.field(count).unwrap(), 0, "{count}: {}", line.text);
    }
    // One may be on its way.
    let count = |name| line.field(name).unwrap().as_u64().unwrap();
    assert_eq!(
        count("sent") + count("held"),
        count("collected"),
        "{}",
        line.text
    );
    assert_eq!(line.str("outage"), "none");
    let clock = line.str("clock");
    let words = ["synchronized", "not synchronized", "unknown"];
    assert!(words.contains(&clock), "{clock}");
}

#[test]
fn p14_a_storm_of_signals_costs_no_sample() {
    let hub = good_hub();
    let mut agent = from_file(&hub, "interval: 100ms\n");
    hub.wait_for(3, LONG).unwrap();
    // As many as come while twenty samples are taken.
    let from = hub.stats().delivered;
    let mut sent = 0;
    while hub.stats().delivered < from + 20 {
        agent.signal(Signal::SIGHUP).unwrap();
        agent.signal(Signal::SIGUSR1).unwrap();
        sent += 1;
    }
    assert!(sent > 20, "{sent}");
    // What was held while a request took long follows the newest, so the last number says little.
    let whole = |_: &Stats, attempts: &[Received]| {
        let all = numbers(attempts.iter().filter(|attempt| attempt.delivered));
        all.len() as u64 >= from + 25 && all.iter().copied().eq(1..=all.len() as u64)
    };
    hub.wait_until("every sample, once", LONG, whole).unwrap();
    assert_eq!(hub.violations(), Vec::<String>::new());
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn p14_an_agent_that_was_stopped_and_goes_on_catches_up_with_one_sample() {
    let hub = good_hub();
    let mut agent = from_file(&hub, "interval: 100ms\n");
    let other_hub = good_hub();
    let _other = from_file(&other_hub, "interval: 100ms\n");
    hub.wait_for(3, LONG).unwrap();
    agent.signal(Signal::SIGSTOP).unwrap();
    let before = hub.stats().requests;
    // Another agent's samples are the clock: more than two seconds.
    other_hub
        .wait_for(other_hub.stats().delivered + 25, LONG)
        .unwrap();
    agent.signal(Signal::SIGCONT).unwrap();
    // A busy machine may have missed one before.
    let missed = |line: &LogLine| {
        let count = line.field("missed").and_then(serde_json::Value::as_u64);
        line.msg().starts_with("Samples missed") && count >= Some(15)
    };
    let missed = agent.wait_for_log(missed, LONG).unwrap();
    let count = missed.field("missed").unwrap();
    other_hub
        .wait_for(other_hub.stats().delivered + 10, LONG)
        .unwrap();
    // A second of samples, and perhaps some that were under way; not those that were missed.
    let since = hub.stats().requests - before;
    assert!(since <= 16, "{since} after {count} missed");
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn orders_that_come_before_it_listens_are_heard() {
    let builder = AgentBuilder::new().unwrap();
    let pipe = builder.dir().join("mote.yaml");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut agent = builder.flag("config", &pipe).start().unwrap();
    // It has a reader once the agent is at its configuration, where it waits for the text.
    let open = || {
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).custom_flags(O_NONBLOCK);
        options.open(&pipe).ok()
    };
    let mut writer = poll_until("a look at the configuration", LONG, open).unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    agent.signal(Signal::SIGUSR1).unwrap();
    writer.write_all(b"interval: 100ms\n").unwrap();
    drop(writer);
    let said = |msg: &'static str| {
        let is_it = move |line: &LogLine| line.msg() == msg;
        agent.wait_for_log(is_it, LONG).unwrap()
    };
    said("Status");
    // What can be read at the start only was looked at again.
    let refused = said("Configuration not reloaded");
    assert!(refused.str("error").contains("at the start only"));
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn the_key_is_not_in_proc_wherever_it_came_from() {
    if left_out("that the key is not in /proc") {
        return;
    }
    let hub = Hub::start(HubConfig {
        api_key: CANARY.into(),
        ..HubConfig::default()
    })
    .unwrap();
    for source in [
        "flag",
        "joined flag",
        "environment",
        "other prefix",
        "credential",
    ] {
        let builder = AgentBuilder::new()
            .unwrap()
            .for_hub(&hub)
            .hurried()
            .without_flag("api-key");
        let builder = match source {
            "flag" => builder.flag("api-key", CANARY),
            "joined flag" => builder.argument(format!("--api-key={CANARY}")),
            "environment" => builder.env("MOTE_API_KEY", CANARY),
            "other prefix" => builder.env("LUNASENTRI_API_KEY", CANARY),
            _ => {
                let file = builder.write_file("mote.api_key", CANARY).unwrap();
                builder.env("CREDENTIALS_DIRECTORY", file.parent().unwrap())
            }
        };
        let before = hub.received().len() as u64;
        let mut agent = builder.start().unwrap();
        hub.wait_for(before + 1, LONG).unwrap();
        check_hidden(&agent, source);
        assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    }
}

fn check_hidden(agent: &AgentUnderTest, source: &str) {
    for name in ["cmdline", "environ"] {
        let path = format!("/proc/{}/{name}", agent.pid());
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert!(!text.is_empty(), "{source}: {path} is empty");
        assert!(!text.contains(CANARY), "{source}: {path}: {text}");
    }
}

/// A script for `sh` that becomes the agent.
fn script(builder: &AgentBuilder, text: &str) -> PathBuf {
    let path = builder.dir().join("script");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn every_command_hides_its_key() {
    if left_out("that the key is not in /proc") {
        return;
    }
    let watched = AgentBuilder::new().unwrap().start().unwrap();
    let port = watched.listens_at("/health", LONG).unwrap().port();
    for source in ["flag", "environment", "proxy"] {
        let builder = AgentBuilder::new().unwrap().command("status");
        let builder = builder.argument("--watch");
        let builder = builder.flag("health-port", port.to_string());
        let builder = match source {
            "flag" => builder.flag("api-key", CANARY),
            "environment" => builder.env("MOTE_API_KEY", CANARY),
            _ => builder.env("HTTPS_PROXY", format!("http://u:{CANARY}@127.0.0.1:9")),
        };
        let agent = builder.start().unwrap();
        // It looks at the other one again and again.
        agent.wait_for_log(|_| true, LONG).unwrap();
        check_hidden(&agent, source);
    }
}

#[test]
fn the_key_is_hidden_though_the_program_was_removed() {
    if left_out("that the key is not in /proc") {
        return;
    }
    let hub = Hub::start(HubConfig {
        api_key: CANARY.into(),
        ..HubConfig::default()
    })
    .unwrap();
    let builder = AgentBuilder::new().unwrap().for_hub(&hub).hurried();
    let copy = builder.dir().join("copy");
    fs::copy(mote_binary().unwrap(), &copy).unwrap();
    let copy = copy.display();
    let removing = script(
        &builder,
        &format!("exec 3<{copy}\nrm {copy}\nexec /proc/self/fd/3 \"$@\""),
    );
    let agent = builder.binary(removing).start().unwrap();
    hub.wait_for(1, LONG).unwrap();
    check_hidden(&agent, "flag");
}

#[test]
fn what_comes_through_a_pipe_is_read_though_a_secret_is_hidden() {
    let hub = good_hub();
    let builder = || {
        let builder = AgentBuilder::new().unwrap();
        builder.env("HTTPS_PROXY", "http://user:password@127.0.0.1:9")
    };
    let with_key = builder().for_hub(&hub).hurried().without_flag("api-key");
    for (flag, text, builder) in [
        ("config", config_for(&hub, "interval: 100ms\n"), builder()),
        ("api-key-file", hub.api_key().to_owned(), with_key),
    ] {
        let program = mote_binary().unwrap();
        let program = program.display();
        let piping = script(
            &builder,
            &format!("exec {program} \"$@\" <<'END'\n{text}\nEND"),
        );
        let before = hub.stats().delivered;
        let builder = builder.flag(flag, "/dev/stdin").binary(piping);
        let _agent = builder.start().unwrap();
        hub.wait_for(before + 1, LONG).unwrap();
    }
}

#[test]
fn the_name_of_the_old_agent_brings_its_ways() {
    let hub = good_hub();
    let builder = AgentBuilder::new().unwrap().for_hub(&hub).hurried();
    let link = builder.dir().join("lunasentri-agent");
    symlink(mote_binary().unwrap(), &link).unwrap();
    let _agent = builder.binary(link).start().unwrap();
    let sample = &hub.wait_for(1, LONG).unwrap()[0];
    let expected = concat!("lunasentri-agent/", env!("CARGO_PKG_VERSION"));
    assert_eq!(sample.user_agent, expected);
}

/// Runs a command to its end: exit code, standard output, standard error.
fn run(builder: &AgentBuilder) -> (Option<i32>, String, String) {
    let mut agent = builder.start().unwrap();
    let code = agent.wait_exit(LONG).unwrap().code();
    let out: Vec<String> = agent.log().into_iter().map(|line| line.text).collect();
    (code, out.join("\n"), agent.stderr().join("\n"))
}

#[test]
fn check_shows_values_with_their_sources_and_no_key() {
    let hub = good_hub();
    let text = format!("server_url: {}\ninterval: 30s\nintervall: 5s\n", hub.url());
    let builder = AgentBuilder::new()
        .unwrap()
        .command("check")
        .config(&text)
        .unwrap();
    let builder = builder.flag("api-key", CANARY).env("MOTE_TIMEOUT", "9s");
    let (code, out, err) = run(&builder);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(!out.contains(CANARY), "{out}");
    let line = |key: &str| {
        out.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    assert!(line("interval ").ends_with(".yaml:2"), "{out}");
    assert!(
        line("timeout ").ends_with("MOTE_TIMEOUT in the environment"),
        "{out}"
    );
    assert!(line("api_key ").contains("(set, "), "{out}");
    if !left_out("how the key is given") {
        assert!(line("api_key ").ends_with("--api-key"), "{out}");
    }
    assert!(line("disk ").ends_with("default"), "{out}");
    assert!(
        out.contains("backfill: auto: held samples are sent"),
        "{out}"
    );
    assert!(
        out.contains("unknown key intervall: did you mean interval?"),
        "{out}"
    );

    let (code, _, err) = run(&builder.argument("--strict"));
    assert_eq!(code, Some(78), "{err}");
    assert!(err.contains(":3: unknown key intervall"), "{err}");
}

#[test]
fn check_shows_all_values_and_all_errors_though_one_cannot_be_read() {
    let check = || AgentBuilder::new().unwrap().command("check");
    let wrong = check().flag("interval", "10").flag("server-url", "ftp://x");
    let (code, out, err) = run(&wrong.flag("max-retries", "7"));
    assert_eq!(code, Some(78), "{err}");
    for (key, end) in [
        ("interval ", "--interval"),
        ("max_retries ", "--max-retries"),
    ] {
        let mut lines = out.lines().filter(|line| line.starts_with(key));
        assert!(lines.any(|line| line.ends_with(end)), "{out}");
    }
    for words in [
        "--interval: \"10\" has no unit",
        "\"ftp://x\" is neither",
        "api_key is missing",
    ] {
        assert!(err.contains(words), "{words:?} is not in {err:?}");
    }
    // What was given and could not be read is not missing.
    let lost = check().flag("server-url", "https://h");
    for (builder, words) in [
        (
            lost.clone().flag("api-key-file", "/nope"),
            "api_key_file /nope",
        ),
        (lost.config("api_key: [\n").unwrap(), "YAML"),
    ] {
        let (_, out, err) = run(&builder);
        assert!(out.contains("server_url  "), "{out}");
        assert!(err.contains(words) && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn check_warns_of_samples_that_go_nowhere() {
    let words = "samples are delivered nowhere: set server_url and api_key to deliver them";
    let builder = AgentBuilder::new().unwrap().command("check");
    let (code, out, _) = run(&builder);
    assert_eq!(code, Some(0));
    assert!(out.contains(&format!("warning: {words}")), "{out}");
    let strict = builder.argument("--strict");
    let (code, _, err) = run(&strict);
    assert_eq!((code, &*err), (Some(78), &*format!("mote: {words}")));
    if left_out("that the key is not in /proc") {
        return;
    }
    let hub = good_hub();
    let (code, out, err) = run(&strict.for_orchestrator(&hub, "sensor"));
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn check_warns_of_places_that_cannot_be_read_as_they_will_be() {
    let builder = AgentBuilder::new().unwrap().command("check");
    let builder = builder.flag("server-url", "https://h").flag("api-key", "k");
    let place = |name: &str| builder.dir().join(name).display().to_string();
    fs::create_dir(place("there")).unwrap();
    fs::write(place("file"), "").unwrap();
    let text = |end: &str| {
        format!(
            "disk: {0}/{end}\nmetrics:\n  textfile_dir: {0}/{end}\nplugins:\n  dir: {0}/{end}\n  \
             config_dir: {0}/{end}\n",
            builder.dir().display()
        )
    };
    let roots = |end: &str| {
        let builder = builder.clone().config(&text(end)).unwrap();
        let roots = ["sys", "etc", "rootfs"];
        let builder = roots
            .into_iter()
            .fold(builder, |builder, name| builder.flag(name, place(end)));
        builder.flag(
            "proc",
            if end == "there" {
                "/proc".into()
            } else {
                place(end)
            },
        )
    };
    let (code, out, err) = run(&roots("there").flag("disk", "/").argument("--strict"));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(!out.contains("warning: "), "{out}");
    for end in ["missing", "file/x"] {
        let (code, out, err) = run(&roots(end));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        for key in [
            ": disk",
            ": metrics.textfile_dir",
            ": plugins.dir",
            ": plugins.config_dir",
            "--proc",
            "--sys",
            "--etc",
            "--rootfs",
        ] {
            let is_warning = |line: &str| {
                let is_of_key = line.contains(&format!("{key}: ")) && line.contains(&place(end));
                line.starts_with("warning: ")
                    && is_of_key
                    && line.ends_with(": give the right path")
            };
            assert!(out.lines().any(is_warning), "{key}: {out}");
        }
        let (code, _, err) = run(&roots(end).argument("--strict"));
        assert_eq!(code, Some(78), "{err}");
        assert_eq!(err.matches("give the right path").count(), 8, "{err}");
    }
}

#[test]
fn once_send_says_what_the_server_answered() {
    let hub = good_hub();
    let builder = AgentBuilder::new()
        .unwrap()
        .command("once")
        .for_hub(&hub)
        .argument("--send");
    let (code, out, _) = run(&builder);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("delivered: 202"), "{out}");
    assert_eq!(hub.received().len(), 1);

    let (code, _, err) = run(&builder.clone().flag("api-key", "wrong"));
    assert_eq!(code, Some(1));
    assert!(err.contains("not delivered: 401"), "{err}");

    hub.misbehave(Misbehaviour::RefuseConnections);
    let (code, _, err) = run(&builder);
    assert_eq!(code, Some(69));
    assert!(err.starts_with("mote: tcp: "), "{err}");
}

#[test]
fn x2_a_hostile_file_is_refused_at_once_and_in_little_memory() {
    if left_out("what the agent holds in memory") {
        return;
    }
    let builder = AgentBuilder::new().unwrap().command("check");
    let mut bomb = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (name, last) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        let line = format!("{name}: &{name} [*{last},*{last},*{last},*{last},*{last}]\n");
        bomb.push_str(&line);
    }
    for (what, text) in [
        ("bomb", bomb),
        ("long line", "x".repeat(1_000_000)),
        ("deep nesting", "{a: ".repeat(60_000)),
        ("byte order mark", "\u{feff}interval: 10s\n".to_owned()),
    ] {
        let builder = builder.clone().config(&text).unwrap();
        // Half as much again as a good file takes: a bomb that goes off needs gigabytes.
        let program = mote_binary().unwrap();
        let limit = format!("ulimit -v 8192\nexec {} \"$@\"", program.display());
        let limited = script(&builder, &limit);
        let (code, _, err) = run(&builder.binary(limited));
        assert_eq!(code, Some(78), "{what}: {err}");
        assert!(err.contains(".yaml:"), "{what}: {err}");
    }
}
