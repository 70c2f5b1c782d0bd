//! What the loop knows and the local listener shows: how delivery goes, what the orchestrator's
//! client does, what ends soon, what the last reload said.
//!
//! Plain values. The loop writes them after each attempt and each reload, the face reads them.
//! Moments are `CLOCK_BOOTTIME` milliseconds; whoever shows them makes wall time of them then, so
//! that a clock that is set later moves them all. No secret gets here.

mod orchestrator;

use mote_core::delivery::Standing;
use mote_core::outage::{Layer, Outages};

use crate::expiry::Expiry;
pub use orchestrator::{FIGURES, Figure, Figures, Orchestrator};

/// Longest words that are kept.
const WORDS_BYTES: usize = 160;

/// What this start of the agent is.
#[derive(Debug, Clone, Default)]
pub struct About {
    /// The device's name.
    pub hostname: String,
    /// Number of this start, counted from 1.
    pub start: u64,
    /// When it began.
    pub started_ms: u64,
}

/// An outage of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// When the first attempt failed.
    pub from_ms: u64,
    /// The last attempt that failed, or the one that was delivered again.
    pub to_ms: u64,
    /// Attempts that failed.
    pub failures: u32,
}

impl From<&mote_core::outage::Outage> for Outage {
    fn from(outage: &mote_core::outage::Outage) -> Self {
        Self {
            from_ms: outage.from_ms,
            to_ms: outage.to_ms,
            failures: outage.failures,
        }
    }
}

/// How delivery goes.
#[derive(Debug)]
pub struct Uplink {
    /// Where the server stands.
    pub standing: Standing,
    /// Host and port, without anything else of the URL.
    pub server: String,
    /// Failures since the last delivery.
    pub failures: u32,
    /// Why the last attempt failed; empty if it did not.
    pub trouble: String,
    /// What the last TLS handshake that failed said; empty since one succeeded.
    pub tls_trouble: String,
    /// The last delivery.
    pub last_success_ms: Option<u64>,
    /// When the next attempt is due, while none may be made.
    pub retry_at_ms: Option<u64>,
    /// Bytes written to and read from sockets.
    pub wire_bytes: u64,
    /// The outage that lasts.
    pub outage: Option<Outage>,
    /// The one before.
    pub last_outage: Option<Outage>,
}

/// All that the face shows and does not find out by itself.
#[derive(Debug, Default)]
pub struct Board {
    /// This start.
    pub about: About,
    /// The way to the server; none if nothing is delivered anywhere.
    pub uplink: Option<Uplink>,
    /// The end of the certificate that is shown to the metrics server.
    pub certificate: Option<Expiry>,
    /// The other server; none if the agent works for none.
    pub orchestrator: Option<Orchestrator>,
    /// What was wrong with the configuration at the last reload; empty if nothing.
    pub reload_trouble: String,
    /// Ticks of the loop that took long, by what took them.
    pub stalls: Stalls,
}

/// How often something kept the loop for more than [`STALL_MS`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Stalls {
    /// Taking a sample.
    pub sample: u64,
    /// Answering at the local listener.
    pub face: u64,
    /// Log files, the service manager.
    pub upkeep: u64,
    /// All that is done between two waits: payloads, TLS, files.
    pub work: u64,
}

/// Longer than anything that keeps the loop should take.
pub const STALL_MS: u64 = 50;

/// What became of an attempt to deliver.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// Where the server stands now.
    pub standing: Standing,
    /// Failures since the last delivery.
    pub failures: u32,
    /// Why it failed; empty if it did not.
    pub trouble: &'a str,
    /// The outages of the server.
    pub outages: &'a Outages,
    /// When the next attempt is due, if none may be made before.
    pub retry_at_ms: Option<u64>,
    /// Bytes on the wire.
    pub wire_bytes: u64,
}

impl Uplink {
    /// Nothing was sent to `server` yet.
    pub fn new(server: String) -> Self {
        Self {
            standing: Standing::Unknown,
            server,
            failures: 0,
            trouble: String::new(),
            tls_trouble: String::new(),
            last_success_ms: None,
            retry_at_ms: None,
            wire_bytes: 0,
            outage: None,
            last_outage: None,
        }
    }

