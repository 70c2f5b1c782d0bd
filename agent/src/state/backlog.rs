//! Held samples on disk, so that they outlive the agent and the power.
//!
//! Nothing is written while the server takes samples. When it has been away for
//! [`save_every_ms`](Backlog::save_every_ms), what is held is appended to `backlog`, then every
//! `save_every_ms` what is new, each time with one flush: 2.9 kB for ten minutes at 10 s. What is new
//! is saved at a clean stop too. While the backlog is being delivered, how far that got is written as
//! often; when nothing that was saved is held any more the file is emptied, once.
//!
//! A saved sample gets its wall time when it is saved, and keeps it, so that its request is the same
//! bytes whoever sends it. Unless the clock is synchronized, or was and nobody set it since, that time
//! is provisional. It is given anew if the clock turns out to have been wrong, as long as the kernel's
//! boot is the same; after that there is no telling when the sample was taken: it is dropped and
//! counted. So once the clock is known to be right, the file is told at once and not when its period
//! is over: the power may not last that long.
//!
//! The file stays below about twice what the outbox holds. What it says is `mote_core::backlog`;
//! when a sample is sent is `mote_core::delivery`.

mod writer;

use std::io;
use std::path::Path;

use mote_core::backlog::{GONE, ORIGIN, Origin, SAMPLE_BYTES, SAMPLES, read_gone, read_samples};
use mote_core::log_line::Value;
use mote_core::outbox::Cursor;
use mote_core::record::Record;

use super::store::{LAST_ID, Store};
use super::{BootId, Now};
use crate::clock;
use crate::config::settings::MAX_BUFFER_SAMPLES;
use crate::device::{Device, Samples};
use crate::log;
use writer::Writer;

const SEED: u32 = u32::from_le_bytes(*b"blg1");
/// For origins and heads, whatever the outbox holds.
const EXTRA_BYTES: u64 = 128 * 1024;
/// No file is longer, whatever the outbox of the start that wrote it held.
const LIMIT_BYTES: u64 = 4 * (MAX_BUFFER_SAMPLES * SAMPLE_BYTES) as u64 + EXTRA_BYTES;
/// A provisional time that is off by more than this is given anew.
const OFF_MS: u64 = 2_000;
/// Between two questions to the kernel whether the clock is right.
const ASK_CLOCK_EVERY_MS: u64 = 60_000;
/// After an attempt to give the file's samples their times anew that failed: each writes all that is
/// held.
const MEND_EVERY_MS: u64 = 600_000;
/// Starts of which samples are held at once. A device that starts every ten minutes in an outage
/// gets here after a week.
const ORIGINS: usize = 1_024;

/// The file, and what is in it.
#[derive(Debug)]
pub struct Backlog {
    /// None where there is no folder.
    store: Option<Store>,
    /// Between two writes; 0 saves at a clean stop only.
    pub save_every_ms: u64,
    next_ms: u64,
    /// Names of the restored origins' records, in their order.
    origin_ids: Vec<u64>,
    /// The body of this start's origin as the file has it, and the name of its record.
    written_origin: Option<(u64, Vec<u8>)>,
    next_id: u64,
    /// The oldest sample that was held when the file was written last.
    oldest: Option<Cursor>,
    /// The file has times that are provisional.
    has_provisional: bool,
    /// Wall time less time since the device started, when the clock was last synchronized.
    sure_offset_ms: Option<i64>,
    /// When the kernel is next asked whether it is.
    ask_clock_ms: u64,
    /// The file's times are not given anew before, should they have to be.
    mend_ms: u64,
}

