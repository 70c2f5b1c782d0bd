//! `/proc/uptime`: how long the kernel has been running.
//!
//! ```text
//! 843.93 1555.64
//! ```
//!
//! Kernel documentation: `Documentation/filesystems/proc.rst`, "uptime". Seconds with two
//! decimals, time in suspend included; the second number, idle time over all processors, is not
//! read, since `/proc/stat` says it better.

use super::{fields, first_line, hundredths};
use core::fmt;

/// How long the kernel has been running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uptime {
    /// Since its start, in hundredths of a second.
    pub up_hundredths: u64,
}

/// Why the time could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UptimeError {
    /// The line has no newline: the read ended within it.
    Cut,
    /// The line is empty.
    MissingField,
    /// The first field is no number with two decimals.
    BadNumber,
}

impl Uptime {
    /// Reads the first field of the one line.
    pub fn parse(text: &[u8]) -> Result<Self, UptimeError> {
        let line = first_line(text).ok_or(UptimeError::Cut)?;
        let field = fields(line).next().ok_or(UptimeError::MissingField)?;
        let up_hundredths = hundredths(field).ok_or(UptimeError::BadNumber)?;
        Ok(Self { up_hundredths })
    }
}

impl fmt::Display for UptimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "/proc/uptime: the line was cut, read more of the file",
            Self::MissingField => "/proc/uptime: the line is empty",
            Self::BadNumber => "/proc/uptime: the time is no number with two decimals",
        })
    }
}

impl core::error::Error for UptimeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use UptimeError::{BadNumber, Cut, MissingField};

    fn check(text: &str, expected: Result<u64, UptimeError>) {
        let expected = expected.map(|up_hundredths| Uptime { up_hundredths });
        assert_eq!(Uptime::parse(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn the_first_field_is_the_time() {
        check("843.93 1555.64\n", Ok(84_393));
        check("0.00 0.00\n", Ok(0));
        check("31536000.09 0.00\n", Ok(3_153_600_009));
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        check("", Err(Cut));
        check("843.93 1555.64", Err(Cut));
        check("\n", Err(MissingField));
        check("843 1555\n", Err(BadNumber));
        check("-1.00 1555.64\n", Err(BadNumber));
        check("843.9 1555.64\n", Err(BadNumber));
        check("184467440737095516.16 0.00\n", Err(BadNumber));
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        let text = b"843.93 1555.64\n";
        for cut in 0..text.len() {
            assert_eq!(Uptime::parse(&text[..cut]), Err(Cut), "cut at byte {cut}");
        }
    }
}
