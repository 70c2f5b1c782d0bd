//! Which samples were taken, which arrived, which were saved, and whether that adds up.
//!
//! A sample is named as in its `Idempotency-Key`: the number of the agent's start, and its own.
//! At each end of the agent, what neither arrived nor is on the disk is lost. After a kill that is
//! as it must be; after a stop nothing may be. Whatever is not lost must arrive in the end, or be
//! on the disk.

use std::collections::{BTreeMap, BTreeSet};

/// Start and number.
pub(super) type Key = (u64, u64);

/// The books of one run.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// How many samples each start took.
    taken: BTreeMap<u64, u64>,
    /// What went with a kill.
    lost: BTreeSet<Key>,
    /// What does not add up, in words.
    pub(super) complaints: Vec<String>,
}

impl Books {
    /// A start took this many samples so far.
    pub(super) fn took(&mut self, start: u64, samples: u64) {
        self.taken.insert(start, samples);
    }

    /// Samples taken so far.
    pub(super) fn taken(&self) -> u64 {
        self.taken.values().sum()
    }

    /// Samples lost with kills so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.len() as u64
    }

    /// What was taken and not lost, and is neither at the server nor on the disk.
    pub(super) fn missing(&self, arrived: &BTreeSet<Key>, saved: &BTreeSet<Key>) -> BTreeSet<Key> {
        let taken = self
            .taken
            .iter()
            .flat_map(|(start, samples)| (1..=*samples).map(|number| (*start, number)));
        taken
            .filter(|key| {
                !self.lost.contains(key) && !arrived.contains(key) && !saved.contains(key)
            })
            .collect()
    }

    /// The agent was killed: what was in its memory alone is gone.
    pub(super) fn killed(&mut self, arrived: &BTreeSet<Key>, saved: &BTreeSet<Key>) {
        let gone = self.missing(arrived, saved);
        self.lost.extend(gone);
    }

    /// The agent stopped as it was asked to: nothing is gone.
    pub(super) fn stopped(&mut self, arrived: &BTreeSet<Key>, saved: &BTreeSet<Key>) {
        let gone = self.missing(arrived, saved);
        if let Some(first) = gone.first() {
            let words = format!(
                "{} samples are neither at the server nor on the disk after a stop that was asked \
                 for; the first is {first:?}",
                gone.len()
            );
            self.complaints.push(words);
            // Each is complained of once.
            self.lost.extend(gone);
        }
    }

    /// All is over: what is at the server is what was taken and not lost, but for what is saved.
    pub(super) fn close(&mut self, arrived: &BTreeSet<Key>, saved: &BTreeSet<Key>) {
        self.stopped(arrived, saved);
        let never_taken = arrived
            .iter()
            .filter(|(start, number)| self.taken.get(start).is_none_or(|taken| number > taken));
        for key in never_taken.take(3) {
            self.complaints
                .push(format!("the server has {key:?}, which was never taken"));
        }
        if let Some(key) = arrived.intersection(&self.lost).next() {
            self.complaints.push(format!(
                "{key:?} arrived, though it was neither at the server nor on the disk when the \
                 agent ended"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[Key]) -> BTreeSet<Key> {
        keys.iter().copied().collect()
    }

    #[test]
    fn what_was_in_memory_alone_goes_with_a_kill_and_nothing_else() {
        let mut books = Books::default();
        books.took(1, 3);
        books.killed(&keys(&[(1, 1)]), &keys(&[(1, 2)]));
        assert_eq!(books.lost(), 1);
        books.took(2, 1);
        books.close(&keys(&[(1, 1), (1, 2), (2, 1)]), &keys(&[]));
        assert_eq!(books.complaints, Vec::<String>::new());
        books.close(&keys(&[(1, 1), (2, 1)]), &keys(&[]));
        assert!(books.complaints[0].contains("(1, 2)"), "{books:?}");
    }

    #[test]
    fn a_stop_loses_nothing() {
        let mut books = Books::default();
        books.took(1, 2);
        books.stopped(&keys(&[(1, 1)]), &keys(&[(1, 2)]));
        assert_eq!(books.complaints.len(), 0);
        books.stopped(&keys(&[(1, 1)]), &keys(&[]));
        assert!(books.complaints[0].starts_with("1 samples"), "{books:?}");
    }

    #[test]
    fn what_arrives_was_taken_and_was_not_lost() {
        let mut books = Books::default();
        books.took(1, 2);
        books.killed(&keys(&[(1, 1)]), &keys(&[]));
        books.close(&keys(&[(1, 1), (1, 2), (1, 3)]), &keys(&[]));
        assert!(books.complaints[0].contains("never taken"), "{books:?}");
        assert!(books.complaints[1].contains("(1, 2) arrived"), "{books:?}");
    }
}
