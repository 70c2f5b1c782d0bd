//! Text for JSON lines that people read on terminals: strings, numbers, shares.
//!
//! Besides what JSON demands, a string's escapes hide what could deceive a reader or break a line:
//! DEL and the C1 controls, the line and paragraph separators, and the marks that turn the
//! direction of text. The bytes stay what they were: every JSON reader gives them back.
//!
//! Numbers are written into the caller's array, since formatting machinery weighs more than digits.

use crate::sample::Tenths;
use embedded_io::Write;

/// Writes `text` as a JSON string, quotes included.
pub fn write_json_str<W: Write>(out: &mut W, text: &str) -> Result<(), W::Error> {
    out.write_all(b"\"")?;
    write_escaped(out, text)?;
    out.write_all(b"\"")
}

/// Writes what stands between the quotes of a JSON string.
pub fn write_escaped<W: Write>(out: &mut W, text: &str) -> Result<(), W::Error> {
    let mut plain_from = 0;
    for (at, character) in text.char_indices() {
        let Some(escape) = escape(character) else {
            continue;
        };
        out.write_all(&text.as_bytes()[plain_from..at])?;
        out.write_all(escape.as_bytes())?;
        plain_from = at + character.len_utf8();
    }
    out.write_all(&text.as_bytes()[plain_from..])
}

/// The longest beginning of `text` that has at most `max_bytes` and ends with a whole character.
pub fn cut(text: &str, max_bytes: usize) -> &str {
    &text[..text.floor_char_boundary(max_bytes)]
}

/// The digits of `number`.
pub fn digits(number: u64, buf: &mut [u8; 20]) -> &[u8] {
    let from = write_digits(number, buf);
    &buf[from..]
}

/// Writes the digits of `number` to the end of `text`, which has room for 20; gives where they
/// begin.
pub(crate) fn write_digits(mut number: u64, text: &mut [u8]) -> usize {
    let mut from = text.len();
    // Two at a time: half as many divisions.
    let mut add = |pair: usize| {
        from -= 2;
        text[from..from + 2].copy_from_slice(&PAIRS[pair]);
    };
    let mut small = loop {
        match u32::try_from(number) {
            // Small machines divide these much faster.
            Ok(small) => break small,
            Err(_) => add((number % 100) as usize),
        }
        number /= 100;
    };
    while small >= 100 {
        add((small % 100) as usize);
        small /= 100;
    }
    add(small as usize);
    from + usize::from(small < 10)
}

/// `00` to `99`.
static PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The highest bit of each of eight bytes.
pub(crate) const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// `byte` in each of eight places.
pub(crate) const fn spread(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Zero if none of eight bytes is zero; else the lowest high bit that is set is that of the lowest
/// of them. Those above it tell nothing.
pub(crate) const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(spread(1)) & !word & HIGH_BITS
}

/// Where `byte` stands first in `text`. It looks at eight at a time, for long texts.
// Within a caller that is made for size it would be, too.
#[inline(never)]
pub fn find(byte: u8, text: &[u8]) -> Option<usize> {
    let (words, _) = text.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        // Zero where the byte stands.
        let zeros = zeros(u64::from_le_bytes(*word) ^ spread(byte));
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += word.len();
    }
    let rest = text[at..].iter().position(|other| *other == byte);
    rest.map(|place| at + place)
}

/// Digits and nothing else. A number that does not fit is refused as well.
pub(crate) fn decimal(field: &[u8]) -> Option<u64> {
    /// As many nines fit.
    const SURE_DIGITS: usize = 19;
    if field.is_empty() {
        return None;
    }
    let (sure, rest) = field.split_at(field.len().min(SURE_DIGITS));
    let mut number = 0_u64;
    for byte in sure {
        number = number * 10 + u64::from(digit(*byte)?);
    }
    rest.iter().try_fold(number, |number, byte| {
        number.checked_mul(10)?.checked_add(digit(*byte)?.into())
    })
}

/// What a digit means.
fn digit(byte: u8) -> Option<u8> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(digit)
}

/// A share as a percentage with one decimal, `12.3`; nothing when it is absent.
pub fn percent(share: Tenths, buf: &mut [u8; 5]) -> Option<&str> {
    let tenths = share.get()?;
    let digit = |divisor| b'0' + (tenths / divisor % 10) as u8;
    *buf = [digit(1000), digit(100), digit(10), b'.', digit(1)];
    let zeros = buf.iter().take(2).take_while(|&&b| b == b'0').count();
    core::str::from_utf8(&buf[zeros..]).ok()
}

