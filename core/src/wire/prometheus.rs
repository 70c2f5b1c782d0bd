//! The Prometheus text exposition format, version 0.0.4, written line by line into a small buffer.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! A page of metrics is as long as the device has disks and interfaces, and the buffer is not. So
//! a page is written in pieces: whoever writes it does so from its first line each time, the lines
//! that earlier pieces held are passed over without being written, and at [`Full`] it stops.
//! [`Lines::line`] then is where the next piece begins. The writer needs no state of its own, and
//! a piece never ends within a line.
//!
//! A line that does not fit into an empty buffer can never be written; [`Lines::is_empty`] tells
//! that case, and the caller passes over it.

use crate::Full;
use crate::text::{HIGH_BITS, digits, spread, write_digits, zeros};

/// What may be done with a family's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It only grows, but for a restart.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Nothing is promised.
    Untyped,
    /// Counts of what was observed, by size.
    Histogram,
    /// Quantiles of what was observed.
    Summary,
}

impl Kind {
    /// Its word in a `TYPE` line.
    pub fn word(self) -> &'static str {
        self.line_end().trim_ascii()
    }

    /// The word, with all that stands around it at the line's end.
    fn line_end(self) -> &'static str {
        match self {
            Self::Counter => " counter\n",
            Self::Gauge => " gauge\n",
            Self::Untyped => " untyped\n",
            Self::Histogram => " histogram\n",
            Self::Summary => " summary\n",
        }
    }
}

/// A number of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// A whole one.
    Uint(u64),
    /// A whole one with its sign.
    Int(i64),
    /// Digits of which the last `places` stand behind the point: 1234 with 2 places is 12.34.
    Decimal(u64, u8),
    /// The result of arithmetic, below 2^64 in size. Who reads it gets the same double back, and
    /// not merely one beside it.
    Float(f64),
}

/// This many digits, cut and not rounded, are nearer to their double than to the next one.
const SURE_DIGITS: usize = 18;
/// No number has more of them behind its point: all its digits and no other.
const PLACES_MAX: u8 = 20;
/// Of a number: its digits or its places, a zero before them, point, sign and the line's end.
const NUMBER_BYTES: usize = PLACES_MAX as usize + 4;
/// Up to here a double holds every whole number.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

impl From<u64> for Number {
    fn from(number: u64) -> Self {
        Self::Uint(number)
    }
}

impl From<bool> for Number {
    fn from(truth: bool) -> Self {
        Self::Uint(truth.into())
    }
}

/// A piece of a page.
#[derive(Debug)]
pub struct Lines<'b> {
    buffer: &'b mut [u8],
    used: usize,
    /// Lines that are passed over.
    skip: u32,
    /// Lines written or passed over.
    line: u32,
}

impl<'b> Lines<'b> {
    /// A piece that begins with line `from_line` of the page, counted from 0.
    pub fn new(buffer: &'b mut [u8], from_line: u32) -> Self {
        Self {
            buffer,
            used: 0,
            skip: from_line,
            line: 0,
        }
    }

    /// The line with which the next piece begins.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The line of the page with which this piece begins.
    pub fn from_line(&self) -> u32 {
        self.skip
    }

