//! The agent: everything that `mote-core` refuses. Files, sockets, signals, the clock.
//!
//! One thread, one wait. [`agent`] is the loop; [`reactor`] is the only place that sleeps;
//! [`device`] is what is due; [`uplink`] sends one request at a time on the reactor; [`service`]
//! knows what is said to whom; [`face`] is what the device shows of itself at its own ports;
//! [`config`] is where it all comes from.

pub mod agent;
pub mod board;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod device;
pub mod expiry;
pub mod face;
pub mod install;
pub mod log;
pub mod look;
pub mod notify;
pub mod once;
pub mod plugin;
pub mod reactor;
pub mod sampler;
pub mod scrub;
pub mod service;
pub mod setup;
pub mod state;
pub mod status;
pub mod sysinfo;
// Of the released program only: any other unwinds.
#[cfg(all(panic = "abort", target_env = "musl"))]
mod unwinder;
pub mod uplink;
pub mod version;
pub mod vitals;
