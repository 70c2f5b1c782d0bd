//! `/proc/pressure/{cpu,io,memory}`: the time that tasks lost waiting.
//!
//! ```text
//! some avg10=1.02 avg60=0.55 avg300=0.18 total=71821998
//! full avg10=0.00 avg60=0.02 avg300=0.01 total=38287277
//! ```
//!
//! Kernel documentation: `Documentation/accounting/psi.rst`. Totals are microseconds. Kernels
//! before 5.13 have no line `full` for the CPU; those before 4.20, or started without `psi=1`
//! where that is asked for, have no such files or cannot read them.

use super::{decimal, fields, lines};
use core::fmt;

/// How long tasks waited since the kernel started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// While at least one task waited, in microseconds.
    pub some_us: Option<u64>,
    /// While none could go on, in microseconds.
    pub full_us: Option<u64>,
}

/// Why the pressure could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PressureError {
    /// A line has no newline: the read ended within it.
    Cut,
    /// A line without a total.
    MissingField,
    /// The total is not a decimal number of 64 bits.
    BadNumber,
}

impl Pressure {
    /// Reads the file.
    pub fn parse(text: &[u8]) -> Result<Self, PressureError> {
        let mut pressure = Self::default();
        for line in lines(text) {
            let line = line.ok_or(PressureError::Cut)?;
            let mut fields = fields(line);
            let place = match fields.next() {
                Some(b"some") => &mut pressure.some_us,
                Some(b"full") => &mut pressure.full_us,
                _ => continue,
            };
            let total = fields
                .find_map(|field| field.strip_prefix(b"total="))
                .ok_or(PressureError::MissingField)?;
            *place = Some(decimal(total).ok_or(PressureError::BadNumber)?);
        }
        Ok(pressure)
    }
}

impl fmt::Display for PressureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "/proc/pressure: the last line was cut, read more of the file",
            Self::MissingField => "/proc/pressure: a line has no total",
            Self::BadNumber => "/proc/pressure: a total is no number",
        })
    }
}

impl core::error::Error for PressureError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "some avg10=1.02 avg60=0.55 avg300=0.18 total=71821998\n\
        full avg10=0.00 avg60=0.02 avg300=0.01 total=38287277\n";

    #[test]
    fn the_totals_are_read_and_a_missing_line_is_absent() {
        let both = Pressure {
            some_us: Some(71_821_998),
            full_us: Some(38_287_277),
        };
        assert_eq!(Pressure::parse(TEXT.as_bytes()), Ok(both));
        let some = TEXT.split_inclusive('\n').next().unwrap();
        let some = Pressure::parse(some.as_bytes()).unwrap();
        assert_eq!((some.some_us, some.full_us), (Some(71_821_998), None));
        assert_eq!(Pressure::parse(b""), Ok(Pressure::default()));
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        for (text, expected) in [
            ("some avg10=0.00\n", PressureError::MissingField),
            ("some total=x\n", PressureError::BadNumber),
            ("some total=1", PressureError::Cut),
        ] {
            assert_eq!(Pressure::parse(text.as_bytes()), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        let whole = Pressure::parse(TEXT.as_bytes()).unwrap();
        for cut in 0..TEXT.len() {
            if let Ok(part) = Pressure::parse(&TEXT.as_bytes()[..cut]) {
                assert!(part.full_us.is_none(), "cut at byte {cut}");
                assert!(part.some_us.is_none() || part.some_us == whole.some_us);
            }
        }
    }
}