    /// Passes over what is before `line`, which earlier pieces held: their writer need not write
    /// it again only to have it passed over. Never goes back, nor beyond where this piece begins.
    pub fn pass_to(&mut self, line: u32) {
        self.line = self.line.max(line.min(self.skip));
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// The head of a family: what it is, and what its numbers are. The name comes in two parts.
    ///
    /// `help` is one line of plain text.
    pub fn family(&mut self, name: [&str; 2], kind: Kind, help: &str) -> Result<(), Full> {
        let [first, second] = name.map(str::as_bytes);
        let end = kind.line_end().as_bytes();
        self.write(|out| {
            out.put_all(&[
                b"# HELP ",
                first,
                second,
                b" ",
                help.as_bytes(),
                b"\n# TYPE ",
                first,
                second,
                end,
            ])
        })
    }

    /// A family with one number and no label, as one line of the page.
    pub fn single(
        &mut self,
        name: [&str; 2],
        kind: Kind,
        help: &str,
        number: impl Into<Number>,
    ) -> Result<(), Full> {
        let [first, second] = name.map(str::as_bytes);
        let end = kind.line_end().as_bytes();
        let texts: [&[u8]; _] = [
            b"# HELP ",
            first,
            second,
            b" ",
            help.as_bytes(),
            b"\n# TYPE ",
            first,
            second,
            end,
            first,
            second,
            b" ",
        ];
        self.ready_single(&texts, number)
    }

    /// A family with one number and no label, as one line of the page: `texts` are its head and all
    /// that stands before the number.
    pub fn ready_single(&mut self, texts: &[&[u8]], number: impl Into<Number>) -> Result<(), Full> {
        let number = number.into();
        self.write(|out| {
            out.put_all(texts)?;
            out.put_number(number)
        })
    }

    /// A number of the family. Label values are escaped; bytes that are no UTF-8 become U+FFFD.
    pub fn sample(
        &mut self,
        name: [&str; 2],
        labels: &[(&str, &[u8])],
        number: impl Into<Number>,
    ) -> Result<(), Full> {
        let number = number.into();
        self.write(|out| {
            let [first, second] = name.map(str::as_bytes);
            let end = if labels.is_empty() { b" " } else { b"{" };
            out.put_all(&[first, second, end])?;
            for (at, (label, value)) in labels.iter().enumerate() {
                let is_last = at + 1 == labels.len();
                let (label, end) = (
                    label.as_bytes(),
                    if is_last { b"\"} " } else { &b"\","[..] },
                );
                if is_plain(value) {
                    out.put_all(&[label, b"=\"", value, end])?;
                } else {
                    out.put_all(&[label, b"=\""])?;
                    out.put_escaped(value)?;
                    out.put(end)?;
                }
            }
            out.put_number(number)
        })
    }

    /// A number of the family that is in the format already, without its newline.
    pub fn ready_sample(&mut self, line: &[u8]) -> Result<(), Full> {
        self.write(|out| out.put_all(&[line, b"\n"]))
    }

    /// Writes a line whole, passes over it, or leaves the buffer as it was.
    fn write(&mut self, line: impl FnOnce(&mut Self) -> Result<(), Full>) -> Result<(), Full> {
        if self.line >= self.skip {
            let before = self.used;
            if let Err(full) = line(self) {
                self.used = before;
                return Err(full);
            }
        }
        self.line += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.put_all(&[bytes])
    }

    /// Writes texts one behind the other: faster than one by one.
    fn put_all(&mut self, texts: &[&[u8]]) -> Result<(), Full> {
        let mut room = self.buffer.get_mut(self.used..).ok_or(Full)?;
        let before = room.len();
        for text in texts {
            let (to, behind) = room.split_at_mut_checked(text.len()).ok_or(Full)?;
            copy(to, text);
            room = behind;
        }
        self.used += before - room.len();
        Ok(())
    }

    fn put_escaped(&mut self, value: &[u8]) -> Result<(), Full> {
        for chunk in value.utf8_chunks() {
            let mut rest = chunk.valid().as_bytes();
            while let Some(at) = rest.iter().position(|byte| b"\\\"\n".contains(byte)) {
                self.put(&rest[..at])?;
                self.put(match rest[at] {
                    b'\\' => b"\\\\",
                    b'"' => b"\\\"",
                    _ => b"\\n",
                })?;
                rest = &rest[at + 1..];
            }
            self.put(rest)?;
            if !chunk.invalid().is_empty() {
                self.put("\u{fffd}".as_bytes())?;
            }
        }
        Ok(())
    }

    /// A number, and the end of its line.
    fn put_number(&mut self, number: Number) -> Result<(), Full> {
        match number {
            Number::Uint(number) => self.put_decimal(false, number, 0),
            Number::Int(number) => self.put_decimal(number < 0, number.unsigned_abs(), 0),
            Number::Decimal(number, places) => self.put_decimal(false, number, places),
            Number::Float(number) => self.put_float(number),
        }
    }

    /// The same of its digits, of which the last `places` stand behind the point.
    fn put_decimal(
        &mut self,
        is_negative: bool,
        mut number: u64,
        mut places: u8,
    ) -> Result<(), Full> {
        while places > 0 && number.is_multiple_of(10) {
            number /= 10;
            places -= 1;
        }
        if number < 10 && places == 0 && !is_negative {
            // As most are.
            return self.put(&[b'0' + number as u8, b'\n']);
        }
        // It is made from its end, with zeros before it where it has fewer digits than places.
        let mut text = [b'0'; NUMBER_BYTES];
        let end = text.len() - 1;
        text[end] = b'\n';
        let mut from = write_digits(number, &mut text[..end]);
        if places > 0 {
            let whole_end = end - usize::from(places.min(PLACES_MAX));
            from = from.min(whole_end - 1);
            text.copy_within(from..whole_end, from - 1);
            text[whole_end - 1] = b'.';
            from -= 1;
        }
        if is_negative {
            from -= 1;
            text[from] = b'-';
        }
        self.put(&text[from..])
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "whole numbers are held below 2^53 and signs are gone; what is to be the same \
                  double is compared as such"
    )]
    fn put_float(&mut self, number: f64) -> Result<(), Full> {
        if !number.is_finite() {
            return self.put(match number {
                f64::INFINITY => b"+Inf\n",
                f64::NEG_INFINITY => b"-Inf\n",
                _ => b"NaN\n",
            });
        }
        let is_negative = number < 0.0;
        let size = number.abs();
        // Most are some units of a power of ten. Dividing two whole doubles rounds as reading the
        // decimal does, so that it can be seen whether the short form means this very double.
        let mut unit = 1_u64;
        for places in 0..=9 {
            let scaled = size * unit as f64;
            if scaled >= WHOLE_MAX {
                break;
            }
            let near = (scaled + 0.5) as u64;
            if near as f64 / unit as f64 == size {
                return self.put_decimal(is_negative, near, places);
            }
            unit *= 10;
        }
        if is_negative {
            self.put(b"-")?;
        }
        let whole = size as u64;
        self.put(digits(whole, &mut [0; 20]))?;
        // What is left has its last bit far above 2^-120, so these digits are exact.
        let mut rest = ((size - whole as f64) * (1_u128 << 120) as f64) as u128;
        let mut sure = whole.checked_ilog10().map_or(0, |log| log as usize + 1);
        if rest > 0 {
            self.put(b".")?;
        }
        while rest > 0 && sure < SURE_DIGITS {
            rest *= 10;
            let digit = (rest >> 120) as u8;
            rest &= (1 << 120) - 1;
            self.put(&[b'0' + digit])?;
            if sure > 0 || digit > 0 {
                sure += 1;
            }
        }
        self.put(b"\n")
    }
}