impl Backlog {
    /// Puts what is in `folder` back into the device's outbox, before its first sample.
    pub fn restore(folder: Option<&Path>, boot_id: BootId, device: &mut Device) -> Self {
        let mut backlog = Self {
            store: None,
            save_every_ms: 0,
            next_ms: 0,
            origin_ids: Vec::new(),
            written_origin: None,
            next_id: 1,
            oldest: None,
            has_provisional: false,
            sure_offset_ms: None,
            ask_clock_ms: 0,
            mend_ms: 0,
        };
        // How many there should be in the end.
        let mut expected: u32 = 0;
        backlog.store = folder.map(|folder| {
            let path = folder.join("backlog");
            Store::open(path, SEED, LIMIT_BYTES, &mut |found, _| match found {
                Ok(record) => backlog.take(&record, device, &mut expected),
                Err(head) if head.kind == SAMPLES => {
                    let count = (head.body_bytes / SAMPLE_BYTES) as u32;
                    expected = expected.saturating_add(count);
                }
                Err(_) => {}
            })
        });
        let unread_bytes = backlog.store.as_ref().map_or(0, Store::unread_bytes);
        let unread = u32::try_from(unread_bytes / SAMPLE_BYTES as u64).unwrap_or(u32::MAX);
        // At most: some of it may be of samples that were delivered since.
        let room = device.outbox.capacity() - device.outbox.len();
        expected = expected.saturating_add(unread.min(room as u32));
        backlog.sift(boot_id, device, expected);
        backlog
    }

    /// Takes a record of the file in.
    fn take(&mut self, record: &Record<'_>, device: &mut Device, expected: &mut u32) {
        if record.kind == ORIGIN {
            if record.id > LAST_ID {
                return;
            }
            let is_known = self.origin_ids.contains(&record.id);
            if Origin::parse(record.body).is_some() && self.origin_ids.len() < ORIGINS && !is_known
            {
                self.origin_ids.push(record.id);
                device.origins.push(record.body.into());
            }
            self.next_id = self.next_id.max(record.id + 1);
            return;
        }
        let at = self.origin_ids.iter().position(|id| *id == record.id);
        let Some(origin) = at.and_then(|at| u16::try_from(at + 1).ok()) else {
            // Samples of an origin that was spoiled cannot be sent as what they were.
            if record.kind == SAMPLES {
                let count = read_samples(record.body).count() as u32;
                *expected = expected.saturating_add(count);
            }
            return;
        };
        match record.kind {
            SAMPLES => {
                let before = last_number(device, origin);
                for (sample, marks) in read_samples(record.body) {
                    // A write that failed at its end, and was repeated.
                    if before.is_none_or(|before| sample.number > before) {
                        device.outbox.restore(&sample, origin, marks);
                        *expected = expected.saturating_add(1);
                    }
                }
            }
            GONE => {
                let Some((number, held)) = read_gone(record.body) else {
                    return;
                };
                // One start has several origins if what went along with its samples changed.
                let (origins, outbox) = (&device.origins, &mut device.outbox);
                let is_found = (1..=origins.len()).any(|other| {
                    let other = other as u16;
                    start_of(origins, other) == start_of(origins, origin)
                        && outbox.drop_in_front_of(other, number)
                });
                if is_found {
                    *expected = held;
                }
            }
            _ => {}
        }
    }

    /// Drops what cannot be given its time any more, and counts what is not there.
    fn sift(&mut self, boot_id: BootId, device: &mut Device, expected: u32) {
        let read = device.outbox.len() as u64;
        let missing = u64::from(expected).saturating_sub(read);
        device.counts.restored = read + missing;
        if device.outbox.len() == device.outbox.capacity() {
            device.counts.dropped_full += missing;
        } else {
            device.counts.dropped_unreadable += missing;
        }
        let mut doomed = Vec::new();
        for cursor in cursors(&device.outbox) {
            if !device.outbox.marks(cursor).unwrap_or_default().provisional {
                continue;
            }
            // A kernel that does not name its boots could have had any.
            let origin = device.origin(cursor).filter(|_| boot_id != [0; 16]);
            if origin.is_some_and(|origin| origin.boot_id == boot_id) {
                self.has_provisional = true;
            } else {
                doomed.push(cursor);
            }
        }
        for cursor in &doomed {
            device.outbox.remove(*cursor);
        }
        device.counts.dropped_no_time += doomed.len() as u64;
        self.oldest = device.outbox.oldest();
        if device.counts.restored > 0 {
            log::info(
                "Held samples restored",
                &[
                    ("restored", Value::Uint(device.outbox.len() as u64)),
                    ("dropped_no_time", Value::Uint(doomed.len() as u64)),
                    ("missing", Value::Uint(missing)),
                ],
            );
        }
    }

