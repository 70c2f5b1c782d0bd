//! `/proc/loadavg`: how many tasks ran or wanted to, on average.
//!
//! ```text
//! 0.42 0.15 0.07 1/87 6183
//! ```
//!
//! Kernel documentation: `Documentation/filesystems/proc.rst`, "loadavg". The averages of the last
//! 1, 5 and 15 minutes, with two decimals; the running tasks and the last process id are not read.

use super::{fields, first_line, hundredths};
use core::fmt;

/// The load of the last 1, 5 and 15 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadAvg {
    /// In hundredths of a task: a load of 0.42 is 42.
    pub hundredths: [u32; 3],
}

/// Why the load could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadAvgError {
    /// The line has no newline: the read ended within it.
    Cut,
    /// Fewer than three averages.
    MissingField,
    /// An average is no number with two decimals, or out of all reason.
    BadNumber,
}

impl LoadAvg {
    /// Reads the first three fields of the one line.
    pub fn parse(text: &[u8]) -> Result<Self, LoadAvgError> {
        let line = first_line(text).ok_or(LoadAvgError::Cut)?;
        let mut fields = fields(line);
        let mut averages = [0_u32; 3];
        for average in &mut averages {
            let field = fields.next().ok_or(LoadAvgError::MissingField)?;
            let value = hundredths(field).ok_or(LoadAvgError::BadNumber)?;
            *average = u32::try_from(value).map_err(|_| LoadAvgError::BadNumber)?;
        }
        Ok(Self {
            hundredths: averages,
        })
    }
}

impl fmt::Display for LoadAvgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "/proc/loadavg: the line was cut, read more of the file",
            Self::MissingField => "/proc/loadavg: fewer than three averages",
            Self::BadNumber => "/proc/loadavg: an average is no number with two decimals",
        })
    }
}

impl core::error::Error for LoadAvgError {}

#[cfg(test)]
mod tests {
    use super::*;
    use LoadAvgError::{BadNumber, Cut, MissingField};

    fn check(text: &str, expected: Result<[u32; 3], LoadAvgError>) {
        let expected = expected.map(|hundredths| LoadAvg { hundredths });
        assert_eq!(LoadAvg::parse(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn the_first_three_fields_are_the_averages() {
        check("0.42 0.15 0.07 1/87 6183\n", Ok([42, 15, 7]));
        check(
            "128.00 1000.99 0.00 3/9999 4194304\n",
            Ok([12_800, 100_099, 0]),
        );
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        check("", Err(Cut));
        check("0.42 0.15 0.07 1/87 6183", Err(Cut));
        check("\n", Err(MissingField));
        check("0.42 0.15\n", Err(MissingField));
        check("0.42 -0.15 0.07 1/87 6183\n", Err(BadNumber));
        check("0.42 0.15 1/87 6183\n", Err(BadNumber));
        check("0.42 0.1 0.07 1/87 6183\n", Err(BadNumber));
        check("42949672.96 0.15 0.07 1/87 6183\n", Err(BadNumber));
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        let text = b"0.42 0.15 0.07 1/87 6183\n";
        for cut in 0..text.len() {
            assert_eq!(LoadAvg::parse(&text[..cut]), Err(Cut), "cut at byte {cut}");
        }
    }
}
