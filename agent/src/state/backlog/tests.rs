//! What is saved when, what comes back, and what no damage to the file can bring about.

use mote_core::backlog::ORIGIN_BYTES;
use mote_core::sample::{Sample, Tenths};
use mote_core::wire::lunasentri::{Form, SystemInfo};

use super::*;
use crate::config::Settings;
use crate::state::store::tests::Folder;

const EVERY_MS: u64 = 600_000;
const BOOT: BootId = [7; 16];
const OTHER_BOOT: BootId = [8; 16];

fn device(capacity: usize) -> Device {
    let settings = Settings {
        buffer_samples: capacity,
        ..Settings::default()
    };
    Device::new(&settings, 0).unwrap()
}

fn this(start: u64, boot_id: BootId) -> Origin<'static> {
    Origin {
        identity: 5,
        start,
        boot_id,
        form: Form::Both,
        info: SystemInfo {
            hostname: "gw-7",
            platform: "debian",
            platform_version: "12",
            kernel_version: "6.1",
            cpu_cores: 4,
            memory_total_mb: 924,
            disk_total_gb: Some(7),
            last_boot_time_ms: None,
        },
    }
}

fn now(boot_ms: u64) -> Now {
    Now {
        boot_ms,
        wall_ms: Some(1_770_000_000_000 + boot_ms),
    }
}

fn take(device: &mut Device, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        device.outbox.overwrite(&Sample {
            number,
            boot_ms: u64::from(number) * 10_000,
            wall_ms: None,
            with_info: false,
            cpu: Tenths::of(1, 3),
            memory: Tenths::ABSENT,
            disk: Tenths::ABSENT,
            network: None,
            uptime_s: None,
        });
    }
}

fn restore(folder: &Folder, device: &mut Device) -> Backlog {
    let mut backlog = Backlog::restore(Some(&folder.0), BOOT, device);
    backlog.save_every_ms = EVERY_MS;
    backlog
}

/// What a start in the same boot finds: the number of the start and of the sample, oldest first.
fn found(folder: &Folder) -> Vec<(u64, u32)> {
    let mut device = device(10_000);
    restore(folder, &mut device);
    let names = |cursor: Cursor| (device.origin(cursor).unwrap().start, cursor.number());
    cursors(&device.outbox).map(names).collect()
}

fn numbered(start: u64, numbers: impl IntoIterator<Item = u32>) -> Vec<(u64, u32)> {
    numbers.into_iter().map(|number| (start, number)).collect()
}

fn file_bytes(folder: &Folder) -> u64 {
    std::fs::metadata(folder.0.join("backlog")).map_or(0, |file| file.len())
}

#[test]
fn nothing_is_written_before_the_server_was_away_for_a_period_and_then_what_is_new() {
    let folder = Folder::new("backlog-period");
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    let this = this(3, BOOT);
    take(&mut device, 1..=60);
    for (away, at_ms) in [(None, 9 * EVERY_MS), (Some(1_000), 1_000 + EVERY_MS - 1)] {
        backlog.turn(&mut device, &this, away, now(at_ms));
        assert!(!folder.0.join("backlog").exists());
    }
    backlog.turn(&mut device, &this, Some(1_000), now(1_000 + EVERY_MS));
    assert_eq!(found(&folder), numbered(3, 1..=60));
    // The origin and sixty samples.
    let first_bytes = file_bytes(&folder);
    assert!(first_bytes < 3_100, "{first_bytes}");
    take(&mut device, 61..=100);
    take(&mut device, 101..=120);
    backlog.turn(
        &mut device,
        &this,
        Some(1_000),
        now(1_000 + 2 * EVERY_MS - 1),
    );
    assert_eq!(file_bytes(&folder), first_bytes);
    backlog.turn(&mut device, &this, Some(1_000), now(1_000 + 2 * EVERY_MS));
    // What a full outbox dropped meanwhile is known to be gone.
    assert_eq!(found(&folder), numbered(3, 21..=120));
    let second_bytes = file_bytes(&folder) - first_bytes;
    assert!(second_bytes <= 3_000, "{second_bytes}");
}

