//! What the orchestrator did not take, and when it is offered again.

/// The longest delay.
const MOST_MS: u64 = 3_600_000;
/// As many as the journal holds at most. It drops old ones by itself, so the oldest here goes.
const MOST_ENTRIES: usize = 2_048;

#[derive(Debug)]
struct Entry {
    id: u64,
    tries: u32,
    /// Good answers of the server at the last of them.
    good_answers: u64,
    not_before_ms: u64,
}

/// Entries of the journal that are not to go yet.
#[derive(Debug)]
pub(super) struct Postponed {
    first_ms: u64,
    entries: Vec<Entry>,
}

impl Postponed {
    /// Puts entries off for `first_ms` at first.
    pub(super) fn new(first_ms: u64) -> Self {
        Self {
            first_ms,
            entries: Vec::new(),
        }
    }

    /// Changes that for what is put off from now on.
    pub(super) fn set_first_ms(&mut self, first_ms: u64) {
        self.first_ms = first_ms;
    }

    /// Puts `id` off: twice as long each time, at most an hour. Returns how often it was.
    ///
    /// A server that had no good answer for anything since the last time (`good_answers` counts
    /// them) says nothing about this entry: that time is not counted twice.
    pub(super) fn put_off(&mut self, id: u64, good_answers: u64, now_ms: u64) -> u32 {
        let at = self.entries.iter().position(|entry| entry.id == id);
        let at = at.unwrap_or_else(|| {
            if self.entries.len() == MOST_ENTRIES {
                self.entries.remove(0);
            }
            self.entries.push(Entry {
                id,
                tries: 0,
                good_answers,
                not_before_ms: 0,
            });
            self.entries.len() - 1
        });
        let first_ms = self.first_ms;
        let entry = &mut self.entries[at];
        if entry.tries == 0 || entry.good_answers != good_answers {
            entry.tries += 1;
        }
        entry.good_answers = good_answers;
        let doublings = (entry.tries - 1).min(8);
        let delay_ms = first_ms.saturating_mul(1 << doublings).min(MOST_MS);
        entry.not_before_ms = now_ms + delay_ms;
        entry.tries
    }

    /// Whether `id` may go.
    pub(super) fn may_go(&self, id: u64, now_ms: u64) -> bool {
        let mut entries = self.entries.iter();
        !entries.any(|entry| entry.id == id && now_ms < entry.not_before_ms)
    }

    /// Forgets `id`: it is no longer held.
    pub(super) fn forget(&mut self, id: u64) {
        self.entries.retain(|entry| entry.id != id);
    }

    /// When the next of them may go.
    pub(super) fn next_ms(&self, now_ms: u64) -> u64 {
        let later = self.entries.iter().map(|entry| entry.not_before_ms);
        later.filter(|ms| *ms > now_ms).min().unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_off_goes_later_and_later() {
        let mut postponed = Postponed::new(60_000);
        assert!(postponed.may_go(7, 0));
        assert_eq!(postponed.put_off(7, 0, 1_000), 1);
        assert!(!postponed.may_go(7, 60_999) && postponed.may_go(7, 61_000));
        assert!(postponed.may_go(8, 1_000));
        assert_eq!(postponed.next_ms(1_000), 61_000);
        assert_eq!(postponed.put_off(7, 1, 61_000), 2);
        assert_eq!(postponed.next_ms(61_000), 181_000);
        for good_answers in 2..40 {
            postponed.put_off(7, good_answers, 0);
        }
        assert_eq!(postponed.next_ms(0), MOST_MS);
        postponed.forget(7);
        assert!(postponed.may_go(7, 0));
        assert_eq!(postponed.next_ms(0), u64::MAX);
    }

    #[test]
    fn no_more_are_remembered_than_can_be_held() {
        let mut postponed = Postponed::new(60_000);
        for id in 0..=MOST_ENTRIES as u64 {
            postponed.put_off(id, 0, 0);
        }
        assert_eq!(postponed.entries.len(), MOST_ENTRIES);
        assert!(postponed.may_go(0, 0) && !postponed.may_go(1, 0));
        assert!(!postponed.may_go(MOST_ENTRIES as u64, 0));
    }

    #[test]
    fn a_server_that_takes_nothing_at_all_counts_once() {
        let mut postponed = Postponed::new(60_000);
        for round in 0..10 {
            let now_ms = round * 60_000;
            assert_eq!(postponed.put_off(7, 3, now_ms), 1);
            assert_eq!(postponed.next_ms(now_ms), now_ms + 60_000);
        }
        assert_eq!(postponed.put_off(7, 4, 0), 2);
    }
}
