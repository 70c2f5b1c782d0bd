//! What nearly every suite begins with: a good hub, an agent in a hurry, and patience.
//!
//! A sample's number is the last part of its idempotency key: it counts from 1 in each start of the
//! agent. What fails here panics with the reason: it is called by tests alone.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::agent::AgentBuilder;
use crate::hub::{Hub, HubConfig, Received};

/// More than anything that a test waits for takes on a busy machine.
pub const LONG: Duration = Duration::from_mins(1);

/// A hub with TLS that takes what it should.
///
/// # Panics
/// If it cannot start.
pub fn good_hub() -> Hub {
    Hub::start(HubConfig::default()).unwrap_or_else(|error| panic!("no hub: {error}"))
}

/// How an agent for this hub is started that takes ten samples a second.
///
/// # Panics
/// If there is no place for its folder.
pub fn hurried(hub: &Hub) -> AgentBuilder {
    let builder = AgentBuilder::new().unwrap_or_else(|error| panic!("no folder: {error}"));
    builder.for_hub(hub).hurried()
}

/// Waits until the samples of all these numbers were delivered; gives all that came.
///
/// # Panics
/// If one is still missing after [`LONG`].
pub fn wait_for_each(hub: &Hub, numbers: impl IntoIterator<Item = u64>) -> Vec<Received> {
    let wanted: Vec<u64> = numbers.into_iter().collect();
    let met = hub.wait_until(&format!("samples {wanted:?}"), LONG, |_, attempts| {
        let delivered = attempts.iter().filter(|attempt| attempt.delivered);
        let got: BTreeSet<u64> = delivered.filter_map(Received::sample_number).collect();
        wanted.iter().all(|number| got.contains(number))
    });
    met.unwrap_or_else(|error| panic!("{error}"));
    hub.received()
}

/// The highest number among the delivered samples; 0 if there is none.
pub fn newest(hub: &Hub) -> u64 {
    let samples = hub.received();
    let numbers = samples.iter().filter_map(Received::sample_number);
    numbers.max().unwrap_or_default()
}
