//! What may begin, what is remembered, and what no damage to the file can bring about.

use super::*;
use crate::state::store::tests::Folder;

const BOOT: BootId = [7; 16];
const DAY_MS: u64 = 86_400_000;
const WALL_MS: u64 = 1_770_000_000_000;

fn now(day: u64) -> Now {
    Now {
        boot_ms: day * DAY_MS,
        wall_ms: Some(WALL_MS + day * DAY_MS),
    }
}

fn open(folder: &Folder, day: u64) -> Ledger {
    Ledger::open(Some(&folder.0), BOOT, now(day))
}

#[test]
fn an_attempt_is_remembered_and_never_begins_twice() {
    let folder = Folder::new("ledger-twice");
    let mut ledger = open(&folder, 0);
    ledger.begin("a", 1, now(0)).unwrap();
    for _ in 0..2 {
        let again = ledger.begin("a", 1, now(0));
        assert!(matches!(again, Err(LedgerError::Repeated { attempts: 1 })));
        drop(ledger);
        ledger = open(&folder, 0);
    }
    ledger.finish("a", 1);
    ledger.begin("a", 2, now(0)).unwrap();
    assert_eq!((ledger.attempts("a"), ledger.attempts("b")), (2, 0));
    for id in ["", &"x".repeat(ID_BYTES + 1)] {
        let refused = ledger.begin(id, 1, now(0));
        assert!(matches!(refused, Err(LedgerError::BadId)));
    }
}

#[test]
fn what_did_not_end_is_known_to_the_next_start_with_its_process() {
    let folder = Folder::new("ledger-open");
    let mut ledger = open(&folder, 0);
    let process = Process {
        group: 4711,
        start_ticks: 99,
    };
    for id in ["ended", "running", "begun"] {
        ledger.begin(id, 1, now(0)).unwrap();
    }
    ledger.started("ended", 1, process);
    ledger.started("running", 1, process);
    ledger.finish("ended", 1);
    drop(ledger);
    let mut ledger = Ledger::open(Some(&folder.0), [8; 16], now(1));
    let expected = |id: &str, process| Unfinished {
        id: id.into(),
        attempt: 1,
        boot_id: BOOT,
        process,
    };
    let left = [expected("running", Some(process)), expected("begun", None)];
    assert_eq!(ledger.unfinished(), left);
    ledger.finish("running", 1);
    drop(ledger);
    assert_eq!(open(&folder, 1).unfinished(), &left[1..]);
}

#[test]
fn without_a_disk_nothing_begins() {
    let mut ledger = Ledger::open(None, BOOT, now(0));
    let begun = ledger.begin("a", 1, now(0));
    assert!(matches!(begun, Err(LedgerError::NotWritten(_))));
    assert_eq!(ledger.attempts("a"), 0);
    assert!(!ledger.is_writable());
    let folder = Folder::new("ledger-gone");
    let mut ledger = Ledger::open(Some(&folder.0.join("none")), BOOT, now(0));
    assert!(ledger.begin("a", 1, now(0)).is_err());
    assert!(ledger.unfinished().is_empty());
}

#[test]
fn ids_are_kept_for_thirty_days_and_thousands_of_them() {
    let folder = Folder::new("ledger-keep");
    let mut ledger = open(&folder, 0);
    ledger.begin("old", 1, now(0)).unwrap();
    ledger.begin("under way", 1, now(0)).unwrap();
    ledger.finish("old", 1);
    ledger.begin("young", 1, now(30)).unwrap();
    assert_eq!(ledger.attempts("old"), 1);
    ledger.begin("younger", 1, now(31)).unwrap();
    assert_eq!(
        (ledger.attempts("old"), ledger.attempts("under way")),
        (0, 1)
    );
    for number in 0..LIMIT_COUNT {
        ledger.see(key(&number.to_string()), 1, WALL_MS);
    }
    assert_eq!((ledger.attempts("young"), ledger.attempts("0")), (0, 1));
    assert_eq!(ledger.seen.len(), LIMIT_COUNT);
}

#[test]
fn the_file_stays_small_and_says_the_same_when_it_is_written_anew() {
    let folder = Folder::new("ledger-small");
    let mut ledger = open(&folder, 0);
    let long = "x".repeat(200);
    let id = |number: u32| format!("{long}{number}");
    // Two thousand attempts and their ends do not fit.
    for number in 0..1_500 {
        ledger.see(key(&id(number)), 3, WALL_MS);
    }
    ledger.begin("under way", 2, now(0)).unwrap();
    ledger.rewrite(None).unwrap();
    for number in 1_500..3_000 {
        ledger.begin(&id(number), 3, now(0)).unwrap();
        ledger.finish(&id(number), 3);
    }
    drop(ledger);
    let file = std::fs::metadata(folder.0.join("ledger")).unwrap().len();
    assert!(file < LIMIT_BYTES + 1_000, "{file}");
    let ledger = open(&folder, 0);
    assert!((0..3_000).all(|number| ledger.attempts(&id(number)) == 3));
    assert_eq!(ledger.unfinished().len(), 1);
    assert_eq!(ledger.attempts("under way"), 2);
}

#[test]
fn d8_cut_at_any_byte_and_with_any_byte_spoiled_it_opens_with_nothing_but_what_was_written() {
    let folder = Folder::new("ledger-cut");
    let mut ledger = open(&folder, 0);
    ledger.begin("one", 1, now(0)).unwrap();
    ledger.finish("one", 1);
    ledger.rewrite(None).unwrap();
    ledger.begin("two", 2, now(0)).unwrap();
    let process = Process {
        group: 2,
        start_ticks: 3,
    };
    ledger.started("two", 2, process);
    drop(ledger);
    let path = folder.0.join("ledger");
    let whole = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let mut ledger = open(&folder, 0);
        assert!(ledger.attempts("one") <= 1, "{what}");
        assert!([0, 2].contains(&ledger.attempts("two")), "{what}");
        for left in ledger.unfinished() {
            assert_eq!((&*left.id, left.attempt), ("two", 2), "{what}");
            assert!(left.process.is_none_or(|found| found == process), "{what}");
        }
        ledger.begin("after", 1, now(0)).unwrap();
        assert_eq!(open(&folder, 0).attempts("after"), 1, "{what}");
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
