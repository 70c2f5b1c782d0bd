//! The last time at which the clock was known to be right.
//!
//! A device without a battery for its clock starts in 1970, or in the past. No certificate that a
//! server shows then can be dated before this time, so it is the floor for judging their dates. It
//! is a Unix time in milliseconds, noted when the clock is synchronized and a TLS server was verified
//! at what it says; it never goes back by itself, and is written once a day and at a clean stop.
//!
//! Whether the clock is right is told from outside.

use std::path::Path;

use mote_core::record::Record;

use super::store::Store;

const SEED: u32 = u32::from_le_bytes(*b"tim1");
const TIME: u8 = 1;
/// One record. Whatever is longer was not written here.
const LIMIT_BYTES: u64 = 1024;
/// Between two writes.
const WRITE_EVERY_MS: u64 = 86_400_000;

/// The time, and the file that it is in.
#[derive(Debug, Default)]
pub(super) struct GoodTime {
    store: Option<Store>,
    written_ms: u64,
    noted_ms: u64,
}

impl GoodTime {
    /// Reads it from `folder`.
    pub(super) fn open(folder: &Path) -> Self {
        let mut written_ms = 0;
        let store = Store::open(folder.join("time"), SEED, LIMIT_BYTES, &mut |found, _| {
            let time = found.ok().filter(|record| record.kind == TIME);
            if let Some(ms) = time.and_then(|record| record.body.first_chunk()) {
                written_ms = u64::from_le_bytes(*ms);
            }
        });
        // One that cannot be read now may be another time: it stays until there is a better one.
        let is_damaged = store.is_damaged() && store.unread_bytes() == 0;
        let mut time = Self {
            store: Some(store),
            written_ms,
            noted_ms: written_ms,
        };
        if is_damaged {
            // Each start would find and tell it anew.
            time.write();
        }
        time
    }

    /// The latest one; 0 if there never was one.
    pub(super) fn last_ms(&self) -> u64 {
        self.noted_ms
    }

    /// Takes a good time, and writes it if the last one is a day old.
    pub(super) fn note(&mut self, wall_ms: u64) {
        self.noted_ms = self.noted_ms.max(wall_ms);
        if wall_ms >= self.written_ms.saturating_add(WRITE_EVERY_MS) {
            self.write();
        }
    }

    /// Takes a good time and writes it.
    pub(super) fn save(&mut self, wall_ms: u64) {
        self.noted_ms = self.noted_ms.max(wall_ms);
        if self.noted_ms > self.written_ms {
            self.write();
        }
    }

    fn write(&mut self) {
        let Some(store) = self.store.as_mut().filter(|store| store.may_try()) else {
            return;
        };
        let record = Record {
            kind: TIME,
            id: 0,
            body: &self.noted_ms.to_le_bytes(),
        };
        if store
            .replace(&mut |_, new| new.append(&record).map(drop))
            .is_ok()
        {
            self.written_ms = self.noted_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;
    const GOOD_MS: u64 = 1_770_000_000_000;

    #[test]
    fn it_is_written_once_a_day_and_at_a_stop_and_never_goes_back() {
        let folder = std::env::temp_dir().join(format!("mote-time-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let kept_ms = || GoodTime::open(&folder).last_ms();
        let mut time = GoodTime::open(&folder);
        assert_eq!(time.last_ms(), 0);
        time.note(GOOD_MS);
        assert_eq!(kept_ms(), GOOD_MS);
        time.note(GOOD_MS + DAY_MS - 1);
        assert_eq!((time.last_ms(), kept_ms()), (GOOD_MS + DAY_MS - 1, GOOD_MS));
        time.note(GOOD_MS + DAY_MS);
        assert_eq!(kept_ms(), GOOD_MS + DAY_MS);
        time.save(GOOD_MS + DAY_MS + 1);
        assert_eq!(kept_ms(), GOOD_MS + DAY_MS + 1);
        time.save(GOOD_MS);
        assert_eq!(kept_ms(), GOOD_MS + DAY_MS + 1);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_spoiled_file_is_kept_aside_at_once() {
        let folder = std::env::temp_dir().join(format!("mote-time-bad-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("time"), [0x5a; 99]).unwrap();
        assert_eq!(GoodTime::open(&folder).last_ms(), 0);
        assert_eq!(
            std::fs::read(folder.join("time.damaged")).unwrap(),
            [0x5a; 99]
        );
        let mut time = GoodTime::open(&folder);
        assert!(time.store.as_ref().is_some_and(Store::is_good));
        time.note(GOOD_MS);
        assert_eq!(GoodTime::open(&folder).last_ms(), GOOD_MS);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
