//! One request at a time, in straight-line code, over HTTP/1.1 on the reactor.
//!
//! `request` writes one and reads its answer with [`mote_core::http`]; `link` is what it shares
//! with the wait; `dial` connects and carries bytes; `connection` keeps what may be used again, and
//! `input` what arrived on it; `proxy` asks one to connect through; `tls` wraps them; `resolver`
//! and `dns` find addresses; `network` hears when there is one again. Each request has one absolute
//! deadline; none of these blocks anywhere but in the reactor's wait.

mod connection;
pub mod dial;
pub mod dns;
pub mod error;
mod input;
pub mod link;
pub mod network;
mod proxy;
mod request;
pub mod resolver;
pub mod system_files;
pub mod tls;

pub use error::{DeliveryError, Phase};
pub use request::{Answer, Headers, Method, Request, Uplink, UplinkSettings};