#[test]
fn what_a_server_that_comes_and_goes_leaves_behind_is_saved_when_it_is_more_than_a_period_takes() {
    let folder = Folder::new("backlog-behind");
    let mut device = device(500);
    let mut backlog = restore(&folder, &mut device);
    let this = this(3, BOOT);
    let turn = |backlog: &mut Backlog, device: &mut Device, at_ms| {
        backlog.turn(device, &this, Some(at_ms), now(at_ms));
    };
    take(&mut device, 1..=60);
    turn(&mut backlog, &mut device, 2 * EVERY_MS);
    assert!(!folder.0.join("backlog").exists());
    take(&mut device, [61]);
    turn(&mut backlog, &mut device, 2 * EVERY_MS + 1);
    assert_eq!(found(&folder), numbered(3, 1..=61));
    take(&mut device, 62..=121);
    turn(&mut backlog, &mut device, 4 * EVERY_MS);
    assert_eq!(found(&folder), numbered(3, 1..=61));
    take(&mut device, [122]);
    turn(&mut backlog, &mut device, 5 * EVERY_MS);
    assert_eq!(found(&folder), numbered(3, 1..=122));
}

#[test]
fn what_is_gone_is_known_though_what_goes_along_with_the_samples_changed() {
    let folder = Folder::new("backlog-changed");
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    let mut this = this(3, BOOT);
    take(&mut device, 1..=10);
    backlog.turn(&mut device, &this, Some(0), now(EVERY_MS));
    this.info.platform_version = "13";
    take(&mut device, 11..=20);
    backlog.turn(&mut device, &this, Some(0), now(2 * EVERY_MS));
    for _ in 0..4 {
        let oldest = device.outbox.oldest().unwrap();
        device.outbox.remove(oldest);
    }
    backlog.save(&mut device, &this, now(2 * EVERY_MS + 1));
    assert_eq!(found(&folder), numbered(3, 5..=20));
}

#[test]
fn samples_of_a_record_that_was_spoiled_are_counted() {
    let folder = Folder::new("backlog-one-spoiled");
    let mut first = device(100);
    let mut backlog = restore(&folder, &mut first);
    for save in 0..3 {
        take(&mut first, (1..=5).map(|number| 5 * save + number));
        let at_ms = u64::from(save + 1) * EVERY_MS;
        backlog.turn(&mut first, &this(3, BOOT), Some(0), now(at_ms));
    }
    let path = folder.0.join("backlog");
    let mut bytes = std::fs::read(&path).unwrap();
    // In the body of the last record but one.
    let at = bytes.len() - 5 * SAMPLE_BYTES - 60;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut device = device(100);
    restore(&folder, &mut device);
    let counts = device.counts;
    assert_eq!(device.outbox.len(), 10);
    assert_eq!((counts.restored, counts.dropped_unreadable), (15, 5));
}

#[test]
fn that_the_disk_takes_something_again_is_known_though_nothing_is_held_any_more() {
    let folder = Folder::new("backlog-mended");
    // What is to be replaced, and nothing of that name can be written.
    std::fs::write(folder.0.join("backlog"), [0x5a; 300]).unwrap();
    let path = folder.0.join("backlog.new");
    std::fs::create_dir(&path).unwrap();
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    let is_in_trouble = |backlog: &Backlog| backlog.store.as_ref().unwrap().is_in_trouble();
    backlog.turn(&mut device, &this(3, BOOT), None, now(0));
    assert!(is_in_trouble(&backlog));
    std::fs::remove_dir(&path).unwrap();
    backlog.turn(&mut device, &this(3, BOOT), None, now(1));
    assert!(is_in_trouble(&backlog), "it is left alone for a while");
    backlog.store.as_mut().unwrap().forget_trouble();
    backlog.turn(&mut device, &this(3, BOOT), None, now(2));
    assert!(!is_in_trouble(&backlog));
    assert_eq!(file_bytes(&folder), 0);
}

