//! Registration, heartbeats, keys and tokens.

use mote_tests::agent::{AgentBuilder, Signal, mote_binary};
use mote_tests::hub::{Hub, HubConfig, Message, Misbehaviour, OrchestratorConfig, Route};

use crate::{LONG, builder, end, hub, hub_with, orchestrator};

fn statuses(beats: &[Message]) -> Vec<String> {
    let status = |beat: &Message| beat.body["status"].as_str().unwrap_or_default().to_owned();
    beats.iter().map(status).collect()
}

#[test]
fn an_agent_registers_and_beats_and_says_goodbye() {
    let hub = hub();
    let agent = builder(&hub, "both")
        .env("STAVILY_AGENT_ORGANIZATION_ID", "org")
        .env("MOTE_AGENT_TAGS", "a,b")
        .start()
        .unwrap();
    let three = |beats: &[Message]| beats.len() >= 3;
    hub.wait_for_messages(Route::Heartbeat, "three heartbeats", LONG, three)
        .unwrap();
    end(&hub, agent);
    let registrations = hub.messages(Route::Register);
    assert_eq!(registrations.len(), 1);
    assert_eq!(registrations[0].body["tags"][1], "b");
    assert_eq!(registrations[0].body["organization_id"], "org");
    let agent_name = &registrations[0].user_agent;
    assert!(agent_name.starts_with("Stavily-Agent/"), "{agent_name}");
    let statuses = statuses(&hub.messages(Route::Heartbeat));
    let (last, before) = statuses.split_last().unwrap();
    assert_eq!(last, "offline");
    assert!(
        before.iter().all(|status| status == "online"),
        "{statuses:?}"
    );
    assert!(!hub.messages(Route::Poll).is_empty());
}

#[test]
fn where_nobody_registers_the_agent_goes_on() {
    for (registers, is_registered) in [(false, false), (true, true)] {
        let hub = hub_with(OrchestratorConfig {
            registers,
            is_registered,
            ..orchestrator()
        });
        let agent = builder(&hub, "sensor").start().unwrap();
        let two = |beats: &[Message]| beats.len() >= 2;
        hub.wait_for_messages(Route::Heartbeat, "two heartbeats", LONG, two)
            .unwrap();
        end(&hub, agent);
        assert_eq!(hub.messages(Route::Register).len(), 1);
    }
}

#[test]
fn registration_is_tried_until_it_succeeds() {
    let hub = hub();
    hub.script_at(
        Route::Register,
        [Misbehaviour::status(400), Misbehaviour::status(422)],
    );
    let agent = builder(&hub, "sensor")
        .env("MOTE_AGENT_REGISTRATION_RETRY_INTERVAL", "1s")
        .start()
        .unwrap();
    let third = |all: &[Message]| all.len() == 3 && all[2].answered;
    hub.wait_for_messages(Route::Register, "a registration", LONG, third)
        .unwrap();
    end(&hub, agent);
}

#[test]
fn a_token_that_is_refused_is_read_again_and_then_held() {
    let hub = hub();
    let builder = builder(&hub, "sensor");
    let file = builder.write_file("agent.jwt", "demo-token\n").unwrap();
    let agent = builder
        .env("MOTE_API_AUTH_API_KEY", "")
        .env("MOTE_API_AUTH_TYPE", "jwt")
        .env("MOTE_API_AUTH_TOKEN_FILE", &file)
        .start()
        .unwrap();
    let some = |beats: &[Message]| !beats.is_empty();
    hub.wait_for_messages(Route::Heartbeat, "a heartbeat", LONG, some)
        .unwrap();
    hub.set_token("newer");
    let refused = |line: &mote_tests::agent::LogLine| line.msg().contains("refuses the key");
    agent.wait_for_log(refused, LONG).unwrap();
    let before = hub.messages(Route::Heartbeat).len();
    std::fs::write(&file, "newer\n").unwrap();
    let more = |beats: &[Message]| beats.len() > before;
    hub.wait_for_messages(
        Route::Heartbeat,
        "a heartbeat with the newer token",
        LONG,
        more,
    )
    .unwrap();
    end(&hub, agent);
}

