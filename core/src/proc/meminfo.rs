//! `/proc/meminfo`: how much memory there is, and how much of it could be had without swapping.
//!
//! ```text
//! MemTotal:       24684084 kB
//! MemFree:        23793024 kB
//! MemAvailable:   24296188 kB
//! Buffers:            4688 kB
//! Cached:           680048 kB
//! ...
//! Shmem:              8872 kB
//! KReclaimable:      72824 kB
//! Slab:              95488 kB
//! SReclaimable:      72824 kB
//! ...
//! Committed_AS:     281464 kB
//! ```
//!
//! Kernel documentation: `Documentation/filesystems/proc.rst`, "meminfo". Its kB are units of
//! 1024 bytes.
//!
//! The kernel's own estimate is `MemAvailable` (since 3.14). Where it is missing, what is free,
//! the buffers, the page cache and the reclaimable slab are taken for available, without shared
//! memory, which is counted as cache but cannot be dropped. Kernels before 2.6.32 lack `Shmem`,
//! those before 2.6.19 `SReclaimable`; to tell such a kernel from a read that was cut before those
//! lines, this way is gone only when `Committed_AS` was seen, which every kernel writes after them.

use super::{decimal, fields, lines};
use crate::text::find;
use core::fmt;

/// The memory of the device, in units of 1024 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemInfo {
    /// What the kernel can hand out at all: the device's memory less the kernel itself.
    pub total_kb: u64,
    /// What could be had without swapping; never more than the total.
    pub available_kb: u64,
}

/// Why the memory could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeminfoError {
    /// A line that is needed has no newline, the text ended before it came, or it has no name.
    MissingLine,
    /// A line that is needed holds no decimal number of 64 bits.
    BadNumber,
    /// A line that is needed counts in something else than kB.
    BadUnit,
}

/// One line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// As the kernel writes it: letters, digits, underscores, at most one pair of parentheses.
    pub name: &'a [u8],
    /// The number as it stands there.
    pub value: u64,
    /// Whether it counts units of 1024 bytes; else pages of another size, or things.
    pub in_kb: bool,
}

impl<'a> Field<'a> {
    /// Reads one line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, MeminfoError> {
        let name_end = line.iter().position(|byte| !IS_OF_NAME[usize::from(*byte)]);
        let (name, rest) = line.split_at(name_end.unwrap_or(0));
        let (Some(rest), false) = (rest.strip_prefix(b":"), name.is_empty()) else {
            return Err(MeminfoError::MissingLine);
        };
        let mut fields = fields(rest);
        let number = fields.next().and_then(decimal);
        let value = number.ok_or(MeminfoError::BadNumber)?;
        let in_kb = match fields.next() {
            None => false,
            Some(b"kB") => true,
            Some(_) => return Err(MeminfoError::BadUnit),
        };
        Ok(Self { name, value, in_kb })
    }
}

/// Letters, digits, underscores and parentheses: most of a line is its name, and of each byte of it
/// this is asked.
static IS_OF_NAME: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0;
    while byte < all.len() {
        let letter = byte as u8;
        all[byte] = letter.is_ascii_alphanumeric() || matches!(letter, b'_' | b'(' | b')');
        byte += 1;
    }
    all
};

/// The lines from which the available memory is made where the kernel does not say it.
#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "the names carry the unit")]
struct Parts {
    free_kb: Option<u64>,
    buffers_kb: Option<u64>,
    cached_kb: Option<u64>,
    reclaimable_kb: u64,
    shared_kb: u64,
}

impl MemInfo {
    /// Reads as far as it must: to `MemAvailable`, on old kernels to `Committed_AS`.
    pub fn parse(text: &[u8]) -> Result<Self, MeminfoError> {
        let mut total_kb = None;
        let mut parts = Parts::default();
        for line in lines(text) {
            let Some((name, value)) = line.and_then(split_name) else {
                break;
            };
            match name {
                b"MemTotal" => total_kb = Some(kilobytes(value)?),
                b"MemAvailable" => return Self::of(total_kb, Some(kilobytes(value)?)),
                b"MemFree" => parts.free_kb = Some(kilobytes(value)?),
                b"Buffers" => parts.buffers_kb = Some(kilobytes(value)?),
                b"Cached" => parts.cached_kb = Some(kilobytes(value)?),
                b"SReclaimable" => parts.reclaimable_kb = kilobytes(value)?,
                b"Shmem" => parts.shared_kb = kilobytes(value)?,
                b"Committed_AS" => return Self::of(total_kb, parts.available_kb()),
                _ => {}
            }
        }
        Err(MeminfoError::MissingLine)
    }

    fn of(total_kb: Option<u64>, available_kb: Option<u64>) -> Result<Self, MeminfoError> {
        let total_kb = total_kb.ok_or(MeminfoError::MissingLine)?;
        let available_kb = available_kb.ok_or(MeminfoError::MissingLine)?;
        Ok(Self {
            total_kb,
            available_kb: available_kb.min(total_kb),
        })
    }
}

impl Parts {
    fn available_kb(&self) -> Option<u64> {
        let available_kb = self
            .free_kb?
            .saturating_add(self.buffers_kb?)
            .saturating_add(self.cached_kb?)
            .saturating_add(self.reclaimable_kb);
        Some(available_kb.saturating_sub(self.shared_kb))
    }
}

fn split_name(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = find(b':', line)?;
    Some((&line[..colon], &line[colon + 1..]))
}

fn kilobytes(value: &[u8]) -> Result<u64, MeminfoError> {
    let mut fields = fields(value);
    let number = fields
        .next()
        .and_then(decimal)
        .ok_or(MeminfoError::BadNumber)?;
    if fields.next() != Some(b"kB") {
        return Err(MeminfoError::BadUnit);
    }
    Ok(number)
}

