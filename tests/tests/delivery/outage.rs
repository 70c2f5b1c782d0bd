//! The server goes away and comes back: what is held, what is sent in which order, what is
//! dropped, and that every loss is counted.

use std::time::{SystemTime, UNIX_EPOCH};

use mote_tests::hub::Answered;

use super::*;

/// A server that goes away once samples arrive, until this many are held. When it is back, the
/// moment and what had been delivered by then are given.
fn outage(hub: &Hub, agent: &AgentUnderTest, held: u64) -> (u64, Vec<Received>) {
    hub.wait_for(hub.stats().delivered + 3, LONG).unwrap();
    let from = agent.log().len();
    hub.misbehave(Misbehaviour::RefuseConnections);
    let holds = |line: &LogLine| {
        line.msg() == "Metrics send failed, holding samples" && count(line, "held") >= Some(held)
    };
    let line = agent.wait_for_log_from(from, holds, LONG).unwrap();
    assert_eq!((line.level(), line.str("layer")), ("error", "tcp"));
    assert!(line.str("error").contains("efused"), "{}", line.text);
    let back_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis();
    let before = hub.received();
    hub.misbehave(Misbehaviour::Normal);
    (u64::try_from(back_ms).unwrap(), before)
}

/// Waits for the first sample after an outage.
fn first_after(hub: &Hub, before: &[Received]) -> u64 {
    let samples = hub.wait_for(before.len() as u64 + 1, LONG).unwrap();
    samples[before.len()].sample_number().unwrap()
}

fn largest(samples: &[Received]) -> u64 {
    numbers(samples).into_iter().max().unwrap()
}

#[test]
fn the_newest_goes_first_and_the_backlog_follows_in_order_with_its_own_times() {
    let hub = good_hub();
    let agent = hurried(&hub).start().unwrap();
    let (back_ms, before) = outage(&hub, &agent, 8);
    let first = first_after(&hub, &before);
    let samples = wait_for_each(&hub, 1..=first + 3);

    let mut backlog = samples[before.len()..].to_vec();
    backlog.retain(|sample| sample.sample_number() < Some(first));
    assert!(backlog.len() >= 7, "{:?}", numbers(&samples));
    assert!(numbers(&backlog).is_sorted(), "{:?}", numbers(&backlog));
    assert!(backlog[0].timestamp_ms() < Some(back_ms));
    let mut by_number = as_taken(samples);
    by_number.dedup_by_key(|sample| sample.sample_number());
    for pair in by_number.windows(2) {
        assert!(pair[0].timestamp_ms() < pair[1].timestamp_ms(), "{pair:?}");
    }
    let back = lines(&agent, "Server is back").pop().unwrap();
    assert!(count(&back, "held") >= Some(7), "{}", back.text);
    assert_eq!(count(&back, "dropped"), Some(0));
    assert_eq!(close_books(&hub, agent).dropped, 0);
}

/// Waits until this sample, or a later one, was delivered; gives all that were.
fn wait_for_one_from(hub: &Hub, number: u64) -> Vec<Received> {
    let what = format!("sample {number} or a later one");
    hub.wait_until(&what, LONG, |_, attempts| {
        let mut delivered = attempts.iter().filter(|attempt| attempt.delivered);
        delivered.any(|attempt| attempt.sample_number() >= Some(number))
    })
    .unwrap();
    hub.received()
}

/// Ends the agent; gives its books and the samples that the server never had. Each of them was
/// dropped and counted, or is still held. One whose answer was lost may be counted, and be there.
fn check_missing(hub: &Hub, agent: AgentUnderTest) -> (Books, Vec<u64>) {
    let books = close_books(hub, agent);
    let got: BTreeSet<u64> = numbers(&hub.received()).into_iter().collect();
    let last = got.last().copied().unwrap_or_default();
    let missing: Vec<u64> = (1..=last).filter(|number| !got.contains(number)).collect();
    let count = missing.len() as u64;
    assert!(
        (books.dropped.saturating_sub(1)..=books.dropped + books.held).contains(&count),
        "{books:?} {missing:?}"
    );
    (books, missing)
}

/// Goes through an outage with a server that answers like this; `true` if the backlog came.
fn backlog_comes(answer: Answered, backfill: &str) -> bool {
    let hub = Hub::start(HubConfig {
        answer,
        ..HubConfig::default()
    })
    .unwrap();
    let agent = hurried(&hub).flag("backfill", backfill).start().unwrap();
    let (_, before) = outage(&hub, &agent, 6);
    let first = first_after(&hub, &before);
    let comes = |line: &LogLine| line.msg() == "Server is back";
    let back = agent.wait_for_log(comes, LONG).unwrap();
    let dropped = count(&back, "dropped").unwrap();
    if dropped == 0 {
        wait_for_each(&hub, 1..=first + 3);
        assert_eq!(close_books(&hub, agent).dropped, 0);
        return true;
    }
    // Long after a backlog would have begun.
    let samples = wait_for_one_from(&hub, first + 5);
    let after = numbers(&samples[before.len()..]);
    assert!(after.iter().all(|number| *number >= first), "{after:?}");
    // A sample whose answer was lost in the reset may be with the server and count as dropped.
    let lost = first - 1 - largest(&before);
    assert!(
        dropped == lost || dropped == lost + 1,
        "{dropped} of {lost}"
    );
    // On a busy machine two may be held at once: then the older one is dropped, and counted, too.
    assert!(check_missing(&hub, agent).0.dropped >= dropped);
    false
}

#[test]
fn a_server_that_files_by_arrival_gets_no_backlog_and_what_is_dropped_is_counted() {
    assert!(!backlog_comes(Answered::Empty, "auto"));
}

#[test]
fn a_server_that_answers_as_documented_gets_the_backlog() {
    assert!(backlog_comes(Answered::Accepted, "auto"));
}

#[test]
fn backfill_on_and_off_decide_whatever_the_server_answers() {
    assert!(backlog_comes(Answered::Empty, "on"));
    assert!(!backlog_comes(Answered::Accepted, "off"));
}

#[test]
fn a_full_buffer_drops_the_oldest_and_counts_them() {
    let hub = good_hub();
    let agent = hurried(&hub).flag("buffer-samples", "5").start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    hub.misbehave(Misbehaviour::RefuseConnections);
    let before = hub.received();
    // Ten more than fit: each is one tick, and each tick later than the retry before it.
    let mut from = agent.log().len();
    for _ in 0..15 {
        let fails = |line: &LogLine| line.msg().starts_with("Metrics send failed");
        let failed = agent.wait_for_log_from(from, fails, LONG).unwrap();
        assert!(count(&failed, "held") <= Some(5), "{}", failed.text);
        from = agent.log().len();
    }
    hub.misbehave(Misbehaviour::Normal);
    let first = first_after(&hub, &before);
    wait_for_one_from(&hub, first + 2);
    let (books, missing) = check_missing(&hub, agent);
    // The oldest went: what is missing is all that had not come before, up to a number. With the
    // first that came then no more were held than fit, and one under way.
    let came = numbers(&before);
    let piece: Vec<u64> = (1..first - 5).filter(|n| !came.contains(n)).collect();
    assert!(piece.len() >= 5, "{first} {missing:?}");
    assert!(missing.starts_with(&piece), "{piece:?} {missing:?}");
    assert!(books.dropped >= piece.len() as u64, "{books:?}");
    // What fitted came, but for what a busy machine dropped later.
    let got = numbers(&hub.received());
    let is_kept = |number: &u64| (first - 3..first).contains(number);
    assert!(got.iter().any(is_kept), "{got:?}");
}
