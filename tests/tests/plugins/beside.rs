//! A whole agent with plugins that do wrong: samples go on, nothing is left, nothing grows, and the
//! log says what happened. And with the project's own plugins, whose events arrive.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, Signal, is_emulated, left_out, mote_binary};
use mote_tests::hub::{Hub, HubConfig, Message, OrchestratorConfig, Route};
use mote_tests::wait::poll_until;

use crate::{LONG, configure, install, put};

/// Samples that are taken at most until an ended child has been reaped: the same loop does both.
const ZOMBIE_SAMPLES: usize = 10;
/// The agent's budget, 3.0 MB.
const PEAK_AT_MOST_KIB: u64 = 2_929;

/// What they are called, what they do, and what is said of it.
const WICKED: [(&str, &str, &str); 14] = [
    (
        "huge",
        "read x\necho '{\"success\":true,\"data\":1e400}'\nexec sleep 1000\n",
        "out of range",
    ),
    (
        "twice",
        "read x\necho '{\"success\":true,\"success\":true}'\nexec sleep 1000\n",
        "there already",
    ),
    (
        "nul",
        "read x\nprintf '{\"success\":true,\"data\":\"\\000\"}\\n'\nexec sleep 1000\n",
        "a NUL",
    ),
    (
        "utf8",
        "read x\nprintf '{\"success\":true,\"data\":\"\\377\"}\\n'\nexec sleep 1000\n",
        "not UTF-8",
    ),
    (
        "deep",
        "read x\nprintf '{\"success\":true,\"data\":'\nhead -c 10000 /dev/zero | tr '\\0' '['\n\
             echo\nexec sleep 1000\n",
        "32 levels",
    ),
    (
        "bomb",
        "i=0\nwhile [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done\nwait\n",
        "and was killed",
    ),
    ("crash", "kill -SEGV $$\n", "signal 11"),
    ("silent", "exit 0\n", "ended with code 0"),
    (
        "flood",
        "exec cat /dev/zero\n",
        "a line of more than 65536 bytes",
    ),
    (
        "shout",
        "cat /dev/zero >&2\n",
        "gave no answer within 1000 ms",
    ),
    (
        "nonsense",
        "read x\necho '{\"success\":true,\"data\":NaN}'\nexec sleep 1000\n",
        "not JSON",
    ),
    ("deaf", "exec sleep 1000\n", "gave no answer within 1000 ms"),
    (
        "hang",
        "trap '' TERM\nwhile :; do sleep 1000; done\n",
        "gave no answer within 1000 ms",
    ),
    (
        "leave",
        "setsid sh -c 'trap \"\" TERM; sleep 1000' &\nsetsid sh -c 'sleep 1000' >/dev/null &\nexit 3\n",
        "ended with code 3",
    ),
];

fn hubs() -> (Hub, Hub) {
    let metrics = Hub::start(HubConfig::default()).unwrap();
    let orchestrator = Hub::start(HubConfig {
        orchestrator: Some(OrchestratorConfig {
            next_poll_s: 1.0,
            ..OrchestratorConfig::default()
        }),
        ..HubConfig::default()
    });
    (metrics, orchestrator.unwrap())
}

fn sensor(metrics: &Hub, orchestrator: &Hub) -> AgentBuilder {
    let agent = AgentBuilder::new()
        .unwrap()
        .for_orchestrator(orchestrator, "sensor")
        .for_hub(metrics)
        .hurried()
        .env("MOTE_SENSOR_TRIGGER_CHECK_INTERVAL", "100ms")
        .env("MOTE_SENSOR_TRIGGER_TIMEOUT", "1s");
    for folder in ["data/plugins", "config/plugins"] {
        fs::create_dir_all(agent.base_dir().join(folder)).unwrap();
    }
    fs::set_permissions(agent.base_dir(), fs::Permissions::from_mode(0o700)).unwrap();
    agent
}

/// Processes whose parent is the agent: state and number.
fn children(agent: &AgentUnderTest) -> Vec<(char, u32)> {
    let parent = format!(" {} ", agent.pid());
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let Some((_, fields)) = stat.rsplit_once(')') else {
            continue;
        };
        // " S 42 …": state and parent.
        if fields
            .get(2..)
            .is_some_and(|rest| rest.starts_with(&parent))
        {
            found.push((fields.chars().nth(1).unwrap(), pid));
        }
    }
    found
}

fn descriptors(agent: &AgentUnderTest) -> usize {
    let folder = format!("/proc/{}/fd", agent.pid());
    fs::read_dir(Path::new(&folder)).unwrap().count()
}

/// Waits for as many samples more than now.
fn more_samples(metrics: &Hub, count: u64) {
    let before = metrics.received().len() as u64;
    metrics.wait_for(before + count, LONG).unwrap();
}

