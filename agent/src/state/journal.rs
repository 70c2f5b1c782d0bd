//! Events and results on their way to the orchestrator: kept on disk until it has them.
//!
//! What is pushed is held, oldest first, until it is acknowledged. A result is flushed at once;
//! events are written as they come and flushed at most once a second ([`Journal::turn`]). The file
//! stays below 1 MiB. When it is full the oldest events go, a quarter of the room at a time, since
//! the file is then written anew; a result goes only when it is 7 days old. A journal without room
//! for a result says so ([`Journal::has_room`]), and no new instruction is to be taken.
//!
//! What was acknowledged may come again after a power cut, but not after the agent's own end:
//! acknowledgements are written with the next [`Journal::turn`] and not flushed for it. While the
//! disk takes nothing, the journal goes on in memory, up to 256 KiB.
//!
//! Bodies are the caller's and are not looked into. Nothing is sent from here.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::Path;

use mote_core::record::{HEAD_BYTES, MAX_BODY_BYTES, Record, TAIL_BYTES};

use super::Now;
use super::store::{LAST_ID, Store};

/// What is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A trigger fired, an alert was crossed.
    Event = 1,
    /// What became of an instruction.
    Result = 2,
}

/// Ids of what was acknowledged or let go.
const SETTLED: u8 = 3;

const SEED: u32 = u32::from_le_bytes(*b"jrn1");
/// The file, at most.
const LIMIT_BYTES: u64 = 1 << 20;
/// What is left when events had to go.
const TRIMMED_BYTES: u64 = LIMIT_BYTES / 4 * 3;
/// Held in memory, at most, while the disk takes nothing.
const MEMORY_BYTES: usize = 256 * 1024;
/// Held, at most: each takes some 40 bytes of memory wherever its body is.
const LIMIT_COUNT: usize = 2_048;
/// Results younger than this never go.
const RESULT_AGE_MS: u64 = 7 * 86_400_000;
/// Between two flushes of events.
const FLUSH_EVERY_MS: u64 = 1_000;
/// The wall time in front of each body.
const STAMP_BYTES: usize = 8;

/// Why something was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError {
    /// The journal is full of what may not go yet.
    NoRoom,
    /// It is longer than any record.
    TooLong,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRoom => "the journal is full of results that the orchestrator did not take",
            Self::TooLong => "it is too long for the journal",
        })
    }
}

impl std::error::Error for PushError {}

/// How many are held, and what was lost, since this process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalCounts {
    /// Held now.
    pub events: u64,
    /// Held now.
    pub results: u64,
    /// Events that had to go, or were not taken, because the journal was full.
    pub events_dropped: u64,
    /// Results older than 7 days that had to go.
    pub results_dropped: u64,
    /// Held, but the disk no longer gave what was written.
    pub unreadable: u64,
}

/// Events and results that are not acknowledged.
#[derive(Debug)]
pub struct Journal {
    /// None where there is no folder.
    store: Option<Store>,
    held: VecDeque<Held>,
    counts: JournalCounts,
    next_id: u64,
    memory_bytes: usize,
    /// Acknowledged or let go, and the file does not know.
    settled: Vec<u64>,
    /// Some of them were acknowledged: to send these again would be in vain.
    has_acknowledged: bool,
    flush_ms: u64,
}

#[derive(Debug)]
struct Held {
    id: u64,
    kind: Kind,
    /// Of the body, with its stamp.
    bytes: u32,
    /// When it was pushed; 0 if the clock was not set.
    wall_ms: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// Where its record begins.
    File(u64),
    /// The body, with its stamp.
    Memory(Box<[u8]>),
}

impl Journal {
    /// Reads the journal in `folder`; without one it is in memory only.
    pub fn open(folder: Option<&Path>, now: Now) -> Self {
        let mut journal = Self {
            store: None,
            held: VecDeque::new(),
            counts: JournalCounts::default(),
            next_id: 1,
            memory_bytes: 0,
            settled: Vec::new(),
            has_acknowledged: false,
            flush_ms: 0,
        };
        journal.store = folder.map(|folder| {
            let path = folder.join("journal");
            // A file that was replaced while it was full is a little longer than the limit.
            Store::open(path, SEED, 2 * LIMIT_BYTES, &mut |found, at| {
                if let Ok(record) = found {
                    journal.take(&record, at, now);
                }
            })
        });
        // What had to go before the file was told goes again, but is not counted again.
        while journal.held.len() > LIMIT_COUNT && journal.let_one_go(false, now) {}
        journal.counts.events_dropped = 0;
        journal.counts.results_dropped = 0;
        journal.mend();
        journal
    }

