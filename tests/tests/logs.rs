//! The log as its reader finds it: both forms, the file, its rotation, what others do to it, what
//! it makes of hostile words, and how an agent that dies at once is slowed down.
//!
//! Sizes are bytes; the least that a log file may have is 1 MB.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, Signal, left_out, mote_binary};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour, Received};
use mote_tests::namespace::{self, Own};
use mote_tests::suite::{LONG, good_hub, hurried};
use mote_tests::wait::poll_until;
use serde_json::Value;

const MB: usize = 1_000_000;

/// All that the agent may ever hold in memory.
const RSS_KB: u64 = 2400;

/// One that logs to `agent.log` in a folder that is not there yet.
fn with_file(hub: &Hub) -> (AgentBuilder, PathBuf) {
    let builder = hurried(hub).flag("log-max-size", "1");
    let path = builder.dir().join("logs/agent.log");
    (builder.flag("log-file", &path), path)
}

/// Waits until another `count` samples were delivered.
fn wait_for_more(hub: &Hub, count: u64) {
    hub.wait_for(hub.stats().delivered + count, LONG).unwrap();
}

fn stop(agent: &mut AgentUnderTest) {
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn said(agent: &AgentUnderTest) -> Vec<String> {
    agent.log().into_iter().map(|line| line.text).collect()
}

fn msg(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    line["msg"].as_str().unwrap().to_owned()
}

#[test]
fn the_file_has_every_line_of_standard_output() {
    let hub = good_hub();
    let (builder, path) = with_file(&hub);
    let mut agent = builder.start().unwrap();
    hub.wait_for(5, LONG).unwrap();
    stop(&mut agent);
    assert!(said(&agent).len() > 6);
    assert_eq!(lines(&path), said(&agent));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

    let mut agent = builder.flag("log-output", "none").start().unwrap();
    wait_for_more(&hub, 2);
    stop(&mut agent);
    assert!(agent.log().is_empty() && agent.stderr().is_empty());
    assert_eq!(msg(lines(&path).last().unwrap()), "Stopped");
}

#[test]
fn levels_below_the_wanted_one_are_left_out() {
    let hub = good_hub();
    let builder = hurried(&hub).flag("log-output", "stderr");
    let mut agent = builder.flag("log-level", "warn").start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    hub.script([Misbehaviour::status(500)]);
    wait_for_more(&hub, 2);
    stop(&mut agent);
    assert!(agent.log().is_empty());
    let messages: Vec<_> = agent.stderr().iter().map(|line| msg(line)).collect();
    assert_eq!(messages, ["Metrics send failed"]);
}

#[test]
fn people_get_time_level_words_and_fields() {
    let hub = good_hub();
    let mut agent = hurried(&hub).flag("log-format", "text").start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    stop(&mut agent);
    let said = said(&agent);
    for line in &said {
        let (time, rest) = line.split_at(20);
        assert!(time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
        assert!(rest.starts_with(" INFO  "), "{line}");
        assert!(!line.contains('\u{1b}'), "{line}");
    }
    let start = said
        .iter()
        .find(|line| line.contains("agent starting"))
        .unwrap();
    assert!(start.contains(" version=") && start.contains(&format!(" server_url={}", hub.url())));
    let sent = said
        .iter()
        .find(|line| line.contains("Metrics sent"))
        .unwrap();
    assert!(sent.contains(" status_code=202 cpu_pct="), "{sent}");
}

/// What a terminal gets from an agent that writes for people. The agent ends by itself after a
/// while, since a terminal that goes away only makes it read its configuration again.
fn on_a_terminal(hub: &Hub, no_color: &str) -> String {
    let builder = hurried(hub).flag("log-format", "text");
    let inner = format!(
        "mkfifo go\nexec script -qec 'NO_COLOR={no_color} timeout 30 {} run '\"$*\"' & read -r x \
         <go; kill $!; wait' typescript",
        mote_binary().unwrap().display()
    );
    let path = builder.write_file("inner", &inner).unwrap();
    let builder = builder.binary("/bin/sh").command(path.to_str().unwrap());
    let mut agent = builder.start().unwrap();
    // Once the second came, the line about the first is written.
    wait_for_more(hub, 2);
    fs::write(agent.dir().join("go"), "\n").unwrap();
    agent.wait_exit(LONG).unwrap();
    fs::read_to_string(agent.dir().join("typescript")).unwrap()
}

#[test]
fn only_a_terminal_gets_colour_and_only_if_nobody_objects() {
    let hub = good_hub();
    let text = on_a_terminal(&hub, "");
    assert!(
        text.contains(" \u{1b}[32mINFO \u{1b}[0m Metrics sent"),
        "{text:?}"
    );
    let text = on_a_terminal(&hub, "1");
    assert!(
        text.contains(" INFO  Metrics sent") && !text.contains('\u{1b}'),
        "{text:?}"
    );
}

#[test]
fn a_key_that_a_server_repeats_in_another_spelling_is_not_said() {
    let hub = Hub::start(HubConfig {
        api_key: "q83/vBx+9Lk/22==".into(),
        ..HubConfig::default()
    })
    .unwrap();
    let repeats = r#"{"got":"q83\/vBx+9Lk\/22=="}"#;
    let refuses = || hub.script([Misbehaviour::status_with(401, &[], repeats)]);
    refuses();
    let mut agent = hurried(&hub).start().unwrap();
    let says_so = |line: &LogLine| line.msg().starts_with("API key refused");
    let line = agent.wait_for_log(says_so, LONG).unwrap();
    let left_out = "(words left out: they hold the key)";
    assert_eq!(line.str("answer"), left_out);
    stop(&mut agent);
    refuses();
    let once = AgentBuilder::new().unwrap().for_hub(&hub).command("once");
    let mut once = once.argument("--send").start().unwrap();
    once.wait_exit(LONG).unwrap();
    let words = format!("mote: not delivered: 401 {left_out}");
    assert_eq!(once.stderr(), [words]);
}

#[test]
fn words_of_a_server_are_escaped_in_both_forms() {
    let hub = good_hub();
    let hostile = "\u{1b}[31mred\u{9b}31m\u{7f}\u{202e}\r\n{\"level\":\"info\"}";
    for format in ["json", "text"] {
        let (builder, path) = with_file(&hub);
        let builder = builder.flag("log-format", format);
        let mut agent = builder.start().unwrap();
        wait_for_more(&hub, 1);
        hub.script([Misbehaviour::status_with(500, &[], hostile)]);
        wait_for_more(&hub, 2);
        stop(&mut agent);
        let text = fs::read_to_string(path).unwrap();
        assert!(
            text.contains(r"\u001b[31mred\u009b31m\u007f\u202e\r\n{"),
            "{text}"
        );
        let is_bad = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
        assert!(!text.contains(is_bad), "{text}");
        assert_eq!(
            text.lines()
                .filter(|line| line.contains("Metrics send failed"))
                .count(),
            1
        );
    }
}

/// Fills the log file up to `rest` bytes below its size, with numbered lines.
fn fill(path: &Path, rest: usize) -> String {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let line = |number| format!("{{\"msg\":\"line {number:06}\",\"words\":\"of some length\"}}\n");
    let count = (MB - rest) / line(0).len();
    let text = (0..count).map(line).collect::<Vec<_>>().concat();
    fs::write(path, &text).unwrap();
    text
}

fn gunzip(path: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn d9_a_full_file_is_rotated_and_compressed_and_no_line_and_no_sample_is_lost() {
    let hub = good_hub();
    let (builder, path) = with_file(&hub);
    let filled = fill(&path, 2_000);
    // What an agent that died left behind.
    fs::write(path.with_extension("log.gz.tmp"), "half").unwrap();
    let mut agent = builder.start().unwrap();
    let packed = path.with_extension("log.1.gz");
    poll_until("the compressed file", LONG, || {
        packed.exists().then_some(())
    })
    .unwrap();
    wait_for_more(&hub, 3);
    let peak_rss_kb = agent.memory().unwrap().peak_rss_kb;
    assert!(
        left_out("what the agent holds in memory") || peak_rss_kb < RSS_KB,
        "{peak_rss_kb}"
    );
    stop(&mut agent);
    let old = gunzip(&packed);
    let mut all: Vec<&str> = old.strip_prefix(&*filled).unwrap().lines().collect();
    let new = lines(&path);
    all.extend(new.iter().map(String::as_str));
    assert_eq!(all, said(&agent));
    assert!(old.len() <= MB && new.len() > 3);
    let mut files: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(files, ["agent.log", "agent.log.1.gz"]);
    let mut numbers: Vec<_> = hub.received().iter().map(Received::sample_number).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!(numbers.len() as u64, numbers.last().unwrap().unwrap());
    assert!(hub.violations().is_empty());
}

#[test]
fn d9_a_file_that_others_move_or_delete_is_made_again() {
    let hub = good_hub();
    let (builder, path) = with_file(&hub);
    let mut agent = builder.start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).unwrap();
    let again = || (!lines(&path).is_empty()).then_some(());
    poll_until("the file", LONG, again).unwrap();
    let between = said(&agent).len();
    fs::remove_file(&path).unwrap();
    poll_until("the file again", LONG, again).unwrap();
    stop(&mut agent);
    let said = said(&agent);
    assert!(said.starts_with(&lines(&moved)) && lines(&moved).len() > 3);
    assert!(said.ends_with(&lines(&path)));
    // Between the two, only what was said in the second before the loss was seen.
    assert!(said.len() - lines(&path).len() < between + 30);
    assert!(agent.log().iter().all(|line| line.level() == "info"));
}

#[test]
fn a_pipe_that_is_called_like_an_old_file_stops_nothing() {
    let hub = good_hub();
    let (builder, path) = with_file(&hub);
    fs::create_dir(path.parent().unwrap()).unwrap();
    let pipe = path.with_extension("log.1");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(path.with_extension("log.2"), "an old line\n").unwrap();
    let mut agent = builder.start().unwrap();
    wait_for_more(&hub, 2);
    // It is passed over, and the file behind it is not.
    let packed = path.with_extension("log.2.gz");
    poll_until("the compressed file", LONG, || {
        packed.exists().then_some(())
    })
    .unwrap();
    stop(&mut agent);
    assert!(pipe.exists(), "it is somebody else's");
}

#[test]
fn a_file_that_cannot_be_opened_is_said_on_the_other_output_and_stops_nothing() {
    let hub = good_hub();
    for (output, place) in [("stdout", "/dev/null/agent.log"), ("none", "/dev/full")] {
        let builder = hurried(&hub).flag("log-file", place);
        let mut agent = builder.flag("log-output", output).start().unwrap();
        wait_for_more(&hub, 3);
        stop(&mut agent);
        let said = if output == "none" {
            agent.stderr()
        } else {
            said(&agent)
        };
        let is_it = |line: &&String| line.contains("Log file cannot be opened");
        let found: Vec<_> = said.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{said:?}");
        assert!(
            found[0].contains(place) && found[0].contains("\"level\":\"warn\""),
            "{}",
            found[0]
        );
    }
}

#[test]
fn folders_are_made_no_further_up_than_its_own() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let mistyped = builder.dir().join("vra/log/agent.log");
    let mut agent = builder.clone().flag("log-file", &mistyped).start().unwrap();
    wait_for_more(&hub, 2);
    stop(&mut agent);
    let is_it = |line: &String| {
        line.contains("Log file cannot be opened") && line.contains("change logging.file")
    };
    assert!(said(&agent).iter().any(is_it), "{:?}", said(&agent));
    assert!(!builder.dir().join("vra").exists());
    // But the agent's own folder, which is made anyway.
    let base = builder.dir().join("var/lib/agent-1");
    let own = base.join("logs/agent.log");
    let builder = builder.flag("base-dir", base).flag("log-file", &own);
    let mut agent = builder.start().unwrap();
    wait_for_more(&hub, 2);
    stop(&mut agent);
    assert_eq!(lines(&own), said(&agent));
}

#[test]
fn a_reload_changes_file_and_level() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let (first, second) = (
        builder.dir().join("first.log"),
        builder.dir().join("second.log"),
    );
    let text = |file: &Path, level: &str| {
        format!("logging:\n  level: {level}\n  file: {}\n", file.display())
    };
    let builder = builder.config(&text(&first, "info")).unwrap();
    let mut agent = builder.start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    builder
        .write_file("mote.yaml", &text(&second, "debug"))
        .unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    let reloaded = |line: &LogLine| line.msg() == "Configuration reloaded";
    agent.wait_for_log(reloaded, LONG).unwrap();
    let in_first = lines(&first);
    wait_for_more(&hub, 3);
    stop(&mut agent);
    assert_eq!(lines(&first), in_first);
    let second = lines(&second);
    assert_eq!(msg(&second[0]), "Configuration reloaded");
    assert!(second.len() > 4 && said(&agent).ends_with(&second));
}

