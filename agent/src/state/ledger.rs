//! What was executed: no attempt runs that is not written here first.
//!
//! [`Ledger::begin`] returns when the attempt is on disk, and fails if it cannot be put there: then
//! nothing may run. It also refuses an attempt that was begun before, whatever became of it. The
//! process that runs it is noted ([`Ledger::started`]) so that the next start of the agent can kill
//! what this one left; that is not flushed, since it need not outlive the kernel. Its end is.
//!
//! An instruction's attempts are numbered from 1. Ids are kept for 30 days, and 4,096 of them;
//! when there are more the oldest goes. They are compared by their SHA-256, cut to 128 bits. While
//! the clock is not set nothing gets older.
//!
//! What runs, and whether it may, is the orchestrator's side of the agent.

use std::fmt;
use std::io;
use std::path::Path;

use mote_core::record::Record;
use ring::digest::{SHA256, digest};

use super::store::Store;
use super::{BootId, Now};

/// The longest id of an instruction, in bytes.
pub const ID_BYTES: usize = 256;

const SEED: u32 = u32::from_le_bytes(*b"ldg1");
/// A file of this length is written anew, which leaves about a third of it.
const LIMIT_BYTES: u64 = 512 * 1024;
/// Ids that are kept.
const LIMIT_COUNT: usize = 4_096;
const KEEP_MS: u64 = 30 * 86_400_000;

/// Kinds of records. A record's id is the number of the attempt.
const BEGUN: u8 = 1;
const STARTED: u8 = 2;
const FINISHED: u8 = 3;
/// What is left of an instruction when the file is written anew.
const SEEN: u8 = 4;

/// A process of an action, so that it is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Process {
    /// Its process group, which is its own process id.
    pub group: i32,
    /// When it was started, in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_ticks: u64,
}

/// An attempt that was begun and did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The instruction.
    pub id: Box<str>,
    /// Which attempt.
    pub attempt: u32,
    /// The kernel's boot in which it began: in another one its process is gone.
    pub boot_id: BootId,
    /// Its process, if it got that far.
    pub process: Option<Process>,
}

/// Why an attempt may not run.
#[derive(Debug)]
pub enum LedgerError {
    /// It was begun before, or a later one was.
    Repeated {
        /// Attempts of this instruction so far.
        attempts: u32,
    },
    /// The id is empty or longer than [`ID_BYTES`].
    BadId,
    /// The ledger cannot be written.
    NotWritten(io::Error),
}

impl fmt::Display for LedgerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeated { attempts } => {
                write!(f, "it was taken up before, {attempts} times")
            }
            Self::BadId => write!(f, "its id is empty or longer than {ID_BYTES} bytes"),
            Self::NotWritten(error) => write!(
                f,
                "the ledger cannot be written, and nothing runs without it: {error}"
            ),
        }
    }
}

impl std::error::Error for LedgerError {}

type Key = [u8; 16];

#[derive(Debug)]
struct Seen {
    key: Key,
    attempts: u32,
    /// When the last attempt began; 0 if the clock was not set.
    wall_ms: u64,
}

/// The attempts so far.
#[derive(Debug)]
pub struct Ledger {
    /// None where there is no folder.
    store: Option<Store>,
    /// Oldest first.
    seen: Vec<Seen>,
    unfinished: Vec<Unfinished>,
    /// The file does not say what is known here.
    is_behind: bool,
    boot_id: BootId,
}

impl Ledger {
    /// Reads the ledger in `folder`. Without one nothing can begin.
    pub fn open(folder: Option<&Path>, boot_id: BootId, now: Now) -> Self {
        let mut ledger = Self {
            store: None,
            seen: Vec::new(),
            unfinished: Vec::new(),
            is_behind: false,
            boot_id,
        };
        ledger.store = folder.map(|folder| {
            let path = folder.join("ledger");
            Store::open(path, SEED, 2 * LIMIT_BYTES, &mut |found, _| {
                if let Ok(record) = found {
                    ledger.take(&record, now);
                }
            })
        });
        ledger.mend();
        ledger
    }

    /// Attempts of `id` that were begun, now or by an earlier start.
    pub fn attempts(&self, id: &str) -> u32 {
        let key = key(id);
        let seen = self.seen.iter().find(|seen| seen.key == key);
        seen.map_or(0, |seen| seen.attempts)
    }

    /// Attempts that were begun and did not end, oldest first. Right after
    /// [`open`](Self::open) these are what an earlier start left.
    pub fn unfinished(&self) -> &[Unfinished] {
        &self.unfinished
    }

