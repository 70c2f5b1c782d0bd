//! How long to wait before the next delivery attempt.
//!
//! Arithmetic only: the caller owns the clock and the random source. All delays are milliseconds.
//! The delay starts at `first_ms`, doubles on each failure and stops at `cap_ms`; each is then
//! spread both ways by `jitter_permille`, the capped ones too, so a fleet that lost its server
//! together does not come back together.
//!
//! Never sleeps, never gives up: what a failure is and when to say so is the caller's policy.

use crate::rng::Rng;

/// The failures so far and how to answer them. It belongs to a server, not to a sample.
#[derive(Debug, Clone)]
pub struct Backoff {
    first_ms: u64,
    cap_ms: u64,
    jitter_permille: u16,
    failures: u32,
    /// How often the delay has doubled.
    doublings: u32,
}

impl Backoff {
    /// No failures yet. A jitter of 200 spreads a delay from 0.8 to 1.2 times itself; more than
    /// 1000 counts as 1000.
    pub const fn new(first_ms: u64, cap_ms: u64, jitter_permille: u16) -> Self {
        let jitter_permille = if jitter_permille > 1000 {
            1000
        } else {
            jitter_permille
        };
        Self {
            first_ms,
            cap_ms,
            jitter_permille,
            failures: 0,
            doublings: 0,
        }
    }

    /// The same failures under other limits.
    #[must_use]
    pub const fn with(&self, first_ms: u64, cap_ms: u64, jitter_permille: u16) -> Self {
        let mut other = Self::new(first_ms, cap_ms, jitter_permille);
        other.failures = self.failures;
        other.doublings = self.doublings;
        other
    }

    /// Counts a failure and gives the delay before the next attempt.
    pub fn fail(&mut self, rng: &mut Rng) -> u64 {
        let doublings = self.doublings;
        self.failures = self.failures.saturating_add(1);
        self.doublings = self.doublings.saturating_add(1);
        let factor = 1_u64.checked_shl(doublings).unwrap_or(u64::MAX);
        self.spread(self.first_ms.saturating_mul(factor).min(self.cap_ms), rng)
    }

    /// The longest delay, spread: for answers that patience alone will not change.
    pub fn capped(&self, rng: &mut Rng) -> u64 {
        self.spread(self.cap_ms, rng)
    }

    /// The server answered: the next failure is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.doublings = 0;
    }

    /// There is reason to hope: the next delay is the first again. The failures still count.
    pub fn restart(&mut self) {
        self.doublings = 0;
    }

    /// Failures since the last reset.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn spread(&self, delay_ms: u64, rng: &mut Rng) -> u64 {
        let jitter_permille = u64::from(self.jitter_permille);
        let reach_ms = (delay_ms / 1000)
            .saturating_mul(jitter_permille)
            .saturating_add(delay_ms % 1000 * jitter_permille / 1000);
        let span_ms = reach_ms.saturating_mul(2).saturating_add(1);
        (delay_ms - reach_ms).saturating_add(rng.below(span_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_cap() {
        let mut rng = Rng::new(1);
        let mut backoff = Backoff::new(5_000, 300_000, 0);
        let delays: [u64; 9] = core::array::from_fn(|_| backoff.fail(&mut rng));
        assert_eq!(
            delays,
            [
                5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000, 300_000
            ]
        );
        assert_eq!(backoff.failures(), 9);
        backoff.restart();
        assert_eq!(backoff.failures(), 9);
        assert_eq!(backoff.fail(&mut rng), 5_000);
        assert_eq!(backoff.fail(&mut rng), 10_000);
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
        assert_eq!(backoff.fail(&mut rng), 5_000);
    }

    #[test]
    fn each_delay_is_spread_after_the_cap() {
        let mut rng = Rng::new(2);
        let mut backoff = Backoff::new(5_000, 300_000, 200);
        for middle in [
            5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000,
        ] {
            let delay = backoff.fail(&mut rng);
            assert!(
                (middle * 8 / 10..=middle * 12 / 10).contains(&delay),
                "{delay} for {middle}"
            );
        }
        let mut shortest = u64::MAX;
        let mut longest = 0;
        for _ in 0..10_000 {
            let delay = backoff.capped(&mut rng);
            shortest = shortest.min(delay);
            longest = longest.max(delay);
        }
        assert!((240_000..241_000).contains(&shortest), "{shortest}");
        assert!((359_000..=360_000).contains(&longest), "{longest}");
        assert_eq!(backoff.failures(), 8, "asking for the cap is no failure");
    }

    #[test]
    fn a_first_delay_above_the_cap_is_capped() {
        assert_eq!(Backoff::new(10, 7, 0).fail(&mut Rng::new(3)), 7);
    }

    #[test]
    fn years_of_failures_do_not_overflow() {
        let mut rng = Rng::new(4);
        let mut backoff = Backoff::new(1, u64::MAX, 1000);
        for _ in 0..200 {
            backoff.fail(&mut rng);
        }
        assert_eq!(backoff.failures(), 200);
        let mut backoff = Backoff {
            failures: u32::MAX,
            doublings: u32::MAX,
            ..Backoff::new(5, 300, 0)
        };
        assert_eq!(backoff.fail(&mut rng), 300);
        assert_eq!(backoff.failures(), u32::MAX);
    }

    #[test]
    fn a_jitter_of_more_than_everything_is_everything() {
        let backoff = Backoff::new(100, 100, 5_000);
        let mut rng = Rng::new(5);
        for _ in 0..1_000 {
            assert!(backoff.capped(&mut rng) <= 200);
        }
    }
}
