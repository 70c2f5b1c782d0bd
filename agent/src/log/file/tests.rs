//! The file is driven with small sizes, in a folder of its own, at moments that the test names.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use mote_core::log_line::Level;

use super::*;
use crate::log::tests::{Folder, gunzip, names};

const LIMITS: Limits = Limits {
    max_bytes: 300,
    backups: 3,
    max_age_days: 30,
    compress: false,
};
/// `1970-01-01T00:00:00Z INFO  line 0007` and a line feed.
const LINE_BYTES: u64 = 37;

fn log(folder: &Folder, limits: Limits) -> LogFile {
    let look = Look::Text { colour: false };
    LogFile::new(folder.0.join("a.log"), limits, look, 0)
}

fn say(log: &mut LogFile, number: u32, now_ms: u64) {
    let entry = Entry {
        wall_ms: 0,
        level: Level::Info,
        msg: &format!("line {number:04}"),
        key_hash: "",
        fields: &[],
    };
    log.send(&entry, now_ms);
}

/// The numbers of all lines that are there, the oldest file first.
fn numbers(folder: &Folder) -> Vec<u32> {
    let log = folder.0.join("a.log");
    let mut bytes = Vec::new();
    for old in rotate::list(&log).unwrap() {
        let path = old.path(&log);
        bytes.extend(if old.is_gzip {
            gunzip(&path)
        } else {
            fs::read(path).unwrap()
        });
    }
    bytes.extend(fs::read(log).unwrap());
    let text = String::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect()
}

fn size(folder: &Folder, name: &str) -> u64 {
    fs::metadata(folder.0.join(name)).unwrap().len()
}

