//! Points in time as text: what payloads, logs and HTTP headers say.
//!
//! A point in time is Unix milliseconds, or seconds where the name says so, in a `u64`: nothing
//! before 1970 exists here. Leap seconds do not either; a written second 60 is the next second.
//! What is written lies in 1970 to 9999, later times are clamped to the end of 9999.
//!
//! Nothing here reads a clock or knows a time zone besides UTC.

mod calendar;
mod http_date;
mod retry_after;
mod rfc3339;

pub use http_date::{format_http_date, parse_http_date};
pub use retry_after::retry_after_ms;
pub use rfc3339::{Rfc3339, format_rfc3339, parse_rfc3339};

use core::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
pub type UnixMs = u64;

/// Why a text is no point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeError {
    /// It has not the form that is asked for.
    BadForm,
    /// The form is right, but there is no such day, hour, minute, second or offset.
    OutOfRange,
    /// It lies before 1970.
    BeforeEpoch,
}

impl fmt::Display for TimeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadForm => "not a time of the expected form",
            Self::OutOfRange => "no such day or time of day",
            Self::BeforeEpoch => "a time before 1970",
        })
    }
}

impl core::error::Error for TimeError {}

/// What is left to read of a text whose parts have fixed widths.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TimeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(TimeError::BadForm)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of exactly `count` digits, few enough to fit.
    fn number(&mut self, count: usize) -> Result<u64, TimeError> {
        self.take(count)?
            .iter()
            .try_fold(0, |number, &byte| match byte {
                b'0'..=b'9' => Ok(number * 10 + u64::from(byte - b'0')),
                _ => Err(TimeError::BadForm),
            })
    }

    fn literal(&mut self, text: &[u8]) -> Result<(), TimeError> {
        if self.take(text.len())? == text {
            Ok(())
        } else {
            Err(TimeError::BadForm)
        }
    }

    /// `hh:mm:ss`
    fn time_of_day(&mut self) -> Result<[u64; 3], TimeError> {
        let hour = self.number(2)?;
        self.literal(b":")?;
        let minute = self.number(2)?;
        self.literal(b":")?;
        Ok([hour, minute, self.number(2)?])
    }

    fn end(&self) -> Result<(), TimeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(TimeError::BadForm)
        }
    }
}

/// Fills `place` with the last digits of `number`, zeros in front.
fn put(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