impl fmt::Display for MeminfoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingLine => "/proc/meminfo: a needed line is missing, read more of the file",
            Self::BadNumber => "/proc/meminfo: a needed line holds no number",
            Self::BadUnit => "/proc/meminfo: a needed line does not count in kB",
        })
    }
}

impl core::error::Error for MeminfoError {}

#[cfg(test)]
mod tests {
    use super::*;

    const MODERN: &str = "MemTotal:       24684084 kB\nMemFree:        23793024 kB\n\
        MemAvailable:   24296188 kB\nBuffers:            4688 kB\nCached:           680048 kB\n\
        SwapCached:            0 kB\nShmem:              8872 kB\nSlab:              95488 kB\n\
        SReclaimable:      72824 kB\nCommitted_AS:     281464 kB\nHugePages_Total:       0\n";

    const OLD: &str = "MemTotal:        1020096 kB\nMemFree:          216444 kB\n\
        Buffers:           30104 kB\nCached:           405276 kB\nSwapCached:            0 kB\n\
        Active(file):     201436 kB\nMapped:            29012 kB\nShmem:             13116 kB\n\
        Slab:              92840 kB\nSReclaimable:      70032 kB\nSUnreclaim:        22808 kB\n\
        CommitLimit:     2607196 kB\nCommitted_AS:     611268 kB\nVmallocTotal:   34359738367 kB\n";

    fn check(text: &str, expected: Result<(u64, u64), MeminfoError>) {
        let expected = expected.map(|(total_kb, available_kb)| MemInfo {
            total_kb,
            available_kb,
        });
        assert_eq!(MemInfo::parse(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn the_kernels_estimate_is_taken_where_it_is() {
        check(MODERN, Ok((24_684_084, 24_296_188)));
    }

    #[test]
    fn an_old_kernel_is_estimated_from_its_parts() {
        check(
            OLD,
            Ok((1_020_096, 216_444 + 30_104 + 405_276 + 70_032 - 13_116)),
        );
        let ancient = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 3 kB\n\
            Slab: 90 kB\nCommitted_AS: 5 kB\nPageTables: 6 kB\n";
        check(ancient, Ok((1000, 123)));
    }

    #[test]
    fn available_stays_between_nothing_and_the_total() {
        check("MemTotal: 10 kB\nMemAvailable: 11 kB\n", Ok((10, 10)));
        let sum = |shmem| {
            format!(
                "MemTotal: 10 kB\nMemFree: {max} kB\nBuffers: {max} kB\nCached: 1 kB\n\
                 Shmem: {shmem} kB\nSReclaimable: {max} kB\nCommitted_AS: 0 kB\n",
                max = u64::MAX
            )
        };
        check(&sum(0), Ok((10, 10)));
        check(&sum(u64::MAX), Ok((10, 0)));
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        use MeminfoError::{BadNumber, BadUnit, MissingLine};
        check("", Err(MissingLine));
        check("MemTotal: 10 kB\n", Err(MissingLine));
        check("MemAvailable: 10 kB\n", Err(MissingLine));
        check(
            "MemTotal: 10 kB\nno colon\nMemAvailable: 10 kB\n",
            Err(MissingLine),
        );
        check("MemTotal: 10 kB\nMemAvailable: 10 k", Err(MissingLine));
        check(
            "MemTotal: 10 kB\nMemFree: 1 kB\nCached: 1 kB\nCommitted_AS: 1 kB\n",
            Err(MissingLine),
        );
        check("MemTotal: x kB\nMemAvailable: 10 kB\n", Err(BadNumber));
        check("MemTotal:\nMemAvailable: 10 kB\n", Err(BadNumber));
        check("MemTotal: 10 kB\nMemAvailable: -10 kB\n", Err(BadNumber));
        check(
            "MemTotal: 18446744073709551616 kB\nMemAvailable: 1 kB\n",
            Err(BadNumber),
        );
        check("MemTotal: 10 MB\nMemAvailable: 1 kB\n", Err(BadUnit));
        check("MemTotal: 10\nMemAvailable: 1 kB\n", Err(BadUnit));
    }

    #[test]
    fn a_line_is_a_name_a_number_and_perhaps_a_unit() {
        let field = |line: &'static str| {
            Field::parse(line.as_bytes()).map(|field| (field.name, field.value, field.in_kb))
        };
        let anon = field("Active(anon):       1628 kB");
        assert_eq!(anon, Ok((&b"Active(anon)"[..], 1628, true)));
        let pages = field("HugePages_Total:       0");
        assert_eq!(pages, Ok((&b"HugePages_Total"[..], 0, false)));
        for (line, error) in [
            ("", MeminfoError::MissingLine),
            (": 5 kB", MeminfoError::MissingLine),
            ("Mem\"x: 5 kB", MeminfoError::MissingLine),
            ("MemTotal: kB", MeminfoError::BadNumber),
            ("MemTotal: 5 MB", MeminfoError::BadUnit),
        ] {
            assert_eq!(field(line), Err(error), "{line:?}");
        }
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        for (text, last_needed) in [(MODERN, "MemAvailable:"), (OLD, "Committed_AS:")] {
            let whole = MemInfo::parse(text.as_bytes()).unwrap();
            let needed = text.find(last_needed).unwrap();
            let enough = needed + text[needed..].find('\n').unwrap() + 1;
            for cut in 0..=text.len() {
                let part = MemInfo::parse(&text.as_bytes()[..cut]);
                assert_eq!(part.is_ok(), cut >= enough, "cut at byte {cut}");
                if let Ok(part) = part {
                    assert_eq!(part, whole, "cut at byte {cut}");
                }
            }
        }
    }
}