#[test]
fn a_token_that_is_refused_leads_to_one_look_at_its_file_and_to_no_storm() {
    let hub = hub();
    let metrics = Hub::start(HubConfig::default()).unwrap();
    let builder = builder(&hub, "both").for_hub(&metrics).hurried();
    let file = builder.write_file("agent.jwt", "demo-token\n").unwrap();
    let trace = builder.dir().join("opened");
    let script = format!(
        "exec strace -D -qq -o '{}' -P '{}' -e trace=open,openat {} run \"$@\"",
        trace.display(),
        file.display(),
        mote_binary().unwrap().display()
    );
    let script = builder.write_file("watched", &script).unwrap();
    let mut agent = builder
        .binary("/bin/sh")
        .command(script.to_str().unwrap())
        .env("MOTE_API_RETRY_MAX_INTERVAL", "1h")
        .env("MOTE_API_AUTH_API_KEY", "")
        .env("MOTE_API_AUTH_TYPE", "jwt")
        .env("MOTE_API_AUTH_TOKEN_FILE", &file)
        .start()
        .unwrap();
    let polled = |polls: &[Message]| !polls.is_empty();
    hub.wait_for_messages(Route::Poll, "a poll", LONG, polled)
        .unwrap();
    let looks = || std::fs::read_to_string(&trace).unwrap().lines().count();
    let before = looks();
    hub.set_token("newer");
    let refused = |line: &mote_tests::agent::LogLine| line.msg().contains("refuses the key");
    agent.wait_for_log(refused, LONG).unwrap();
    // Time enough for a storm: thirty samples go by.
    let delivered = metrics.stats().delivered;
    metrics.wait_for(delivered + 30, LONG).unwrap();
    assert_eq!(hub.stats().statuses.get(&401), Some(&1));
    assert_eq!(looks(), before + 1);
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
}

#[test]
fn a_certificate_proves_who_it_is_and_its_end_is_warned_of() {
    let hub = Hub::start(HubConfig {
        wants_client_certificate: true,
        orchestrator: Some(OrchestratorConfig {
            token: None,
            ..orchestrator()
        }),
        ..HubConfig::default()
    })
    .unwrap();
    let builder = AgentBuilder::new().unwrap();
    let (certificate, key) = hub.client_certificate("agent-1", 5).unwrap();
    let certificate = builder.write_file("agent.crt", &certificate).unwrap();
    let key = builder.write_file("agent.key", &key).unwrap();
    let agent = builder
        .for_orchestrator(&hub, "sensor")
        .env("MOTE_API_AUTH_API_KEY", "")
        .env("MOTE_API_AUTH_TYPE", "certificate")
        .env("STAVILY_SECURITY_TLS_CERT_FILE", certificate)
        .env("STAVILY_SECURITY_TLS_KEY_FILE", key)
        .start()
        .unwrap();
    let some = |beats: &[Message]| !beats.is_empty();
    let beats = hub
        .wait_for_messages(Route::Heartbeat, "a heartbeat", LONG, some)
        .unwrap();
    assert_eq!(beats[0].body["status"], "degraded");
    let warning = beats[0].body["warnings"][0].as_str().unwrap();
    assert!(warning.contains("ends in 4 days"), "{warning}");
    end(&hub, agent);
}

#[test]
fn tls_1_2_is_refused_unless_it_is_asked_for() {
    let hub = hub();
    hub.set_tls_versions(mote_tests::hub::TlsVersions::Only12)
        .unwrap();
    let mut agent = builder(&hub, "sensor").start().unwrap();
    let old = |line: &mote_tests::agent::LogLine| {
        let error = line.field("error").and_then(|error| error.as_str());
        error.is_some_and(|error| error.contains("set security.tls.min_version to 1.2"))
    };
    agent.wait_for_log(old, LONG).unwrap();
    agent.stop(Signal::SIGTERM).unwrap();
    assert!(hub.messages(Route::Heartbeat).is_empty());
    let agent = builder(&hub, "sensor")
        .env("MOTE_SECURITY_TLS_MIN_VERSION", "1.2")
        .start()
        .unwrap();
    let some = |beats: &[Message]| !beats.is_empty();
    hub.wait_for_messages(Route::Heartbeat, "a heartbeat", LONG, some)
        .unwrap();
    end(&hub, agent);
}

#[test]
fn an_orchestrator_that_forgot_an_agent_hears_of_it_again() {
    let hub = hub();
    let agent = builder(&hub, "sensor")
        .env("MOTE_AGENT_REGISTRATION_RETRY_INTERVAL", "1s")
        .start()
        .unwrap();
    let once = |all: &[Message]| !all.is_empty();
    hub.wait_for_messages(Route::Register, "a registration", LONG, once)
        .unwrap();
    hub.forget_agents();
    hub.script_at(Route::Heartbeat, [Misbehaviour::status(404)]);
    let twice = |all: &[Message]| all.len() >= 2;
    hub.wait_for_messages(Route::Register, "another registration", LONG, twice)
        .unwrap();
    end(&hub, agent);
}