#[test]
fn p5_p6_p7_p8_p9_p10_whatever_a_plugin_does_samples_go_on_and_nothing_is_left() {
    let (metrics, orchestrator) = hubs();
    let agent = sensor(&metrics, &orchestrator);
    for (id, script, _) in WICKED {
        put(&agent, id, Some("trigger"), "main.sh", script);
    }
    let logs = agent.base_dir().join("logs/plugins");
    let mut agent = agent.start().unwrap();
    for (id, _, words) in WICKED {
        let told = |line: &mote_tests::agent::LogLine| {
            line.msg() == "Plugin failed"
                && line.str("plugin") == id
                && line.str("error").contains(words)
        };
        agent
            .wait_for_log(told, LONG)
            .unwrap_or_else(|error| panic!("{id}: {error:?}"));
    }
    // They are started again and end again meanwhile.
    let wanted = metrics.received().len() + 30;
    let mut zombies: BTreeMap<u32, usize> = BTreeMap::new();
    poll_until("more samples", LONG, || {
        let samples = metrics.received().len();
        let ended = children(&agent)
            .into_iter()
            .filter(|(state, _)| *state == 'Z');
        let ended: Vec<u32> = ended.map(|(_, pid)| pid).collect();
        zombies.retain(|pid, _| ended.contains(pid));
        for pid in ended {
            let since = *zombies.entry(pid).or_insert(samples);
            assert!(samples < since + ZOMBIE_SAMPLES, "{pid} is a zombie");
        }
        (samples >= wanted).then_some(())
    })
    .unwrap();
    assert_eq!(agent.threads().unwrap(), 1);
    if !left_out("what the agent holds in memory") {
        let memory = agent.memory().unwrap();
        assert!(memory.peak_rss_kb <= PEAK_AT_MOST_KIB, "{memory:?}");
    }
    assert!(descriptors(&agent) < 60);
    let shouted = fs::metadata(logs.join("shout.log")).unwrap();
    assert!(shouted.len() > 0);
    let pids: Vec<u32> = children(&agent).iter().map(|(_, pid)| *pid).collect();
    agent.signal(Signal::SIGTERM).unwrap();
    let status = agent.wait_exit(LONG).unwrap();
    assert_eq!(status.code(), Some(0));
    poll_until("their end", LONG, || {
        let is_alive = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
        (!pids.iter().any(is_alive)).then_some(())
    })
    .unwrap();
    assert_eq!(orchestrator.violations(), Vec::<String>::new());
    assert_eq!(metrics.violations(), Vec::<String>::new());
}

#[test]
fn events_of_the_projects_own_plugins_arrive() {
    let (metrics, orchestrator) = hubs();
    let agent = sensor(&metrics, &orchestrator).env("MOTE_SENSOR_TRIGGER_TIMEOUT", "30s");
    install(&agent, "disk-space");
    install(&agent, "cpu-load");
    let path = crate::shipped().canonicalize().unwrap();
    configure(
        &agent,
        "disk-space",
        &format!("threshold: 1\npath: {}\n", path.display()),
    );
    // Busy is what is above nothing: this test itself makes it so.
    configure(&agent, "cpu-load", "threshold: 1\nlooks: 1\n");
    let mut agent = agent.start().unwrap();
    let kinds = |batches: &[Message]| {
        let events = batches
            .iter()
            .flat_map(|batch| batch.body["events"].as_array().unwrap());
        events
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let both = |batches: &[Message]| {
        let kinds = kinds(batches);
        ["disk.full", "cpu.busy"]
            .iter()
            .all(|kind| kinds.iter().any(|found| found == kind))
    };
    orchestrator
        .wait_for_messages(Route::Events, "an event of each", LONG, both)
        .unwrap();
    let log = agent.log();
    let faults: Vec<_> = log
        .iter()
        .filter(|line| line.msg() == "Plugin failed")
        .collect();
    assert!(faults.is_empty(), "{faults:?}");
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
    assert_eq!(orchestrator.violations(), Vec::<String>::new());
}

#[test]
fn p4_a_plugin_that_gets_no_process_fails_is_tried_again_and_all_else_goes_on() {
    if is_emulated() && left_out("faults of system calls") {
        return;
    }
    let (metrics, orchestrator) = hubs();
    let agent = sensor(&metrics, &orchestrator);
    install(&agent, "disk-space");
    let path = crate::shipped().canonicalize().unwrap();
    let options = format!("threshold: 1\npath: {}\n", path.display());
    configure(&agent, "disk-space", &options);
    let calls = "fork,vfork,clone,clone3";
    let script = format!(
        "#!/bin/sh\nexec strace -D -qq -o /dev/null -e trace={calls} \
         -e inject={calls}:error=EAGAIN:when=1..2 {} \"$@\"\n",
        mote_binary().unwrap().display()
    );
    let script = agent.write_file("short-of-processes", &script).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let mut agent = agent.binary(script).start().unwrap();
    let failed = agent
        .wait_for_log(|line| line.msg() == "Plugin failed", LONG)
        .unwrap();
    assert!(failed.text.contains("os error 11"), "{}", failed.text);
    more_samples(&metrics, 5);
    let any = |batches: &[Message]| !batches.is_empty();
    orchestrator
        .wait_for_messages(Route::Events, "an event", LONG, any)
        .unwrap();
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
}