    /// Puts an attempt on disk. Only then may it run.
    pub fn begin(&mut self, id: &str, attempt: u32, now: Now) -> Result<(), LedgerError> {
        if id.is_empty() || id.len() > ID_BYTES {
            return Err(LedgerError::BadId);
        }
        let attempts = self.attempts(id);
        if attempt <= attempts {
            return Err(LedgerError::Repeated { attempts });
        }
        let wall_ms = now.wall_ms.unwrap_or(0);
        self.forget_old(now);
        let body = begun(&self.boot_id, wall_ms, id);
        let record = Record {
            kind: BEGUN,
            id: attempt.into(),
            body: &body,
        };
        self.put_down(&record).map_err(LedgerError::NotWritten)?;
        self.see(key(id), attempt, wall_ms);
        self.unfinished.push(Unfinished {
            id: id.into(),
            attempt,
            boot_id: self.boot_id,
            process: None,
        });
        Ok(())
    }

    /// Notes the process of an attempt that was begun.
    pub fn started(&mut self, id: &str, attempt: u32, process: Process) {
        let Some(at) = self.position(id, attempt) else {
            return;
        };
        self.unfinished[at].process = Some(process);
        let body = started(process, id);
        let record = Record {
            kind: STARTED,
            id: attempt.into(),
            body: &body,
        };
        let store = self.store.as_mut().filter(|store| store.is_good());
        let noted = store.is_some_and(|store| store.append(&record).is_ok());
        self.is_behind |= !noted;
    }

    /// The attempt ended, and what became of it is in the journal: it is not to be reported again.
    /// If that cannot be written now, it is tried again in [`turn`](Self::turn).
    pub fn finish(&mut self, id: &str, attempt: u32) {
        let Some(at) = self.position(id, attempt) else {
            return;
        };
        self.unfinished.remove(at);
        let record = Record {
            kind: FINISHED,
            id: attempt.into(),
            body: id.as_bytes(),
        };
        self.is_behind |= self.put_down(&record).is_err();
    }

    /// Mends the file if that is due.
    pub fn turn(&mut self) {
        self.mend();
    }

    /// Whether an attempt could begin, as far as is known: the last write did not fail.
    pub fn is_writable(&self) -> bool {
        self.store.as_ref().is_some_and(Store::is_good)
    }

    fn position(&self, id: &str, attempt: u32) -> Option<usize> {
        let is_it = |open: &Unfinished| &*open.id == id && open.attempt == attempt;
        self.unfinished.iter().position(is_it)
    }

    /// Takes a record of the file in.
    fn take(&mut self, record: &Record<'_>, now: Now) {
        let attempt = u32::try_from(record.id).unwrap_or(u32::MAX);
        let text = |bytes: &[u8]| str::from_utf8(bytes).ok().map(Box::<str>::from);
        match (record.kind, record.body) {
            (BEGUN, body) => {
                let Some((boot_id, wall_ms, id)) = split_begun(body) else {
                    return;
                };
                let Some(id) = text(id) else { return };
                self.see(key(&id), attempt, since(wall_ms, now));
                // A write that was given up and repeated.
                if self.position(&id, attempt).is_some() {
                    return;
                }
                self.unfinished.push(Unfinished {
                    id,
                    attempt,
                    boot_id,
                    process: None,
                });
            }
            (STARTED, body) => {
                let Some((process, id)) = split_started(body) else {
                    return;
                };
                let at = text(id).and_then(|id| self.position(&id, attempt));
                if let Some(at) = at {
                    self.unfinished[at].process = Some(process);
                }
            }
            (FINISHED, id) => {
                let at = text(id).and_then(|id| self.position(&id, attempt));
                at.map(|at| self.unfinished.remove(at));
            }
            (SEEN, body) => {
                if let Some((key, wall_ms)) = split_seen(body) {
                    self.see(key, attempt, since(wall_ms, now));
                }
            }
            _ => {}
        }
    }

    /// Remembers an attempt as the latest of all.
    fn see(&mut self, key: Key, attempt: u32, wall_ms: u64) {
        let before = self.seen.iter().position(|seen| seen.key == key);
        let before = before.map(|at| self.seen.remove(at));
        if self.seen.len() >= LIMIT_COUNT {
            self.seen.remove(0);
        }
        self.seen.push(Seen {
            key,
            attempts: before.map_or(attempt, |seen| seen.attempts.max(attempt)),
            wall_ms,
        });
    }

