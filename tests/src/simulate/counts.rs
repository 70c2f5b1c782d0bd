//! What each second brought to the server, and how much of it came at once.

use std::fmt;

/// What each second brought to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    pub requests: Vec<u32>,
    pub handshakes: Vec<u32>,
    /// Attempts that reached nobody.
    pub in_vain: Vec<u32>,
}

impl Counts {
    pub(super) fn new(end_ms: u64) -> Self {
        let seconds = usize::try_from(end_ms / 1000 + 1).unwrap_or(usize::MAX);
        Self {
            requests: vec![0; seconds],
            handshakes: vec![0; seconds],
            in_vain: vec![0; seconds],
        }
    }

    pub(super) fn request(&mut self, now_ms: u64) {
        count(&mut self.requests, now_ms);
    }

    pub(super) fn handshake(&mut self, now_ms: u64) {
        count(&mut self.handshakes, now_ms);
    }

    pub(super) fn in_vain(&mut self, now_ms: u64) {
        count(&mut self.in_vain, now_ms);
    }

    /// Requests and handshakes of a second: to a server, a handshake is work of its own.
    pub fn load(&self, second: usize) -> u32 {
        self.requests[second] + self.handshakes[second]
    }

    /// The most that any `window_s` seconds from second `from` up to `to` brought, and where they
    /// begin.
    pub fn peak(&self, from: usize, to: usize, window_s: usize) -> (u32, usize) {
        let loads: Vec<u32> = (from..to.min(self.requests.len()))
            .map(|second| self.load(second))
            .collect();
        let sums = loads.windows(window_s).map(|window| window.iter().sum());
        let sums = sums.zip(from..);
        sums.max_by_key(|(sum, _)| *sum).unwrap_or((0, from))
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sums, parts) in [
            (&mut self.requests, &other.requests),
            (&mut self.handshakes, &other.handshakes),
            (&mut self.in_vain, &other.in_vain),
        ] {
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum += part;
            }
        }
    }
}

/// A load as thousandths of what a good day brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permille(pub u64);

impl fmt::Display for Permille {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:02}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

fn count(seconds: &mut [u32], now_ms: u64) {
    let at = usize::try_from(now_ms / 1000).unwrap_or(usize::MAX);
    if let Some(second) = seconds.get_mut(at) {
        *second += 1;
    }
}
