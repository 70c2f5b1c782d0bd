//! What each status does: hold and try again, drop the one sample, wait for another key, or wait
//! for the right server. Nothing but a refused sample is ever lost to a status.

use super::*;

fn is_error(agent: &AgentUnderTest, msg: &str) -> Vec<LogLine> {
    let lines = lines(agent, msg);
    for line in &lines {
        assert_eq!(line.level(), "error", "{}", line.text);
    }
    lines
}

/// The longest delay of an agent in a hurry, 200 ms, spread by half of it either way.
fn check_slowest_pace(line: &LogLine) {
    let in_ms = count(line, "retry_in_ms").unwrap();
    assert!((100..=300).contains(&in_ms), "{}", line.text);
}

#[test]
fn any_good_status_delivers() {
    for status in [200, 201, 204, 206, 299] {
        let hub = good_hub();
        hub.script([status; 3].map(Misbehaviour::status));
        // Such a server may file by arrival; a sample that another overtook is to come all the same.
        let agent = hurried(&hub).flag("backfill", "on").start().unwrap();
        wait_for_each(&hub, 1..=4);
        let sent = lines(&agent, "Metrics sent successfully");
        assert_eq!(count(&sent[0], "status_code"), Some(status.into()));
        assert_eq!(complaints(&agent).len(), 0, "{status}");
        assert_eq!(close_books(&hub, agent).dropped, 0, "{status}");
    }
}

#[test]
fn n8_retry_after_may_be_a_date() {
    let soon = std::time::SystemTime::now() + Duration::from_secs(3);
    let unix_s = soon
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let date = mote_core::time::format_http_date(unix_s);
    let date = std::str::from_utf8(&date).unwrap();
    let (hub, agent) = met_by([Misbehaviour::status_with(503, &[("Retry-After", date)], "")]);
    wait_for_each(&hub, 1..=2);
    let failed = is_error(&agent, "Metrics send failed");
    let in_ms = count(&failed[0], "retry_in_ms").unwrap();
    assert!((1_000..=3_600).contains(&in_ms), "{}", failed[0].text);
}

#[test]
fn a_server_in_trouble_is_tried_again_until_it_is_well() {
    for status in [500, 502, 503, 504, 599, 408, 429] {
        let (hub, agent) = met_by([status; 5].map(Misbehaviour::status));
        wait_for_each(&hub, 1..=6);
        let failed = is_error(&agent, "Metrics send failed");
        let holding = is_error(&agent, "Metrics send failed, holding samples");
        assert_eq!((failed.len(), holding.len()), (3, 2), "{status}");
        for (at, line) in failed.iter().chain(&holding).enumerate() {
            assert_eq!(count(line, "status_code"), Some(status.into()));
            assert_eq!(count(line, "attempt"), Some(at as u64 + 1));
        }
        assert!(holding.iter().all(|line| count(line, "held") > Some(0)));
        let retries = lines(&agent, "Retrying metrics send");
        let attempts: Vec<_> = retries.iter().map(|line| count(line, "attempt")).collect();
        assert_eq!(attempts, (1..=5).map(Some).collect::<Vec<_>>(), "{status}");
        let back = lines(&agent, "Server is back");
        assert_eq!(count(&back[0], "failures"), Some(5), "{status}");
        assert_eq!(close_books(&hub, agent).dropped, 0, "{status}");
    }
}

#[test]
fn n8_retry_after_is_obeyed_and_kept_within_its_limits() {
    for (status, asked) in [(429, "1"), (503, "0")] {
        let conduct = Misbehaviour::status_with(status, &[("Retry-After", asked)], "");
        let (hub, agent) = met_by([conduct]);
        wait_for_each(&hub, 1..=4);
        let failed = is_error(&agent, "Metrics send failed");
        let in_ms = count(&failed[0], "retry_in_ms").unwrap();
        assert!((1000..=1200).contains(&in_ms), "{}", failed[0].text);
        let attempts = hub.attempts();
        let waited = attempts[1].when_ms.saturating_sub(attempts[0].when_ms);
        assert!(waited >= in_ms, "{waited} ms after {status}");
        assert_eq!(close_books(&hub, agent).dropped, 0);
    }
}

#[test]
fn n9_a_refused_sample_is_dropped_with_the_servers_words_and_the_others_go_on() {
    for status in [400, 413, 422] {
        let words = "cpu: \"no\"\n\u{1b}[31mred\u{7}";
        let (hub, agent) = met_by([Misbehaviour::status_with(status, &[], words)]);
        let samples = wait_for_each(&hub, 2..=4);
        assert!(!numbers(&samples).contains(&1), "{status}");
        let refused = is_error(&agent, "Sample refused by the server and dropped");
        assert_eq!(refused.len(), 1, "{status}");
        assert_eq!(count(&refused[0], "status_code"), Some(status.into()));
        assert!(refused[0].str("answer").contains("cpu: \"no\""));
        // What a terminal would obey arrives escaped.
        assert!(!refused[0].text.contains(['\u{1b}', '\u{7}']));
        assert_eq!(refused[0].field("retry_in_ms"), None);
        assert_eq!(close_books(&hub, agent).dropped, 1, "{status}");
    }
}

