//! Files of `/proc/sys` and `/sys` that hold a line and nothing else.
//!
//! ```text
//! 926     0       9223372036854775807
//! ```
//!
//! Kernel documentation: `Documentation/admin-guide/sysctl/fs.rst`, "file-max & file-nr", and
//! `Documentation/networking/nf_conntrack-sysctl.rst` for those with a single number.

use super::{decimal, fields};

/// What the file says, without the blanks and newlines around it.
pub fn value(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// A single whole number, as decimal digits or in hexadecimal with `0x`, perhaps with a sign.
pub fn number(text: &[u8]) -> Option<i64> {
    let text = value(text);
    let (digits, is_negative) = match text.strip_prefix(b"-") {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    let size = match digits.strip_prefix(b"0x") {
        Some(hex) => {
            let hex = core::str::from_utf8(hex).ok()?;
            let is_plain = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            u64::from_str_radix(hex, 16).ok().filter(|_| is_plain)?
        }
        None => decimal(digits)?,
    };
    let size = i64::try_from(size).ok()?;
    Some(if is_negative { -size } else { size })
}

/// `fs/file-nr`: how many files are open, and how many may be.
pub fn file_nr(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = fields(value(text)).map(decimal);
    let (allocated, _free, maximum) = (fields.next()??, fields.next()??, fields.next()??);
    fields.next().is_none().then_some((allocated, maximum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_hexadecimal_or_negative() {
        for (text, expected) in [
            ("1500\n", Some(1500)),
            ("-1\n", Some(-1)),
            ("0x1003\n", Some(0x1003)),
            ("9223372036854775807\n", Some(i64::MAX)),
            ("9223372036854775808\n", None),
            ("0x\n", None),
            ("0x+1\n", None),
            ("--1\n", None),
            ("1 2\n", None),
            ("\n", None),
        ] {
            assert_eq!(number(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(value(b" up\n"), b"up");
    }

    #[test]
    fn file_nr_has_three_numbers() {
        let text = b"926\t0\t9223372036854775807\n";
        assert_eq!(file_nr(text), Some((926, i64::MAX as u64)));
        for text in ["", "1 2\n", "1 2 3 4\n", "1 x 3\n"] {
            assert_eq!(file_nr(text.as_bytes()), None, "{text:?}");
        }
    }
}
