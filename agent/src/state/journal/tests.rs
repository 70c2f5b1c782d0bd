//! What is held, what goes when there is no room, and what no damage to the file can bring about.

use super::*;
use crate::state::store::tests::Folder;

const DAY_MS: u64 = 86_400_000;
const WALL_MS: u64 = 1_770_000_000_000;

fn now(boot_ms: u64) -> Now {
    Now {
        boot_ms,
        wall_ms: Some(WALL_MS + boot_ms),
    }
}

fn bodies(journal: &mut Journal, kind: Kind) -> Vec<Vec<u8>> {
    let held: Vec<_> = journal.unacknowledged(kind).collect();
    let mut buffer = Vec::new();
    held.iter()
        .map(|(id, bytes)| {
            let body = journal.read(*id, &mut buffer).unwrap();
            assert_eq!(body.len(), *bytes);
            body.to_vec()
        })
        .collect()
}

#[test]
fn what_is_not_acknowledged_is_there_after_a_restart_oldest_first() {
    let folder = Folder::new("journal-restart");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let one = journal.push(Kind::Event, b"one", now(1)).unwrap();
    journal.push(Kind::Result, b"two", now(2)).unwrap();
    journal.push(Kind::Event, b"three", now(3)).unwrap();
    assert!(journal.acknowledge(one));
    assert!(!journal.acknowledge(one));
    journal.turn(now(2_000));
    let mut journal = Journal::open(Some(&folder.0), now(9_000));
    assert_eq!(bodies(&mut journal, Kind::Event), [b"three"]);
    assert_eq!(bodies(&mut journal, Kind::Result), [b"two"]);
    // No id is given twice while one is held.
    let ids: Vec<_> = journal.unacknowledged(Kind::Event).collect();
    let four = journal.push(Kind::Event, b"four", now(9_001)).unwrap();
    assert!(ids.iter().all(|(id, _)| *id != four));
}

#[test]
fn an_empty_journal_takes_no_room() {
    let folder = Folder::new("journal-empty");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    for at in 0..100 {
        let id = journal.push(Kind::Event, &[7; 500], now(at)).unwrap();
        journal.acknowledge(id);
    }
    assert_eq!(journal.turn(now(1_200)), 2_200);
    assert_eq!(journal.turn(now(2_200)), u64::MAX);
    assert_eq!(
        std::fs::metadata(folder.0.join("journal")).unwrap().len(),
        0
    );
}

#[test]
fn events_are_flushed_at_most_once_a_second_and_results_at_once() {
    let folder = Folder::new("journal-flush");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    journal.push(Kind::Event, b"event", now(0)).unwrap();
    let is_unsafe = |journal: &Journal| journal.store.as_ref().unwrap().is_unsafe();
    assert_eq!(journal.turn(now(0)), FLUSH_EVERY_MS);
    assert!(!is_unsafe(&journal));
    journal.push(Kind::Event, b"event", now(1)).unwrap();
    assert_eq!(journal.turn(now(1)), FLUSH_EVERY_MS);
    assert!(is_unsafe(&journal));
    journal.turn(now(FLUSH_EVERY_MS));
    assert!(!is_unsafe(&journal));
    journal.push(Kind::Event, b"event", now(1_100)).unwrap();
    journal.push(Kind::Result, b"result", now(1_200)).unwrap();
    assert!(!is_unsafe(&journal));
}

#[test]
fn when_it_is_full_the_oldest_events_go_and_no_result() {
    let folder = Folder::new("journal-full");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    for number in 0..20_u32 {
        let body = [&number.to_le_bytes()[..], &[1; 10_000]].concat();
        journal.push(Kind::Result, &body, now(0)).unwrap();
    }
    for number in 0..5_000_u32 {
        let body = [&number.to_le_bytes()[..], &[2; 1_000]].concat();
        journal
            .push(Kind::Event, &body, now(number.into()))
            .unwrap();
        let file = std::fs::metadata(folder.0.join("journal")).unwrap().len();
        assert!(file <= LIMIT_BYTES, "{file}");
    }
    let counts = journal.counts();
    assert_eq!(counts.results, 20);
    assert_eq!(counts.events + counts.events_dropped, 5_000);
    assert!(counts.events > 500, "{counts:?}");
    let mut journal = Journal::open(Some(&folder.0), now(5_000));
    assert_eq!(bodies(&mut journal, Kind::Result).len(), 20);
    let events = bodies(&mut journal, Kind::Event);
    let numbers = events
        .iter()
        .map(|body| u32::from_le_bytes(*body.first_chunk().unwrap()));
    assert!(numbers.eq(5_000 - events.len() as u32..5_000));
}

