//! The hub is itself held to what it promises, by a client that knows nothing of the agent.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod client;
mod control;
mod misbehaviour;
mod program;
mod strictness;
mod tls;

use mote_tests::hub::{Hub, HubConfig};
use mote_tests::suite::LONG;

/// A hub as most tests want it: plain, since TLS changes nothing for what they look at.
fn plain_hub() -> Hub {
    Hub::start(HubConfig {
        plain: true,
        ..HubConfig::default()
    })
    .unwrap()
}
