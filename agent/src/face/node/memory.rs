//! Memory: every line of `/proc/meminfo`, and the counters of paging.

use mote_core::Full;
use mote_core::proc::meminfo::Field;
use mote_core::proc::vmstat;

use super::page::Page;
use super::scratch::{Scratch, Source};

/// The families' names begin with it.
pub(super) const MEMORY: &str = "node_memory_";
/// The same, of the counters.
pub(super) const VMSTAT: &str = "node_vmstat_";
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
    const THINGS: Around = around!("node_memory_", "", "From /proc/meminfo.", "gauge");
    const KILOBYTES: Around = around!("node_memory_", "_bytes", "From /proc/meminfo.", "gauge");
    each(page, scratch, |page, record| {
        let (record, in_kb) = match record.strip_suffix(b" kB") {
            Some(record) => (record, true),
            None => (record, false),
        };
        let Ok(counter) = vmstat::parse_line(record) else {
            return Ok(());
        };
        let around = if in_kb { KILOBYTES } else { THINGS };
        match bytes(counter.value, in_kb) {
            Some(bytes) => write_single(page, around, counter.name, bytes),
            None => Ok(()),
        }
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
    const COUNTS: Around = around!("node_vmstat_", "", "From /proc/vmstat.", "untyped");
    each(page, scratch, |page, record| {
        match vmstat::parse_line(record) {
            Ok(counter) => write_single(page, COUNTS, counter.name, counter.value),
            Err(_) => Ok(()),
        }
    })
}

/// What stands around the name in a family of one number.
type Around = [&'static str; 4];

/// The text of a family whose name is made of the kernel's, as far as it is known: what stands
/// before the name and behind it, the help, the type.
macro_rules! around {
    ($before:literal, $behind:literal, $help:literal, $type:literal) => {
        [
            concat!("# HELP ", $before),
            concat!($behind, " ", $help, "\n# TYPE ", $before),
            concat!($behind, " ", $type, "\n", $before),
            concat!($behind, " "),
        ]
    };
}
use around;

fn write_single(
    page: &mut Page<'_, '_>,
    around: Around,
    name: &[u8],
    number: u64,
) -> Result<(), Full> {
    let [first, second, third, last] = around.map(str::as_bytes);
    let texts = [first, name, second, name, third, name, last];
    page.out.ready_single(&texts, number)
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