#[test]
fn results_go_only_when_they_are_seven_days_old() {
    let folder = Folder::new("journal-old");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let body = vec![3; 60_000];
    let mut pushed = 0;
    while journal.has_room(body.len(), now(pushed)) {
        journal.push(Kind::Result, &body, now(pushed)).unwrap();
        pushed += 1;
    }
    assert!((10..18).contains(&pushed), "{pushed}");
    // Beyond what it asks for it has some room, and then none.
    while journal.push(Kind::Result, &body, now(7 * DAY_MS)).is_ok() {}
    assert_eq!(journal.counts().results_dropped, 0);
    let event = journal.push(Kind::Event, &body, now(7 * DAY_MS));
    assert_eq!(event, Err(PushError::NoRoom));
    assert_eq!(journal.counts().events_dropped, 1);
    let later = now(7 * DAY_MS + 1_000);
    assert!(journal.has_room(body.len(), later));
    journal.push(Kind::Result, &body, later).unwrap();
    assert!(journal.counts().results_dropped > 0);
}

#[test]
fn without_a_folder_it_holds_what_fits_in_memory() {
    let mut journal = Journal::open(None, now(0));
    for number in 0..1_000_u32 {
        journal
            .push(Kind::Event, &[5; 1_000], now(number.into()))
            .unwrap();
    }
    assert!(journal.memory_bytes <= MEMORY_BYTES);
    let counts = journal.counts();
    assert_eq!(counts.events + counts.events_dropped, 1_000);
    assert_eq!(
        bodies(&mut journal, Kind::Event).len() as u64,
        counts.events
    );
    assert_eq!(journal.turn(now(5_000)), u64::MAX);
    assert!(matches!(
        journal.push(Kind::Event, &vec![0; MAX_BODY_BYTES], now(0)),
        Err(PushError::TooLong)
    ));
}

#[test]
fn what_the_disk_did_not_take_is_written_when_it_does() {
    let folder = Folder::new("journal-mend");
    let place = folder.0.join("state");
    // There is no such folder yet: nothing can be written.
    let mut journal = Journal::open(Some(&place), now(0));
    journal.push(Kind::Result, b"kept", now(0)).unwrap();
    assert_eq!(bodies(&mut journal, Kind::Result), [b"kept"]);
    std::fs::create_dir(&place).unwrap();
    journal.store.as_mut().unwrap().forget_trouble();
    journal.turn(now(70_000));
    drop(journal);
    let mut journal = Journal::open(Some(&place), now(0));
    assert_eq!(bodies(&mut journal, Kind::Result), [b"kept"]);
}