    /// Forgets ids that are too old, but not those under way.
    fn forget_old(&mut self, now: Now) {
        let Some(now_ms) = now.wall_ms else { return };
        let under_way: Vec<Key> = self.unfinished.iter().map(|open| key(&open.id)).collect();
        self.seen.retain(|seen| {
            let is_young = seen.wall_ms == 0 || now_ms.saturating_sub(seen.wall_ms) <= KEEP_MS;
            is_young || under_way.contains(&seen.key)
        });
    }

    /// Writes and flushes a record; into a new file if the old one fails.
    fn put_down(&mut self, record: &Record<'_>) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            return Err(io::Error::other("there is no folder to write it to"));
        };
        let is_full = store.bytes() > LIMIT_BYTES;
        if store.is_good() && !is_full && !self.is_behind {
            let done = store.append(record).and_then(|_| store.flush());
            if done.is_ok() {
                return Ok(());
            }
        }
        self.rewrite(Some(record))
    }

    /// Gets what is known into a file, if it is time to try.
    fn mend(&mut self) {
        let Some(store) = &self.store else { return };
        if (!store.is_good() || self.is_behind) && store.may_try() {
            // A failure is said by the store, and tried again.
            let _ = self.rewrite(None);
        }
    }

    /// Writes the file anew, with one more record at its end.
    fn rewrite(&mut self, last: Option<&Record<'_>>) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let (seen, unfinished) = (&self.seen, &self.unfinished);
        store.replace(&mut |_, new| {
            for seen in seen {
                let record = Record {
                    kind: SEEN,
                    id: seen.attempts.into(),
                    body: &seen_body(seen),
                };
                new.append(&record)?;
            }
            for open in unfinished {
                // Its time is that of the SEEN record; this one must not make it older.
                let seen = seen.iter().find(|seen| seen.key == key(&open.id));
                let wall_ms = seen.map_or(0, |seen| seen.wall_ms);
                let body = begun(&open.boot_id, wall_ms, &open.id);
                let record = |kind, body| Record {
                    kind,
                    id: open.attempt.into(),
                    body,
                };
                new.append(&record(BEGUN, &body))?;
                if let Some(process) = open.process {
                    new.append(&record(STARTED, &started(process, &open.id)))?;
                }
            }
            last.map_or(Ok(()), |last| new.append(last).map(drop))
        })?;
        self.is_behind = false;
        Ok(())
    }
}

fn key(id: &str) -> Key {
    let digest = digest(&SHA256, id.as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.as_ref()[..16]);
    key
}

/// What was begun before the clock was set counts from now on.
fn since(wall_ms: u64, now: Now) -> u64 {
    if wall_ms == 0 {
        now.wall_ms.unwrap_or(0)
    } else {
        wall_ms
    }
}

fn begun(boot_id: &BootId, wall_ms: u64, id: &str) -> Vec<u8> {
    [boot_id, &wall_ms.to_le_bytes()[..], id.as_bytes()].concat()
}

fn split_begun(body: &[u8]) -> Option<(BootId, u64, &[u8])> {
    let (boot_id, rest) = body.split_first_chunk()?;
    let (wall_ms, id) = rest.split_first_chunk()?;
    Some((*boot_id, u64::from_le_bytes(*wall_ms), id))
}

fn started(process: Process, id: &str) -> Vec<u8> {
    let (group, ticks) = (
        process.group.to_le_bytes(),
        process.start_ticks.to_le_bytes(),
    );
    [&group[..], &ticks, id.as_bytes()].concat()
}

fn split_started(body: &[u8]) -> Option<(Process, &[u8])> {
    let (group, rest) = body.split_first_chunk()?;
    let (start_ticks, id) = rest.split_first_chunk()?;
    let process = Process {
        group: i32::from_le_bytes(*group),
        start_ticks: u64::from_le_bytes(*start_ticks),
    };
    Some((process, id))
}

fn seen_body(seen: &Seen) -> [u8; 24] {
    let mut body = [0; 24];
    body[..16].copy_from_slice(&seen.key);
    body[16..].copy_from_slice(&seen.wall_ms.to_le_bytes());
    body
}

fn split_seen(body: &[u8]) -> Option<(Key, u64)> {
    let (key, rest) = body.split_first_chunk()?;
    Some((*key, u64::from_le_bytes(*rest.first_chunk()?)))
}

#[cfg(test)]
mod tests;
