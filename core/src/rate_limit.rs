//! How many requests go out in a time: a bucket of tokens that fills evenly.
//!
//! Arithmetic only: the caller owns the clock and waits. Times are milliseconds and may stand still
//! or go back, which gives no tokens and takes none.

/// Thousandths of a token, so that a slow rate loses nothing to rounding.
const TOKEN: u64 = 1_000;

/// A token a request, `burst` of them at most.
#[derive(Debug, Clone)]
pub struct RateLimit {
    per_second: u64,
    burst: u64,
    /// Thousandths.
    tokens: u64,
    since_ms: u64,
}

impl RateLimit {
    /// A full bucket; a rate or a burst of 0 counts as 1.
    pub const fn new(per_second: u64, burst: u64, now_ms: u64) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second };
        let burst = if burst == 0 { 1 } else { burst };
        Self {
            per_second,
            burst,
            tokens: burst.saturating_mul(TOKEN),
            since_ms: now_ms,
        }
    }

    /// Takes a token. If there is none, the error is the moment at which there will be one,
    /// milliseconds on the clock of `now_ms`.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        self.fill(now_ms);
        match self.tokens.checked_sub(TOKEN) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err(now_ms.saturating_add(self.wait_ms())),
        }
    }

    /// The moment at which there is a token, at the earliest `now_ms`, on the same clock.
    pub fn ready_ms(&self, now_ms: u64) -> u64 {
        let mut then = self.clone();
        then.fill(now_ms);
        if then.tokens >= TOKEN {
            now_ms
        } else {
            now_ms.saturating_add(then.wait_ms())
        }
    }

    /// A rate a second is as many thousandths a millisecond.
    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.since_ms);
        let more = passed_ms.saturating_mul(self.per_second);
        let full = self.burst.saturating_mul(TOKEN);
        self.tokens = self.tokens.saturating_add(more).min(full);
        self.since_ms = self.since_ms.max(now_ms);
    }

    fn wait_ms(&self) -> u64 {
        (TOKEN - self.tokens).div_ceil(self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut limit = RateLimit::new(10, 3, 1_000);
        for _ in 0..3 {
            assert_eq!(limit.take(1_000), Ok(()));
        }
        assert_eq!(limit.take(1_000), Err(1_100));
        assert_eq!(limit.ready_ms(1_040), 1_100);
        assert_eq!(limit.take(1_099), Err(1_100));
        assert_eq!(limit.take(1_100), Ok(()));
        assert_eq!(limit.take(1_100), Err(1_200));
        assert_eq!(limit.ready_ms(9_000), 9_000);
    }

    #[test]
    fn a_day_of_asking_gets_the_rate_and_no_more() {
        let mut limit = RateLimit::new(7, 20, 0);
        let mut taken = 0_u64;
        for now_ms in (0..86_400_000).step_by(137) {
            while limit.take(now_ms).is_ok() {
                taken += 1;
            }
        }
        let expected = 20 + 86_400 * 7;
        assert!((expected - 7..=expected).contains(&taken), "{taken}");
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut limit = RateLimit::new(1, 1, 10_000);
        assert_eq!(limit.take(10_000), Ok(()));
        assert_eq!(limit.take(0), Err(1_000));
        assert_eq!(limit.take(10_999), Err(11_000));
        assert_eq!(limit.take(11_000), Ok(()));
        let mut idle = RateLimit::new(0, 0, 0);
        assert_eq!(idle.take(u64::MAX), Ok(()));
        assert!(idle.take(u64::MAX).is_err());
    }
}