#[test]
fn d4_nothing_is_lost_when_a_new_file_stands_and_its_name_could_not_be_flushed() {
    let folder = Folder::new("journal-name");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let all = [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
    let mut ids = Vec::new();
    for body in [b"zero"]
        .iter()
        .map(|b| &b[..])
        .chain(all.iter().map(Vec::as_slice))
    {
        ids.push(journal.push(Kind::Result, body, now(0)).unwrap());
    }
    journal.acknowledge(ids[0]);
    folder.hide(true);
    assert!(journal.rewrite().is_err());
    folder.hide(false);
    assert_eq!(bodies(&mut journal, Kind::Result), all);
    journal.store.as_mut().unwrap().forget_trouble();
    journal.turn(now(2_000));
    assert_eq!(bodies(&mut journal, Kind::Result), all);
    let mut again = Journal::open(Some(&folder.0), now(3_000));
    assert_eq!(bodies(&mut again, Kind::Result), all);
}

#[test]
fn what_had_to_go_stays_gone_after_a_restart_and_what_is_new_does_not() {
    let folder = Folder::new("journal-count");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let count = LIMIT_COUNT as u32 + 5;
    for number in 0..count {
        journal
            .push(Kind::Event, &number.to_le_bytes(), now(0))
            .unwrap();
    }
    let newest = |journal: &mut Journal| {
        let numbers = bodies(journal, Kind::Event);
        let numbers = numbers
            .iter()
            .map(|body| u32::from_le_bytes(*body.first_chunk().unwrap()));
        assert!(numbers.eq(5..count));
    };
    // A power cut may come before the file is told.
    newest(&mut Journal::open(Some(&folder.0), now(0)));
    journal.turn(now(2_000));
    drop(journal);
    let mut journal = Journal::open(Some(&folder.0), now(0));
    newest(&mut journal);
    assert_eq!(journal.counts().events_dropped, 0);
}

#[test]
fn what_was_acknowledged_while_the_disk_was_full_is_written_when_it_has_room() {
    let folder = Folder::new("journal-full-disk");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let one = journal.push(Kind::Result, b"one", now(0)).unwrap();
    journal.push(Kind::Result, b"two", now(0)).unwrap();
    journal.store.as_mut().unwrap().fill_disk(true);
    journal.acknowledge(one);
    journal.turn(now(2_000));
    let store = journal.store.as_mut().unwrap();
    store.fill_disk(false);
    store.forget_trouble();
    journal.turn(now(20_000));
    let mut journal = Journal::open(Some(&folder.0), now(0));
    assert_eq!(bodies(&mut journal, Kind::Result), [b"two"]);
}

#[test]
fn what_was_acknowledged_does_not_come_again_after_a_kill() {
    let folder = Folder::new("journal-killed");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let one = journal.push(Kind::Result, b"one", now(5_000)).unwrap();
    let two = journal.push(Kind::Result, b"two", now(5_000)).unwrap();
    for (id, left) in [(one, 1), (two, 0)] {
        journal.acknowledge(id);
        // It is not time for a flush, and a kill does not wait for one.
        assert_eq!(journal.turn(now(5_010)), 6_000);
        let mut after = Journal::open(Some(&folder.0), now(5_020));
        assert_eq!(bodies(&mut after, Kind::Result).len(), left, "{id}");
    }
    // Then the file is emptied.
    assert_eq!(journal.turn(now(6_000)), 7_000);
    assert_eq!(
        std::fs::metadata(folder.0.join("journal")).unwrap().len(),
        0
    );
    assert_eq!(journal.turn(now(6_001)), u64::MAX);
}

#[test]
fn a_disk_that_stays_full_does_not_fill_the_memory() {
    let folder = Folder::new("journal-full-memory");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    journal.store.as_mut().unwrap().fill_disk(true);
    for number in 0..1_000 {
        // Each comes when it is time to try the disk again.
        journal.store.as_mut().unwrap().forget_trouble();
        journal.push(Kind::Event, &[5; 1_000], now(number)).unwrap();
        assert!(journal.memory_bytes <= MEMORY_BYTES);
    }
    let counts = journal.counts();
    assert_eq!(counts.events + counts.events_dropped, 1_000);
}

/// An event as a file has it, whoever wrote it.
fn foreign(id: u64, body: &[u8]) -> Vec<u8> {
    let body = [&WALL_MS.to_le_bytes()[..], body].concat();
    let record = Record {
        kind: Kind::Event as u8,
        id,
        body: &body,
    };
    let mut file = vec![0; record.file_bytes()];
    record.encode(SEED, &mut file).unwrap();
    file
}

#[test]
fn an_id_is_held_once_whatever_the_file_says() {
    let folder = Folder::new("journal-same-id");
    let file = [foreign(3, b"one"), foreign(3, b"another")].concat();
    std::fs::write(folder.0.join("journal"), file).unwrap();
    let mut journal = Journal::open(Some(&folder.0), now(0));
    assert_eq!(bodies(&mut journal, Kind::Event), [b"one"]);
    assert!(journal.acknowledge(3) && !journal.acknowledge(3));
}

#[test]
fn an_id_that_nobody_counts_to_was_not_given_here_and_none_follows_it() {
    let folder = Folder::new("journal-last-id");
    for id in [LAST_ID, LAST_ID + 1, u64::MAX - 1, u64::MAX] {
        std::fs::write(folder.0.join("journal"), foreign(id, b"foreign")).unwrap();
        let mut journal = Journal::open(Some(&folder.0), now(0));
        assert_eq!(journal.counts().events, u64::from(id <= LAST_ID), "{id}");
        let one = journal.push(Kind::Result, b"one", now(1)).unwrap();
        let two = journal.push(Kind::Result, b"two", now(2)).unwrap();
        assert!(one < two, "{id}");
    }
}

#[test]
fn d8_cut_at_any_byte_and_with_any_byte_spoiled_it_opens_with_nothing_but_what_was_pushed() {
    let folder = Folder::new("journal-cut");
    let mut journal = Journal::open(Some(&folder.0), now(0));
    let mut pushed = vec![];
    for number in 0..4_u8 {
        let body = vec![number; 5 + usize::from(number)];
        let kind = [Kind::Event, Kind::Result][usize::from(number % 2)];
        let id = journal.push(kind, &body, now(number.into())).unwrap();
        pushed.push(body);
        if number == 1 {
            journal.acknowledge(id);
            journal.turn(now(1_000));
        }
    }
    drop(journal);
    let path = folder.0.join("journal");
    let whole = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let mut journal = Journal::open(Some(&folder.0), now(9));
        for kind in [Kind::Event, Kind::Result] {
            for body in bodies(&mut journal, kind) {
                assert!(pushed.contains(&body), "{what}: {body:?}");
            }
        }
        let held = journal.counts().events + journal.counts().results;
        let id = journal.push(Kind::Result, b"after", now(10)).unwrap();
        drop(journal);
        let mut journal = Journal::open(Some(&folder.0), now(11));
        let mut buffer = Vec::new();
        assert_eq!(journal.read(id, &mut buffer), Some(&b"after"[..]), "{what}");
        let counts = journal.counts();
        assert_eq!(counts.events + counts.results, held + 1, "{what}");
    };
    for cut in 0..whole.len() {
        check(&whole[..cut], &format!("cut at byte {cut}"));
    }
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        check(&bytes, &format!("byte {at} spoiled"));
    }
}
