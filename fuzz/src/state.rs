//! The journal and the ledger after anything that a disk may have made of them.
//!
//! A fuzzer cannot make up the checks of records. So its bytes are the records' heads and bodies,
//! from which the file is written: a byte of kind, eight of id, one of the body's length, the body.
//! With the top bit of the kind set the body is spoiled on disk. What is left over at the end is a
//! record that was cut.

use std::collections::HashSet;

use mote::state::Now;
use mote::state::journal::{Journal, Kind};
use mote::state::ledger::{Ledger, LedgerError};
use mote_core::log_line::Level;
use mote_core::record::Record;

use crate::folder::Folder;
use crate::planted_bug;

const HEAD_BYTES: usize = 10;
const SPOILED: u8 = 0x80;
const BOOT_ID: [u8; 16] = [7; 16];

fn now(boot_ms: u64) -> Now {
    Now {
        boot_ms,
        wall_ms: Some(1_770_000_000_000 + boot_ms),
    }
}

/// The records of the input, as a file.
fn file(seed: [u8; 4], bytes: &[u8]) -> Vec<u8> {
    mote::log::set_level(Level::Error);
    let seed = u32::from_le_bytes(seed);
    let mut file = Vec::new();
    let mut rest = bytes;
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let [kind, id @ .., length] = *head;
        let (body, behind) = behind.split_at(behind.len().min(length.into()));
        let record = Record {
            kind: kind & !SPOILED,
            id: u64::from_le_bytes(id),
            body,
        };
        let begin = file.len();
        file.resize(begin + record.file_bytes(), 0);
        // There is room for as much as it says.
        let _ = record.encode(seed, &mut file[begin..]);
        if kind & SPOILED != 0
            && let Some(last) = file.last_mut()
        {
            *last ^= 1;
        }
        rest = behind;
    }
    file.extend(rest);
    file
}

fn held(journal: &mut Journal) -> Vec<(Kind, u64, Vec<u8>)> {
    let mut held = Vec::new();
    let mut buffer = Vec::new();
    for kind in [Kind::Event, Kind::Result] {
        let ids: Vec<_> = journal.unacknowledged(kind).collect();
        for (id, length) in ids {
            let Some(body) = journal.read(id, &mut buffer) else {
                panic!("{id} is held and cannot be read");
            };
            assert_eq!(body.len(), length, "{id}");
            held.push((kind, id, body.to_vec()));
        }
    }
    held
}

/// Whatever the file was, what is held is read, is there after a restart, and goes once.
pub(crate) fn journal(bytes: &[u8]) {
    let folder = Folder::new();
    folder.put("journal", &file(*b"jrn1", bytes));
    let mut journal = Journal::open(Some(folder.path()), now(0));
    let mut before = held(&mut journal);
    let counts = journal.counts();
    assert_eq!(counts.events + counts.results, before.len() as u64);
    assert_eq!(counts.unreadable, 0);
    if let Some((_, id, _)) = before.first().cloned() {
        assert!(journal.acknowledge(id) && !journal.acknowledge(id));
        before.retain(|(_, other, _)| *other != id);
    }
    for (kind, body) in [(Kind::Event, b"an event"), (Kind::Result, b"a result")] {
        match journal.push(kind, body, now(1)) {
            Ok(id) => {
                assert!(
                    before.iter().all(|(_, other, _)| *other != id),
                    "{id} twice"
                );
                before.push((kind, id, body.to_vec()));
            }
            Err(error) => panic!("{error}"),
        }
    }
    journal.turn(now(2_000));
    drop(journal);

    let mut journal = Journal::open(Some(folder.path()), now(9_000));
    before.sort_by_key(|(kind, _, _)| *kind as u8);
    assert_eq!(held(&mut journal), before, "after a restart");
    drop(folder);
    planted_bug(counts.results >= 2 && counts.events >= 1);
}

/// Whatever the file was, nothing that it has as begun can begin again, nor after a restart.
pub(crate) fn ledger(bytes: &[u8]) {
    let folder = Folder::new();
    folder.put("ledger", &file(*b"ldg1", bytes));
    let mut ledger = Ledger::open(Some(folder.path()), BOOT_ID, now(0));
    let left = ledger.unfinished().to_vec();
    for open in &left {
        assert!(ledger.attempts(&open.id) >= open.attempt);
        let begun = ledger.begin(&open.id, open.attempt, now(1));
        assert!(
            matches!(
                begun,
                Err(LedgerError::Repeated { .. } | LedgerError::BadId)
            ),
            "{begun:?}"
        );
    }
    let fresh = "of this start";
    let attempt = ledger.attempts(fresh).saturating_add(1);
    let is_begun = match ledger.begin(fresh, attempt, now(1)) {
        Ok(()) => true,
        Err(LedgerError::Repeated { attempts }) => {
            assert_eq!(attempts, u32::MAX, "no attempt was left");
            false
        }
        Err(error) => panic!("{error}"),
    };
    let open = ledger.unfinished().to_vec();
    let known: HashSet<&str> = open.iter().map(|open| &*open.id).collect();
    let again = Ledger::open(Some(folder.path()), BOOT_ID, now(2));
    assert_eq!(again.unfinished(), open, "after a restart");
    for id in known {
        assert_eq!(again.attempts(id), ledger.attempts(id), "{id:?}");
    }
    drop(again);
    ledger.finish(fresh, attempt);
    let done = Ledger::open(Some(folder.path()), BOOT_ID, now(3));
    assert_eq!(done.unfinished().len(), left.len(), "{is_begun}");
    drop(folder);
    planted_bug(left.iter().any(|open| open.process.is_some()));
}