#[test]
fn five_refused_in_a_row_are_the_servers_fault_and_it_is_given_time() {
    let (hub, agent) = met_by([400; 5].map(Misbehaviour::status));
    // On a busy machine one sample may overtake another, so which ones were refused is asked for.
    hub.wait_for(4, LONG).unwrap();
    let mut refused = hub.attempts();
    refused.retain(|attempt| attempt.status == 400);
    assert_eq!(refused.len(), 5);
    let refused: BTreeSet<u64> = numbers(&refused).into_iter().collect();
    let delivered = numbers(&hub.received());
    assert!(delivered.iter().all(|number| !refused.contains(number)));
    assert_eq!(refused.len(), 5, "{refused:?}");
    let refused = is_error(&agent, "Sample refused by the server and dropped");
    let holds: Vec<bool> = refused
        .iter()
        .map(|line| line.field("retry_in_ms").is_some())
        .collect();
    assert_eq!(holds, [false, false, false, false, true]);
    assert_eq!(close_books(&hub, agent).dropped, 5);
}

const KEY_REFUSED: &str = "API key refused, holding samples: check api_key";

#[test]
fn n9_a_refused_key_is_said_once_and_samples_are_held() {
    for status in [401, 403] {
        let (hub, agent) = met_by([status; 4].map(Misbehaviour::status));
        wait_for_each(&hub, 1..=8);
        let refused = is_error(&agent, KEY_REFUSED);
        assert_eq!(refused.len(), 1, "{status}");
        assert_eq!(count(&refused[0], "status_code"), Some(status.into()));
        assert_eq!(close_books(&hub, agent).dropped, 0, "{status}");
    }
}

#[test]
fn n11_a_status_counts_however_long_the_words_behind_it() {
    // As proxies have them, with pictures.
    let page = "x".repeat(100 * 1024);
    let long = |status| Misbehaviour::status_with(status, &[], &page);
    for (status, msg) in [(401, KEY_REFUSED), (404, NOT_THERE)] {
        let (hub, agent) = met_by([long(status), long(status)]);
        wait_for_each(&hub, 1..=3);
        let said = is_error(&agent, msg);
        assert_eq!(said.len(), 1, "{status}");
        assert_eq!(count(&said[0], "status_code"), Some(status.into()));
        assert_eq!(close_books(&hub, agent).dropped, 0, "{status}");
    }
    // What is to be delivered must arrive whole.
    let (hub, agent) = met_by([long(202)]);
    wait_for_each(&hub, 2..=3);
    let failed = is_error(&agent, "Metrics send failed");
    assert_eq!(count(&failed[0], "status_code"), Some(202));
    assert_eq!(close_books(&hub, agent).dropped, 0);
}

#[test]
fn a_new_key_in_the_file_is_used_at_once() {
    let hub = good_hub();
    let builder = hurried(&hub).without_flag("api-key");
    let file = builder.write_file("key", "old-key\n").unwrap();
    // Nobody would live to see the next try if it had to be waited for.
    let builder = builder
        .flag("api-key-file", &file)
        .flag("retry-max", "24h")
        .flag("retry-backoff", "24h");
    let agent = builder.start().unwrap();
    let starts = |line: &LogLine| line.msg() == "LunaSentri agent starting";
    let old_hash = agent.wait_for_log(starts, LONG).unwrap();
    // The old one is read; it is refused when the first sample goes out.
    builder
        .write_file("key", &format!("{}\n", hub.api_key()))
        .unwrap();
    wait_for_each(&hub, 1..=3);
    assert_eq!(is_error(&agent, KEY_REFUSED).len(), 1);
    let again = |line: &LogLine| line.msg().starts_with("API key read again");
    let read = agent.wait_for_log(again, LONG).unwrap();
    assert_ne!(read.str("api_key_hash"), old_hash.str("api_key_hash"));
    assert_eq!(hub.stats().statuses[&401], 1);
    assert_eq!(close_books(&hub, agent).dropped, 0);
}

#[test]
fn a_key_that_is_changed_during_the_refusal_is_found() {
    let hub = good_hub();
    let builder = hurried(&hub).without_flag("api-key");
    let file = builder.write_file("key", "old-key\n").unwrap();
    let agent = builder.flag("api-key-file", &file).start().unwrap();
    let refused_often =
        |stats: &mote_tests::hub::Stats, _: &[Received]| stats.statuses.get(&401) >= Some(&3);
    hub.wait_until("three refusals", LONG, refused_often)
        .unwrap();
    std::fs::write(&file, hub.api_key()).unwrap();
    let samples = wait_for_each(&hub, 1..=8);
    // The newest went first.
    assert!(samples[0].sample_number() > Some(2));
    assert_eq!(is_error(&agent, KEY_REFUSED).len(), 1);
    assert_eq!(close_books(&hub, agent).dropped, 0);
}

const NOT_THERE: &str = "What answers is not the metrics server, holding samples: check server_url";

#[test]
fn what_is_not_the_server_is_said_once_and_samples_are_held() {
    for status in [404, 405, 410, 421, 426, 511, 418, 451, 499, 300, 304, 399] {
        let (hub, agent) = met_by([status; 3].map(Misbehaviour::status));
        wait_for_each(&hub, 1..=6);
        let said = is_error(&agent, NOT_THERE);
        assert_eq!(said.len(), 1, "{status}");
        assert_eq!(count(&said[0], "status_code"), Some(status.into()));
        check_slowest_pace(&said[0]);
        assert_eq!(close_books(&hub, agent).dropped, 0, "{status}");
    }
}

#[test]
fn n10_a_redirect_is_not_followed() {
    let elsewhere = good_hub();
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/agent/metrics", elsewhere.url());
        let conduct = Misbehaviour::status_with(status, &[("Location", &to)], "");
        let (hub, agent) = met_by([conduct.clone(), conduct]);
        wait_for_each(&hub, 1..=4);
        assert_eq!(is_error(&agent, NOT_THERE).len(), 1, "{status}");
        assert_eq!(close_books(&hub, agent).dropped, 0, "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
}
