//! One line of the log: a JSON object that ends with a newline.
//!
//! The order is fixed, since people read it and pipelines cut it: `timestamp` (RFC 3339,
//! milliseconds), `level`, `msg`, `api_key_hash` (left out while there is none), then the
//! message's own fields. A share that is absent is left out with its name.
//!
//! [`write_line`] writes to anything; [`write_line_bounded`] fits a line into a buffer and rather
//! shortens the longest texts than loses the line. Keys are this program's own and written as they
//! are; every other text is escaped. Which levels are shown, and where, is the caller's business.

use crate::sample::Tenths;
use crate::text::{cut, digits, percent, write_escaped, write_json_str};
use crate::time::format_rfc3339;
use core::convert::Infallible;
use embedded_io::{ErrorType, Write};

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// What happens anyway.
    Info,
    /// Something is not as it should be, and goes on.
    Warn,
    /// Something did not happen.
    Error,
}

impl Level {
    /// The level's name in the log and the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// The level of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|level| level.as_str() == name)
    }
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text, escaped.
    Str(&'a str),
    /// A number that may be negative.
    Int(i64),
    /// A number.
    Uint(u64),
    /// A percentage as text with one decimal, `"12.3"`; the field is left out when it is absent.
    Tenths(Tenths),
    /// Yes or no.
    Bool(bool),
}

/// Writes a line, whatever its length.
pub fn write_line<W: Write>(
    out: &mut W,
    now_ms: u64,
    level: Level,
    msg: &str,
    key_hash: &str,
    fields: &[(&str, Value<'_>)],
) -> Result<(), W::Error> {
    Line {
        now_ms,
        level,
        msg,
        key_hash,
        fields,
    }
    .write(out, usize::MAX)
}

/// Fits a line into `buf` and gives its length. Texts that are too long end with `…`, the longest
/// are shortened first; if that is not enough, fields are left out from the last one on. The line
/// is always whole JSON; 0 when `buf` cannot even hold the time, the level and the key's hash.
pub fn write_line_bounded(
    buf: &mut [u8],
    now_ms: u64,
    level: Level,
    msg: &str,
    key_hash: &str,
    fields: &[(&str, Value<'_>)],
) -> usize {
    let mut line = Line {
        now_ms,
        level,
        msg,
        key_hash,
        fields,
    };
    while line.len(0) > buf.len() {
        let Some((_, fewer)) = line.fields.split_last() else {
            return 0;
        };
        line.fields = fewer;
    }
    let text_max_bytes = line.text_max_bytes(buf.len());
    let room = buf.len();
    let mut out = buf;
    match line.write(&mut out, text_max_bytes) {
        Ok(()) => room - out.len(),
        Err(_) => 0,
    }
}

struct Line<'a> {
    now_ms: u64,
    level: Level,
    msg: &'a str,
    key_hash: &'a str,
    fields: &'a [(&'a str, Value<'a>)],
}

impl Line<'_> {
    /// Writes the line with each text shortened to `text_max_bytes`.
    fn write<W: Write>(&self, out: &mut W, text_max_bytes: usize) -> Result<(), W::Error> {
        out.write_all(b"{\"timestamp\":\"")?;
        out.write_all(&format_rfc3339(self.now_ms))?;
        out.write_all(b"\",\"level\":\"")?;
        out.write_all(self.level.as_str().as_bytes())?;
        out.write_all(b"\",\"msg\":")?;
        write_shortened(out, self.msg, text_max_bytes)?;
        if !self.key_hash.is_empty() {
            write_key(out, "api_key_hash")?;
            write_json_str(out, self.key_hash)?;
        }
        for &(key, value) in self.fields {
            write_field(out, key, value, text_max_bytes)?;
        }
        out.write_all(b"}\n")
    }

    fn len(&self, text_max_bytes: usize) -> usize {
        let mut counter = Counter(0);
        match self.write(&mut counter, text_max_bytes) {
            Ok(()) => counter.0,
        }
    }

    /// The most bytes that each text may have for the line to fit. A longer limit never makes a
    /// shorter line, so half of what is left can be ruled out each time.
    fn text_max_bytes(&self, room: usize) -> usize {
        if self.len(usize::MAX) <= room {
            return usize::MAX;
        }
        let (mut fits, mut too_long) = (0, room + 1);
        while too_long - fits > 1 {
            let middle = fits + (too_long - fits) / 2;
            if self.len(middle) <= room {
                fits = middle;
            } else {
                too_long = middle;
            }
        }
        fits
    }
}

fn write_field<W: Write>(
    out: &mut W,
    key: &str,
    value: Value<'_>,
    text_max_bytes: usize,
) -> Result<(), W::Error> {
    let mut buf = [0; 20];
    match value {
        Value::Str(text) => {
            write_key(out, key)?;
            write_shortened(out, text, text_max_bytes)
        }
        Value::Int(number) => {
            write_key(out, key)?;
            if number < 0 {
                out.write_all(b"-")?;
            }
            out.write_all(digits(number.unsigned_abs(), &mut buf))
        }
        Value::Uint(number) => {
            write_key(out, key)?;
            out.write_all(digits(number, &mut buf))
        }
        Value::Tenths(share) => {
            let mut buf = [0; 5];
            let Some(text) = percent(share, &mut buf) else {
                return Ok(());
            };
            write_key(out, key)?;
            write_json_str(out, text)
        }
        Value::Bool(is) => {
            write_key(out, key)?;
            out.write_all(if is { b"true" } else { b"false" })
        }
    }
}

fn write_key<W: Write>(out: &mut W, key: &str) -> Result<(), W::Error> {
    out.write_all(b",\"")?;
    out.write_all(key.as_bytes())?;
    out.write_all(b"\":")
}

/// Writes the text, its end replaced by `…` when it has more than `max_bytes`.
fn write_shortened<W: Write>(out: &mut W, text: &str, max_bytes: usize) -> Result<(), W::Error> {
    const ELLIPSIS: &str = "…";
    if text.len() <= max_bytes.max(ELLIPSIS.len()) {
        return write_json_str(out, text);
    }
    out.write_all(b"\"")?;
    write_escaped(out, cut(text, max_bytes.saturating_sub(ELLIPSIS.len())))?;
    out.write_all(ELLIPSIS.as_bytes())?;
    out.write_all(b"\"")
}

/// Counts what would be written.
struct Counter(usize);

impl ErrorType for Counter {
    type Error = Infallible;
}

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
