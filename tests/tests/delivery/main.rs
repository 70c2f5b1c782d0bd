//! Delivery as the server sees it: what goes when, under which key, and what an outage, a lost
//! answer or a refusal does to it.
//!
//! The agents here are in a hurry (ten samples a second, see `AgentBuilder::hurried`); the rules are
//! those of every day. Samples are named by the last part of their idempotency key, which counts
//! from 1 in each start.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod answers;
mod broken;
mod outage;
mod steady;

use std::collections::BTreeSet;
use std::time::Duration;

use mote_tests::agent::{AgentUnderTest, LogLine, Signal};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour, Received};
use mote_tests::suite::{LONG, good_hub, hurried, wait_for_each};

/// A hub whose first requests are met like this, and an agent that runs into it.
fn met_by(conducts: impl IntoIterator<Item = Misbehaviour>) -> (Hub, AgentUnderTest) {
    let hub = good_hub();
    hub.script(conducts);
    let agent = hurried(&hub).start().unwrap();
    (hub, agent)
}

fn numbers(samples: &[Received]) -> Vec<u64> {
    samples
        .iter()
        .map(|sample| sample.sample_number().unwrap())
        .collect()
}

/// In the order in which they were taken: on a busy machine a newer one may overtake.
fn as_taken(mut samples: Vec<Received>) -> Vec<Received> {
    samples.sort_by_key(Received::sample_number);
    samples
}

/// The lines of this message.
fn lines(agent: &AgentUnderTest, msg: &str) -> Vec<LogLine> {
    let mut lines = agent.log();
    lines.retain(|line| line.msg() == msg);
    lines
}

/// The lines that tell of a failure or a retry. That the machine was too busy for a tick is none.
fn complaints(agent: &AgentUnderTest) -> Vec<LogLine> {
    let mut lines = agent.log();
    lines.retain(|line| line.level() != "info" || line.msg().contains("Retrying"));
    lines.retain(|line| !is_missed(line));
    lines
}

fn is_missed(line: &LogLine) -> bool {
    line.msg().starts_with("Samples missed")
}

fn count(line: &LogLine, field: &str) -> Option<u64> {
    line.field(field)?.as_u64()
}

/// What the agent counted, as it says at its end.
#[derive(Debug)]
struct Books {
    sent: u64,
    held: u64,
    dropped: u64,
}

/// Ends the agent and reads its books, in which every sample must be found. The hub must have had
/// nothing to object to.
fn close_books(hub: &Hub, mut agent: AgentUnderTest) -> Books {
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    let stopped = lines(&agent, "Stopped").pop().unwrap();
    let figure = |name| count(&stopped, name).unwrap();
    let books = Books {
        sent: figure("sent"),
        held: figure("held"),
        dropped: figure("dropped"),
    };
    assert_eq!(
        figure("collected") + figure("restored"),
        books.sent + books.held + books.dropped,
        "{books:?}"
    );
    assert!(hub.violations().is_empty(), "{:?}", hub.violations());
    books
}