#[test]
fn under_its_old_name_an_agent_finds_its_old_file() {
    let hub = hub();
    let builder = AgentBuilder::new().unwrap();
    let home = builder.dir().join(".stavily");
    std::fs::create_dir(&home).unwrap();
    let link = builder.dir().join("sensor-agent");
    std::os::unix::fs::symlink(mote_binary().unwrap(), &link).unwrap();
    // The older spellings, all of them.
    let text = format!(
        "agent:\n  id: agent-1\n  type: sensor\n  tenant_id: org\n  heartbeat: 1s\n\
         api:\n  base_url: {}\n  user_agent: Older/1\n  retry_attempts: 3\n\
         security:\n  auth: {{method: api_key, api_key: demo-token}}\n\
         \x20 tls: {{ca_file: {}}}\n\
         health: {{enabled: false}}\nmetrics: {{enabled: false}}\n",
        hub.url(),
        hub.ca_pem_path().display()
    );
    std::fs::write(home.join("sensor-agent.yaml"), text).unwrap();
    let agent = builder.binary(link).start().unwrap();
    let two = |beats: &[Message]| beats.len() >= 2;
    let beats = hub
        .wait_for_messages(Route::Heartbeat, "two heartbeats", LONG, two)
        .unwrap();
    assert_eq!(beats[0].user_agent, "Older/1");
    let registration = &hub.messages(Route::Register)[0];
    assert_eq!(registration.body["organization_id"], "org");
    end(&hub, agent);
}

#[test]
fn a_reload_with_another_id_changes_nothing_of_who_it_is() {
    let hub = hub();
    let file = |id: &str| format!("agent: {{id: {id}, organization_id: {id}}}\n");
    let mut builder = builder(&hub, "both").config(&file("agent-1")).unwrap();
    builder = builder.without_flag("agent-id");
    let mut agent = builder.start().unwrap();
    let one = |beats: &[Message]| !beats.is_empty();
    hub.wait_for_messages(Route::Heartbeat, "a heartbeat", LONG, one)
        .unwrap();
    builder.write_file("mote.yaml", &file("agent-2")).unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    for key in ["agent.id", "agent.organization_id"] {
        let kept = |line: &mote_tests::agent::LogLine| {
            line.msg() == "Changed by a restart only" && line.str("key") == key
        };
        agent.wait_for_log(kept, LONG).unwrap();
    }
    let before = hub.messages(Route::Heartbeat).len();
    let more = |beats: &[Message]| beats.len() >= before + 2;
    let beats = hub
        .wait_for_messages(Route::Heartbeat, "more of them", LONG, more)
        .unwrap();
    assert!(
        beats.iter().all(|beat| beat.agent == "agent-1"),
        "{beats:?}"
    );
    end(&hub, agent);
}

#[test]
fn a_reload_leaves_an_orchestrator_alone_that_asked_for_it() {
    let hub = hub();
    let mut agent = builder(&hub, "sensor")
        .config("{}\n")
        .unwrap()
        .start()
        .unwrap();
    let one = |beats: &[Message]| !beats.is_empty();
    hub.wait_for_messages(Route::Heartbeat, "a heartbeat", LONG, one)
        .unwrap();
    let busy = Misbehaviour::status_with(503, &[("Retry-After", "3600")], "");
    hub.misbehave(busy);
    let asked = |line: &mote_tests::agent::LogLine| {
        let in_ms = line
            .field("retry_in_ms")
            .and_then(serde_json::Value::as_u64);
        line.msg().starts_with("Orchestrator") && in_ms >= Some(3_600_000)
    };
    agent.wait_for_log(asked, LONG).unwrap();
    let before = hub.stats().requests;
    agent.signal(Signal::SIGHUP).unwrap();
    let reloaded = |line: &mote_tests::agent::LogLine| line.msg() == "Configuration reloaded";
    agent.wait_for_log(reloaded, LONG).unwrap();
    let status = |line: &mote_tests::agent::LogLine| line.msg() == "Orchestrator status";
    // Each is written by a turn of the loop that would have called it.
    for _ in 0..3 {
        let from = agent.log().len();
        agent.signal(Signal::SIGUSR1).unwrap();
        agent.wait_for_log_from(from, status, LONG).unwrap();
    }
    assert_eq!(hub.stats().requests, before);
    agent.stop(Signal::SIGTERM).unwrap();
}

#[test]
fn a_reload_changes_how_often_it_beats_and_keeps_the_rest() {
    let hub = hub();
    let file = |seconds: u32| format!("agent: {{heartbeat_interval: {seconds}s}}\n");
    let mut builder = builder(&hub, "sensor").config(&file(3600)).unwrap();
    builder = builder.without_env("MOTE_AGENT_HEARTBEAT_INTERVAL");
    let mut agent = builder.start().unwrap();
    let one = |beats: &[Message]| !beats.is_empty();
    hub.wait_for_messages(Route::Heartbeat, "a heartbeat", LONG, one)
        .unwrap();
    builder.write_file("mote.yaml", &file(1)).unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    let more = |beats: &[Message]| beats.len() >= 3;
    hub.wait_for_messages(Route::Heartbeat, "more of them", LONG, more)
        .unwrap();
    end(&hub, agent);
    assert_eq!(hub.messages(Route::Register).len(), 1);
}