#[test]
fn an_outbox_that_became_smaller_has_the_newest_and_what_found_no_room_is_counted() {
    let folder = Folder::new("backlog-smaller");
    let mut large = device(6_000);
    let mut backlog = restore(&folder, &mut large);
    take(&mut large, 1..=5_000);
    backlog.save(&mut large, &this(3, BOOT), now(EVERY_MS));
    let mut small = device(100);
    let backlog = restore(&folder, &mut small);
    assert!(backlog.store.as_ref().unwrap().is_good());
    let held: Vec<u32> = cursors(&small.outbox).map(Cursor::number).collect();
    assert_eq!(held, (4_901..=5_000).collect::<Vec<u32>>());
    assert_eq!(small.counts.restored, 5_000);
    assert_eq!(small.counts.dropped_full, 4_900);
}

#[test]
fn a_delivered_backlog_empties_the_file_and_a_part_of_it_is_noted() {
    let folder = Folder::new("backlog-delivered");
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    let this = this(3, BOOT);
    take(&mut device, 1..=10);
    backlog.turn(&mut device, &this, Some(0), now(EVERY_MS));
    let deliver = |device: &mut Device| {
        let oldest = device.outbox.oldest().unwrap();
        device.outbox.remove(oldest);
    };
    for _ in 0..4 {
        deliver(&mut device);
    }
    take(&mut device, 11..=12);
    backlog.turn(&mut device, &this, None, now(2 * EVERY_MS - 1));
    assert_eq!(found(&folder), numbered(3, 1..=10));
    backlog.turn(&mut device, &this, None, now(2 * EVERY_MS));
    // New ones are not written while the server takes them.
    assert_eq!(found(&folder), numbered(3, 5..=10));
    for _ in 0..6 {
        deliver(&mut device);
    }
    backlog.turn(&mut device, &this, None, now(2 * EVERY_MS + 1));
    assert_eq!(file_bytes(&folder), 0);
    // At a stop what is new is written all the same.
    backlog.save(&mut device, &this, now(2 * EVERY_MS + 2));
    assert_eq!(found(&folder), numbered(3, 11..=12));
}

#[test]
fn a_spoiled_file_is_kept_aside_at_the_first_turn_though_nothing_is_to_be_saved() {
    let folder = Folder::new("backlog-spoiled");
    let spoiled = [0x5a; 300];
    std::fs::write(folder.0.join("backlog"), spoiled).unwrap();
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    backlog.turn(&mut device, &this(3, BOOT), None, now(0));
    assert_eq!(file_bytes(&folder), 0);
    let aside = std::fs::read(folder.0.join("backlog.damaged")).unwrap();
    assert_eq!(aside, spoiled);
}

#[test]
fn an_id_that_nobody_counts_to_was_not_given_here_and_none_follows_it() {
    let folder = Folder::new("backlog-last-id");
    let mut body = [0; ORIGIN_BYTES];
    let length = this(2, BOOT).encode(&mut body).unwrap();
    let record = Record {
        kind: ORIGIN,
        id: u64::MAX,
        body: &body[..length],
    };
    let mut file = vec![0; record.file_bytes()];
    record.encode(SEED, &mut file).unwrap();
    std::fs::write(folder.0.join("backlog"), file).unwrap();
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    take(&mut device, 1..=3);
    backlog.save(&mut device, &this(3, BOOT), now(EVERY_MS));
    assert_eq!(found(&folder), numbered(3, 1..=3));
}

#[test]
fn without_periods_it_is_saved_at_a_stop_only() {
    let folder = Folder::new("backlog-never");
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    backlog.save_every_ms = 0;
    let this = this(3, BOOT);
    take(&mut device, 1..=3);
    backlog.turn(&mut device, &this, Some(0), now(100 * EVERY_MS));
    assert_eq!(file_bytes(&folder), 0);
    backlog.save(&mut device, &this, now(100 * EVERY_MS));
    assert_eq!(found(&folder), numbered(3, 1..=3));
}

#[test]
fn samples_of_several_starts_keep_their_names_and_their_order() {
    let folder = Folder::new("backlog-starts");
    for start in 1..=5 {
        let mut device = device(100);
        let mut backlog = restore(&folder, &mut device);
        assert_eq!(device.outbox.len() as u64, (start - 1) * 3);
        take(&mut device, 1..=3);
        // Saved twice: nothing is there twice.
        backlog.save(&mut device, &this(start, BOOT), now(50_000));
        backlog.save(&mut device, &this(start, BOOT), now(60_000));
    }
    let all: Vec<_> = (1..=5).flat_map(|start| numbered(start, 1..=3)).collect();
    assert_eq!(found(&folder), all);
}

