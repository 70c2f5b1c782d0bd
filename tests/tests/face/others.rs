//! What is shown besides samples: the orchestrator, plugins, what ends soon.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use mote_tests::hub::{OrchestratorConfig, Route};
use mote_tests::scraped::promtool;
use serde_json::json;

use super::*;

/// Reports an event whenever it is asked.
const TICKER: &str = r#"#!/bin/sh
n=0
while read -r line && [ -n "$line" ]; do
  case $line in
    *detect_triggers*)
      n=$((n + 1))
      echo "{\"success\":true,\"data\":{\"id\":\"e-$$-$n\",\"type\":\"tick\",\"data\":{}}}" ;;
    *get_health*) echo '{"success":true,"data":{"status":"healthy"}}' ;;
    *) echo '{"success":true}' ;;
  esac
done
"#;

fn orchestrator(token: Option<&str>) -> Hub {
    Hub::start(HubConfig {
        orchestrator: Some(OrchestratorConfig {
            token: token.map(str::to_owned),
            next_poll_s: 1.0,
            chains: false,
            ..OrchestratorConfig::default()
        }),
        wants_client_certificate: token.is_none(),
        ..HubConfig::default()
    })
    .unwrap()
}

fn manifest(id: &str, more: &str) -> String {
    format!(
        "plugin:\n  id: {id}\n  type: trigger\n  runtime: {{type: shell, entry_point: main.sh}}\n{more}"
    )
}

fn execute(id: &str) -> Value {
    json!({
        "id": id, "agent_id": "agent-1", "plugin_id": "once", "instruction_type": "execute",
        "plugin_configuration": {"entrypoint": "run.sh"}, "timeout_seconds": 20,
    })
}

fn both(hub: &Hub) -> AgentBuilder {
    AgentBuilder::new()
        .unwrap()
        .for_orchestrator(hub, "both")
        .flag("interval", "100ms")
        .env("MOTE_SENSOR_TRIGGER_CHECK_INTERVAL", "100ms")
}

/// The plugin of this id.
fn plugin<'a>(status: &'a Value, id: &str) -> &'a Value {
    let plugins = status["plugins"].as_array().unwrap();
    let found = plugins.iter().find(|plugin| plugin["id"] == id);
    found.unwrap_or(&Value::Null)
}

const CANARY: &str = "canary-77b1f0";

/// An orchestrator, and an agent with one plugin of each sort and an instruction.
fn with_plugins() -> (Hub, AgentBuilder) {
    let hub = orchestrator(Some("demo-token"));
    let builder = both(&hub)
        .argument("--metrics-enabled=true")
        .flag("metrics-port", "0")
        .env("MOTE_PLUGINS_BLOCKED_PLUGINS", "blocked");
    let options = "  configuration: {api_key: {type: string}}\n";
    for (id, script, more) in [
        ("ticker", TICKER, ""),
        (
            "crash",
            "read -r x\necho '{\"success\":true}'\nread -r x\necho \"$x\" >&2\nexit 3\n",
            options,
        ),
        ("blocked", TICKER, ""),
    ] {
        let manifest = manifest(id, more);
        builder.plugin_file(id, "plugin.yaml", &manifest).unwrap();
        builder.plugin_file(id, "main.sh", script).unwrap();
    }
    let configured = builder.base_dir().join("config/plugins");
    fs::create_dir_all(&configured).unwrap();
    fs::write(
        configured.join("crash.yaml"),
        format!("api_key: {CANARY}\n"),
    )
    .unwrap();
    let run = "#!/bin/sh\nn=0\nwhile [ $n -lt 50000 ]; do n=$((n + 1)); done\necho done\n";
    builder.plugin_file("once", "run.sh", run).unwrap();
    hub.give(execute("i-1"));
    (hub, builder)
}

