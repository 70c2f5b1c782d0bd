//! Strings: checked, compared and unescaped character by character.

use super::{Fault, JsonError};
use crate::Full;

/// A checked string, still escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Str<'a> {
    /// With its quotes.
    raw: &'a str,
}

impl<'a> Str<'a> {
    pub(super) fn of(raw: &'a str) -> Self {
        Self { raw }
    }

    /// The text it came as, quotes included.
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// Its characters, unescaped.
    pub fn chars(self) -> Chars<'a> {
        Chars {
            rest: self.raw.get(1..self.raw.len() - 1).unwrap_or(""),
        }
    }

    /// Its text without a copy, if nothing in it is escaped.
    pub fn plain(self) -> Option<&'a str> {
        let inner = self.chars().rest;
        (!inner.as_bytes().contains(&b'\\')).then_some(inner)
    }

    /// Whether its text is `text`.
    pub fn is(self, text: &str) -> bool {
        self.chars().eq(text.chars())
    }

    /// Whether its text is empty.
    pub fn is_empty(self) -> bool {
        self.raw.len() <= 2
    }

    /// Its text, unescaped into `buf`; it never has more bytes than [`Str::raw`].
    pub fn unescape(self, buf: &mut [u8]) -> Result<&str, Full> {
        let mut used = 0;
        for character in self.chars() {
            let room = buf.get_mut(used..).ok_or(Full)?;
            if room.len() < character.len_utf8() {
                return Err(Full);
            }
            used += character.encode_utf8(room).len();
        }
        core::str::from_utf8(&buf[..used]).map_err(|_| Full)
    }

    pub(super) fn same(self, other: Str<'_>) -> bool {
        self.chars().eq(other.chars())
    }

    /// FNV-1a over the characters, so that an escape changes nothing.
    pub(super) fn hash(self) -> u32 {
        self.chars().fold(0x811c_9dc5, |hash: u32, character| {
            (hash ^ u32::from(character)).wrapping_mul(0x0100_0193)
        })
    }
}

/// The characters of a string, unescaped.
#[derive(Debug, Clone)]
pub struct Chars<'a> {
    rest: &'a str,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        let character = self.rest.chars().next()?;
        let (character, used) = if character == '\\' {
            escaped(self.rest.as_bytes()).ok()?
        } else {
            (character, character.len_utf8())
        };
        self.rest = self.rest.get(used..).unwrap_or("");
        Some(character)
    }
}

/// The checked string that begins with the quote at `from`.
pub(super) fn at(text: &str, from: usize) -> Str<'_> {
    Str::of(&text[from..end(text, from)])
}

/// Where the checked string that begins at `from` ends, after its closing quote.
pub(super) fn end(text: &str, from: usize) -> usize {
    let mut is_escaped = false;
    for (offset, &byte) in text.as_bytes().iter().enumerate().skip(from + 1) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = true,
            b'"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// Checks the string that begins with the quote at `from`; gives where it ends.
pub(super) fn check(text: &str, from: usize) -> Result<usize, JsonError> {
    let bytes = text.as_bytes();
    let mut at = from + 1;
    loop {
        let fault = |fault| Err(JsonError { at, fault });
        match bytes.get(at) {
            None => return fault(Fault::Cut),
            Some(b'"') => return Ok(at + 1),
            Some(0) => return fault(Fault::Nul),
            Some(..=0x1f) => return fault(Fault::Control),
            Some(b'\\') => match escaped(&bytes[at..]) {
                Ok(('\0', _)) => return fault(Fault::Nul),
                Ok((_, used)) => at += used,
                Err(found) => return fault(found),
            },
            Some(_) => at += 1,
        }
    }
}

/// The character that an escape at the beginning of `rest` stands for, and its length.
fn escaped(rest: &[u8]) -> Result<(char, usize), Fault> {
    let short = match rest.get(1).ok_or(Fault::Cut)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{08}',
        b'f' => '\u{0c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(rest),
        _ => return Err(Fault::Escape),
    };
    Ok((short, 2))
}

fn unicode(rest: &[u8]) -> Result<(char, usize), Fault> {
    let first = four_digits(&rest[2..])?;
    if let Some(character) = char::from_u32(first) {
        return Ok((character, 6));
    }
    if first >= 0xdc00 {
        return Err(Fault::Surrogate);
    }
    let pair = &rest[6..];
    if pair.is_empty() || pair == b"\\" {
        return Err(Fault::Cut);
    }
    if !pair.starts_with(b"\\u") {
        return Err(Fault::Surrogate);
    }
    let second = four_digits(&pair[2..])?;
    let low = second.wrapping_sub(0xdc00);
    if low > 0x3ff {
        return Err(Fault::Surrogate);
    }
    char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + low)
        .map(|character| (character, 12))
        .ok_or(Fault::Surrogate)
}

fn four_digits(rest: &[u8]) -> Result<u32, Fault> {
    let mut value = 0;
    for index in 0..4 {
        let digit = char::from(*rest.get(index).ok_or(Fault::Cut)?);
        value = value << 4 | digit.to_digit(16).ok_or(Fault::Escape)?;
    }
    Ok(value)
}
