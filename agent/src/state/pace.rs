//! How soon an agent begins to work that was started again right after it died.
//!
//! Arithmetic on what the last start left behind; all moments are `CLOCK_BOOTTIME` milliseconds.
//! An agent that begins and is started again within [`QUICK_MS`] without having stopped well
//! waits a second before it begins anew, twice as long each further time, a minute at most. So a
//! fault that comes back at once does not keep the device busy, whatever the service manager does.
//!
//! Who waits, and what a good stop is, is the agent's business.

use std::fmt;

/// Ends sooner than this after the beginning are quick.
pub(super) const QUICK_MS: u64 = 10_000;
const FIRST_WAIT_MS: u64 = 1_000;
const LONGEST_WAIT_MS: u64 = 60_000;

/// When a start begins to work, as it is kept for the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pace {
    /// Moments of another boot say nothing.
    boot_id: String,
    /// When it begins.
    pub(super) begin_ms: u64,
    /// How many starts before this one ended quickly, in a row.
    pub(super) failures: u32,
}

impl Pace {
    /// For a start at `now_ms` after one that left `previous`.
    pub(super) fn after(previous: Option<&Self>, boot_id: &str, now_ms: u64) -> Self {
        let quick = previous.filter(|previous| {
            previous.boot_id == boot_id && now_ms < previous.begin_ms.saturating_add(QUICK_MS)
        });
        let failures = quick.map_or(0, |quick| quick.failures.saturating_add(1));
        let wait_ms = match failures.checked_sub(1) {
            None => 0,
            Some(doublings) => (FIRST_WAIT_MS << doublings.min(16)).min(LONGEST_WAIT_MS),
        };
        Self {
            boot_id: boot_id.to_owned(),
            begin_ms: now_ms + wait_ms,
            failures,
        }
    }

    /// Reads what [`fmt::Display`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let pace = Self {
            boot_id: words.next()?.to_owned(),
            begin_ms: words.next()?.parse().ok()?,
            failures: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(pace)
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.boot_id, self.begin_ms, self.failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_ends_in_a_row_wait_twice_as_long_up_to_a_minute() {
        let mut now_ms = 5_000;
        let mut pace = Pace::after(None, "boot", now_ms);
        let mut waits_ms = Vec::new();
        for _ in 0..40 {
            // Died a second after it began, or while it still waited.
            now_ms = pace.begin_ms + 1_000;
            pace = Pace::after(Some(&pace), "boot", now_ms);
            waits_ms.push(pace.begin_ms - now_ms);
        }
        let doubling = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000];
        assert_eq!(waits_ms[..6], doubling);
        assert!(waits_ms[6..].iter().all(|wait_ms| *wait_ms == 60_000));
        assert_eq!(pace.failures, 40);
        let while_waiting = Pace::after(Some(&pace), "boot", pace.begin_ms - 30_000);
        assert_eq!(while_waiting.failures, 41);
    }

    #[test]
    fn a_good_while_or_another_boot_forgets() {
        let last = Pace {
            boot_id: "boot".into(),
            begin_ms: 5_000,
            failures: 7,
        };
        let begin_ms = |boot_id, now_ms| {
            let next = Pace::after(Some(&last), boot_id, now_ms);
            (next.failures, next.begin_ms - now_ms)
        };
        assert_eq!(begin_ms("boot", 5_000 + QUICK_MS - 1), (8, 60_000));
        assert_eq!(begin_ms("boot", 5_000 + QUICK_MS), (0, 0));
        assert_eq!(begin_ms("other", 5_001), (0, 0));
    }

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let pace = Pace {
            boot_id: "a-b".into(),
            begin_ms: 12,
            failures: u32::MAX,
        };
        assert_eq!(Pace::parse(&pace.to_string()), Some(pace));
        for text in ["", "a", "a 1", "a 1 2 3", "a -1 2", "a 1 x", "a  1 2"] {
            assert_eq!(Pace::parse(text), None, "{text}");
        }
    }
}
