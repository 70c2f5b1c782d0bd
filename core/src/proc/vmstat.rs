//! `/proc/vmstat`: counters of the memory management.
//!
//! ```text
//! nr_free_pages 5824123
//! pgpgin 28659669
//! pswpin 0
//! pgmajfault 63364
//! oom_kill 0
//! ```
//!
//! The kernel documents the names in `include/linux/vm_event_item.h`; which there are depends on
//! how it was built. Some hundred lines, of which [`is_watched`] picks what operators look at.

use super::{decimal, fields};
use core::fmt;

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter<'a> {
    /// Letters, digits and underscores.
    pub name: &'a [u8],
    /// Since the kernel started.
    pub value: u64,
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmstatError {
    /// The line is not a name and a number.
    NotTwoFields,
    /// The number is not a decimal one of 64 bits.
    BadNumber,
}

/// Reads one line without its newline.
pub fn parse_line(line: &[u8]) -> Result<Counter<'_>, VmstatError> {
    let mut fields = fields(line);
    let (Some(name), Some(value), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(VmstatError::NotTwoFields);
    };
    let value = decimal(value).ok_or(VmstatError::BadNumber)?;
    Ok(Counter { name, value })
}

/// Whether a counter tells of paging, swapping, page faults or processes killed for want of memory.
pub fn is_watched(name: &[u8]) -> bool {
    match name {
        [b'p', b'g', b'p', b'g', ..] | [b'p', b's', b'w', b'p', ..] => true,
        [b'p', b'g', rest @ ..] => {
            // Most of them have none in their name.
            let mut from_f = rest.iter().enumerate().filter(|(_, byte)| **byte == b'f');
            from_f.any(|(at, _)| rest[at..].starts_with(b"fault"))
        }
        [b'o', ..] => name.starts_with(b"oom_kill"),
        _ => false,
    }
}

impl fmt::Display for VmstatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotTwoFields => "/proc/vmstat: a line is not a name and a number",
            Self::BadNumber => "/proc/vmstat: a value is no number",
        })
    }
}

impl core::error::Error for VmstatError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_and_a_number() {
        let counter = parse_line(b"pgmajfault 63364").unwrap();
        assert_eq!((counter.name, counter.value), (&b"pgmajfault"[..], 63_364));
        for (line, error) in [
            ("", VmstatError::NotTwoFields),
            ("pgfault", VmstatError::NotTwoFields),
            ("pgfault 1 2", VmstatError::NotTwoFields),
            ("pgfault -1", VmstatError::BadNumber),
        ] {
            assert_eq!(parse_line(line.as_bytes()), Err(error), "{line:?}");
        }
    }

    #[test]
    fn what_is_watched_is_what_tells_of_trouble() {
        for name in [
            "oom_kill",
            "pgpgin",
            "pgpgout",
            "pswpin",
            "pswpout",
            "pgfault",
            "pgmajfault",
            "pgfaultx",
        ] {
            assert!(is_watched(name.as_bytes()), "{name}");
        }
        for name in [
            "nr_free_pages",
            "pgalloc_dma",
            "pgfree",
            "thp_fault_alloc",
            "numa_hint_faults",
            "pg",
            "",
            "pfault",
        ] {
            assert!(!is_watched(name.as_bytes()), "{name}");
        }
    }
}