    /// Takes `body` in. A result is on disk when this returns, unless the disk takes nothing.
    pub fn push(&mut self, kind: Kind, body: &[u8], now: Now) -> Result<u64, PushError> {
        let bytes = STAMP_BYTES + body.len();
        if bytes > MAX_BODY_BYTES {
            return Err(PushError::TooLong);
        }
        if !self.make_room(bytes, now) {
            self.counts.events_dropped += u64::from(kind == Kind::Event);
            return Err(PushError::NoRoom);
        }
        let wall_ms = now.wall_ms.unwrap_or(0);
        let mut stamped = Vec::with_capacity(bytes);
        stamped.extend(wall_ms.to_le_bytes());
        stamped.extend(body);
        let id = self.next_id;
        self.next_id += 1;
        let record = Record {
            kind: kind as u8,
            id,
            body: &stamped,
        };
        let appended = self.store.as_mut().and_then(|store| {
            // A file that failed is not appended to: it is replaced, see `mend`.
            (store.is_good() && store.may_try()).then(|| store.append(&record).ok())?
        });
        let place = match appended {
            Some(at) => Place::File(at),
            // Memory has less room than the disk that did not take it.
            None if !self.make_room(bytes, now) => {
                self.counts.events_dropped += u64::from(kind == Kind::Event);
                return Err(PushError::NoRoom);
            }
            None => Place::Memory(stamped.into()),
        };
        self.hold(Held {
            id,
            kind,
            bytes: bytes as u32,
            wall_ms,
            place,
        });
        if kind == Kind::Result {
            self.flush(now);
        }
        Ok(id)
    }

    /// What is held of `kind`, oldest first: id and length of the body in bytes.
    pub fn unacknowledged(&self, kind: Kind) -> impl Iterator<Item = (u64, usize)> {
        self.held
            .iter()
            .filter(move |held| held.kind == kind)
            .map(|held| (held.id, held.bytes as usize - STAMP_BYTES))
    }

