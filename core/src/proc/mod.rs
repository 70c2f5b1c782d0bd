//! Parsers of the hot `/proc` files: one file of the kernel, one file here.
//!
//! Each takes the bytes of one read from the file's start, which may have ended too early because
//! the buffer was small. A line without its newline was cut and is refused: the first digits of a
//! number are a number too, only a wrong one. No parser allocates, panics or looks further than
//! it must.
//!
//! They read what the kernel writes (`Documentation/filesystems/proc.rst`), not everything that
//! could be meant: signs, exponents and other units are errors.

pub mod diskstats;
pub mod loadavg;
pub mod meminfo;
pub mod mounts;
pub mod net_dev;
pub mod pressure;
pub mod stat;
pub mod sys;
pub mod uptime;
pub mod vmstat;

use crate::text::{decimal, find};

/// The lines of `text` without their newlines, in order; `None` in place of a last line that has
/// no newline.
fn lines(text: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = text;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = find(b'\n', rest) else {
            rest = &[];
            return Some(None);
        };
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(Some(line))
    })
}

/// The first line of `text` without its newline, or `None` when it was cut.
fn first_line(text: &[u8]) -> Option<&[u8]> {
    lines(text).next().flatten()
}

/// What stands between blanks.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    core::iter::from_fn(move || {
        let (field, behind) = split_field(rest)?;
        rest = behind;
        Some(field)
    })
}

/// The first field, and what stands behind it.
fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    // Most bytes are told from both at once.
    let is_blank = |byte: &u8| *byte <= b' ' && matches!(*byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let line = &line[start..];
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    Some(line.split_at(end))
}

/// The numbers of a line, up to the first field that is none.
fn numbers(line: &[u8]) -> impl Iterator<Item = u64> {
    fields(line).map_while(decimal)
}

/// A number with exactly two decimals, as hundredths: `12.34` is 1234.
fn hundredths(field: &[u8]) -> Option<u64> {
    let (whole, rest) = field.split_at_checked(field.len().checked_sub(3)?)?;
    let decimals = rest.strip_prefix(b".")?;
    decimal(whole)?
        .checked_mul(100)?
        .checked_add(decimal(decimals)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_digits_that_fit() {
        assert_eq!(decimal(b"0"), Some(0));
        assert_eq!(decimal(b"007"), Some(7));
        assert_eq!(decimal(b"18446744073709551615"), Some(u64::MAX));
        for bad in [
            "",
            "18446744073709551616",
            "-1",
            "+1",
            "1 ",
            "1.0",
            "0x1",
            "\u{664}",
        ] {
            assert_eq!(decimal(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn hundredths_have_exactly_two_decimals() {
        assert_eq!(hundredths(b"0.00"), Some(0));
        assert_eq!(hundredths(b"12.34"), Some(1234));
        assert_eq!(hundredths(b"184467440737095516.15"), Some(u64::MAX));
        for bad in [
            "", ".", ".12", "1.2", "12", "1.234", "1,23", "-1.23", "1.-2", "1.2 ",
        ] {
            assert_eq!(hundredths(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(hundredths(b"184467440737095516.16"), None);
    }

    #[test]
    fn a_line_without_newline_is_no_line() {
        let all: Vec<_> = lines(b"a\n\nb c").collect();
        assert_eq!(all, [Some(&b"a"[..]), Some(&b""[..]), None]);
        assert_eq!(lines(b"").count(), 0);
        assert_eq!(first_line(b"a\nb"), Some(&b"a"[..]));
        assert_eq!(first_line(b"a"), None);
        assert_eq!(first_line(b""), None);
    }

    #[test]
    fn fields_stand_between_blanks() {
        let all: Vec<_> = fields(b"  a\tb  c ").collect();
        assert_eq!(all, [b"a", b"b", b"c"]);
        assert_eq!(fields(b" \t ").count(), 0);
    }
}