    /// Writes what is due, if the server has been away since `away_since_ms`; right after a sample.
    pub fn turn(
        &mut self,
        device: &mut Device,
        this: &Origin<'_>,
        away_since_ms: Option<u64>,
        now: Now,
    ) {
        let oldest = device.outbox.oldest();
        self.empty(&device.outbox, oldest);
        if now.boot_ms >= self.ask_clock_ms || self.has_provisional {
            self.ask_clock_ms = now.boot_ms + ASK_CLOCK_EVERY_MS;
            let is_sure = self.is_sure(clock::is_synchronized(), now);
            self.mend(device, this, is_sure, now);
        }
        if self.save_every_ms == 0 || now.boot_ms < self.next_ms {
            return;
        }
        let is_away = away_since_ms
            .is_some_and(|since_ms| now.boot_ms >= since_ms.saturating_add(self.save_every_ms));
        let has_new = is_away || self.is_behind(device);
        let has_moved = self.is_in_use() && oldest != self.oldest;
        if has_new || has_moved {
            // After a failure not a whole period is waited: the disk may be there again soon.
            let may_try = self.store.as_ref().is_some_and(Store::may_try);
            if may_try {
                self.next_ms = now.boot_ms + self.save_every_ms;
                self.write(device, this, has_new, now);
            }
        }
    }

    /// Writes all that is not on disk yet: the agent stops.
    pub fn save(&mut self, device: &mut Device, this: &Origin<'_>, now: Now) {
        let oldest = device.outbox.oldest();
        self.empty(&device.outbox, oldest);
        if oldest.is_some() {
            self.write(device, this, true, now);
        }
    }

    /// Writes the file anew if it says of times that they may be wrong, and what they are is known now.
    fn mend(&mut self, device: &mut Device, this: &Origin<'_>, is_sure: bool, now: Now) {
        let is_due = is_sure && self.has_provisional && self.is_in_use();
        let may_try = self.store.as_ref().is_some_and(Store::may_try);
        if is_due && may_try && now.boot_ms >= self.mend_ms {
            self.next_ms = now.boot_ms + self.save_every_ms;
            self.write(device, this, true, now);
        }
    }

    /// Whether more is held and not on disk than a period takes.
    fn is_behind(&self, device: &Device) -> bool {
        let outbox = &device.outbox;
        let enough = self.save_every_ms / device.interval_ms().max(1);
        let enough = usize::try_from(enough).unwrap_or(usize::MAX).max(1);
        let is_new = |cursor: &Cursor| outbox.marks(*cursor).is_some_and(|marks| !marks.saved);
        // What is new is behind what is saved.
        let newest_first = (0..outbox.span()).rev().filter_map(|at| outbox.at(at));
        newest_first.take_while(is_new).nth(enough).is_some()
    }

    /// Whether the clock is right: it is synchronized, or was and is where it was. The kernel calls a
    /// clock unsynchronized hours after the last word of a time server, but only who sets it moves it
    /// against the time since the start: whatever slows one down slows both.
    fn is_sure(&mut self, is_synchronized: Option<bool>, now: Now) -> bool {
        let Some(wall_ms) = now.wall_ms else {
            return false;
        };
        let offset_ms = wall_ms.cast_signed() - now.boot_ms.cast_signed();
        if is_synchronized == Some(true) {
            self.sure_offset_ms = Some(offset_ms);
        }
        self.sure_offset_ms
            .is_some_and(|sure_ms| sure_ms.abs_diff(offset_ms) <= OFF_MS)
    }