#[test]
fn what_the_outbox_has_no_room_for_is_dropped_from_the_old_end_and_counted() {
    let folder = Folder::new("backlog-room");
    let mut first = device(100);
    let mut backlog = restore(&folder, &mut first);
    take(&mut first, 1..=100);
    backlog.save(&mut first, &this(1, BOOT), now(0));
    let mut small = device(30);
    restore(&folder, &mut small);
    assert_eq!(small.outbox.oldest().map(Cursor::number), Some(71));
    assert_eq!(
        (small.counts.restored, small.counts.dropped_full),
        (100, 70)
    );
    assert_eq!(small.counts.dropped(), 70);
}

#[test]
fn provisional_times_of_another_boot_are_dropped_and_counted_and_sure_ones_kept() {
    let folder = Folder::new("backlog-boots");
    let mut first = device(100);
    let mut backlog = restore(&folder, &mut first);
    take(&mut first, 1..=6);
    // 2 and 4 were sent, which made their time sure; the clock here may or may not be synchronized.
    for at in 0..6 {
        let cursor = first.outbox.at(at).unwrap();
        let mut sample = first.outbox.get(cursor).unwrap();
        sample.wall_ms = Some(clock::wall_ms());
        let marks = mote_core::outbox::Marks {
            saved: false,
            provisional: at % 2 == 0,
        };
        first.outbox.update(cursor, &sample, marks);
    }
    backlog.rewrite(&first, &this(1, BOOT)).unwrap();
    assert_eq!(found(&folder), numbered(1, 1..=6));
    for unknown in [OTHER_BOOT, [0; 16]] {
        let mut later = device(100);
        Backlog::restore(Some(&folder.0), unknown, &mut later);
        let numbers: Vec<u32> = cursors(&later.outbox).map(Cursor::number).collect();
        assert_eq!(numbers, [2, 4, 6]);
        assert_eq!(
            (later.counts.restored, later.counts.dropped_no_time),
            (6, 3)
        );
    }
}

#[test]
fn a_time_is_given_anew_only_when_it_is_off() {
    // Taken at 10 s, now 60 s after the start: 50 s old.
    for (has_ms, mended) in [
        (None, Some(950_000)),
        (Some(950_000), None),
        (Some(952_000), None),
        (Some(948_000), None),
        (Some(952_001), Some(950_000)),
        (Some(50), Some(950_000)),
    ] {
        assert_eq!(
            mended_ms(10_000, has_ms, 60_000, 1_000_000),
            mended,
            "{has_ms:?}"
        );
    }
}

#[test]
fn a_clock_is_sure_while_it_is_kept_right_and_afterwards_until_somebody_sets_it() {
    let folder = Folder::new("backlog-sure");
    let mut backlog = restore(&folder, &mut device(10));
    let set_by = |boot_ms, by_ms| Now {
        wall_ms: now(boot_ms).wall_ms.map(|ms| ms + by_ms),
        boot_ms,
    };
    // Synchronized, and yet earlier than a time that is known to have passed.
    let early = Now {
        boot_ms: 30_000,
        wall_ms: None,
    };
    for (is_synchronized, now, is_sure) in [
        (None, now(10_000), false),
        (Some(false), now(20_000), false),
        (Some(true), early, false),
        (Some(false), now(40_000), false),
        (Some(true), now(50_000), true),
        (Some(false), now(90_000_000), true),
        (None, set_by(90_010_000, OFF_MS), true),
        (Some(false), set_by(90_020_000, OFF_MS + 1), false),
        (Some(false), now(90_030_000), true),
        (Some(true), set_by(90_040_000, 60_000), true),
        (Some(false), now(90_050_000), false),
    ] {
        assert_eq!(backlog.is_sure(is_synchronized, now), is_sure, "{now:?}");
    }
}