/// What stands for a character that is not written as it is.
enum Escape {
    Short([u8; 2]),
    Long([u8; 6]),
}

impl Escape {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes) => bytes,
            Self::Long(bytes) => bytes,
        }
    }
}

/// Whether a terminal, or the eye, obeys `character` instead of seeing it: controls, line ends, and
/// what turns the direction of writing.
pub fn is_steering(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

fn escape(character: char) -> Option<Escape> {
    let short = match character {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{08}' => b'b',
        '\u{0c}' => b'f',
        steering if is_steering(steering) => {
            // All of them lie below U+10000, where one group of four digits is enough.
            let code = character as u32;
            let hex = |shift: u32| b"0123456789abcdef"[(code >> shift & 0xf) as usize];
            return Some(Escape::Long([b'\\', b'u', hex(12), hex(8), hex(4), hex(0)]));
        }
        _ => return None,
    };
    Some(Escape::Short([b'\\', short]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut buf = [0xa5; 64];
        let mut out = &mut buf[..];
        write_json_str(&mut out, text).unwrap();
        let used = 64 - out.len();
        assert_eq!(core::str::from_utf8(&buf[..used]).unwrap(), expected);
    }

    #[test]
    fn a_byte_is_found_where_it_stands_first() {
        let mut rng = crate::rng::Rng::new(20_260_923);
        for length in 0..200 {
            let text: Vec<u8> = (0..length)
                .map(|_| [b'\n', 0, 0x0b, 0x8a, 0x80, 0xff, 1, b'a'][(rng.next_u64() % 8) as usize])
                .collect();
            for byte in [b'\n', 0, 0x80, 0xff, b'b'] {
                let expected = text.iter().position(|other| *other == byte);
                assert_eq!(find(byte, &text), expected, "{byte} in {text:?}");
            }
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        check("", r#""""#);
        check("pi-4.local", r#""pi-4.local""#);
        check("Wohnzimmer äöü € 😀", r#""Wohnzimmer äöü € 😀""#);
    }

    #[test]
    fn what_json_forbids_is_escaped() {
        check("a\"b\\c/d", r#""a\"b\\c/d""#);
        check("\n\r\t\u{8}\u{c}", r#""\n\r\t\b\f""#);
        check("\0\u{1b}[31m\u{1f}", r#""\u0000\u001b[31m\u001f""#);
    }

    #[test]
    fn what_deceives_a_reader_is_escaped() {
        let all = ('\0'..=char::MAX).filter(|&c| escape(c).is_some()).count();
        assert_eq!(all, 2 + 32 + 33 + 1 + 2 + 7 + 4);
        check(
            "\u{7f}\u{80}\u{9f}\u{a0}",
            "\"\\u007f\\u0080\\u009f\u{a0}\"",
        );
        check(
            "\u{2028}\u{2029}\u{202a}\u{202e}",
            r#""\u2028\u2029\u202a\u202e""#,
        );
        check(
            "\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
            r#""\u2066\u2069\u200e\u200f\u061c""#,
        );
    }

    #[test]
    fn a_full_buffer_is_an_error() {
        for size in 0..8 {
            let mut buf = [0; 8];
            let fits = write_json_str(&mut &mut buf[..size], "a\nbc").is_ok();
            assert_eq!(fits, size >= 7, "{size}");
        }
    }

    #[test]
    fn a_cut_ends_with_a_whole_character() {
        assert_eq!(cut("abc", 9), "abc");
        assert_eq!(cut("abc", 2), "ab");
        assert_eq!(cut("a€b", 3), "a");
        assert_eq!(cut("a€b", 4), "a€");
        assert_eq!(cut("😀", 3), "");
    }

    #[test]
    fn digits_are_those_of_the_standard_formatter() {
        for number in [0, 1, 9, 10, 99, 100, 12_345_678_901, u64::MAX] {
            assert_eq!(digits(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_percentage_has_one_decimal() {
        for raw in 0..=1000 {
            let expected = format!("{}.{}", raw / 10, raw % 10);
            let mut buf = [0; 5];
            assert_eq!(
                percent(Tenths::from_raw(raw), &mut buf),
                Some(expected.as_str())
            );
        }
        assert_eq!(percent(Tenths::ABSENT, &mut [0; 5]), None);
    }
}
