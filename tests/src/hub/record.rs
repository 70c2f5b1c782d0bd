//! What the hub remembers of its guests.
//!
//! An *attempt* is a request that passed every check, whatever was then answered. It is *delivered*
//! when the answer was meant to be a whole 2xx. Kept up to a bound; counters go on beyond it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::mpsc::Sender;

use serde::Serialize;
use serde_json::Value;

use super::figures;

/// One request that passed the checks, and what it got.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Received {
    /// The idempotency key.
    pub key: String,
    /// The body as JSON.
    pub body: Value,
    /// The body as it came.
    #[serde(skip)]
    pub raw: Vec<u8>,
    /// Wall clock when it was answered, Unix milliseconds.
    pub when_ms: u64,
    /// Connections are numbered from 1.
    pub connection: u64,
    /// Requests on a connection are numbered from 1.
    pub request_on_connection: u64,
    /// The status that was answered, 0 for none.
    pub status: u16,
    /// The answer was a whole 2xx.
    pub delivered: bool,
    /// The same key had come before.
    pub repeat: bool,
    pub user_agent: String,
    /// `TLSv1_2`, `TLSv1_3`, or none for plain HTTP.
    pub tls_version: Option<String>,
}

impl Received {
    /// The body's time in Unix milliseconds, if it has one.
    pub fn timestamp_ms(&self) -> Option<u64> {
        self.body
            .get("timestamp")?
            .as_str()
            .and_then(figures::timestamp_ms)
    }

    /// A number of the body, under any name of either form.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.body.get(name)?.as_f64()
    }

    /// The last part of the idempotency key: the sample's number in its start.
    pub fn sample_number(&self) -> Option<u64> {
        self.key.rsplit('-').next()?.parse().ok()
    }

    /// The middle part of the idempotency key: which start of the agent it was.
    pub fn start_number(&self) -> Option<u64> {
        self.key.rsplit('-').nth(1)?.parse().ok()
    }
}

/// Counters since the hub started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// TCP connections accepted.
    pub connections: u64,
    /// Connections that are open now: the one figure that can fall.
    pub open: u64,
    /// TLS handshakes that were completed.
    pub handshakes: u64,
    /// Those of them that resumed a session.
    pub resumed: u64,
    /// TLS handshakes that failed on either side.
    pub handshake_failures: u64,
    /// Requests read whole, good or bad.
    pub requests: u64,
    /// Attempts that got a whole 2xx.
    pub delivered: u64,
    /// Attempts whose key had come before.
    pub repeats: u64,
    /// Answers by status; 0 is none.
    pub statuses: BTreeMap<u16, u64>,
    /// What no agent should do.
    pub violations: u64,
    /// Bytes of the TCP streams, TLS included.
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// Everything that is remembered.
#[derive(Debug, Default)]
pub(super) struct Log {
    keep: usize,
    pub(super) attempts: VecDeque<Received>,
    /// Bodies by key, oldest key first in `keys`.
    bodies: HashMap<String, Vec<u8>>,
    keys: VecDeque<String>,
    pub(super) violations: VecDeque<String>,
    pub(super) handshake_errors: VecDeque<String>,
    pub(super) stats: Stats,
    subscribers: Vec<Sender<Received>>,
}

impl Log {
    pub(super) fn new(keep: usize) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    pub(super) fn subscribe(&mut self, sender: Sender<Received>) {
        self.subscribers.push(sender);
    }

    /// Ends every subscription.
    pub(super) fn forget_subscribers(&mut self) {
        self.subscribers.clear();
    }

    /// Looks up what came under this key before, and remembers it. The error is a key that is used
    /// for two different samples.
    pub(super) fn is_repeat(&mut self, key: &str, raw: &[u8]) -> Result<bool, String> {
        if let Some(before) = self.bodies.get(key) {
            if before != raw {
                return Err(format!(
                    "idempotency-key {key} came before with other bytes"
                ));
            }
            self.stats.repeats += 1;
            return Ok(true);
        }
        self.bodies.insert(key.to_owned(), raw.to_vec());
        if let Some(oldest) = overwrite(&mut self.keys, self.keep, key.to_owned()) {
            self.bodies.remove(&oldest);
        }
        Ok(false)
    }

    pub(super) fn attempt(&mut self, attempt: Received) {
        self.stats.delivered += u64::from(attempt.delivered);
        self.subscribers
            .retain(|to| to.send(attempt.clone()).is_ok());
        overwrite(&mut self.attempts, self.keep, attempt);
    }

    pub(super) fn answered(&mut self, status: u16) {
        *self.stats.statuses.entry(status).or_default() += 1;
    }

    pub(super) fn violation(&mut self, words: String) {
        self.stats.violations += 1;
        overwrite(&mut self.violations, self.keep, words);
    }

    pub(super) fn handshake_failed(&mut self, words: String) {
        self.stats.handshake_failures += 1;
        overwrite(&mut self.handshake_errors, self.keep, words);
    }

    pub(super) fn delivered(&self) -> impl Iterator<Item = &Received> {
        self.attempts.iter().filter(|attempt| attempt.delivered)
    }

    /// One line for a person who wonders why something did not come.
    pub(super) fn summary(&self) -> String {
        let stats = &self.stats;
        let statuses = if stats.statuses.is_empty() {
            "none".to_owned()
        } else {
            let each = stats
                .statuses
                .iter()
                .map(|(status, count)| format!("{status}:{count}"));
            each.collect::<Vec<_>>().join(",")
        };
        format!(
            "samples={} statuses={statuses} connections={} handshake_failures={} violations={}",
            stats.delivered, stats.connections, stats.handshake_failures, stats.violations
        )
    }
}

/// Appends, and gives back the oldest if there was no room.
fn overwrite<T>(list: &mut VecDeque<T>, keep: usize, item: T) -> Option<T> {
    let oldest = if list.len() >= keep {
        list.pop_front()
    } else {
        None
    };
    list.push_back(item);
    oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stands_for_the_same_bytes_for_ever() {
        let mut log = Log::new(10);
        assert_eq!(log.is_repeat("a-1-1", b"x"), Ok(false));
        assert_eq!(log.is_repeat("a-1-1", b"x"), Ok(true));
        assert!(log.is_repeat("a-1-1", b"y").unwrap_err().contains("a-1-1"));
        assert_eq!(log.stats.repeats, 1);
    }

    #[test]
    fn memory_is_bounded_and_counters_go_on() {
        let mut log = Log::new(2);
        for n in 0..5 {
            log.violation(n.to_string());
            assert_eq!(log.is_repeat(&format!("a-1-{n}"), b"x"), Ok(false));
        }
        assert_eq!(log.violations, ["3", "4"]);
        assert_eq!(log.stats.violations, 5);
        assert_eq!((log.keys.len(), log.bodies.len()), (2, 2));
    }
}