/// Whether a value stands on a page as it is: ASCII without backslash, quote and newline.
fn is_plain(value: &[u8]) -> bool {
    let Some(last) = value.last_chunk::<8>() else {
        let is_plain = |byte: &u8| byte.is_ascii() && !matches!(byte, b'\\' | b'"' | b'\n');
        return value.iter().all(is_plain);
    };
    let (words, _) = value.as_chunks::<8>();
    words.iter().chain([last]).all(|word| {
        let word = u64::from_le_bytes(*word);
        let escaped = b"\\\"\n".map(|byte| zeros(word ^ spread(byte)));
        (word & HIGH_BITS) | escaped[0] | escaped[1] | escaped[2] == 0
    })
}

/// Copies a text to where it goes, which is as long. A line is made of many short ones, and what
/// copies any length takes longer to find out about one than to copy it.
fn copy(to: &mut [u8], from: &[u8]) {
    let is_copied = match from.len() {
        0..2 => ends::<1>(to, from),
        2..4 => ends::<2>(to, from),
        4..8 => ends::<4>(to, from),
        8..16 => ends::<8>(to, from),
        16..32 => ends::<16>(to, from),
        32..=64 => ends::<32>(to, from),
        _ => false,
    };
    if !is_copied {
        to.copy_from_slice(from);
    }
}

