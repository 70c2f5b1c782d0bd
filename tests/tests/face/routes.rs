//! What is at which path, in which form, and for whom.

use super::*;

#[test]
fn each_path_has_its_answer_and_its_type() {
    let builder = AgentBuilder::new().unwrap().flag("interval", "100ms");
    let (agent, address) = start(
        &builder
            .argument("--metrics-enabled=true")
            .flag("metrics-bind", "127.0.0.2")
            .flag("metrics-port", "0"),
    );
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/health", "application/json"),
        ("/ready", "application/json"),
        ("/api/status", "application/json"),
        ("/api/history", "application/json"),
        ("/api/history?span=48h", "application/json"),
    ] {
        let reply = get(address, path);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, kind),
            "{path}"
        );
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(reply.header("access-control-allow-origin"), "", "{path}");
        assert!(reply.header("date").ends_with(" GMT"), "{}", reply.head);
    }
    let policy = get(address, "/");
    let policy = policy.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    for path in [
        "/nothing",
        "/health/",
        "//",
        "/../etc/passwd",
        "/metrics",
        "/API/status",
    ] {
        assert_eq!(get(address, path).status, 404, "{path}");
    }
    assert_eq!(get(address, "/api/history?span=1y").status, 400);
    let metrics = agent.listens_at("/metrics", LONG).unwrap();
    let page = get(metrics, "/metrics");
    assert_eq!(
        page.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert!(
        page.body.contains("\nmote_samples_collected_total "),
        "{}",
        page.body
    );
    assert_eq!(get(metrics, "/health").status, 404);
}

#[test]
fn head_is_the_answer_without_its_body() {
    let (_agent, address) = alone();
    let with_body = get(address, "/");
    let text = talk(address, &request("HEAD", "/", &address.to_string()));
    let head = reply(&text);
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for name in ["content-length", "content-type", "content-security-policy"] {
        assert_eq!(head.header(name), with_body.header(name));
    }
    for path in [
        "/health",
        "/api/status",
        "/api/history?span=48h",
        "/nothing",
    ] {
        let head = reply(&talk(address, &request("HEAD", path, "localhost")));
        assert_eq!(
            (head.status, head.body.as_str()),
            (get(address, path).status, ""),
            "{path}"
        );
    }
}

#[test]
fn only_get_and_head_are_answered() {
    let (_agent, address) = alone();
    for method in [
        "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "BREW",
    ] {
        let reply = reply(&talk(address, &request(method, "/health", "localhost")));
        assert_eq!(reply.status, 405, "{method}");
        assert_eq!(reply.header("allow"), "GET, HEAD");
        assert_eq!(reply.header("connection"), "close");
    }
}

