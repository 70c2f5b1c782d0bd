//! What the hub takes, keeps and refuses.

use mote_tests::hub::{Answered, Form, Hub, HubConfig};

use crate::client::{Client, Post};
use crate::{LONG, plain_hub};

#[test]
fn a_good_sample_is_accepted_and_kept() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let mut client = Client::connect(&hub).unwrap();
    let post = Post::sample(7);
    let reply = client.ask(&post).unwrap();
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (202, r#"{"status":"accepted"}"#)
    );
    assert_eq!(reply.header("connection"), None);

    let received = hub.wait_for(1, LONG).unwrap();
    let [sample] = received.as_slice() else {
        panic!("{received:?}")
    };
    assert_eq!(
        (sample.key.as_str(), sample.status, sample.delivered),
        ("box-1-7", 202, true)
    );
    assert_eq!(
        (sample.start_number(), sample.sample_number()),
        (Some(1), Some(7))
    );
    assert_eq!((sample.connection, sample.request_on_connection), (1, 1));
    assert_eq!(
        (sample.user_agent.as_str(), sample.repeat),
        ("mote/0.1.0", false)
    );
    assert_eq!(sample.tls_version.as_deref(), Some("TLSv1_3"));
    assert_eq!(sample.raw, post.body.as_bytes());
    assert_eq!(
        (sample.number("cpu_percent"), sample.number("cpu_pct")),
        (Some(12.5), None)
    );
    assert_eq!(sample.timestamp_ms(), Some(1_760_113_962_118));
    assert!(hub.violations().is_empty());
}

/// What is wrong, the request, the status that is due, a word of the answer.
type Case = (&'static str, Post, u16, &'static str);

fn broken_rules() -> Vec<Case> {
    let good = || Post::sample(1);
    let twice = good()
        .body
        .replace("\"hostname\"", "\"cpu_percent\":1,\"hostname\"");
    let unknown = good().body.replace("hostname", "hostnames");
    vec![
        ("no key", good().with("Authorization", ""), 401, "Bearer"),
        (
            "other scheme",
            good().with("Authorization", "Basic x"),
            401,
            "Bearer",
        ),
        (
            "no type",
            good().with("Content-Type", ""),
            415,
            "application/json",
        ),
        (
            "charset",
            good().with("Content-Type", "application/json; charset=utf-8"),
            415,
            "charset",
        ),
        (
            "two types",
            good().and("Content-Type", "application/json"),
            400,
            "twice",
        ),
        ("no agent", good().with("User-Agent", ""), 400, "user-agent"),
        (
            "no idempotency",
            good().with("Idempotency-Key", ""),
            400,
            "idempotency-key",
        ),
        (
            "half of it",
            good().with("Idempotency-Key", "box-1"),
            400,
            "<device>-<start>-<n>",
        ),
        ("not JSON", good().with_body("{"), 400, "clean JSON"),
        (
            "two fields",
            good().with_body(&twice),
            400,
            "\\\"cpu_percent\\\" came twice",
        ),
        (
            "strange field",
            good().with_body(&unknown),
            400,
            "unknown field \\\"hostnames\\\"",
        ),
        ("a list", good().with_body("[]"), 400, "not a JSON object"),
        ("no host", good().with("Host", ""), 400, "host"),
        (
            "two lengths",
            good().and("Content-Length", "1"),
            400,
            "twice",
        ),
        (
            "length and chunks",
            good().and("Transfer-Encoding", "chunked"),
            400,
            "both",
        ),
    ]
}

#[test]
fn each_broken_rule_is_refused_with_words_and_is_a_violation() {
    for (case, post, status, word) in broken_rules() {
        let hub = plain_hub();
        let reply = Client::connect(&hub).unwrap().ask(&post).unwrap();
        assert_eq!(reply.status, status, "{case}: {}", reply.body);
        assert!(reply.body.contains(word), "{case}: {}", reply.body);
        assert_eq!(hub.violations().len(), 1, "{case}");
        assert_eq!(hub.stats().statuses.get(&status), Some(&1), "{case}");
        assert!(hub.attempts().is_empty(), "{case}");
    }
}

