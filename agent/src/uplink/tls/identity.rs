//! What this device shows of itself, if a server asks.
//!
//! It also notes whether it was asked: the alerts of TLS 1.2 do not say that a certificate was
//! missed, and those of TLS 1.3 arrive after the handshake has ended here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

/// What a server got to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It did not ask.
    NotAsked,
    /// It asked, and there is nothing to show.
    Nothing,
    /// The certificate that is configured.
    Certificate,
}

/// The certificate and key of this device, if it has any.
#[derive(Debug)]
pub(super) struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    pub(super) fn new(key: Option<CertifiedKey>) -> Self {
        Self {
            key: key.map(Arc::new),
            asked: AtomicBool::new(false),
        }
    }

    /// Starts over, for a new connection: there is one handshake at a time.
    pub(super) fn forget_asking(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    /// What the server of the last handshake got to see.
    pub(super) fn shown(&self) -> Shown {
        match (self.asked.load(Ordering::Relaxed), &self.key) {
            (false, _) => Shown::NotAsked,
            (true, None) => Shown::Nothing,
            (true, Some(_)) => Shown::Certificate,
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // The issuers that a server names are advice; it is the one who judges.
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}