    /// The body of `id`, in `buffer`. What cannot be read any more is no longer held.
    pub fn read<'b>(&mut self, id: u64, buffer: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        let at = self.held.iter().position(|held| held.id == id)?;
        if copy(self.store.as_ref(), &self.held[at], buffer) {
            return buffer.get(STAMP_BYTES..);
        }
        self.drop_at(at);
        self.counts.unreadable += 1;
        None
    }

    /// The orchestrator has it, or will never take it. `false` if it is not held.
    pub fn acknowledge(&mut self, id: u64) -> bool {
        let Some(at) = self.held.iter().position(|held| held.id == id) else {
            return false;
        };
        if matches!(self.drop_at(at).place, Place::File(_)) {
            self.settled.push(id);
            self.has_acknowledged = true;
        }
        true
    }

    /// Whether a result of `bytes` bytes can be pushed.
    pub fn has_room(&self, bytes: usize, now: Now) -> bool {
        let kept = |held: &&Held| !held.may_go(now);
        let kept_bytes: u64 = self.held.iter().filter(kept).map(Held::file_bytes).sum();
        let bytes = record_bytes(STAMP_BYTES + bytes);
        let is_memory = self.store.as_ref().is_none_or(|store| !store.is_good());
        let room = if is_memory {
            MEMORY_BYTES as u64
        } else {
            TRIMMED_BYTES
        };
        kept_bytes + bytes <= room && self.held.iter().filter(kept).count() < LIMIT_COUNT
    }

    /// Tells the file what was acknowledged, and flushes and mends it if that is due; returns when
    /// it is next.
    pub fn turn(&mut self, now: Now) -> u64 {
        let Some(store) = &self.store else {
            return u64::MAX;
        };
        let has_work = store.is_unsafe() || !store.is_good() || !self.settled.is_empty();
        if !has_work {
            return u64::MAX;
        }
        let has_acknowledged = std::mem::take(&mut self.has_acknowledged);
        if now.boot_ms >= self.flush_ms {
            self.note_settled();
            self.flush(now);
        } else if has_acknowledged {
            self.write_settled();
        }
        self.flush_ms
    }

    /// Tells the file everything: the agent is about to end.
    pub fn close(&mut self, now: Now) {
        self.note_settled();
        self.flush(now);
    }

    /// What is held, and what was lost.
    pub fn counts(&self) -> JournalCounts {
        self.counts
    }

    /// Takes a record of the file in.
    fn take(&mut self, record: &Record<'_>, at: u64, now: Now) {
        let kind = match record.kind {
            1 => Kind::Event,
            2 => Kind::Result,
            SETTLED => {
                for id in record.body.as_chunks().0 {
                    let id = u64::from_le_bytes(*id);
                    if let Some(at) = self.held.iter().position(|held| held.id == id) {
                        self.drop_at(at);
                    }
                }
                return;
            }
            _ => return,
        };
        let Some(stamp) = record.body.first_chunk() else {
            return;
        };
        // More than are held at once can be in a file that was not told yet what had to go.
        if self.held.len() >= 2 * LIMIT_COUNT || record.id > LAST_ID {
            return;
        }
        // By its id it is read and acknowledged: another of the same id was not written here.
        if self.held.iter().any(|held| held.id == record.id) {
            return;
        }
        self.next_id = self.next_id.max(record.id + 1);
        let wall_ms = match u64::from_le_bytes(*stamp) {
            // Pushed before the clock was set: its age counts from now on.
            0 => now.wall_ms.unwrap_or(0),
            wall_ms => wall_ms,
        };
        self.hold(Held {
            id: record.id,
            kind,
            bytes: record.body.len() as u32,
            wall_ms,
            place: Place::File(at),
        });
    }

    fn hold(&mut self, held: Held) {
        if let Place::Memory(body) = &held.place {
            self.memory_bytes += body.len();
        }
        *self.held_of(held.kind) += 1;
        self.held.push_back(held);
    }

    fn drop_at(&mut self, at: usize) -> Held {
        // Positions come from a search right before.
        let held = self.held.remove(at).unwrap_or_else(|| unreachable!());
        if let Place::Memory(body) = &held.place {
            self.memory_bytes -= body.len();
        }
        *self.held_of(held.kind) -= 1;
        held
    }

    fn held_of(&mut self, kind: Kind) -> &mut u64 {
        match kind {
            Kind::Event => &mut self.counts.events,
            Kind::Result => &mut self.counts.results,
        }
    }

    /// Lets go what may, until a body of `bytes` has room; `false` if it has none.
    fn make_room(&mut self, bytes: usize, now: Now) -> bool {
        let bytes = record_bytes(bytes);
        let goes_to_memory = self
            .store
            .as_ref()
            .is_none_or(|store| !store.is_good() || !store.may_try());
        while self.held.len() >= LIMIT_COUNT
            || goes_to_memory && self.memory_bytes as u64 + bytes > MEMORY_BYTES as u64
        {
            if !self.let_one_go(goes_to_memory, now) {
                return false;
            }
        }
        let Some(store) = &self.store else {
            return true;
        };
        if goes_to_memory || store.bytes() + bytes <= LIMIT_BYTES {
            return true;
        }
        let mut live_bytes: u64 = self.held.iter().map(Held::file_bytes).sum();
        while live_bytes + bytes > TRIMMED_BYTES {
            let before = self.held.len();
            if !self.let_one_go(false, now) {
                return false;
            }
            debug_assert!(self.held.len() < before);
            live_bytes = self.held.iter().map(Held::file_bytes).sum();
        }
        // If it cannot be written anew, what comes now is held in memory.
        let _ = self.rewrite();
        true
    }

    /// Drops the oldest event, or else the oldest result that is old enough.
    fn let_one_go(&mut self, of_memory: bool, now: Now) -> bool {
        let fits = |held: &Held| !of_memory || matches!(held.place, Place::Memory(_));
        let event = |held: &Held| fits(held) && held.kind == Kind::Event;
        let old = |held: &Held| fits(held) && held.may_go(now);
        let found = self.held.iter().position(event);
        let Some(at) = found.or_else(|| self.held.iter().position(old)) else {
            return false;
        };
        let gone = self.drop_at(at);
        match gone.kind {
            Kind::Event => self.counts.events_dropped += 1,
            Kind::Result => self.counts.results_dropped += 1,
        }
        if matches!(gone.place, Place::File(_)) {
            self.settled.push(gone.id);
        }
        true
    }

    /// Tells the file what is held no more; leaves it empty if that is all.
    fn note_settled(&mut self) {
        let store = self.store.as_mut().filter(|store| store.is_good());
        if let Some(store) = store.filter(|_| self.held.is_empty()) {
            // Whatever fails here is tried again with the next.
            let _ = store.clear();
            self.settled.clear();
        } else {
            self.write_settled();
        }
    }

    fn write_settled(&mut self) {
        let Some(store) = self.store.as_mut().filter(|store| store.is_good()) else {
            // A file that is written anew does not have them.
            self.settled.clear();
            return;
        };
        if !self.settled.is_empty() && store.may_try() {
            // More than fit into one record are told with the next.
            let from = self.settled.len().saturating_sub(MAX_BODY_BYTES / 8);
            let ids = self.settled[from..].iter();
            let body: Vec<u8> = ids.flat_map(|id| id.to_le_bytes()).collect();
            let record = Record {
                kind: SETTLED,
                id: 0,
                body: &body,
            };
            if store.append(&record).is_ok() {
                self.settled.truncate(from);
            }
        }
    }

    fn flush(&mut self, now: Now) {
        self.flush_ms = now.boot_ms + FLUSH_EVERY_MS;
        let flushed = self.store.as_mut().map(Store::flush);
        if matches!(flushed, Some(Err(_))) {
            let _ = self.rewrite();
        }
        self.mend();
    }

    /// Gets everything back into a file, if it is time to try.
    fn mend(&mut self) {
        let Some(store) = &self.store else { return };
        let is_whole = store.is_good() && self.memory_bytes == 0;
        if !is_whole && store.may_try() {
            let _ = self.rewrite();
        }
    }

    /// Writes the file anew with what is held.
    fn rewrite(&mut self) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let held = &self.held;
        let mut places = Vec::with_capacity(held.len());
        store.replace(&mut |old, new| {
            places.clear();
            let mut buffer = Vec::new();
            for held in held {
                if !copy(Some(old), held, &mut buffer) {
                    places.push(None);
                    continue;
                }
                let record = Record {
                    kind: held.kind as u8,
                    id: held.id,
                    body: &buffer,
                };
                places.push(Some(new.append(&record)?));
            }
            Ok(())
        })?;
        self.settled.clear();
        self.memory_bytes = 0;
        for (held, place) in self.held.iter_mut().zip(&places) {
            held.place = Place::File(place.unwrap_or(u64::MAX));
        }
        Ok(())
    }
}

