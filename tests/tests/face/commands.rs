//! `mote health` and `mote status`, for whoever is on the device.

use super::*;

/// What a command says on standard output and standard error, and its exit code.
pub(crate) fn run(builder: &AgentBuilder) -> (String, String, i32) {
    let mut command = builder.start().unwrap();
    let code = command.wait_exit(LONG).unwrap().code().unwrap();
    let lines: Vec<String> = command.log().into_iter().map(|line| line.text).collect();
    (lines.join("\n"), command.stderr().join("\n"), code)
}

/// A command that asks at this address.
pub(crate) fn command(name: &str, address: SocketAddr) -> AgentBuilder {
    let builder = AgentBuilder::new().unwrap().command(name);
    builder.flag("health-port", address.port().to_string())
}

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn the_status_is_printed_for_people_and_for_programs() {
    let hub = good_hub();
    let (_agent, address) = start(&hurried(&hub).flag("hostname", "gw\u{1b}[2J-7"));
    hub.wait_for(2, LONG).unwrap();
    wait_for_status(address, "deliveries", |status| {
        status["uplink"]["state"] == "delivering"
    });
    let (text, errors, code) = run(&command("status", address));
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(text.starts_with("mote 0."), "{text}");
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
    };
    assert!(
        line("server").contains(&format!("{} delivering", hub.address())),
        "{text}"
    );
    assert!(line("memory").ends_with(" %"), "{text}");
    assert!(line("outbox").contains(" held, room for "), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let (json, _, code) = run(&command("status", address).argument("--json"));
    assert_eq!(code, 0);
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["hostname"], "gw\u{1b}[2J-7");
    assert!(!json.contains('\u{1b}'), "{json}");
}

#[test]
fn watching_adds_a_line_at_a_time_where_there_is_no_terminal() {
    let (agent, address) = alone();
    let mut watch = command("status", address)
        .argument("--watch")
        .start()
        .unwrap();
    let has = |words: &'static str| move |line: &LogLine| line.text.contains(words);
    let first = watch.wait_for_log(has(" memory "), LONG).unwrap();
    assert!(!first.text.contains('\u{1b}'), "{}", first.text);
    watch.wait_for_log_from(1, has(" memory "), LONG).unwrap();
    // An agent that is gone may come back.
    drop(agent);
    watch.wait_for_log(has("no agent answers"), LONG).unwrap();
    assert!(watch.is_running());
    watch.signal(Signal::SIGINT).unwrap();
    watch.wait_exit(LONG).unwrap();
}

#[test]
fn without_an_agent_it_says_how_to_start_one() {
    let address = nobody();
    let (text, errors, code) = run(&command("status", address));
    assert_eq!((code, text.as_str()), (69, ""));
    assert!(
        errors.contains(&address.to_string()) && errors.contains("mote run"),
        "{errors}"
    );
    let (_, errors, code) = run(&command("health", address));
    assert_eq!(code, 1);
    assert!(errors.contains("mote run"), "{errors}");
    let unknown = AgentBuilder::new().unwrap().command("status");
    let (_, errors, code) = run(&unknown);
    assert_eq!(code, 69);
    assert!(errors.contains("--health-port"), "{errors}");
}

#[test]
fn watching_for_a_program_prints_nothing_but_json() {
    let address = nobody();
    let (text, errors, code) = run(&command("status", address).argument("--watch"));
    assert_eq!((code, text.as_str()), (69, ""), "{errors}");
    let (agent, address) = alone();
    let watch = command("status", address)
        .argument("--watch")
        .argument("--json");
    let mut watching = watch.start().unwrap();
    watching.wait_for_log(|_| true, LONG).unwrap();
    drop(agent);
    let says_so = || {
        let errors = watching.stderr().concat();
        errors.contains("no agent answers").then_some(())
    };
    mote_tests::wait::poll_until("it says that the agent is gone", LONG, says_so).unwrap();
    watching.signal(Signal::SIGINT).unwrap();
    watching.wait_exit(LONG).unwrap();
    let is_json = |line: &LogLine| serde_json::from_str::<Value>(&line.text).is_ok();
    assert!(watching.log().iter().all(is_json), "{:?}", watching.log());
    let (text, _, code) = run(&watch);
    assert_eq!((code, text.as_str()), (69, ""));
}

#[test]
fn a_wrong_flag_is_not_passed_over() {
    for name in ["status", "health"] {
        let builder = command(name, nobody()).flag("health-bind", "nope");
        let (text, errors, code) = run(&builder);
        assert_eq!((code, text.as_str()), (78, ""), "{errors}");
        assert!(errors.starts_with("mote: --health-bind: "), "{errors}");
        assert!(!errors.contains("going on"), "{errors}");
    }
}

#[test]
fn a_configuration_that_became_wrong_still_says_where_the_agent_is() {
    let (_agent, address) = alone();
    let text = format!(
        "interval: soon\nhealth: {{port: {}}}\napi_key_file: /no/such/key\n",
        address.port()
    );
    let builder = AgentBuilder::new().unwrap().command("health");
    let builder = builder.without_env("MOTE_HEALTH_PORT");
    let (text, errors, code) = run(&builder.config(&text).unwrap());
    assert_eq!((text.as_str(), code), ("health: ok", 0), "{errors}");
    for words in [
        "interval: \"soon\"",
        "/no/such/key",
        "going on without that",
    ] {
        assert!(errors.contains(words), "{errors}");
    }
}

#[test]
fn what_is_not_an_agent_is_not_taken_for_one() {
    let hub = Hub::start(HubConfig {
        plain: true,
        ..HubConfig::default()
    })
    .unwrap();
    let (_, errors, code) = run(&command("status", hub.address()));
    assert_eq!(code, 69);
    assert!(errors.contains("is not mote"), "{errors}");
    assert_eq!(run(&command("health", hub.address())).2, 1);
}

#[test]
fn health_and_ready_end_with_0_or_1() {
    let hub = good_hub();
    let (_agent, address) = start(&hurried(&hub));
    wait_for_answer(address, "/ready", 200);
    let (text, errors, code) = run(&command("health", address));
    assert_eq!(
        (text.as_str(), errors.as_str(), code),
        ("health: ok", "", 0)
    );
    let (text, _, code) = run(&command("health", address).argument("--ready"));
    assert_eq!((text.as_str(), code), ("ready: ok", 0));
    hub.misbehave(Misbehaviour::Status {
        status: 401,
        headers: Vec::new(),
        body: String::new(),
    });
    wait_for_answer(address, "/ready", 503);
    assert_eq!(run(&command("health", address)).2, 0);
    let (text, _, code) = run(&command("health", address).argument("--ready"));
    assert_eq!(code, 1);
    assert_eq!(
        text,
        "ready: failing, uplink key_refused (the server answered 401)"
    );
}