#[test]
fn a_wrong_key_or_place_is_refused_but_is_no_violation() {
    let hub = plain_hub();
    let mut client = Client::connect(&hub).unwrap();
    for (post, status) in [
        (Post::sample(1).with("Authorization", "Bearer other"), 401),
        (Post::sample(1).with_line("POST /metrics HTTP/1.1"), 404),
        (
            Post::sample(1).with_line("PUT /agent/metrics HTTP/1.1"),
            405,
        ),
    ] {
        // The connection outlives a refusal.
        assert_eq!(client.ask(&post).unwrap().status, status);
    }
    assert!(hub.violations().is_empty());
    assert!(hub.attempts().is_empty());
}

#[test]
fn a_body_above_64_kib_is_refused_before_it_is_read() {
    let hub = plain_hub();
    let mut client = Client::connect(&hub).unwrap();
    let reply = client
        .ask(&Post::sample(1).with_body(&" ".repeat(65 * 1024)))
        .unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(client.byte().unwrap(), None);
}

#[test]
fn a_chunked_body_is_taken() {
    let hub = plain_hub();
    let post = Post::sample(3);
    let text = post.to_text();
    let head = text.split("Content-Length").next().unwrap();
    let (one, other) = post.body.split_at(20);
    let chunks = format!("14\r\n{one}\r\n{:x}\r\n{other}\r\n0\r\n\r\n", other.len());
    let mut client = Client::connect(&hub).unwrap();
    client
        .send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunks}"))
        .unwrap();
    assert_eq!(client.reply().unwrap().status, 202);
    assert_eq!(hub.received()[0].raw, post.body.as_bytes());
}

#[test]
fn a_key_that_comes_again_is_a_repeat_with_the_same_bytes_and_a_violation_with_others() {
    let hub = plain_hub();
    let mut client = Client::connect(&hub).unwrap();
    let (first, second) = (Post::sample(1), Post::sample(2));
    for _ in 0..2 {
        assert_eq!(client.ask(&first).unwrap().status, 202);
    }
    let forged = second.with("Idempotency-Key", "box-1-1");
    assert_eq!(client.ask(&forged).unwrap().status, 409);
    let repeats: Vec<bool> = hub.received().iter().map(|sample| sample.repeat).collect();
    assert_eq!(repeats, [false, true]);
    assert_eq!(hub.violations().len(), 1);
}

#[test]
fn connections_are_kept_until_the_client_asks_otherwise() {
    let hub = plain_hub();
    let mut client = Client::connect(&hub).unwrap();
    assert_eq!(client.ask(&Post::sample(1)).unwrap().status, 202);
    let last = client
        .ask(&Post::sample(2).and("Connection", "close"))
        .unwrap();
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(client.byte().unwrap(), None);
    let mut other = Client::connect(&hub).unwrap();
    assert_eq!(other.ask(&Post::sample(3)).unwrap().status, 202);
    let places: Vec<_> = hub
        .received()
        .iter()
        .map(|sample| (sample.connection, sample.request_on_connection))
        .collect();
    assert_eq!(places, [(1, 1), (1, 2), (2, 1)]);
    assert_eq!(hub.connections(), 2);
}

#[test]
fn a_hub_can_be_the_published_server_at_another_path() {
    let hub = Hub::start(HubConfig {
        plain: true,
        answer: Answered::Empty,
        prefix: "/api".into(),
        form: Form::Live,
        ..HubConfig::default()
    })
    .unwrap();
    assert!(hub.url().ends_with("/api"));
    let live =
        r#"{"cpu_pct":1,"mem_used_pct":2,"disk_used_pct":3,"net_rx_bytes":4,"net_tx_bytes":5}"#;
    let mut client = Client::connect(&hub).unwrap();
    let post = Post::sample(1).with_line("POST /api/agent/metrics HTTP/1.1");
    let reply = client.ask(&post.clone().with_body(live)).unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    assert_eq!(client.ask(&post).unwrap().status, 400);
}

#[test]
fn waiting_in_vain_says_what_there_was() {
    let hub = plain_hub();
    let reply = Client::connect(&hub)
        .unwrap()
        .ask(&Post::sample(1).with("User-Agent", ""));
    assert_eq!(reply.unwrap().status, 400);
    let words = hub
        .wait_for(1, std::time::Duration::from_millis(20))
        .unwrap_err()
        .0;
    assert!(
        words.contains("400:1") && words.contains("user-agent is missing"),
        "{words}"
    );
}
