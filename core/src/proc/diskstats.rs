//! `/proc/diskstats`: what each block device did.
//!
//! ```text
//!  254       0 vda 1414233 65282 57319338 2658493 196609 209545 104479761 667862 0 156160 3366759 ...
//! ```
//!
//! Kernel documentation: `Documentation/admin-guide/iostats.rst`. Behind the numbers and the name
//! stand 11 columns since 2.6, 15 since 4.18 (discards), 17 since 5.5 (flushes). A sector is 512
//! bytes here, whatever the disk says of itself; times are milliseconds.
//!
//! Partitions of kernels before 2.6.25 have four columns of another meaning and are refused.

use super::{decimal, fields, split_field};
use core::fmt;

/// Bytes of a sector in this file.
pub const SECTOR_BYTES: u64 = 512;
/// The columns that every kernel since 2.6.25 has.
const COLUMNS: usize = 11;

/// One block device's line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk<'a> {
    /// As the kernel names it, like `sda` or `cciss/c0d0`.
    pub name: &'a [u8],
    columns: &'a [u8],
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskstatsError {
    /// Fewer than two numbers, a name and 11 columns.
    MissingField,
    /// A number is not a decimal one of 64 bits.
    BadNumber,
}

impl<'a> Disk<'a> {
    /// Reads one line without its newline.
    pub fn parse(line: &'a [u8]) -> Result<Self, DiskstatsError> {
        let mut rest = line;
        for _ in 0..2 {
            let (number, after) = split_field(rest).ok_or(DiskstatsError::MissingField)?;
            decimal(number).ok_or(DiskstatsError::BadNumber)?;
            rest = after;
        }
        let (name, columns) = split_field(rest).ok_or(DiskstatsError::MissingField)?;
        let mut found = 0;
        for field in fields(columns) {
            decimal(field).ok_or(DiskstatsError::BadNumber)?;
            found += 1;
        }
        if found < COLUMNS {
            return Err(DiskstatsError::MissingField);
        }
        Ok(Self { name, columns })
    }

    /// A line that [`Disk::parse`] took before, split again without a second look at its numbers.
    pub fn parse_kept(line: &'a [u8]) -> Option<Self> {
        let (_, rest) = split_field(line)?;
        let (_, rest) = split_field(rest)?;
        let (name, columns) = split_field(rest)?;
        Some(Self { name, columns })
    }

    /// The columns behind the name, as many as the kernel has.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        super::numbers(self.columns)
    }
}

/// Whether monitoring usually leaves this device out: RAM disks, loops, floppies, and the
/// partitions of the usual kinds of disks, whose figures are in those of the disk.
pub fn is_minor(name: &[u8]) -> bool {
    let digits = name
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 {
        return false;
    }
    match &name[..name.len() - digits] {
        b"ram" | b"zram" | b"loop" | b"fd" => true,
        [b'h' | b's' | b'v', b'd', letter] | [b'x', b'v', b'd', letter] => {
            letter.is_ascii_lowercase()
        }
        [b'n', b'v', b'm', b'e', inner @ .., b'p'] => {
            let mut parts = inner.split(|byte| *byte == b'n');
            let is_number = |part: Option<&[u8]>| part.is_some_and(|part| decimal(part).is_some());
            is_number(parts.next()) && is_number(parts.next()) && parts.next().is_none()
        }
        _ => false,
    }
}

impl fmt::Display for DiskstatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingField => "/proc/diskstats: a line has fewer than 14 fields",
            Self::BadNumber => "/proc/diskstats: a field that counts is no number",
        })
    }
}

impl core::error::Error for DiskstatsError {}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = " 254       0 vda 1414233 65282 57319338 2658493 196609 209545 104479761 \
        667862 0 156160 3366759 134667 46 49023880 37201 19235 3202";

    #[test]
    fn columns_stand_behind_the_name() {
        let disk = Disk::parse(LINE.as_bytes()).unwrap();
        assert_eq!(disk.name, b"vda");
        assert_eq!(disk.numbers().next(), Some(1_414_233));
        assert_eq!(disk.numbers().nth(10), Some(3_366_759));
        assert_eq!(disk.numbers().nth(16), Some(3_202));
        assert_eq!(disk.numbers().count(), 17);
        assert_eq!(Disk::parse_kept(LINE.as_bytes()), Some(disk));
        let old = Disk::parse(b"8 0 cciss/c0d0 1 2 3 4 5 6 7 8 9 10 11").unwrap();
        assert_eq!((old.name, old.numbers().count()), (&b"cciss/c0d0"[..], 11));
    }

    #[test]
    fn damaged_lines_are_refused_by_name() {
        use DiskstatsError::{BadNumber, MissingField};
        for (line, expected) in [
            ("", MissingField),
            ("8 0", MissingField),
            ("8 1 sda1 1 2 3 4", MissingField),
            ("8 x sda 1 2 3 4 5 6 7 8 9 10 11", BadNumber),
            ("8 0 sda 1 2 -3 4 5 6 7 8 9 10 11", BadNumber),
        ] {
            assert_eq!(Disk::parse(line.as_bytes()), Err(expected), "{line:?}");
        }
        for cut in 0..LINE.len() {
            if let Ok(disk) = Disk::parse(&LINE.as_bytes()[..cut]) {
                assert_eq!(disk.name, b"vda", "cut at byte {cut}");
                assert!(disk.numbers().count() >= COLUMNS, "cut at byte {cut}");
            }
        }
    }

    #[test]
    fn partitions_and_ram_disks_are_minor_and_disks_are_not() {
        for name in [
            "ram0",
            "zram1",
            "loop12",
            "fd0",
            "sda1",
            "hdb12",
            "vda3",
            "xvdf1",
            "nvme0n1p2",
            "nvme10n1p1",
        ] {
            assert!(is_minor(name.as_bytes()), "{name}");
        }
        for name in [
            "sda",
            "sdaa1",
            "vda",
            "nvme0n1",
            "mmcblk0",
            "mmcblk0p1",
            "md0",
            "dm-0",
            "sr0",
            "nbd0",
            "fd",
            "",
            "0",
            "nvmep1",
            "nvme0n1n2p1",
        ] {
            assert!(!is_minor(name.as_bytes()), "{name}");
        }
    }
}