#[test]
fn a_time_that_is_not_sure_is_given_anew_once_it_is() {
    let mut device = device(10);
    take(&mut device, 1..=2);
    let early = Now {
        boot_ms: 30_000,
        wall_ms: None,
    };
    stamp(&mut device.outbox, false, early);
    let marks = cursors(&device.outbox).map(|cursor| device.outbox.marks(cursor).unwrap());
    assert!(marks.map(|marks| marks.provisional).eq([true, true]));
    // Once it tells the time, so do they.
    stamp(&mut device.outbox, true, now(40_000));
    for cursor in cursors(&device.outbox) {
        let (sample, marks) = (device.outbox.get(cursor), device.outbox.marks(cursor));
        let sample = sample.unwrap();
        assert_eq!(sample.wall_ms, now(sample.boot_ms).wall_ms);
        assert!(!marks.unwrap().provisional);
    }
}

/// Twenty samples that were saved by a clock that is an hour slow and said to be unsure.
fn saved_by_a_slow_clock(folder: &Folder, device: &mut Device) -> Backlog {
    let mut backlog = restore(folder, device);
    take(device, 1..=20);
    let right = now(200_000);
    let slow = Now {
        wall_ms: right.wall_ms.map(|wall_ms| wall_ms - 3_600_000),
        ..right
    };
    stamp(&mut device.outbox, false, slow);
    backlog.rewrite(device, &this(3, BOOT)).unwrap();
    backlog.settle(&mut device.outbox, true);
    backlog.oldest = device.outbox.oldest();
    backlog.next_ms = 200_000 + EVERY_MS;
    backlog
}

/// What is held after the power was away: numbers, each with the right time.
fn right_after_a_power_cut(folder: &Folder) -> Vec<u32> {
    let mut device = device(100);
    Backlog::restore(Some(&folder.0), OTHER_BOOT, &mut device);
    let held = cursors(&device.outbox).map(|cursor| {
        let sample = device.outbox.get(cursor).unwrap();
        assert_eq!(sample.wall_ms, now(sample.boot_ms).wall_ms, "{sample:?}");
        cursor.number()
    });
    held.collect()
}

#[test]
fn once_the_clock_is_right_the_file_is_told_before_its_period_is_over() {
    let folder = Folder::new("backlog-told");
    let mut device = device(100);
    let mut backlog = saved_by_a_slow_clock(&folder, &mut device);
    let this = this(3, BOOT);
    backlog.mend(&mut device, &this, false, now(200_000));
    assert!(right_after_a_power_cut(&folder).is_empty());
    // Right from here on, whatever the kernel says of the clock that runs this test.
    assert!(backlog.is_sure(Some(true), now(210_000)));
    backlog.turn(&mut device, &this, Some(0), now(210_000));
    assert_eq!(
        right_after_a_power_cut(&folder),
        (1..=20).collect::<Vec<u32>>()
    );
    // And once.
    std::fs::remove_file(folder.0.join("backlog")).unwrap();
    take(&mut device, [21]);
    backlog.turn(&mut device, &this, Some(0), now(220_000));
    assert!(!folder.0.join("backlog").exists());
}

#[test]
fn what_is_appended_does_not_make_the_times_in_front_of_it_right() {
    let folder = Folder::new("backlog-in-front");
    let mut device = device(100);
    let mut backlog = saved_by_a_slow_clock(&folder, &mut device);
    let this = this(3, BOOT);
    let in_the_way = folder.0.join("backlog.new");
    std::fs::create_dir(&in_the_way).unwrap();
    take(&mut device, 21..=22);
    backlog.save_every_ms = 10_000;
    assert!(backlog.is_sure(Some(true), now(220_000)));
    backlog.turn(&mut device, &this, Some(0), now(220_000));
    assert_eq!(right_after_a_power_cut(&folder), [21, 22]);
    std::fs::remove_dir(&in_the_way).unwrap();
    // Each attempt writes all that is held, so the next is not made at once.
    backlog.turn(&mut device, &this, Some(0), now(230_000));
    assert_eq!(right_after_a_power_cut(&folder), [21, 22]);
    backlog.turn(&mut device, &this, Some(0), now(220_000 + MEND_EVERY_MS));
    assert_eq!(
        right_after_a_power_cut(&folder),
        (1..=22).collect::<Vec<u32>>()
    );
}