#[test]
fn folder_and_file_are_the_owners_alone() {
    let folder = Folder::new("modes");
    let path = folder.0.join("down/a.log");
    let mut log = LogFile::new(path.clone(), LIMITS, Look::Json, 0);
    say(&mut log, 1, 0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert!(fs::read_to_string(path).unwrap().contains("line 0001"));
}

#[test]
fn no_line_is_lost_and_no_file_too_large() {
    let folder = Folder::new("rotate");
    let mut log = log(&folder, LIMITS);
    for number in 0..20 {
        say(&mut log, number, 0);
    }
    assert_eq!(names(&folder), ["a.log", "a.log.1", "a.log.2"]);
    assert_eq!(numbers(&folder), (0..20).collect::<Vec<_>>());
    for number in 20..1003 {
        say(&mut log, number, 0);
    }
    assert_eq!(names(&folder), ["a.log", "a.log.1", "a.log.2", "a.log.3"]);
    let per_file = (LIMITS.max_bytes / LINE_BYTES) as u32;
    let kept = numbers(&folder);
    assert_eq!(kept.len() as u32, 3 * per_file + 1003 % per_file);
    assert_eq!(kept, (1003 - kept.len() as u32..1003).collect::<Vec<_>>());
    assert_eq!(log.tally.dropped, 0);
    assert!(
        names(&folder)
            .iter()
            .all(|name| size(&folder, name) <= LIMITS.max_bytes)
    );
}

#[test]
fn an_empty_file_takes_any_line() {
    let folder = Folder::new("tiny");
    let limits = Limits {
        max_bytes: 5,
        ..LIMITS
    };
    let mut log = log(&folder, limits);
    for number in 0..3 {
        say(&mut log, number, 0);
    }
    assert_eq!(numbers(&folder), [0, 1, 2]);
    assert_eq!(names(&folder), ["a.log", "a.log.1", "a.log.2"]);
}

#[test]
fn half_a_line_in_a_file_that_somebody_put_there_is_ended() {
    let folder = Folder::new("torn-later");
    let mut log = log(&folder, LIMITS);
    fs::remove_file(folder.0.join("a.log")).unwrap();
    fs::write(folder.0.join("a.log"), "half").unwrap();
    say(&mut log, 1, LOOK_EVERY_MS);
    say(&mut log, 2, LOOK_EVERY_MS);
    let text = fs::read_to_string(folder.0.join("a.log")).unwrap();
    assert_eq!(text.lines().map(str::len).collect::<Vec<_>>(), [4, 36, 36]);
}

#[test]
fn without_backups_the_file_begins_anew() {
    let folder = Folder::new("no-backups");
    let limits = Limits {
        backups: 0,
        ..LIMITS
    };
    let mut log = log(&folder, limits);
    for number in 0..10 {
        say(&mut log, number, 0);
    }
    assert_eq!(names(&folder), ["a.log"]);
    assert_eq!(numbers(&folder), [8, 9]);
}

#[test]
fn old_files_are_compressed_while_the_log_goes_on() {
    let folder = Folder::new("compress");
    let limits = Limits {
        max_bytes: 200_000,
        backups: 4,
        compress: true,
        ..LIMITS
    };
    let mut log = log(&folder, limits);
    let (mut now_ms, mut next_ms) = (0, 0);
    // A file takes some twenty rounds to fill and five turns to compress.
    for number in 0..20_000 {
        say(&mut log, number, now_ms);
        if number % 250 == 249 {
            now_ms += BLOCK_EVERY_MS;
            next_ms = log.turn(now_ms, true);
        }
    }
    let expected = ["a.log", "a.log.1.gz", "a.log.2.gz", "a.log.3.gz"];
    assert_eq!(names(&folder), expected);
    assert_eq!(numbers(&folder), (0..20_000).collect::<Vec<_>>());
    assert!(log.job.is_none() && next_ms >= now_ms + PRUNE_EVERY_MS / 2);
}

#[test]
fn a_job_keeps_its_file_when_the_log_is_rotated_under_it() {
    let folder = Folder::new("compress-shift");
    let limits = Limits {
        max_bytes: 150_000,
        backups: 3,
        compress: true,
        ..LIMITS
    };
    let mut log = log(&folder, limits);
    let per_file = (limits.max_bytes / LINE_BYTES) as u32;
    let mut lines = 0..;
    let mut fill = |log: &mut LogFile, count: u32| {
        lines
            .by_ref()
            .take(count as usize)
            .for_each(|number| say(log, number, 0));
    };
    fill(&mut log, per_file + 1);
    log.turn(0, false);
    assert!(log.job.is_some());
    fill(&mut log, per_file);
    assert_eq!(log.job.as_ref().map(|job| job.number), Some(2));
    let mut now_ms = 0;
    while log.job.is_some() {
        now_ms += BLOCK_EVERY_MS;
        log.turn(now_ms, true);
    }
    assert!(folder.0.join("a.log.2.gz").exists() && !folder.0.join("a.log.2").exists());
    log.turn(now_ms + BLOCK_EVERY_MS, false);
    assert_eq!(log.job.as_ref().map(|job| job.number), Some(1));
    // Rotated until its file is beyond the last number: the job goes with it.
    fill(&mut log, 3 * per_file);
    assert!(log.job.is_none());
    assert_eq!(names(&folder), ["a.log", "a.log.1", "a.log.2", "a.log.3"]);
}

#[test]
fn a_file_that_was_moved_or_emptied_by_others_is_noticed() {
    let folder = Folder::new("moved");
    let path = folder.0.join("a.log");
    let mut log = log(&folder, LIMITS);
    say(&mut log, 0, 0);
    fs::rename(&path, folder.0.join("theirs")).unwrap();
    say(&mut log, 1, LOOK_EVERY_MS - 1);
    assert!(!path.exists(), "it is looked for once a second only");
    say(&mut log, 2, LOOK_EVERY_MS);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    for number in 3..10 {
        say(&mut log, number, 2 * LOOK_EVERY_MS);
    }
    assert_eq!(size(&folder, "a.log"), 7 * LINE_BYTES);
    fs::write(&path, "").unwrap();
    for number in 10..18 {
        say(&mut log, number, 3 * LOOK_EVERY_MS);
    }
    assert_eq!(names(&folder), ["a.log", "theirs"]);
    assert_eq!(log.tally.dropped, 0);
}

#[test]
fn d9_a_link_and_what_is_no_file_are_refused_once_and_tried_again() {
    let folder = Folder::new("link");
    let path = folder.0.join("a.log");
    std::os::unix::fs::symlink(folder.0.join("target"), &path).unwrap();
    let mut log = log(&folder, LIMITS);
    assert!(log.trouble.take().unwrap().msg.contains("cannot be opened"));
    say(&mut log, 0, 1);
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    say(&mut log, 1, OPEN_AGAIN_MS);
    assert!(log.trouble.is_none(), "said once");
    assert_eq!(names(&folder), ["a.log"]);
    fs::remove_file(&path).unwrap();
    say(&mut log, 2, 2 * OPEN_AGAIN_MS - 1);
    assert_eq!(log.tally.dropped, 3);
    say(&mut log, 3, 2 * OPEN_AGAIN_MS);
    let text = fs::read_to_string(&path).unwrap();
    let said: Vec<_> = text.lines().map(|line| &line[27..]).collect();
    assert_eq!(said, ["Log lines dropped dropped=3", "line 0003"]);
}

#[test]
fn half_a_line_that_a_power_cut_left_is_ended() {
    let folder = Folder::new("torn");
    fs::write(folder.0.join("a.log"), "{\"half").unwrap();
    let mut log = log(&folder, LIMITS);
    say(&mut log, 1, 0);
    let text = fs::read_to_string(folder.0.join("a.log")).unwrap();
    assert!(text.starts_with("{\"half\n1970"), "{text}");
    say(&mut log, 2, 0);
    assert_eq!(
        fs::read_to_string(folder.0.join("a.log"))
            .unwrap()
            .lines()
            .count(),
        3
    );
}

#[test]
fn d9_a_file_that_cannot_be_renamed_grows_to_twice_its_size_and_no_further() {
    let folder = Folder::new("stuck");
    // A folder of that name that is not empty is in the way, whoever the user is.
    let mut log = log(
        &folder,
        Limits {
            backups: 1,
            ..LIMITS
        },
    );
    fs::create_dir_all(folder.0.join("a.log.1/x")).unwrap();
    for number in 0..30 {
        say(&mut log, number, 0);
    }
    assert!(
        log.trouble
            .take()
            .unwrap()
            .msg
            .contains("cannot be renamed")
    );
    let lines = 2 * LIMITS.max_bytes / LINE_BYTES;
    assert_eq!(size(&folder, "a.log"), lines * LINE_BYTES);
    assert_eq!(log.tally.dropped, 30 - lines);
    fs::remove_dir_all(folder.0.join("a.log.1")).unwrap();
    say(&mut log, 30, ROTATE_AGAIN_MS - 1);
    assert!(log.trouble.is_none() && !folder.0.join("a.log.1").exists());
    say(&mut log, 31, ROTATE_AGAIN_MS);
    let text = fs::read_to_string(folder.0.join("a.log")).unwrap();
    assert!(
        text.contains("dropped=15") && text.contains("line 0031"),
        "{text}"
    );
    assert_eq!(size(&folder, "a.log.1"), lines * LINE_BYTES);
}