#[test]
fn d9_a_full_disk_costs_log_lines_and_nothing_else() {
    if !namespace::enter(
        Own::Mounts,
        "d9_a_full_disk_costs_log_lines_and_nothing_else",
    ) {
        return;
    }
    let hub = good_hub();
    let builder = hurried(&hub);
    let disk = builder.dir().join("disk");
    fs::create_dir(&disk).unwrap();
    // A thousand pages.
    namespace::mount_memory(&disk, 4_096_000);
    let (path, rubbish) = (disk.join("agent.log"), disk.join("rubbish"));
    let mut agent = builder.flag("log-file", &path).start().unwrap();
    let small = |line: &LogLine| line.msg().starts_with("Log file kept small");
    let line = agent.wait_for_log(small, LONG).unwrap();
    assert_eq!(line.field("max_bytes"), Some(&409_600.into()));
    hub.wait_for(2, LONG).unwrap();
    // Nothing is left but what remains of the log's own last page.
    std::io::copy(
        &mut std::io::repeat(0),
        &mut fs::File::create(&rubbish).unwrap(),
    )
    .unwrap_err();
    wait_for_more(&hub, 40);
    let full = fs::read(&path).unwrap();
    assert_eq!(full.len() % 4096, 0);
    fs::remove_file(&rubbish).unwrap();
    wait_for_more(&hub, 3);
    stop(&mut agent);
    let text = fs::read_to_string(&path).unwrap();
    let after = text[full.len()..].strip_prefix('\n').unwrap();
    let dropped: Value = serde_json::from_str(after.lines().next().unwrap()).unwrap();
    assert_eq!(dropped["msg"], "Log lines dropped");
    let whole = String::from_utf8_lossy(&full).matches('\n').count();
    let lost = said(&agent).len() - whole - (after.lines().count() - 1);
    assert_eq!(dropped["dropped"].as_u64(), Some(lost as u64));
    assert!(lost > 10);
}

