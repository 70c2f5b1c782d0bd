//! The device under `node_exporter`'s names, held against `node_exporter` itself, `promtool` and
//! Prometheus.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]
#![expect(clippy::float_cmp, reason = "the same means the very double")]

mod boards;
mod links;
mod live;
mod mixin;
mod page;
mod programs;
mod textfiles;

use mote_tests::suite::LONG;