/// Copies the first and the last `N` bytes, if there are as many; between them they may share some.
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) -> bool {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
        return false;
    };
    if let Some(to) = to.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = *last;
    }
    true
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    fn page(out: &mut Lines<'_>) -> Result<(), Full> {
        let name = ["node_", "load1"];
        out.family(name, Kind::Gauge, "Load over a minute.")?;
        out.sample(name, &[], Number::Decimal(120, 2))?;
        let name = ["node_", "disk_bytes"];
        out.family(name, Kind::Counter, "Bytes.")?;
        for disk in [&b"sda"[..], b"a\"b\\c\nd", b"\xff1"] {
            out.sample(name, &[("device", disk), ("kind", b"x")], 7)?;
        }
        out.sample(["", "below"], &[], Number::Int(-5))
    }

    const PAGE: &str = "# HELP node_load1 Load over a minute.\n# TYPE node_load1 gauge\n\
        node_load1 1.2\n\
        # HELP node_disk_bytes Bytes.\n# TYPE node_disk_bytes counter\n\
        node_disk_bytes{device=\"sda\",kind=\"x\"} 7\n\
        node_disk_bytes{device=\"a\\\"b\\\\c\\nd\",kind=\"x\"} 7\n\
        node_disk_bytes{device=\"\u{fffd}1\",kind=\"x\"} 7\n\
        below -5\n";

    impl From<i32> for Number {
        fn from(number: i32) -> Self {
            Self::Int(number.into())
        }
    }

    #[test]
    fn the_pieces_make_the_page_however_small_they_are() {
        for size in 74..PAGE.len() + 2 {
            let mut pieces = String::new();
            let mut line = 0;
            loop {
                let mut buffer = std::vec![0xa5; size];
                let mut lines = Lines::new(&mut buffer, line);
                let written = page(&mut lines);
                assert!(
                    written.is_ok() || !lines.is_empty(),
                    "stuck with {size} bytes"
                );
                line = lines.line();
                let used = lines.len();
                assert!(used <= size);
                pieces.push_str(core::str::from_utf8(&buffer[..used]).unwrap());
                if written.is_ok() {
                    break;
                }
            }
            assert_eq!(pieces, PAGE, "in pieces of {size}");
        }
    }

    #[test]
    fn a_text_of_any_length_is_copied_whole() {
        let text: Vec<u8> = (1..=100).collect();
        for length in 0..text.len() {
            let mut to = std::vec![0; length];
            copy(&mut to, &text[..length]);
            assert_eq!(to, text[..length]);
        }
    }

    #[test]
    fn a_value_is_escaped_wherever_in_it_that_is_needed() {
        for length in 1..40 {
            for at in 0..length {
                for (byte, expected) in [
                    (b'\\', "\\\\"),
                    (b'"', "\\\""),
                    (b'\n', "\\n"),
                    (0xff, "\u{fffd}"),
                    (b'!', "!"),
                ] {
                    let mut value = std::vec![b'x'; length];
                    value[at] = byte;
                    let mut buffer = [0; 64];
                    let mut lines = Lines::new(&mut buffer, 0);
                    lines.sample(["", "a"], &[("b", &value)], 7).unwrap();
                    let used = lines.len();
                    let (before, behind) = ("x".repeat(at), "x".repeat(length - at - 1));
                    let expected = std::format!("a{{b=\"{before}{expected}{behind}\"}} 7\n");
                    assert_eq!(&buffer[..used], expected.as_bytes());
                }
            }
        }
    }

    #[test]
    fn a_line_that_can_never_fit_leaves_the_buffer_empty() {
        let mut buffer = [0; 20];
        let mut lines = Lines::new(&mut buffer, 0);
        assert_eq!(page(&mut lines), Err(Full));
        assert!(lines.is_empty());
        assert_eq!(lines.line(), 0);
    }

    #[test]
    fn numbers_are_written_to_their_last_digit() {
        for (number, expected) in [
            (Number::Uint(u64::MAX), "18446744073709551615"),
            (Number::Int(i64::MIN), "-9223372036854775808"),
            (Number::Decimal(5, 2), "0.05"),
            (Number::Decimal(1_500, 3), "1.5"),
            (Number::Decimal(1_000, 3), "1"),
            (Number::Decimal(u64::MAX, 9), "18446744073.709551615"),
            (Number::Decimal(u64::MAX, 19), "1.8446744073709551615"),
            (Number::Decimal(u64::MAX, 20), "0.18446744073709551615"),
            (Number::Decimal(4_294_967_296, 0), "4294967296"),
            (Number::Decimal(0, 3), "0"),
            (Number::Decimal(120, 1), "12"),
        ] {
            let mut buffer = [0; 64];
            let mut lines = Lines::new(&mut buffer, 0);
            lines.sample(["", "x"], &[], number).unwrap();
            let used = lines.len();
            let text: Vec<u8> = buffer[..used].to_vec();
            assert_eq!(
                String::from_utf8(text).unwrap(),
                std::format!("x {expected}\n")
            );
        }
    }

    fn written(number: impl Into<Number>) -> String {
        let mut buffer = [0; 64];
        let mut lines = Lines::new(&mut buffer, 0);
        lines.sample(["", "x"], &[], number).unwrap();
        let used = lines.len();
        let text = core::str::from_utf8(&buffer[2..used - 1]).unwrap();
        String::from(text)
    }

    #[test]
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "the very double is asked for"
    )]
    fn a_float_is_read_back_as_the_same_double() {
        for (number, expected) in [
            (0.0, "0"),
            (0.42, "0.42"),
            (-125_000.0, "-125000"),
            (48.2, "48.2"),
            (1e-9, "0.000000001"),
            (9_223_372_036_854_775_807.0, "9223372036854775808"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(written(Number::Float(number)), expected);
        }
        let mut rng = crate::rng::Rng::new(20_260_716);
        for _ in 0..200_000 {
            let count = rng.next_u64() >> (rng.next_u64() % 63);
            for number in [
                count as f64 * 0.001,
                count as f64 / 1000.0 / 1000.0,
                1.0 + (count % 100_000) as f64 / 65_536_000_000.0,
                (count % 1_000) as f64 / 65_536_000_000.0,
                -(count as f64) / 7.0,
            ] {
                let text = written(Number::Float(number));
                let back: f64 = text.parse().unwrap();
                assert!(back == number, "{number:?} as {text}");
            }
        }
    }

    #[test]
    fn a_writer_that_begins_further_back_makes_the_same_page() {
        let mut buffer = [0; 1024];
        let mut lines = Lines::new(&mut buffer, 3);
        lines.pass_to(2);
        lines.ready_sample(b"passed 1").unwrap();
        lines.ready_sample(b"kept 2").unwrap();
        lines.pass_to(1);
        lines.pass_to(9);
        assert_eq!((lines.line(), lines.from_line(), lines.len()), (4, 3, 7));
        assert_eq!(&buffer[..7], b"kept 2\n");
    }
}
