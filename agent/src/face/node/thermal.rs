//! Temperatures, from `/sys/class/thermal`.
//!
//! Kernel documentation: `Documentation/driver-api/thermal/sysfs-api.rst`.

use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::proc::sys;
use mote_core::text::digits;
use mote_core::wire::prometheus::Number;

use super::page::{Family, Page};
use super::scratch::{Record, Scratch, field};
use super::sysfs;

/// Of each zone.
pub(super) const FAMILIES: &[Family] = &[Family::gauge("thermal_zone_temp", "Degrees Celsius.")];
/// Zones are numbered from 0; one that was taken away leaves a gap. More missing ones than this in
/// a row are the end.
const GAP: u64 = 4;

/// Where the zones are.
#[derive(Debug)]
pub(super) struct Zones {
    folder: PathBuf,
}

impl Zones {
    /// Below `/sys`, wherever it is.
    pub(super) fn new(sys_root: &Path) -> Self {
        Self {
            folder: sys_root.join("class/thermal"),
        }
    }

    /// Reads all zones. A device may well have none.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
        let (mut zone, mut missing) = (0, 0);
        while missing < GAP && !scratch.is_cut() {
            let mut is_there = false;
            scratch.push(&mut |record| is_there = self.read(record, zone));
            missing = if is_there { 0 } else { missing + 1 };
            zone += 1;
        }
        true
    }

    /// Makes a record of one zone, of its number, type and temperature, unless it has none now. Says
    /// whether there is such a zone.
    fn read(&mut self, record: &mut Record<'_>, zone: u64) -> bool {
        let mut buffer = [0; 20];
        let number = digits(zone, &mut buffer);
        let mut name = heapless::Vec::<u8, 32>::new();
        let parts = [b"thermal_zone", number];
        if parts
            .iter()
            .any(|part| name.extend_from_slice(part).is_err())
        {
            return false;
        }
        let mut read = |file: &[u8], take: &mut dyn FnMut(&[u8])| {
            sysfs::read(&mut self.folder, &[&name, file], |value| {
                value.map(take).is_some()
            })
        };
        let mut temperature = None;
        read(b"temp", &mut |text| temperature = sys::number(text));
        read(b"type", &mut |kind| {
            if let Some(temperature) = temperature {
                record.field(number);
                record.field(kind);
                record.signed(temperature);
            }
        })
    }
}

/// Writes them.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        FAMILIES,
        || scratch.records(),
        &|_, record| sys::number(field(record, 2)).map(degrees),
        &|page, family, record, number| {
            let labels = [("type", field(record, 1)), ("zone", field(record, 0))];
            page.sample(family, &labels, number)
        },
    )
}

/// The kernel counts thousandths.
#[expect(clippy::cast_precision_loss, reason = "no temperature has 16 digits")]
fn degrees(thousandths: i64) -> Number {
    Number::Float(thousandths as f64 / 1000.0)
}
