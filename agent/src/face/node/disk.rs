//! Disks: what each did, from `/proc/diskstats`.

use mote_core::Full;
use mote_core::proc::diskstats::{self, Disk, SECTOR_BYTES};
use mote_core::wire::prometheus::Number;

use super::page::{Family, Page, Row};
use super::scratch::{Scratch, Source};

/// In the order of the kernel's columns.
pub(super) const FAMILIES: &[Family] = &[
    Family::counter("disk_reads_completed_total", "Reads completed."),
    Family::counter("disk_reads_merged_total", "Reads merged with others."),
    Family::counter("disk_read_bytes_total", "Bytes read."),
    Family::counter(
        "disk_read_time_seconds_total",
        "Seconds spent by all reads.",
    ),
    Family::counter("disk_writes_completed_total", "Writes completed."),
    Family::counter("disk_writes_merged_total", "Writes merged with others."),
    Family::counter("disk_written_bytes_total", "Bytes written."),
    Family::counter(
        "disk_write_time_seconds_total",
        "Seconds spent by all writes.",
    ),
    Family::gauge("disk_io_now", "Requests under way."),
    Family::counter(
        "disk_io_time_seconds_total",
        "Seconds in which requests were under way.",
    ),
    Family::counter(
        "disk_io_time_weighted_seconds_total",
        "Seconds in which requests were under way, times their number.",
    ),
    Family::counter("disk_discards_completed_total", "Discards completed."),
    Family::counter("disk_discards_merged_total", "Discards merged with others."),
    Family::counter(
        "disk_discarded_sectors_total",
        "Sectors of 512 bytes discarded.",
    ),
    Family::counter(
        "disk_discard_time_seconds_total",
        "Seconds spent by all discards.",
    ),
    Family::counter("disk_flush_requests_total", "Flushes completed."),
    Family::counter(
        "disk_flush_requests_time_seconds_total",
        "Seconds spent by all flushes.",
    ),
];
/// Columns that count sectors to be shown as bytes.
const BYTES: [usize; 2] = [2, 6];
/// Columns that count milliseconds.
const TIMES: [usize; 6] = [3, 7, 9, 10, 14, 16];

/// Reads the disks' lines, without RAM disks, loops and partitions.
pub(super) fn load(scratch: &mut Scratch, source: &mut Source) -> bool {
    let mut is_whole = true;
    let read = scratch.add(source, &mut |line| {
        // Most lines are theirs, and need no second look.
        if Disk::parse_kept(line).is_some_and(|disk| diskstats::is_minor(disk.name)) {
            return 0;
        }
        let is_taken = Disk::parse(line).is_ok();
        is_whole &= is_taken;
        if is_taken { line.len() } else { 0 }
    });
    is_whole && read.is_ok()
}

/// Writes them.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        FAMILIES,
        scratch,
        &|record| {
            let disk = Disk::parse_kept(record)?;
            let numbers = disk.numbers().enumerate().map(|(column, count)| {
                Some(if BYTES.contains(&column) {
                    Number::Uint(count.saturating_mul(SECTOR_BYTES))
                } else if TIMES.contains(&column) {
                    seconds(count)
                } else {
                    Number::Uint(count)
                })
            });
            Some(Row::new(record, disk.name, numbers))
        },
        &|page, family, row, number| page.sample(family, &[("device", row.name)], number),
    )
}

/// Milliseconds as the doubles that others make of them: times a thousandth, which is not always
/// what dividing by a thousand gives.
#[expect(clippy::cast_precision_loss, reason = "it is theirs as well")]
fn seconds(milliseconds: u64) -> Number {
    Number::Float(milliseconds as f64 * 0.001)
}
