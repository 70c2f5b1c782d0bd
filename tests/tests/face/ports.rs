//! Ports that are taken, shared, changed.

use std::fs;
use std::net::TcpListener;

use super::*;

/// A port that was free a moment ago.
fn free_port() -> u16 {
    mote_tests::scraped::free_address().unwrap().port()
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn a_port_that_is_taken_is_named_with_its_holder_and_delivery_goes_on() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let hub = good_hub();
    let builder = hurried(&hub).flag("health-port", address.port().to_string());
    let mut agent = builder.start().unwrap();
    let refused = |line: &LogLine| line.msg().starts_with("Not listening");
    let line = agent.wait_for_log(refused, LONG).unwrap();
    assert_eq!(
        (line.level(), line.str("address")),
        ("error", address.to_string().as_str())
    );
    assert!(line.msg().contains("health.port"), "{}", line.text);
    let me = format!("({})", std::process::id());
    assert!(line.str("taken_by").ends_with(&me), "{}", line.text);
    hub.wait_for(3, LONG).unwrap();
    // Once it is free, whoever says so need not wait for the next minute.
    drop(taken);
    agent.signal(Signal::SIGHUP).unwrap();
    assert_eq!(agent.listens_at("/health", LONG).unwrap(), address);
    wait_for_answer(address, "/health", 200);
    assert_eq!(agent.log().iter().filter(|line| refused(line)).count(), 1);
}

#[test]
fn check_says_who_has_a_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let builder = AgentBuilder::new().unwrap().command("check");
    let mut check = builder
        .flag("health-port", port.to_string())
        .start()
        .unwrap();
    assert_eq!(check.wait_exit(LONG).unwrap().code(), Some(0));
    let start = format!("port {port} is in use: ");
    let end = format!("({})", std::process::id());
    let says = |line: LogLine| line.text.starts_with(&start) && line.text.ends_with(&end);
    assert!(check.log().into_iter().any(says), "{:?}", check.log());
}

#[test]
fn two_services_share_an_address() {
    let port = free_port().to_string();
    let builder = AgentBuilder::new().unwrap().flag("interval", "100ms");
    let builder = builder
        .argument("--metrics-enabled=true")
        .flag("metrics-port", &port);
    let (agent, address) = start(&builder.flag("health-port", &port));
    assert_eq!(agent.listens_at("/metrics", LONG).unwrap(), address);
    for path in ["/", "/health", "/metrics", "/api/status"] {
        assert_eq!(get(address, path).status, 200, "{path}");
    }
    let lines = agent
        .log()
        .iter()
        .filter(|line| line.msg() == "Listening")
        .count();
    assert_eq!(lines, 1);
}

#[test]
fn paths_and_the_namespace_can_be_chosen() {
    let builder = AgentBuilder::new().unwrap().flag("interval", "100ms");
    let builder = builder
        .flag("health-path", "/probe/live")
        .argument("--metrics-enabled=true")
        .flag("metrics-port", "0")
        .flag("metrics-path", "/m")
        .flag("metrics-namespace", "edge");
    let agent = builder.start().unwrap();
    let address = agent.listens_at("/probe/live", LONG).unwrap();
    wait_for_answer(address, "/probe/live", 200);
    assert_eq!(get(address, "/probe/ready").status, 200);
    assert_eq!(get(address, "/health").status, 404);
    let metrics = agent.listens_at("/m", LONG).unwrap();
    let page = get(metrics, "/m").body;
    assert!(
        page.contains("\nedge_samples_held ") && !page.contains("mote_"),
        "{page}"
    );
}

#[test]
fn a_reload_changes_ports_and_leaves_alone_what_stays() {
    let ports = [free_port(), free_port()];
    let text = |port: u16, metrics: bool| {
        format!(
            "interval: 100ms\nhealth: {{port: {port}}}\nmetrics: {{enabled: {metrics}, port: {}}}\n",
            ports[1]
        )
    };
    let builder = AgentBuilder::new().unwrap().without_env("MOTE_HEALTH_PORT");
    let builder = builder.config(&text(ports[0], false)).unwrap();
    let (mut agent, address) = start(&builder);
    assert_eq!(address, at(ports[0]));
    let mut reload = |text: &str| {
        fs::write(builder.dir().join("mote.yaml"), text).unwrap();
        let before = agent.log().len();
        agent.signal(Signal::SIGHUP).unwrap();
        let reloaded = |line: &LogLine| line.msg() == "Configuration reloaded";
        agent.wait_for_log_from(before, reloaded, LONG).unwrap();
    };
    let mut kept = connect(address);
    reload(&text(ports[0], true));
    wait_for_answer(at(ports[1]), "/metrics", 200);
    // Who was here before is still served.
    kept.write_all(request("GET", "/health", "localhost").as_bytes())
        .unwrap();
    assert_eq!(reply(&rest(&mut kept)).status, 200);
    let moved = free_port();
    reload(&text(moved, false));
    wait_for_answer(at(moved), "/health", 200);
    for port in ports {
        assert!(
            TcpStream::connect(at(port)).is_err(),
            "{port} is still open"
        );
    }
}

#[test]
fn what_cannot_be_is_refused_with_file_and_line() {
    for (text, words) in [
        ("health: {bind: localhost}\n", "is not an IP address"),
        ("health: {port: 65536}\n", "from 0 to 65535"),
        ("health: {path: health}\n", "is not a path"),
        ("metrics: {namespace: 9lives}\n", "cannot begin a metric"),
        ("health: {path: /ready}\n", "ready is at this path already"),
    ] {
        let mut agent = AgentBuilder::new()
            .unwrap()
            .without_env("MOTE_HEALTH_PORT")
            .config(text)
            .unwrap()
            .start()
            .unwrap();
        assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(78), "{text}");
        let said = agent.stderr().join("\n");
        assert!(said.contains(words), "{text}: {said}");
    }
}