#[test]
fn what_is_done_for_the_orchestrator_is_shown_everywhere() {
    let (hub, builder) = with_plugins();
    let (agent, address) = start(&builder);
    let status = wait_for_status(address, "all of it", |status| {
        let other = &status["orchestrator"];
        other["instructions_reported"] == 1
            && other["events_sent"].as_u64() > Some(2)
            && other["heartbeats"].as_u64() > Some(1)
            && plugin(status, "crash")["restarts"].as_u64() >= Some(1)
            && plugin(status, "crash")["state"] == "failed"
            && plugin(status, "ticker")["memory_kb"].as_u64() > Some(100)
    });
    assert_status(&status, &hub);
    let ready = get(address, "/ready");
    assert_eq!(
        ready.status, 200,
        "a plugin that fails does not stop the rest: {}",
        ready.body
    );
    let parts = ready.json();
    assert_eq!(parts["orchestrator"]["state"], "connected");
    assert_eq!(parts["plugins"]["blocked"], 1);
    assert_eq!(parts["warnings"], json!([]));

    let metrics = get(agent.listens_at("/metrics", LONG).unwrap(), "/metrics").body;
    for series in [
        "mote_plugin_running{plugin=\"ticker\",mode=\"standing\"} 1\n",
        "mote_plugin_runs_total{plugin=\"once\",mode=\"one-shot\"} 1\n",
        "mote_plugin_cpu_seconds_total{plugin=\"once\",mode=\"one-shot\"} 0.",
        "mote_plugin_resident_memory_bytes{plugin=\"ticker\",mode=\"standing\"} ",
        "mote_plugin_restarts_total{plugin=\"crash\",",
        "mote_plugin_failures_total{plugin=\"crash\",",
        "mote_instructions_reported_total 1\n",
        "mote_heartbeats_total ",
        "mote_polls_total ",
        "mote_results_held 0\n",
        "mote_orchestrator_connected 1\n",
        "mote_orchestrator_failures 0\n",
    ] {
        assert!(
            metrics.contains(&format!("\n{series}")),
            "{series}: {metrics}"
        );
    }
    let (text, errors, code) = commands::run(&commands::command("status", address));
    assert_eq!((code, errors.as_str()), (0, ""));
    for line in [
        "\norchestrator ",
        "\ninstructions 1 taken, 0 running, 1 reported\n",
        "\nplugin       ticker trigger standing running",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for shown in [metrics, text, ready.body, status.to_string()] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
    assert!(agent.log().iter().all(|line| !line.text.contains(CANARY)));
    let page = get(agent.listens_at("/metrics", LONG).unwrap(), "/metrics").body;
    assert_eq!(promtool(&page).unwrap(), Vec::<String>::new());
}

fn assert_status(status: &Value, hub: &Hub) {
    let other = &status["orchestrator"];
    assert_eq!(other["server"], hub.address().to_string());
    assert_eq!(
        (&other["state"], &other["connected"]),
        (&json!("connected"), &json!(1))
    );
    assert_eq!(
        (&other["trouble"], &other["failures"]),
        (&Value::Null, &json!(0))
    );
    assert_eq!(
        (&other["instructions_taken"], &other["instructions_running"]),
        (&json!(1), &json!(0))
    );
    let count = |name: &str| other[name].as_u64().unwrap();
    assert_eq!(
        count("events_journaled"),
        count("events_sent") + count("events_held"),
        "{other}"
    );
    assert_eq!((count("events_dropped"), count("results_dropped")), (0, 0));
    let now_ms = status["now_ms"].as_u64().unwrap();
    for moment in ["last_contact_ms", "last_heartbeat_ms", "last_poll_ms"] {
        let age_ms = now_ms.saturating_sub(count(moment));
        assert!(age_ms < 60_000, "{moment}: {age_ms}");
    }
    let ticker = plugin(status, "ticker");
    assert_eq!(
        (&ticker["kind"], &ticker["mode"]),
        (&json!("trigger"), &json!("standing"))
    );
    assert_eq!(
        (&ticker["state"], &ticker["error"]),
        (&json!("running"), &Value::Null)
    );
    assert!(
        ticker["runs"].as_u64() > Some(2) && ticker["last_run_ms"].is_u64(),
        "{ticker}"
    );
    let once = plugin(status, "once");
    assert_eq!(
        (&once["kind"], &once["mode"]),
        (&json!("action"), &json!("one-shot"))
    );
    assert_eq!((&once["state"], &once["runs"]), (&json!("idle"), &json!(1)));
    assert!(once["cpu_s"].as_f64().unwrap() > 0.0, "{once}");
    assert_eq!(plugin(status, "blocked")["state"], "blocked");
    let crash = plugin(status, "crash");
    assert!(
        crash["error"]
            .as_str()
            .unwrap()
            .starts_with("ended with code 3: {"),
        "{crash}"
    );
    assert!(crash["failures"].as_u64() >= Some(2), "{crash}");
}

#[test]
fn an_orchestrator_that_is_away_holds_and_one_that_refuses_the_key_is_not_ready() {
    let hub = orchestrator(Some("demo-token"));
    let (_agent, address) = start(&both(&hub));
    let state = |wanted: &'static str| {
        let what = format!("the orchestrator {wanted}");
        wait_for_status(address, &what, move |status| {
            status["orchestrator"]["state"] == wanted
        })
    };
    state("connected");
    hub.misbehave(Misbehaviour::RefuseConnections);
    hub.drop_connections();
    let away = state("held");
    assert!(
        away["orchestrator"]["failures"].as_u64() >= Some(1),
        "{away}"
    );
    assert!(away["orchestrator"]["retry_in_ms"].is_u64(), "{away}");
    assert!(away["orchestrator"]["trouble"].is_string(), "{away}");
    assert_eq!(get(address, "/ready").status, 200);
    hub.misbehave(Misbehaviour::Normal);
    state("connected");
    hub.set_token("another");
    state("refused");
    let reply = wait_for_answer(address, "/ready", 503).json();
    assert_eq!(reply["orchestrator"]["state"], "refused");
    assert_eq!(get(address, "/health").status, 200);
}