    fn is_in_use(&self) -> bool {
        let has_any = |store: &Store| store.bytes() > 0 || store.is_damaged();
        self.store.as_ref().is_some_and(has_any)
    }

    /// Empties the file when nothing is held that it has. What is saved is older than what is not,
    /// so the oldest sample tells. One that could not be written is tried again although there is
    /// nothing for it: whether the disk works is known then.
    fn empty(&mut self, outbox: &Samples, oldest: Option<Cursor>) {
        let is_saved = |cursor| outbox.marks(cursor).is_some_and(|marks| marks.saved);
        let is_in_use = self.is_in_use();
        let Some(store) = self.store.as_mut().filter(|store| store.may_try()) else {
            return;
        };
        let emptied = if is_in_use && !oldest.is_some_and(is_saved) {
            store.clear().and_then(|()| store.flush())
        } else if !is_in_use && oldest.is_none() && store.is_in_trouble() {
            store.replace(&mut |_, _| Ok(()))
        } else {
            return;
        };
        // A failure is said by the store, and tried again.
        if emptied.is_ok() {
            self.written_origin = None;
            self.has_provisional = false;
        }
    }

    fn write(&mut self, device: &mut Device, this: &Origin<'_>, with_new: bool, now: Now) {
        let is_sure = self.is_sure(clock::is_synchronized(), now);
        let Some(store) = &self.store else { return };
        let is_wrong = is_sure && self.has_provisional || device.restamped;
        let mends = is_wrong && now.boot_ms >= self.mend_ms;
        let limit = 2 * capacity_bytes(&device.outbox) + EXTRA_BYTES;
        let is_long = store.bytes() > limit;
        let can_append = store.is_good() && !mends && !is_long;
        stamp(&mut device.outbox, is_sure, now);
        let is_good = store.is_good();
        let mut appended = can_append && self.append(device, this, with_new).is_ok();
        let rewritten = !appended && self.rewrite(device, this).is_ok();
        if !rewritten && !can_append && is_good {
            // A disk without room for a second file may have some for what is new.
            appended = self.append(device, this, with_new).is_ok();
        }
        if mends && !rewritten {
            self.mend_ms = now.boot_ms + MEND_EVERY_MS;
        }
        if appended || rewritten {
            let had_provisional = self.has_provisional;
            self.oldest = device.outbox.oldest();
            self.settle(&mut device.outbox, with_new || rewritten);
            // What was appended mends nothing that stands in front of it.
            self.has_provisional |= had_provisional && !rewritten;
            device.restamped &= !rewritten;
        } else {
            self.next_ms = now.boot_ms;
        }
    }

    /// Appends what is new, and how far delivery got.
    fn append(&mut self, device: &Device, this: &Origin<'_>, with_new: bool) -> io::Result<()> {
        let outbox = &device.outbox;
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let is_saved = |cursor: &Cursor| outbox.marks(*cursor).unwrap_or_default().saved;
        let has_moved = outbox.oldest() != self.oldest;
        let oldest = outbox
            .oldest()
            .filter(|oldest| has_moved && is_saved(oldest));
        let written = self.written_origin.take();
        let mut writer = Writer::new(store, &self.origin_ids, written, self.next_id);
        let mut put_all = || {
            for cursor in cursors(outbox).filter(|cursor| with_new && !is_saved(cursor)) {
                writer.put(outbox, cursor, this)?;
            }
            writer.end()?;
            let Some(oldest) = oldest else { return Ok(()) };
            let held = cursors(outbox)
                .filter(|cursor| with_new || is_saved(cursor))
                .count();
            writer.gone(oldest, held, this)
        };
        let put: io::Result<()> = put_all();
        // A name is never given twice, whatever got into the file.
        self.next_id = writer.next_id;
        if put.is_ok() {
            self.written_origin = writer.this;
        }
        put.and_then(|()| store.flush())
    }

