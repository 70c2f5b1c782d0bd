//! What the agent holds in memory with everything on: metrics, triggers, actions.
//!
//! Two standing plugins are connected, one of each kind, and idle. For the most it ever holds, the
//! metrics server is away for a lap of the outbox, as in `peak.rs`; then four actions run at once
//! and give 64 KiB each, and the server comes back.

use serde_json::json;

use super::{Failure, Figure, Findings, LONG, Plan, TICK, is_failure};
use crate::agent::{AgentBuilder, AgentUnderTest, LogLine};
use crate::hub::{Hub, HubConfig, Message, Misbehaviour, OrchestratorConfig, Route};
use crate::wait::poll_until;

/// The default, a day at the default interval.
const OUTBOX: u32 = 8640;
/// At once, each with as much output as is kept.
const ACTIONS: usize = 4;
const BUDGET_IDLE_KB: f64 = 2500.0;
const BUDGET_PEAK_KB: f64 = 3000.0;
const NOTE: &str = "peak_orchestrator_kb is left out: --quick has no time for a lap of the outbox";

/// Answers whatever it is asked.
const STANDING: &str = "while read -r line && [ -n \"$line\" ]; do
  echo '{\"success\":true,\"data\":null}'
done
";

/// Waits for the others, then says much.
const TALKER: &str = "here=$(dirname \"$0\")
touch \"$here/began-$1\"
until [ \"$(ls \"$here\" | grep -c began-)\" -ge 4 ]; do sleep 0.05; done
head -c 65536 /dev/zero | tr '\\0' x
";

pub(super) fn measure(plan: &Plan) -> Result<Findings, Failure> {
    let metrics = Hub::start(HubConfig::default())?;
    let orchestrator = Hub::start(HubConfig {
        orchestrator: Some(OrchestratorConfig {
            next_poll_s: 1.0,
            ..OrchestratorConfig::default()
        }),
        ..HubConfig::default()
    })?;
    let agent = start(&metrics, &orchestrator)?;
    // The action plugin runs from its first action on.
    orchestrator.give(json!({"id": "first", "plugin_id": "service", "input_data": {}}));
    wait_for_results(&orchestrator, 1)?;
    let delivered = metrics.stats().delivered;
    metrics.wait_for(delivered + 100, TICK * 100 + LONG)?;
    check_plugins(&agent)?;
    let idle = Figure::memory("rss_orchestrator_kb", agent.memory()?.rss_kb);
    let mut findings = Findings::from(vec![idle.within(BUDGET_IDLE_KB)]);
    if plan.quick {
        findings.notes.push(NOTE.into());
        return Ok(findings);
    }
    metrics.misbehave(Misbehaviour::RefuseConnections);
    agent.wait_for_log(
        |line| holds(line) >= Some(OUTBOX.into()),
        TICK * OUTBOX * 2 + LONG,
    )?;
    plan.say("orchestrator: the outbox is full");
    for number in 0..ACTIONS {
        orchestrator.give(json!({
            "id": format!("talk-{number}"), "plugin_id": "talker",
            "plugin_configuration":
                {"entrypoint": "main.sh", "arguments": [number.to_string()]},
        }));
    }
    wait_for_results(&orchestrator, 1 + ACTIONS)?;
    metrics.misbehave(Misbehaviour::Normal);
    let delivered = metrics.stats().delivered;
    metrics.wait_for(delivered + 100, TICK * 100 + LONG)?;
    let peak = Figure::memory("peak_orchestrator_kb", agent.memory()?.peak_rss_kb);
    findings.figures.push(peak.within(BUDGET_PEAK_KB));
    Ok(findings)
}

fn start(metrics: &Hub, orchestrator: &Hub) -> Result<AgentUnderTest, Failure> {
    let builder = AgentBuilder::new()?
        .for_orchestrator(orchestrator, "both")
        .for_hub(metrics)
        .flag("interval", "100ms")
        .flag("buffer-samples", OUTBOX.to_string())
        .flag("retry-backoff", "1s")
        .flag("retry-max", "10s")
        .env("MOTE_AGENT_MAX_CONCURRENT_TASKS", ACTIONS.to_string())
        .env("MOTE_SENSOR_TRIGGER_CHECK_INTERVAL", "1s");
    for (id, kind) in [("watch", "trigger"), ("service", "action")] {
        let manifest =
            format!("plugin:\n  id: {id}\n  type: {kind}\n  runtime:\n    entry_point: main.sh\n");
        builder.plugin_file(id, "plugin.yaml", &manifest)?;
        builder.plugin_file(id, "main.sh", STANDING)?;
    }
    builder.plugin_file("talker", "main.sh", TALKER)?;
    Ok(builder.start()?)
}

/// Waits until so many results were acknowledged.
fn wait_for_results(hub: &Hub, count: usize) -> Result<(), Failure> {
    let there = |results: &[Message]| results.iter().filter(|one| one.answered).count() >= count;
    hub.wait_for_messages(Route::Result, "the results", LONG, there)?;
    Ok(())
}

/// Both standing plugins must be connected, or the figure is one of something else.
fn check_plugins(agent: &AgentUnderTest) -> Result<(), Failure> {
    let started = |id: &str| {
        let is_it = |line: &LogLine| line.msg() == "Plugin started" && line.str("plugin") == id;
        agent.log().iter().any(is_it).then_some(())
    };
    for id in ["watch", "service"] {
        poll_until("both plugins to start", LONG, || started(id))?;
    }
    let log = agent.log();
    match log.iter().find(|line| line.msg() == "Plugin failed") {
        Some(line) => Err(line.text.clone().into()),
        None => Ok(()),
    }
}

/// How many samples a line says are held.
fn holds(line: &LogLine) -> Option<u64> {
    line.field("held")?.as_u64().filter(|_| is_failure(line))
}
