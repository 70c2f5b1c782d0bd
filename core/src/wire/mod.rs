//! What goes over the wire: one server's format, one file.
//!
//! Encoders write into the caller's buffer and say how much they used; a buffer that is too small
//! is an error and its content is then worth nothing. Nothing here sends, retries or waits.

pub mod exposition;
pub mod lunasentri;
pub mod orchestrator;
pub mod pieces;
pub mod prometheus;