    /// Writes a new file with all that is held.
    fn rewrite(&mut self, device: &Device, this: &Origin<'_>) -> io::Result<()> {
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let outbox = &device.outbox;
        let (origin_ids, first_id) = (&self.origin_ids, self.next_id);
        let mut done = (None, first_id);
        store.replace(&mut |_, new| {
            let mut held = [false; ORIGINS + 1];
            for cursor in cursors(outbox) {
                held[usize::from(cursor.origin()).min(ORIGINS)] = true;
            }
            for ((id, body), held) in origin_ids.iter().zip(&device.origins).zip(&held[1..]) {
                let record = Record {
                    kind: ORIGIN,
                    id: *id,
                    body,
                };
                if *held {
                    new.append(&record)?;
                }
            }
            let mut writer = Writer::new(new, origin_ids, None, first_id);
            for cursor in cursors(outbox) {
                writer.put(outbox, cursor, this)?;
            }
            writer.end()?;
            done = (writer.this, writer.next_id);
            Ok(())
        })?;
        (self.written_origin, self.next_id) = done;
        Ok(())
    }

    /// Notes what the file has now.
    fn settle(&mut self, outbox: &mut Samples, is_all: bool) {
        self.has_provisional = false;
        for at in 0..outbox.span() {
            let Some(cursor) = outbox.at(at) else {
                continue;
            };
            let (Some(sample), Some(mut marks)) = (outbox.get(cursor), outbox.marks(cursor)) else {
                continue;
            };
            if is_all && !marks.saved {
                marks.saved = true;
                outbox.update(cursor, &sample, marks);
            }
            self.has_provisional |= marks.provisional && marks.saved;
        }
    }
}

/// Gives every held sample its wall time, and those a new one whose time was off.
fn stamp(outbox: &mut Samples, is_sure: bool, now: Now) {
    let now_wall_ms = now.wall_ms.unwrap_or(0);
    for at in 0..outbox.span() {
        let Some(cursor) = outbox.at(at) else {
            continue;
        };
        let (Some(mut sample), Some(mut marks)) = (outbox.get(cursor), outbox.marks(cursor)) else {
            continue;
        };
        if sample.wall_ms.is_some() && !marks.provisional {
            continue;
        }
        let off_ms = mended_ms(sample.boot_ms, sample.wall_ms, now.boot_ms, now_wall_ms);
        if off_ms.is_none() && marks.provisional != is_sure {
            continue;
        }
        if off_ms.is_some() {
            sample.wall_ms = None;
            sample.stamp(now.boot_ms, now_wall_ms);
        }
        marks.provisional = !is_sure;
        outbox.update(cursor, &sample, marks);
    }
}

/// The time that a sample should have by the clock as it is now, if what it has is off.
pub fn mended_ms(
    taken_boot_ms: u64,
    has_wall_ms: Option<u64>,
    now_boot_ms: u64,
    now_wall_ms: u64,
) -> Option<u64> {
    let should_ms = now_wall_ms.saturating_sub(now_boot_ms.saturating_sub(taken_boot_ms));
    has_wall_ms
        .is_none_or(|has_ms| has_ms.abs_diff(should_ms) > OFF_MS)
        .then_some(should_ms)
}

fn cursors(outbox: &Samples) -> impl Iterator<Item = Cursor> {
    (0..outbox.span()).filter_map(|at| outbox.at(at))
}

/// The number of the last sample that was restored, if the start is that of `origin`.
fn last_number(device: &Device, origin: u16) -> Option<u32> {
    let newest = device.outbox.newest()?;
    let start = |origin| start_of(&device.origins, origin);
    (start(newest.origin()) == start(origin)).then_some(newest.number())
}

/// Which start the samples of an origin are of: the identity of the folder, and the number.
fn start_of(origins: &[Box<[u8]>], origin: u16) -> Option<(u64, u64)> {
    let body = origins.get(usize::from(origin).checked_sub(1)?)?;
    Origin::parse(body).map(|origin| (origin.identity, origin.start))
}

fn capacity_bytes(outbox: &Samples) -> u64 {
    (outbox.capacity() * SAMPLE_BYTES) as u64
}

#[cfg(test)]
mod tests;