#[test]
fn results_that_nobody_takes_fill_the_journal_and_that_is_not_ready() {
    let hub = orchestrator(Some("demo-token"));
    hub.misbehave_at(Route::Result, Misbehaviour::status(404));
    let builder = both(&hub)
        // So that none is given up meanwhile.
        .env("MOTE_API_RETRY_MAX_INTERVAL", "10m");
    let run = "#!/bin/sh\nhead -c 65000 /dev/zero | tr '\\0' x\n";
    builder.plugin_file("once", "run.sh", run).unwrap();
    for number in 0..24 {
        hub.give(execute(&format!("i-{number}")));
    }
    let (_agent, address) = start(&builder);
    assert_eq!(get(address, "/ready").status, 200);
    let reply = wait_for_answer(address, "/ready", 503).json();
    assert_eq!(reply["orchestrator"]["state"], "full", "{reply}");
    assert!(
        reply["orchestrator"]["results_held"].as_u64() > Some(2),
        "{reply}"
    );
    assert!(
        reply["orchestrator"]["trouble"]
            .as_str()
            .unwrap()
            .contains("journal")
    );
    assert_eq!(get(address, "/health").status, 200);
    assert!(hub.instructions_waiting() > 0, "all were taken");
}

#[test]
fn a_certificate_and_a_token_that_end_within_a_month_are_warned_of_and_ready_stays() {
    let now_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let ends_s = now_s + 10 * 86_400 + 3_600;
    let claims = format!("{{\"exp\":{ends_s},\"iat\":{}}}", now_s - 300 * 86_400);
    let token = format!("eyJhbGciOiJub25lIn0.{}.x", base64url(claims.as_bytes()));
    let hub = Hub::start(HubConfig {
        orchestrator: Some(OrchestratorConfig {
            token: Some(token.clone()),
            ..OrchestratorConfig::default()
        }),
        wants_client_certificate: true,
        ..HubConfig::default()
    })
    .unwrap();
    let builder = AgentBuilder::new().unwrap();
    let (certificate, key) = hub.client_certificate("agent-1", 10).unwrap();
    let certificate = builder.write_file("agent.crt", &certificate).unwrap();
    let key = builder.write_file("agent.key", &key).unwrap();
    let file = builder.write_file("agent.jwt", &token).unwrap();
    let builder = builder
        .for_orchestrator(&hub, "sensor")
        .for_hub(&hub)
        .hurried()
        .flag("tls-cert-file", &certificate)
        .flag("tls-key-file", &key)
        .env("MOTE_API_AUTH_API_KEY", "")
        .env("MOTE_API_AUTH_TYPE", "jwt")
        .env("MOTE_API_AUTH_TOKEN_FILE", &file)
        .env("MOTE_API_AUTH_CERT_FILE", &certificate)
        .env("MOTE_API_AUTH_KEY_FILE", &key)
        .argument("--metrics-enabled=true")
        .flag("metrics-port", "0");
    let (agent, address) = start(&builder);
    let expected = [
        ("the certificate tls.cert_file ends in 9 days: renew it", 9),
        ("the orchestrator's token ends in 10 days: renew it", 10),
        (
            "the certificate api.auth.cert_file ends in 9 days: renew it",
            9,
        ),
    ];
    let is_told = |status: &Value| {
        status["warnings"].as_array().map(Vec::len) == Some(expected.len())
            && status["orchestrator"]["state"] == "connected"
    };
    let status = wait_for_status(address, "the warnings", is_told);
    for (at, (words, days)) in expected.into_iter().enumerate() {
        let warning = &status["warnings"][at];
        assert_eq!(
            (&warning["text"], &warning["days_left"]),
            (&json!(words), &json!(days))
        );
        let said = |line: &LogLine| line.level() == "warn" && line.str("warning") == words;
        agent.wait_for_log(said, LONG).unwrap();
    }
    assert_eq!(status["warnings"][1]["ends_ms"], ends_s * 1_000);
    let ready = wait_for_answer(address, "/ready", 200).json();
    assert_eq!(ready["warnings"], status["warnings"]);
    let told = |beats: &[mote_tests::hub::Message]| {
        beats.iter().any(|beat| {
            let words = beat.body["warnings"].to_string();
            beat.body["status"] == "degraded"
                && words.contains("token ends in 10 days")
                && words.contains("api.auth.cert_file ends in 9 days")
        })
    };
    hub.wait_for_messages(Route::Heartbeat, "a heartbeat that warns", LONG, told)
        .unwrap();
    let (text, _, code) = commands::run(&commands::command("health", address).argument("--ready"));
    assert_eq!(code, 0);
    assert!(
        text.starts_with("ready: ok, ") && text.contains("token ends in 10 days"),
        "{text}"
    );
    let metrics = get(agent.listens_at("/metrics", LONG).unwrap(), "/metrics").body;
    let series =
        "mote_credential_expiry_timestamp_seconds{credential=\"the orchestrator's token\"} ";
    assert!(
        metrics.contains(&format!("\n{series}{ends_s}\n")),
        "{metrics}"
    );
    // A newer one is no longer warned of.
    let claims = format!("{{\"exp\":{}}}", now_s + 90 * 86_400);
    let newer = format!("eyJhbGciOiJub25lIn0.{}.x", base64url(claims.as_bytes()));
    fs::write(&file, &newer).unwrap();
    hub.set_token(&newer);
    wait_for_status(address, "the token's warning to go", |status| {
        status["warnings"].as_array().map(Vec::len) == Some(2)
    });
}

/// Base64 for URLs without padding (RFC 4648, section 5).
fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut three = [0; 4];
        three[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(three);
        for at in 0..=chunk.len() {
            let letter = bits >> (18 - 6 * at) & 63;
            text.push(char::from(LETTERS[letter as usize]));
        }
    }
    text
}
