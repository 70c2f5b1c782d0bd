//! Memory: every line of `/proc/meminfo`, and the counters of paging.

use mote_core::Full;
use mote_core::proc::meminfo::Field;
use mote_core::proc::vmstat;
use mote_core::wire::prometheus::{Kind, Number};

use super::page::{PREFIX, Page};
use super::scratch::{Scratch, Source};

/// The families' names begin with it.
pub(super) const MEMORY: &str = "memory_";
/// The same, of the counters.
pub(super) const VMSTAT: &str = "vmstat_";
/// The kernel has no name as long as that.
const NAME_BYTES: usize = 64;

/// Room for a family's name.
type Name = heapless::Vec<u8, NAME_BYTES>;

/// Reads the lines of meminfo.
pub(super) fn load(scratch: &mut Scratch, source: &mut Source) -> bool {
    let mut is_whole = true;
    let read = scratch.add(source, &mut |line| match Field::parse(line) {
        Ok(field) if bytes(&field).is_some() => line.len(),
        _ => {
            is_whole = false;
            0
        }
    });
    is_whole && read.is_ok()
}

/// The number to show: bytes where the kernel counts kilobytes.
fn bytes(field: &Field<'_>) -> Option<u64> {
    field.value.checked_mul(if field.in_kb { 1024 } else { 1 })
}

/// Writes a family for each line.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    each(page, scratch, |page, record| {
        let Ok(field) = Field::parse(record) else {
            return Ok(());
        };
        let mut name = Name::new();
        let name = name_of(MEMORY, field.name, &mut name);
        let (Some(bytes), Some(name)) = (bytes(&field), name) else {
            return Ok(());
        };
        let name = [name, if field.in_kb { "_bytes" } else { "" }];
        page.out.family(name, Kind::Gauge, "From /proc/meminfo.")?;
        page.out.sample(name, &[], Number::Uint(bytes))
    })
}

/// Reads the lines of vmstat that operators look at.
pub(super) fn load_vmstat(scratch: &mut Scratch, source: &mut Source) -> bool {
    let mut is_whole = true;
    let read = scratch.add(source, &mut |line| {
        // Most lines are of others, and need no second look.
        if !vmstat::is_watched(line) {
            return 0;
        }
        match vmstat::parse_line(line) {
            Ok(counter) if vmstat::is_watched(counter.name) => line.len(),
            Ok(_) => 0,
            Err(_) => {
                is_whole = false;
                0
            }
        }
    });
    is_whole && read.is_ok()
}

/// Writes a family for each of them.
pub(super) fn write_vmstat(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    each(page, scratch, |page, record| {
        let Ok(counter) = vmstat::parse_line(record) else {
            return Ok(());
        };
        let mut name = Name::new();
        let Some(name) = name_of(VMSTAT, counter.name, &mut name) else {
            return Ok(());
        };
        let name = [name, ""];
        page.out.family(name, Kind::Untyped, "From /proc/vmstat.")?;
        page.out.sample(name, &[], Number::Uint(counter.value))
    })
}

/// Makes the name of a family of the kernel's, without its brackets; `None` if it is none.
fn name_of<'n>(family: &str, kernels: &[u8], name: &'n mut Name) -> Option<&'n str> {
    for part in [PREFIX.as_bytes(), family.as_bytes(), kernels] {
        name.extend_from_slice(part).ok()?;
    }
    name.retain(|byte| *byte != b')');
    for byte in &mut *name {
        match byte {
            b'(' => *byte = b'_',
            other if other.is_ascii_alphanumeric() || *other == b'_' => {}
            _ => return None,
        }
    }
    std::str::from_utf8(name).ok()
}

fn each(
    page: &mut Page<'_, '_>,
    scratch: &Scratch,
    write: impl Fn(&mut Page<'_, '_>, &[u8]) -> Result<(), Full>,
) -> Result<(), Full> {
    let mut records = scratch.records();
    let mut next = 0;
    page.families(scratch.records().count(), &mut |page, at| {
        let record = records.nth(at - next).unwrap_or_default();
        next = at + 1;
        write(page, record)
    })
}