#[test]
fn without_room_for_a_second_file_what_is_new_goes_behind_the_old() {
    let folder = Folder::new("backlog-narrow");
    let mut device = device(100);
    let mut backlog = restore(&folder, &mut device);
    let this = this(3, BOOT);
    take(&mut device, 1..=20);
    backlog.turn(&mut device, &this, Some(0), now(EVERY_MS));
    // A time was given anew, so the file is to be written anew; nothing of that name can be.
    device.restamped = true;
    let in_the_way = folder.0.join("backlog.new");
    std::fs::create_dir(&in_the_way).unwrap();
    take(&mut device, 21..=30);
    backlog.turn(&mut device, &this, Some(0), now(2 * EVERY_MS));
    assert_eq!(found(&folder), numbered(3, 1..=30));
    assert!(device.restamped, "it is still to be written anew");
    let bytes = file_bytes(&folder);
    std::fs::remove_dir(&in_the_way).unwrap();
    take(&mut device, 31..=40);
    backlog.turn(&mut device, &this, Some(0), now(3 * EVERY_MS));
    assert_eq!(found(&folder), numbered(3, 1..=40));
    assert!(!device.restamped);
    assert!(file_bytes(&folder) < bytes + 10 * 50);
}

#[test]
fn a_week_of_outage_writes_little_and_the_file_stays_bounded() {
    let folder = Folder::new("backlog-week");
    let mut device = device(8_640);
    let mut backlog = restore(&folder, &mut device);
    let this = this(1, BOOT);
    let (mut largest, mut written, mut before) = (0, 0, 0);
    let week = 7 * 144;
    for save in 0..week {
        take(&mut device, (1..=60).map(|number| save * 60 + number));
        let at_ms = u64::from(save + 1) * EVERY_MS;
        backlog.turn(&mut device, &this, Some(0), now(at_ms));
        let bytes = file_bytes(&folder);
        // A shorter file was written anew.
        written += bytes.checked_sub(before).unwrap_or(bytes);
        (largest, before) = (largest.max(bytes), bytes);
    }
    assert!(largest <= 2 * 8_640 * 48 + EXTRA_BYTES + 3_100, "{largest}");
    assert_eq!(found(&folder), numbered(1, week * 60 - 8_639..=week * 60));
    let least = u64::from(week) * 2_900;
    assert!((least..2 * least).contains(&written), "{written}");
}

#[test]
fn d8_cut_at_any_byte_and_with_any_byte_spoiled_it_restores_nothing_but_what_was_taken() {
    let folder = Folder::new("backlog-cut");
    let mut first = device(100);
    let mut backlog = restore(&folder, &mut first);
    for (saved, boot_ms) in [(1..=2, EVERY_MS), (3..=4, 2 * EVERY_MS)] {
        take(&mut first, saved);
        backlog.turn(&mut first, &this(1, BOOT), Some(0), now(boot_ms));
    }
    let kept: Vec<_> = cursors(&first.outbox)
        .map(|cursor| first.outbox.get(cursor).unwrap())
        .collect();
    let path = folder.0.join("backlog");
    let whole = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], what: &str| {
        std::fs::write(&path, bytes).unwrap();
        let mut device = device(100);
        let mut backlog = restore(&folder, &mut device);
        for cursor in cursors(&device.outbox) {
            let sample = device.outbox.get(cursor).unwrap();
            assert!(kept.contains(&sample), "{what}: {sample:?}");
            assert_eq!(device.origin(cursor), Some(this(1, BOOT)), "{what}");
        }
        let counts = device.counts;
        let held = device.outbox.len() as u64;
        assert_eq!(counts.restored, held + counts.dropped(), "{what}");
        take(&mut device, [1]);
        backlog.save(&mut device, &this(2, BOOT), now(5));
        assert_eq!(found(&folder).len() as u64, held + 1, "{what}");
        assert_eq!(found(&folder).last(), Some(&(2, 1)), "{what}");
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
