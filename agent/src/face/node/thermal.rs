//! Temperatures, from `/sys/class/thermal`.
//!
//! Kernel documentation: `Documentation/driver-api/thermal/sysfs-api.rst`.

use std::fs::File;
use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::proc::sys;
use mote_core::text::digits;
use mote_core::wire::prometheus::Number;
use nix::unistd::{AccessFlags, access};

use super::page::{Family, Page, Row};
use super::scratch::{Record, Scratch, field};
use super::sysfs;
use crate::clock;

/// Of each zone.
pub(super) const FAMILIES: &[Family] = &[Family::gauge("thermal_zone_temp", "Degrees Celsius.")];
/// Zones are numbered from 0; one that was taken away leaves a gap. More missing ones than this in
/// a row are the end.
const GAP: u64 = 4;

/// No board has as many.
const ZONES: usize = 256;
/// Zones whose files are held open.
const ZONES_HELD: usize = 4;
/// What is read of each.
const FILES: [&[u8]; 2] = [b"temp", b"type"];

/// Where the zones are, and which there are.
#[derive(Debug)]
pub(super) struct Zones {
    folder: PathBuf,
    known: Vec<Zone>,
    /// When they are looked for anew.
    until_ms: u64,
}

#[derive(Debug)]
struct Zone {
    number: u64,
    files: [Option<File>; FILES.len()],
}

impl Zones {
    /// Below `/sys`, wherever it is.
    pub(super) fn new(sys_root: &Path) -> Self {
        Self {
            folder: sys_root.join("class/thermal"),
            known: Vec::new(),
            until_ms: 0,
        }
    }

    /// Reads all zones. A device may well have none.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
        let now_ms = clock::boot_ms();
        if now_ms >= self.until_ms {
            self.find();
            self.until_ms = now_ms + sysfs::HELD_MS;
        }
        for (at, zone) in self.known.iter_mut().enumerate() {
            scratch.push(&mut |record| zone.make(record, &mut self.folder, at < ZONES_HELD));
        }
        true
    }

    /// Looks which zones there are.
    fn find(&mut self) {
        self.known.clear();
        let (mut number, mut missing) = (0, 0);
        while missing < GAP && self.known.len() < ZONES {
            let name = folder_of(number);
            let is_there = sysfs::below(&mut self.folder, &[&name], |path| {
                access(path, AccessFlags::F_OK).is_ok()
            });
            missing = if is_there { 0 } else { missing + 1 };
            if is_there {
                let files = <[Option<File>; FILES.len()]>::default();
                self.known.push(Zone { number, files });
            }
            number += 1;
        }
    }
}

impl Zone {
    /// Makes a record of its number, type and temperature, unless it has none now.
    fn make(&mut self, record: &mut Record<'_>, folder: &mut PathBuf, is_held: bool) {
        let name = folder_of(self.number);
        let mut read = |at: usize, take: &mut dyn FnMut(&[u8])| {
            let (parts, take) = ([&name[..], FILES[at]], |value: Option<&[u8]>| {
                value.into_iter().for_each(take);
            });
            if is_held {
                sysfs::read_held(&mut self.files[at], folder, &parts, take);
            } else {
                sysfs::read(folder, &parts, take);
            }
        };
        let mut temperature = None;
        read(0, &mut |text| temperature = sys::number(text));
        let Some(temperature) = temperature else {
            return;
        };
        read(1, &mut |kind| {
            record.field(digits(self.number, &mut [0; 20]));
            record.field(kind);
            record.signed(temperature);
        });
    }
}

/// What the folder of a zone is called.
fn folder_of(number: u64) -> heapless::Vec<u8, 32> {
    let mut name = heapless::Vec::new();
    // The longest number leaves none of it out.
    for part in [&b"thermal_zone"[..], digits(number, &mut [0; 20])] {
        let _ = name.extend_from_slice(part);
    }
    name
}

/// Writes them.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        FAMILIES,
        scratch,
        &|record| {
            let temperature = sys::number(field(record, 2)).map(degrees);
            let numbers = [temperature].into_iter();
            Some(Row::new(record, field(record, 0), numbers))
        },
        &|page, family, row, number| {
            let labels = [("type", field(row.record, 1)), ("zone", row.name)];
            page.sample(family, &labels, number)
        },
    )
}

/// The kernel counts thousandths.
#[expect(clippy::cast_precision_loss, reason = "no temperature has 16 digits")]
fn degrees(thousandths: i64) -> Number {
    Number::Float(thousandths as f64 / 1000.0)
}