#[test]
fn a_name_that_is_not_the_devices_own_is_not_answered() {
    let builder = AgentBuilder::new().unwrap().flag("interval", "100ms");
    let named = builder
        .flag("hostname", "gw-7")
        .flag("health-allowed-hosts", "a.example, b.example");
    let (_agent, address) = start(&named);
    let port = address.port();
    let ask = |host: &str| reply(&talk(address, &request("GET", "/api/status", host)));
    for host in [
        "localhost",
        "gw-7",
        "GW-7.",
        "b.example:443",
        "127.0.0.1",
        "[::1]",
    ] {
        assert_eq!(ask(host).status, 200, "{host}");
        assert_eq!(
            ask(&format!("{}:{port}", host.trim_end_matches(":443"))).status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "192.0.2.1",
        "gw-7.evil.example",
    ] {
        let reply = ask(&format!("{host}:{port}"));
        assert_eq!(reply.status, 421, "{host}");
        assert!(
            reply.body.contains("health.allowed_hosts"),
            "{}",
            reply.body
        );
        assert!(!reply.body.contains("gw-7"));
    }
    let without = talk(address, "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(reply(&without).status, 400);
    let two = "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
    assert_eq!(reply(&talk(address, two)).status, 400);
    assert_eq!(
        reply(&talk(address, "GET /health HTTP/1.0\r\n\r\n")).status,
        200
    );
}

#[test]
fn a_connection_is_kept_and_requests_are_answered_in_their_order() {
    let (_agent, address) = alone();
    let mut stream = connect(address);
    let ask =
        |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n");
    let close = "Connection: close\r\n";
    // Longer than the buffer, short, and missing, in one segment.
    let paths = [
        "/",
        "/api/history?span=48h",
        "/health",
        "/nothing",
        "/api/status",
    ];
    let mut words = String::new();
    for (at, path) in paths.iter().enumerate() {
        words += &ask(path, if at + 1 == paths.len() { close } else { "" });
    }
    stream.write_all(words.as_bytes()).unwrap();
    let text = rest(&mut stream);
    let heads: Vec<usize> = text.match_indices("HTTP/1.1 ").map(|(at, _)| at).collect();
    assert_eq!(heads.len(), paths.len(), "{text}");
    for (at, path) in paths.iter().enumerate() {
        let end = heads.get(at + 1).copied().unwrap_or(text.len());
        let one = reply(&text[heads[at]..end]);
        let alone = get(address, path);
        assert_eq!(
            (one.status, one.header("content-type")),
            (alone.status, alone.header("content-type"))
        );
        assert_eq!(one.body.is_empty(), alone.body.is_empty(), "{path}");
    }
}

#[test]
fn more_waiting_requests_than_there_is_room_for_end_the_connection_after_an_answer() {
    let (_agent, address) = alone();
    let one = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let text = talk(address, &one.repeat(150));
    let answers = text.matches("HTTP/1.1 200").count();
    assert!(answers >= 1, "{text}");
    assert!(text.contains("Connection: close"), "{text}");
    // None is answered in part.
    assert_eq!(text.matches("}\n").count(), answers);
}

#[test]
fn the_status_says_what_the_server_sees() {
    let hub = good_hub();
    let (agent, address) = start(&hurried(&hub).flag("hostname", "gw-7"));
    hub.wait_for(3, LONG).unwrap();
    let status = wait_for_status(address, "deliveries", |status| {
        status["uplink"]["state"] == "delivering" && status["outbox"]["sent"].as_u64() >= Some(3)
    });
    assert_eq!(status["name"], "mote");
    assert_eq!(status["hostname"], "gw-7");
    assert_eq!(status["pid"], agent.pid());
    assert_eq!(status["start"], 1);
    assert_eq!(status["interval_ms"], 100);
    assert_eq!(status["uplink"]["server"], hub.address().to_string());
    assert_eq!(status["uplink"]["trouble"], Value::Null);
    let sample = &status["sample"];
    for share in ["cpu_pct", "memory_pct", "disk_pct"] {
        let percent = sample[share].as_f64().unwrap();
        assert!((0.0..=100.0).contains(&percent), "{share}: {percent}");
    }
    assert!(
        sample["load1"].is_number() && sample["rx_bps"].is_number(),
        "{sample}"
    );
    assert_eq!(status["outage"], Value::Null);
    let synchronized = &status["clock"]["synchronized"];
    assert!(
        synchronized.is_boolean() || synchronized.is_null(),
        "{synchronized}"
    );
    let (held, room) = (&status["outbox"]["held"], &status["outbox"]["room"]);
    assert_eq!(held.as_u64().unwrap() + room.as_u64().unwrap(), 8_640);
    // An outage, and its end.
    hub.misbehave(Misbehaviour::RefuseConnections);
    hub.drop_connections();
    let away = wait_for_status(address, "an outage", |status| {
        status["outage"]["failures"].as_u64() >= Some(2)
            && status["outbox"]["held"].as_u64() > Some(1)
    });
    assert_eq!(away["uplink"]["state"], "away");
    let words = away["outage"]["last_error"].as_str().unwrap();
    assert!(words.contains("connect"), "{words}");
    assert!(away["outbox"]["oldest_ms"].as_u64() <= away["now_ms"].as_u64());
    hub.misbehave(Misbehaviour::Normal);
    let back = wait_for_status(address, "the end of the outage", |status| {
        status["outage"].is_null()
    });
    let last = &back["last_outage"];
    assert_eq!(
        last["from_ms"].as_u64().unwrap() / 10_000,
        away["outage"]["since_ms"].as_u64().unwrap() / 10_000
    );
    assert!(last["to_ms"].as_u64() > last["from_ms"].as_u64(), "{last}");
}

#[test]
fn the_history_has_a_point_for_each_step_and_gaps_where_nothing_was() {
    let (_agent, address) = alone();
    for (span, step_ms, points) in [
        ("10m", 10_000, 60),
        ("4h", 60_000, 240),
        ("48h", 600_000, 288),
    ] {
        let history = get(address, &format!("/api/history?span={span}")).json();
        assert_eq!(history["step_ms"], step_ms, "{span}");
        for name in ["cpu", "memory", "disk", "load", "temp", "rx", "tx"] {
            assert_eq!(
                history[name].as_array().unwrap().len(),
                points,
                "{span} {name}"
            );
        }
        let memory = history["memory"].as_array().unwrap();
        assert!(
            memory[points - 1].is_number(),
            "{span}: the point that is being filled"
        );
        assert!(
            memory[..points - 2].iter().all(Value::is_null),
            "{span}: before the start"
        );
        let now_ms = get(address, "/api/status").json()["now_ms"]
            .as_u64()
            .unwrap();
        let end_ms = history["end_ms"].as_u64().unwrap();
        assert!(
            end_ms + 20_000 > now_ms && end_ms <= now_ms + step_ms,
            "{span}: {end_ms} {now_ms}"
        );
    }
}

#[test]
fn without_the_page_its_texts_are_for_this_device_alone() {
    let builder = AgentBuilder::new().unwrap().flag("interval", "100ms");
    let (_agent, address) = start(&builder.argument("--health-page=false"));
    assert_eq!(get(address, "/").status, 404);
    assert_eq!(get(address, "/api/status").status, 200, "over the loopback");
    assert_eq!(get(address, "/health").status, 200);
}

#[test]
fn no_secret_is_in_any_answer() {
    const CANARY: &str = "canary-5d21e7c0ff";
    let hub = Hub::start(HubConfig {
        api_key: CANARY.into(),
        ..HubConfig::default()
    })
    .unwrap();
    let builder = hurried(&hub)
        .argument("--metrics-enabled=true")
        .flag("metrics-port", "0");
    let (agent, address) = start(&builder);
    hub.wait_for(1, LONG).unwrap();
    let metrics = agent.listens_at("/metrics", LONG).unwrap();
    let look = || {
        for path in ["/", "/health", "/ready", "/api/status", "/api/history"] {
            assert!(!get(address, path).body.contains(CANARY), "{path}");
        }
        assert!(!get(metrics, "/metrics").body.contains(CANARY));
    };
    look();
    hub.misbehave(Misbehaviour::Status {
        status: 401,
        headers: Vec::new(),
        body: CANARY.into(),
    });
    wait_for_status(address, "the key to be refused", |status| {
        status["uplink"]["state"] == "key_refused"
    });
    look();
}
