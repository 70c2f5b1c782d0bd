//! Memory: every line of `/proc/meminfo`, and the counters of paging.

use mote_core::Full;
use mote_core::proc::meminfo::Field;
use mote_core::proc::vmstat;
use mote_core::wire::prometheus::{Kind, Number};

use super::page::Page;
use super::scratch::{Scratch, Source};

/// The families' names begin with it.
pub(super) const MEMORY: &str = "node_memory_";
/// The same, of the counters.
pub(super) const VMSTAT: &str = "node_vmstat_";
/// What is counted in bytes is called so.
const BYTES: &str = "_bytes";
/// The kernel has no name as long as that.
const NAME_BYTES: usize = 64;

/// Reads the lines of meminfo. What stays of one is a family's name without brackets, a number and
/// perhaps the unit, with blanks between.
pub(super) fn load(scratch: &mut Scratch, source: &mut Source) -> bool {
    let mut is_whole = true;
    let read = scratch.add(source, &mut |line| {
        let name_end = match Field::parse(line) {
            Ok(field) if bytes(field.value, field.in_kb).is_some() => field.name.len(),
            _ => 0,
        };
        let is_taken = name_end > 0 && put_into_form(line, name_end);
        is_whole &= is_taken;
        if is_taken { line.len() } else { 0 }
    });
    is_whole && read.is_ok()
}

/// The number to show: bytes where the kernel counts kilobytes.
fn bytes(value: u64, in_kb: bool) -> Option<u64> {
    value.checked_mul(if in_kb { 1024 } else { 1 })
}

/// Makes `Active(anon):` begin with `Active_anon` and two blanks. The kernel has brackets at the
/// end of a name only; false for others.
fn put_into_form(line: &mut [u8], name_end: usize) -> bool {
    let (name, rest) = line.split_at_mut(name_end);
    rest[0] = b' ';
    if let Some(last @ b')') = name.last_mut() {
        *last = b' ';
    }
    let mut is_name = true;
    for byte in name {
        match byte {
            b'(' => *byte = b'_',
            b')' => is_name = false,
            _ => {}
        }
    }
    is_name
}

/// Writes a family for each line.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    each(page, scratch, |page, record| {
        let (record, in_kb) = match record.strip_suffix(b" kB") {
            Some(record) => (record, true),
            None => (record, false),
        };
        let Ok(counter) = vmstat::parse_line(record) else {
            return Ok(());
        };
        let Some(bytes) = bytes(counter.value, in_kb) else {
            return Ok(());
        };
        let mut with_unit = heapless::Vec::<u8, NAME_BYTES>::new();
        let mut name = counter.name;
        if in_kb {
            let parts = [name, BYTES.as_bytes()];
            let mut parts = parts.into_iter();
            if !parts.all(|part| with_unit.extend_from_slice(part).is_ok()) {
                return Ok(());
            }
            name = &with_unit;
        }
        let name = [MEMORY, std::str::from_utf8(name).unwrap_or_default()];
        page.out.family(name, Kind::Gauge, "From /proc/meminfo.")?;
        page.out.sample(name, &[], Number::Uint(bytes))
    })
}

/// Reads the lines of vmstat that operators look at.
pub(super) fn load_vmstat(scratch: &mut Scratch, source: &mut Source) -> bool {
    let mut is_whole = true;
    let is_of_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let read = scratch.add(source, &mut |line| {
        // Most lines are of others, and need no second look.
        if !vmstat::is_watched(line) {
            return 0;
        }
        match vmstat::parse_line(line) {
            Ok(counter) if !vmstat::is_watched(counter.name) => 0,
            Ok(counter) if counter.name.iter().all(is_of_name) => line.len(),
            _ => {
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
        let name = [
            VMSTAT,
            std::str::from_utf8(counter.name).unwrap_or_default(),
        ];
        page.out.family(name, Kind::Untyped, "From /proc/vmstat.")?;
        page.out.sample(name, &[], Number::Uint(counter.value))
    })
}

/// Writes a family for each record.
fn each(
    page: &mut Page<'_, '_>,
    scratch: &Scratch,
    write: impl Fn(&mut Page<'_, '_>, &[u8]) -> Result<(), Full>,
) -> Result<(), Full> {
    let mut records = scratch.records();
    let mut next = 0;
    page.families(scratch.count(), &mut |page, at| {
        let record = records.nth(at - next).unwrap_or_default();
        next = at + 1;
        write(page, record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_are_left_out_of_a_name_and_only_at_its_end() {
        let form = |text: &str| {
            let mut line = text.as_bytes().to_vec();
            let is_taken = put_into_form(&mut line, text.find(':').unwrap());
            is_taken.then(|| String::from_utf8(line).unwrap())
        };
        assert_eq!(form("MemFree:   7 kB").unwrap(), "MemFree    7 kB");
        assert_eq!(form("Active(anon): 7").unwrap(), "Active_anon   7");
        assert_eq!(form("a(b)c: 7"), None);
    }
}