#[test]
fn a_limit_on_file_sizes_costs_log_lines_and_nothing_else() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let script = format!(
        "ulimit -f 1; exec {} run \"$@\" >out",
        mote_binary().unwrap().display()
    );
    let path = builder.write_file("limited", &script).unwrap();
    // Its file is over the limit before it says a word.
    builder.write_file("out", &"x".repeat(2_000)).unwrap();
    let script = script.replace(">out", ">>out");
    fs::write(&path, script).unwrap();
    let builder = builder.binary("/bin/sh").command(path.to_str().unwrap());
    let mut agent = builder.start().unwrap();
    hub.wait_for(5, LONG).unwrap();
    stop(&mut agent);
    let mut out = String::new();
    let mut file = fs::File::open(agent.dir().join("out")).unwrap();
    file.read_to_string(&mut out).unwrap();
    assert_eq!(out, "x".repeat(2_000));
}

#[test]
fn an_agent_that_dies_again_and_again_begins_later_each_time() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let waiting = |line: &LogLine| line.field("wait_ms").is_some();
    let starting = |line: &LogLine| line.msg() == "LunaSentri agent starting";
    for wait_ms in [0, 1_000, 2_000, 4_000] {
        let mut agent = builder.start().unwrap();
        agent.wait_for_log(starting, LONG).unwrap();
        if wait_ms == 0 {
            wait_for_more(&hub, 1);
            assert!(!agent.log().iter().any(waiting));
        } else {
            let line = agent.wait_for_log(waiting, LONG).unwrap();
            let said_ms = line.field("wait_ms").and_then(Value::as_u64).unwrap();
            // Some of it is over when it is said, on a busy machine more.
            assert!((wait_ms / 2..=wait_ms).contains(&said_ms), "{line:?}");
            if wait_ms != 2_000 {
                wait_for_more(&hub, 1);
                let taken_ms = hub.received().last().unwrap().timestamp_ms().unwrap();
                let waited_ms = taken_ms - line.time_ms().unwrap();
                // Both times are rounded to milliseconds.
                assert!(waited_ms + 1 >= said_ms, "{waited_ms} ms: {line:?}");
                // No sample was due while it waited, so none was missed.
                assert!(!agent.log().iter().any(|line| line.msg().contains("missed")));
            }
        }
        if wait_ms >= 2_000 {
            // While it still waits, that is no good end: the next one waits longer.
            stop(&mut agent);
        } else {
            agent.signal(Signal::SIGKILL).unwrap();
            agent.wait_exit(LONG).unwrap();
        }
    }
    // It worked and was asked to stop, so the next one does not wait.
    let mut agent = builder.start().unwrap();
    wait_for_more(&hub, 1);
    assert!(!agent.log().iter().any(waiting));
    stop(&mut agent);
}
