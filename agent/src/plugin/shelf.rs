//! Plugins without a process that stays: files that an instruction names, run once, and those that
//! cannot run at all, with the reason. Known for whoever looks, and no more than
//! [`MAX_PLUGINS`](super::MAX_PLUGINS).

use mote_core::text;

use super::MAX_PLUGINS;
use super::report::Tally;

/// How much of a reason is kept.
const WORDS_BYTES: usize = 500;

/// What keeps a plugin here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It is run once at a time.
    Once,
    /// Something is wrong with it.
    Failed,
    /// The configuration does not let it run.
    Blocked,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Shelved {
    /// The name of its folder.
    pub id: String,
    /// Why it is here.
    pub why: Why,
    /// Its counts.
    pub tally: Tally,
    /// What is wrong, or its last failure.
    pub fault: String,
}

/// All of them, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Shelf(Vec<Shelved>);

impl Shelf {
    /// The one at this place.
    pub(super) fn get(&self, at: usize) -> Option<&Shelved> {
        self.0.get(at)
    }

    /// Puts a plugin here, or puts it here anew.
    pub(super) fn put(&mut self, id: &str, why: Why, fault: &str) {
        let place = self.place(id);
        if let Some(place) = place {
            place.why = why;
            text::cut(fault, WORDS_BYTES).clone_into(&mut place.fault);
        }
    }

    /// Takes a plugin away that is gone or stays from now on.
    pub(super) fn remove(&mut self, id: &str) {
        self.0.retain(|plugin| plugin.id != id);
    }

    /// A file of a plugin is run.
    pub(super) fn note_start(&mut self, id: &str, now_ms: u64) {
        if let Some(place) = self.place(id) {
            place.tally.runs += 1;
            place.tally.last_run_ms = Some(now_ms);
        }
    }

    /// It ended, in this way, and had used this much CPU time.
    pub(super) fn note_end(&mut self, id: &str, fault: Option<&str>, cpu_ms: u64) {
        if let Some(place) = self.place(id) {
            place.tally.cpu_ms += cpu_ms;
            place.tally.failures += u64::from(fault.is_some());
            let words = text::cut(fault.unwrap_or_default(), WORDS_BYTES);
            words.clone_into(&mut place.fault);
        }
    }

    /// Its place; a new one if it was not known and there is room.
    fn place(&mut self, id: &str) -> Option<&mut Shelved> {
        let at = self.0.iter().position(|plugin| plugin.id == id);
        let at = at.unwrap_or(self.0.len());
        if at == self.0.len() {
            if at >= MAX_PLUGINS {
                return None;
            }
            self.0.push(Shelved {
                id: id.to_owned(),
                why: Why::Once,
                tally: Tally::default(),
                fault: String::new(),
            });
        }
        self.0.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_failures_are_counted_and_the_last_failure_is_kept_until_one_goes_well() {
        let mut shelf = Shelf::default();
        shelf.put("once", Why::Once, "");
        shelf.note_start("once", 5);
        let long = "x".repeat(2_000);
        shelf.note_end("once", Some(&long), 30);
        shelf.note_start("once", 7);
        shelf.note_end("once", Some("no process"), 0);
        let found = shelf.get(0).unwrap();
        assert_eq!((found.tally.runs, found.tally.failures), (2, 2));
        assert_eq!(found.tally.last_run_ms, Some(7));
        assert_eq!(found.fault, "no process");
        shelf.note_start("once", 9);
        shelf.note_end("once", None, 12);
        let found = shelf.get(0).unwrap();
        assert_eq!((found.tally.failures, found.tally.cpu_ms), (2, 42));
        assert_eq!(found.fault, "");
        shelf.note_end("once", Some(&long), 0);
        let found = shelf.get(0).unwrap();
        assert_eq!(found.fault.len(), WORDS_BYTES);
        shelf.remove("once");
        assert!(shelf.get(0).is_none());
    }

    #[test]
    fn there_are_never_more_than_there_are_places() {
        let mut shelf = Shelf::default();
        for number in 0..MAX_PLUGINS + 10 {
            shelf.note_start(&format!("p{number}"), 1);
        }
        assert!(shelf.get(MAX_PLUGINS - 1).is_some() && shelf.get(MAX_PLUGINS).is_none());
    }
}
