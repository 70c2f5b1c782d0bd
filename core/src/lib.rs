//! The part of mote that could run on a microcontroller.
//!
//! In scope: the parsers of the hot `/proc` files, the sample and its figures, the rings that hold
//! and remember them, the payloads and messages of both servers and of Prometheus, answers of
//! HTTP servers, the records of the state files, JSON, the schedule, backoff, rate limits, the black box of outages, time formats
//! and log lines. Bytes, numbers and `now` go in; values and bytes come out.
//!
//! Out of scope: files, sockets, processes, the clock, the random source. The agent owns them and
//! hands over what it read, what time it is and a seed, so a day of outage is a test of a
//! millisecond.
//!
//! Invariants:
//! - no allocation, no `unsafe`, no clock; every buffer belongs to the caller or has a fixed size;
//! - a buffer that is too small is an error with a name ([`Full`] where nothing else can go
//!   wrong), never a truncated payload;
//! - text that was cut while it was read is refused or read right, never read wrong;
//! - a figure that is not known is absent, never a made-up zero.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod backlog;
pub mod backoff;
pub mod certificate;
pub mod cpu_meter;
pub mod crc32;
pub mod delivery;
pub mod glob;
pub mod history;
pub mod http;
pub mod json;
pub mod log_line;
pub mod network;
pub mod os_release;
pub mod outage;
pub mod outbox;
pub mod proc;
pub mod rate_limit;
pub mod record;
pub mod rng;
pub mod sample;
pub mod schedule;
pub mod text;
pub mod time;
pub mod wire;

use core::fmt;

/// The buffer has no room for it. Nothing was written that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("buffer full")
    }
}

impl core::error::Error for Full {}
