//! Waiting for something to become true, with a bound and with words for when it does not.
//!
//! Times are wall durations. [`poll_until`] is for facts that nobody announces (a process' state,
//! a file); whatever can announce itself is waited for with a condition variable instead.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often an unannounced fact is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What did not happen in time. Says what was awaited and what was there instead.
///
/// `Debug` prints the words alone, so that a failed `unwrap()` can be read.
#[derive(Clone, PartialEq, Eq)]
pub struct TimedOut(pub String);

impl fmt::Display for TimedOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for TimedOut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for TimedOut {}

/// Asks `look` until it has an answer or `timeout` is over. Asks at least once.
pub fn poll_until<T>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    let end = Instant::now() + timeout;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(TimedOut(format!("waited {timeout:?} for {what}")));
        }
        thread::park_timeout(left.min(LOOK_EVERY));
    }
}

/// Locks, also after another thread panicked: a test that failed must not hide behind a poisoned
/// lock in the one that reports it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_in_time_is_returned() {
        let mut looks = 0;
        let third = poll_until("the third look", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(third, Ok(3));
    }

    #[test]
    fn what_never_comes_is_named() {
        let words = poll_until("a miracle", Duration::from_millis(20), || None::<()>);
        assert_eq!(words, Err(TimedOut("waited 20ms for a miracle".into())));
    }
}