impl Held {
    fn file_bytes(&self) -> u64 {
        record_bytes(self.bytes as usize)
    }

    /// Whether it may go to make room.
    fn may_go(&self, now: Now) -> bool {
        let age_ms = now
            .wall_ms
            .filter(|_| self.wall_ms > 0)
            .map_or(0, |wall_ms| wall_ms.saturating_sub(self.wall_ms));
        self.kind == Kind::Event || age_ms > RESULT_AGE_MS
    }
}

fn record_bytes(body_bytes: usize) -> u64 {
    (HEAD_BYTES + body_bytes + TAIL_BYTES) as u64
}

/// Puts the stamped body into `buffer`; `false` if the disk no longer has it.
fn copy(store: Option<&Store>, held: &Held, buffer: &mut Vec<u8>) -> bool {
    let at = match &held.place {
        Place::Memory(body) => {
            buffer.clear();
            buffer.extend_from_slice(body);
            return true;
        }
        Place::File(at) => *at,
    };
    let found = store.and_then(|store| store.read(at, buffer));
    let Some((id, length)) = found.map(|record| (record.id, record.body.len())) else {
        return false;
    };
    buffer.truncate(HEAD_BYTES + length);
    buffer.drain(..HEAD_BYTES);
    id == held.id
}

#[cfg(test)]
mod tests;
