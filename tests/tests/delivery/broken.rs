//! Answers that are lost or cut, and connections that die while nobody looks.

use mote_tests::wait::poll_until;

use super::*;

/// The server has the sample and its answer is lost in this way.
fn check_lost_answer(conduct: &Misbehaviour, words: &str) {
    let (hub, agent) = met_by([conduct.clone(), conduct.clone()]);
    wait_for_each(&hub, 1..=5);
    let attempts = hub.attempts();
    let lost: Vec<_> = attempts
        .iter()
        .filter(|attempt| attempt.status == 202 && !attempt.delivered)
        .collect();
    assert_eq!(lost.len(), 2, "{conduct:?}");
    for lost in lost {
        let again = attempts
            .iter()
            .rfind(|attempt| attempt.key == lost.key)
            .unwrap();
        assert!(again.delivered && again.repeat, "{conduct:?}");
        assert_eq!(again.raw, lost.raw, "{conduct:?}");
    }
    let failed = lines(&agent, "Metrics send failed");
    assert_eq!(failed.len(), 2, "{conduct:?}");
    for line in failed {
        assert_eq!(line.str("layer"), "http", "{}", line.text);
        assert!(line.str("error").contains(words), "{}", line.text);
    }
    assert_eq!(close_books(&hub, agent).dropped, 0);
}

#[test]
fn n4_a_lost_answer_is_asked_for_again_with_the_same_key_and_bytes() {
    check_lost_answer(&Misbehaviour::ResetMidBody, "connection broken");
}

#[test]
fn n3_a_cut_answer_is_never_taken_for_a_whole_one() {
    check_lost_answer(&Misbehaviour::CutBody, "cut off");
    check_lost_answer(&Misbehaviour::CutOpenBody, "cut off");
}

/// No failure was seen, and every sample came, if some of them twice.
fn check_undisturbed(hub: &Hub, agent: AgentUnderTest, last: u64) {
    let mut samples = as_taken(wait_for_each(hub, 1..=last));
    samples.dedup_by(|next, before| next.key == before.key && next.raw == before.raw);
    let wanted: Vec<u64> = (1..=last).collect();
    assert_eq!(numbers(&samples)[..wanted.len()], wanted);
    assert!(complaints(&agent).is_empty(), "{:?}", complaints(&agent));
    assert_eq!(close_books(hub, agent).dropped, 0);
}

#[test]
fn a_connection_that_was_closed_while_idle_is_no_failure() {
    let hub = good_hub();
    hub.misbehave(Misbehaviour::CloseIdle);
    let agent = hurried(&hub).start().unwrap();
    hub.wait_for(10, LONG).unwrap();
    assert!(hub.connections() >= 10);
    check_undisturbed(&hub, agent, 10);
}

#[test]
fn a_connection_that_dies_at_its_second_request_is_retried_at_once() {
    let hub = good_hub();
    hub.misbehave(Misbehaviour::CloseOnReuse);
    let agent = hurried(&hub).start().unwrap();
    hub.wait_for(10, LONG).unwrap();
    let unanswered = |attempt: &&Received| attempt.status == 0;
    assert!(hub.attempts().iter().filter(unanswered).count() >= 8);
    check_undisturbed(&hub, agent, 10);
}

#[test]
fn a_connection_that_was_reset_while_idle_is_no_failure() {
    let hub = good_hub();
    let agent = hurried(&hub).start().unwrap();
    for _ in 0..4 {
        // Three more: the last of them came over a kept connection.
        hub.wait_for(hub.stats().delivered + 3, LONG).unwrap();
        hub.drop_connections();
    }
    let last = hub.received().len() as u64 + 2;
    check_undisturbed(&hub, agent, last);
    assert!(hub.connections() >= 5);
}

#[test]
fn a_request_that_left_and_could_not_be_repeated_keeps_its_bytes() {
    // The kept connection breaks after the request, and the new one before it.
    let broken = [
        Misbehaviour::Normal,
        Misbehaviour::CloseOnReuse,
        Misbehaviour::RefuseConnections,
    ];
    let (hub, agent) = met_by(broken.iter().cycle().take(20 * broken.len()).cloned());
    poll_until("the end of the script", LONG, || {
        (hub.script_left() == 0).then_some(())
    })
    .unwrap();
    let newest = hub.received().len() as u64;
    hub.wait_for(newest + 20, LONG).unwrap();
    assert!(hub.stats().repeats >= 10, "{:?}", hub.stats());
    // The times of a repeat are those of the first sending, to the millisecond.
    assert_eq!(close_books(&hub, agent).dropped, 0);
}
