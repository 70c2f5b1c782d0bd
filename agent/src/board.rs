//! What the loop knows and the local listener shows: how delivery goes, what the last reload said.
//!
//! Plain values. The loop writes them after each attempt and each reload, the face reads them.
//! Moments are `CLOCK_BOOTTIME` milliseconds; whoever shows them makes wall time of them then, so
//! that a clock that is set later moves them all. No secret gets here.

use mote_core::delivery::Standing;

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outage {
    /// When the first attempt failed.
    pub since_ms: u64,
    /// Attempts that failed.
    pub failures: u32,
    /// When an attempt was delivered again; 0 while it lasts.
    pub until_ms: u64,
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
    /// The layer that failed is TLS.
    pub is_tls: bool,
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
        if attempt.trouble.is_empty() {
            self.trouble.clear();
            self.tls_trouble.clear();
            self.last_success_ms = Some(now_ms);
            if let Some(outage) = self.outage.take() {
                self.last_outage = Some(Outage {
                    until_ms: now_ms,
                    ..outage
                });
            }
            return;
        }
        keep(&mut self.trouble, attempt.trouble);
        if attempt.is_tls {
            keep(&mut self.tls_trouble, attempt.trouble);
        }
        if attempt.standing != Standing::Delivering {
            let outage = self.outage.get_or_insert(Outage {
                since_ms: now_ms,
                ..Outage::default()
            });
            outage.failures += 1;
        }
    }
}

impl Board {
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
    use super::*;

    const FAILED: Attempt<'_> = Attempt {
        standing: Standing::Away,
        failures: 1,
        trouble: "connecting took too long",
        is_tls: false,
        retry_at_ms: Some(9),
        wire_bytes: 10,
    };
    const DELIVERED: Attempt<'_> = Attempt {
        standing: Standing::Delivering,
        failures: 0,
        trouble: "",
        retry_at_ms: None,
        ..FAILED
    };

    #[test]
    fn an_outage_lasts_from_the_first_failure_to_the_next_delivery() {
        let mut uplink = Uplink::new("hub:443".into());
        uplink.tell(&FAILED, 100);
        uplink.tell(&FAILED, 200);
        let outage = uplink.outage.unwrap();
        assert_eq!((outage.since_ms, outage.failures), (100, 2));
        assert_eq!(uplink.last_outage, None);
        uplink.tell(&DELIVERED, 300);
        assert_eq!(uplink.outage, None);
        let last = uplink.last_outage.unwrap();
        assert_eq!((last.since_ms, last.until_ms, last.failures), (100, 300, 2));
        assert_eq!(uplink.last_success_ms, Some(300));
        assert_eq!((uplink.wire_bytes, uplink.trouble.as_str()), (30, ""));
    }

    #[test]
    fn a_sample_that_alone_was_not_taken_is_no_outage() {
        let mut uplink = Uplink::new("hub:443".into());
        let troubled = Attempt {
            trouble: "the server answered 500",
            ..DELIVERED
        };
        uplink.tell(&troubled, 100);
        assert_eq!(uplink.outage, None);
        assert_eq!(uplink.trouble, "the server answered 500");
    }

    #[test]
    fn what_tls_said_stays_until_a_delivery() {
        let mut uplink = Uplink::new("hub:443".into());
        let words = "x".repeat(1_000);
        uplink.tell(
            &Attempt {
                trouble: &words,
                is_tls: true,
                ..FAILED
            },
            1,
        );
        uplink.tell(&FAILED, 2);
        assert_eq!(uplink.tls_trouble, words[..WORDS_BYTES]);
        assert_eq!(uplink.trouble, FAILED.trouble);
        uplink.tell(&DELIVERED, 3);
        assert_eq!(uplink.tls_trouble, "");
    }
}
