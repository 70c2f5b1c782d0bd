//! What the orchestrator did not take, and when it is offered again.

/// First delay before the same is offered again.
const FIRST_MS: u64 = 60_000;
const MOST_MS: u64 = 3_600_000;

#[derive(Debug)]
struct Entry {
    id: u64,
    tries: u32,
    not_before_ms: u64,
}

/// Entries of the journal that are not to go yet.
#[derive(Debug, Default)]
pub(super) struct Postponed(Vec<Entry>);

impl Postponed {
    /// Puts `id` off: for a minute, then twice as long each time, at most an hour. Returns how often
    /// it was.
    pub(super) fn put_off(&mut self, id: u64, now_ms: u64) -> u32 {
        let at = self.0.iter().position(|entry| entry.id == id);
        let at = at.unwrap_or_else(|| {
            self.0.push(Entry {
                id,
                tries: 0,
                not_before_ms: 0,
            });
            self.0.len() - 1
        });
        let entry = &mut self.0[at];
        let delay_ms = FIRST_MS
            .saturating_mul(1 << entry.tries.min(8))
            .min(MOST_MS);
        entry.tries += 1;
        entry.not_before_ms = now_ms + delay_ms;
        entry.tries
    }

    /// Whether `id` may go.
    pub(super) fn may_go(&self, id: u64, now_ms: u64) -> bool {
        let mut entries = self.0.iter();
        !entries.any(|entry| entry.id == id && now_ms < entry.not_before_ms)
    }

    /// Forgets `id`: it is no longer held.
    pub(super) fn forget(&mut self, id: u64) {
        self.0.retain(|entry| entry.id != id);
    }

    /// When the next of them may go.
    pub(super) fn next_ms(&self, now_ms: u64) -> u64 {
        let later = self.0.iter().map(|entry| entry.not_before_ms);
        later.filter(|ms| *ms > now_ms).min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_off_goes_later_and_later() {
        let mut postponed = Postponed::default();
        assert!(postponed.may_go(7, 0));
        assert_eq!(postponed.put_off(7, 1_000), 1);
        assert!(!postponed.may_go(7, 60_999) && postponed.may_go(7, 61_000));
        assert!(postponed.may_go(8, 1_000));
        assert_eq!(postponed.next_ms(1_000), 61_000);
        assert_eq!(postponed.put_off(7, 61_000), 2);
        assert_eq!(postponed.next_ms(61_000), 181_000);
        for _ in 0..40 {
            postponed.put_off(7, 0);
        }
        assert_eq!(postponed.next_ms(0), MOST_MS);
        postponed.forget(7);
        assert!(postponed.may_go(7, 0));
        assert_eq!(postponed.next_ms(0), u64::MAX);
    }
}
