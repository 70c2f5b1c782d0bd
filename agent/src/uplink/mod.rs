//! One request at a time, in straight-line code, over `ureq` on the reactor.
//!
//! `link` is what a request shares with the wait; `dial` connects and carries bytes; `proxy` asks
//! one to connect through; `tls` wraps them; `resolver` and `dns` find addresses; `network` hears when there is one
//! again. Each request has one absolute deadline; none of
//! these blocks anywhere but in the reactor's wait.

pub mod buffers;
pub mod dial;
pub mod dns;
pub mod error;
pub mod link;
pub mod network;
mod proxy;
mod request;
pub mod resolver;
pub mod system_files;
pub mod tls;

pub use error::{DeliveryError, Phase};
pub use request::{Answer, Request, Uplink, UplinkSettings};
