//! Numbers: checked and read as integers, since the agent computes with no other.

use super::{Fault, JsonError};

/// The first 20 digits of the number, at 308 digits after them, from which an `f64` is infinite.
const INFINITE_FROM: u64 = 17_976_931_348_623_158_079;
const LARGEST_EXPONENT: i64 = 308;

/// A checked number, as its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<'a>(&'a str);

impl<'a> Number<'a> {
    pub(super) fn of(raw: &'a str) -> Self {
        Self(raw)
    }

    /// The text it came as.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// The number, if it is a whole one from 0 to `u64::MAX`, in whatever form: `5`, `5.0`, `5e0`.
    pub fn as_u64(self) -> Option<u64> {
        let parts = Parts::of(self.0.as_bytes());
        let (value, is_exact) = parts.scaled(0)?;
        is_exact.then_some(value)
    }

    /// The number times 10 to the power of `decimals`, cut to a whole one: with 3 decimals, `2.5`
    /// is 2500. None if it is below 0 or too large.
    pub fn scaled(self, decimals: u8) -> Option<u64> {
        let parts = Parts::of(self.0.as_bytes());
        parts.scaled(decimals).map(|(value, _)| value)
    }

    /// Whether it is below 0. Minus zero is not.
    pub fn is_negative(self) -> bool {
        let parts = Parts::of(self.0.as_bytes());
        parts.is_negative && parts.digits().any(|digit| digit != 0)
    }
}

/// Checks the number that begins at `from`; gives where it ends.
pub(super) fn check(text: &str, from: usize) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    let mut at = from;
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    let whole_from = at;
    at = digits(bytes, at)?;
    if bytes[whole_from] == b'0' && at > whole_from + 1 {
        return Err(JsonError {
            at: whole_from + 1,
            fault: Fault::Expected("a number without a leading zero"),
        });
    }
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = digits(bytes, at)?;
    }
    if !Parts::of(&bytes[from..at]).is_finite() {
        return Err(JsonError {
            at: from,
            fault: Fault::NumberRange,
        });
    }
    Ok(at)
}

/// The place after the digits at `from`, of which there is at least one.
fn digits(bytes: &[u8], from: usize) -> Result<usize, JsonError> {
    let rest = bytes.get(from..).unwrap_or_default();
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    match (count, rest.first()) {
        (0, None) => Err(JsonError {
            at: bytes.len(),
            fault: Fault::Cut,
        }),
        (0, Some(_)) => Err(JsonError {
            at: from,
            fault: Fault::Expected("a digit"),
        }),
        _ => Ok(from + count),
    }
}

/// A number's pieces.
struct Parts<'a> {
    is_negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Parts<'a> {
    fn of(raw: &'a [u8]) -> Self {
        let (is_negative, rest) = match raw {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, raw),
        };
        let (mantissa, exponent) = split(rest, |byte| matches!(byte, b'e' | b'E'));
        let (whole, fraction) = split(mantissa, |byte| byte == b'.');
        Self {
            is_negative,
            whole,
            fraction,
            exponent: exponent_of(exponent),
        }
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).map(|b| b - b'0')
    }

    /// The power of ten that the first digit stands for.
    fn first_power(&self) -> i64 {
        self.exponent.saturating_add(signed(self.whole.len()) - 1)
    }

    fn is_finite(&self) -> bool {
        let zeros = self.digits().take_while(|&digit| digit == 0).count();
        let power = self.first_power().saturating_sub(signed(zeros));
        let mut significant = self.digits().skip(zeros).peekable();
        if significant.peek().is_none() || power < LARGEST_EXPONENT {
            return true;
        }
        let mut padded = significant.chain(core::iter::repeat(0)).take(20);
        let first = padded.try_fold(0_u64, |value, digit| {
            value.checked_mul(10)?.checked_add(u64::from(digit))
        });
        power == LARGEST_EXPONENT && first.is_some_and(|value| value < INFINITE_FROM)
    }

    /// The number times 10 to the power of `decimals` and whether nothing was cut off.
    fn scaled(&self, decimals: u8) -> Option<(u64, bool)> {
        let mut value = 0_u64;
        let mut is_exact = true;
        // How many more digits belong to the whole part once scaled.
        let mut left = self
            .first_power()
            .saturating_add(i64::from(decimals))
            .saturating_add(1);
        for digit in self.digits() {
            if left > 0 {
                value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
                left -= 1;
            } else {
                is_exact &= digit == 0;
            }
        }
        while left > 0 && value > 0 {
            value = value.checked_mul(10)?;
            left -= 1;
        }
        let is_zero = value == 0 && is_exact;
        (!self.is_negative || is_zero).then_some((value, is_exact))
    }
}

fn split(bytes: &[u8], is_mark: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| is_mark(byte)) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

fn exponent_of(text: &[u8]) -> i64 {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let size = digits.iter().fold(0_i64, |value, byte| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(byte - b'0'))
    });
    if is_negative { -size } else { size }
}

/// A count of digits: no document is long enough to reach the end of the range.
fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