    /// Takes what became of an attempt that ended at `now_ms`.
    pub fn tell(&mut self, attempt: &Attempt<'_>, now_ms: u64) {
        self.standing = attempt.standing;
        self.failures = attempt.failures;
        self.retry_at_ms = attempt.retry_at_ms;
        self.wire_bytes += attempt.wire_bytes;
        self.outage = attempt.outages.current().map(Outage::from);
        self.last_outage = attempt.outages.last().map(Outage::from);
        keep(&mut self.trouble, attempt.trouble);
        if attempt.trouble.is_empty() {
            self.tls_trouble.clear();
            self.last_success_ms = Some(now_ms);
        } else if attempt.outages.last_layer() == Some(Layer::Tls) {
            keep(&mut self.tls_trouble, attempt.trouble);
        }
    }
}

impl Board {
    /// What this agent proves itself by, with its end.
    pub fn expiries(&self) -> [Option<Expiry>; 3] {
        let other = self.orchestrator.as_ref();
        let [token, certificate] =
            other.map_or([None; 2], |other| [other.token, other.certificate]);
        [self.certificate, token, certificate]
    }

    /// Keeps what was wrong with a configuration, or that nothing was.
    pub fn tell_reload(&mut self, errors: &[String]) {
        keep(
            &mut self.reload_trouble,
            errors.first().map_or("", |words| words),
        );
    }
}

impl Stalls {
    /// Whether something took so long that it counts.
    pub fn is_stall(from_ms: u64, to_ms: u64) -> bool {
        to_ms.saturating_sub(from_ms) > STALL_MS
    }
}

fn keep(place: &mut String, words: &str) {
    place.clear();
    place.push_str(mote_core::text::cut(words, WORDS_BYTES));
}

#[cfg(test)]
mod tests {
    use mote_core::outage::Failure;

    use super::*;

    const FAILED: Attempt<'_> = Attempt {
        standing: Standing::Away,
        failures: 1,
        trouble: "connecting took too long",
        outages: &NONE,
        retry_at_ms: Some(9),
        wire_bytes: 10,
    };
    const NONE: Outages = Outages::new();

    fn failure(layer: Layer, boot_ms: u64) -> Failure {
        Failure {
            layer,
            code: 0,
            boot_ms,
        }
    }

    #[test]
    fn what_became_of_attempts_is_kept_for_whoever_looks() {
        let mut uplink = Uplink::new("hub:443".into());
        let mut outages = Outages::new();
        outages.failed(failure(Layer::Tcp, 100));
        outages.failed(failure(Layer::Tcp, 200));
        let failed = Attempt {
            outages: &outages,
            ..FAILED
        };
        uplink.tell(&failed, 200);
        let outage = uplink.outage.unwrap();
        assert_eq!((outage.from_ms, outage.failures), (100, 2));
        assert_eq!((uplink.last_outage, uplink.last_success_ms), (None, None));
        assert_eq!(
            (uplink.trouble.as_str(), uplink.tls_trouble.as_str()),
            (FAILED.trouble, "")
        );
        outages.delivered(300);
        let delivered = Attempt {
            standing: Standing::Delivering,
            failures: 0,
            trouble: "",
            outages: &outages,
            retry_at_ms: None,
            wire_bytes: 20,
        };
        uplink.tell(&delivered, 300);
        let last = uplink.last_outage.unwrap();
        assert_eq!((last.from_ms, last.to_ms, last.failures), (100, 300, 2));
        assert_eq!((uplink.outage, uplink.last_success_ms), (None, Some(300)));
        assert_eq!((uplink.wire_bytes, uplink.trouble.as_str()), (30, ""));
    }

    #[test]
    fn what_tls_said_stays_until_a_delivery_and_is_cut() {
        let mut uplink = Uplink::new("hub:443".into());
        let words = "x".repeat(1_000);
        let mut outages = Outages::new();
        outages.failed(failure(Layer::Tls, 1));
        let refused = Attempt {
            trouble: &words,
            outages: &outages,
            ..FAILED
        };
        uplink.tell(&refused, 1);
        uplink.tell(&FAILED, 2);
        assert_eq!(uplink.tls_trouble, words[..WORDS_BYTES]);
        assert_eq!(uplink.trouble, FAILED.trouble);
        let delivered = Attempt {
            trouble: "",
            ..FAILED
        };
        uplink.tell(&delivered, 3);
        assert_eq!(uplink.tls_trouble, "");
    }
}
