//! One line of the log, for machines or for people; it ends with a newline.
//!
//! Both forms say the same in the same order, since people read it and pipelines cut it: the time,
//! the level, the message, `api_key_hash` (left out while there is none), then the message's own
//! fields. A share that is absent is left out with its name. The form for machines is a JSON
//! object with the time in milliseconds, the form for people is words with the time in seconds.
//!
//! [`write_line`] writes to anything; [`write_line_bounded`] and [`write_text_line_bounded`] fit a
//! line into a buffer and rather shorten the longest texts than lose the line. Keys are this
//! program's own and written as they are; every other text is escaped, in both forms. Which levels
//! are shown, and where, is the caller's business.

mod json;
mod people;

use crate::sample::Tenths;
use crate::text::{cut, digits, percent, write_escaped};
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

/// Writes a line of JSON, whatever its length.
pub fn write_line<W: Write>(
    out: &mut W,
    now_ms: u64,
    level: Level,
    msg: &str,
    key_hash: &str,
    fields: &[(&str, Value<'_>)],
) -> Result<(), W::Error> {
    Line {
        form: Form::Json,
        now_ms,
        level,
        msg,
        key_hash,
        fields,
    }
    .write(out, usize::MAX)
}

/// Fits a line of JSON into `buf` and gives its length. Texts that are too long end with `…`, the
/// longest are shortened first; if that is not enough, fields are left out from the last one on.
/// The line is always whole JSON; 0 when `buf` cannot even hold the time, the level and the key's
/// hash.
pub fn write_line_bounded(
    buf: &mut [u8],
    now_ms: u64,
    level: Level,
    msg: &str,
    key_hash: &str,
    fields: &[(&str, Value<'_>)],
) -> usize {
    Line {
        form: Form::Json,
        now_ms,
        level,
        msg,
        key_hash,
        fields,
    }
    .fit(buf)
}

/// Fits a line for people into `buf`, by the same rules, and gives its length.
///
/// With `colour`, the level is coloured for a terminal; nothing else ever has an escape sequence.
pub fn write_text_line_bounded(
    buf: &mut [u8],
    now_ms: u64,
    level: Level,
    msg: &str,
    key_hash: &str,
    fields: &[(&str, Value<'_>)],
    colour: bool,
) -> usize {
    Line {
        form: Form::People { colour },
        now_ms,
        level,
        msg,
        key_hash,
        fields,
    }
    .fit(buf)
}

#[derive(Clone, Copy)]
enum Form {
    Json,
    People { colour: bool },
}

/// Key, value, and the most bytes that its text may have.
type Field<'a> = (&'a str, Value<'a>, usize);

struct Line<'a> {
    form: Form,
    now_ms: u64,
    level: Level,
    msg: &'a str,
    key_hash: &'a str,
    fields: &'a [(&'a str, Value<'a>)],
}

impl Line<'_> {
    /// Writes the line with each text shortened to `text_max_bytes`.
    fn write<W: Write>(&self, out: &mut W, text_max_bytes: usize) -> Result<(), W::Error> {
        match self.form {
            Form::Json => json::write(self, out, text_max_bytes),
            Form::People { colour } => people::write(self, out, text_max_bytes, colour),
        }
    }

    /// The fields that are there, each with the most bytes that its text may have.
    fn shown_fields(&self, text_max_bytes: usize) -> impl Iterator<Item = Field<'_>> {
        let hash = (!self.key_hash.is_empty()).then_some((
            "api_key_hash",
            Value::Str(self.key_hash),
            usize::MAX,
        ));
        let own = self.fields.iter();
        let own = own.map(move |&(key, value)| (key, value, text_max_bytes));
        let is_there = |(_, value, _): &Field<'_>| !matches!(value, Value::Tenths(share) if share.get().is_none());
        hash.into_iter().chain(own).filter(is_there)
    }

    fn fit(mut self, buf: &mut [u8]) -> usize {
        // Nearly every line fits as it is; only for others is it worth to measure.
        if let Some(length) = self.written(buf, usize::MAX) {
            return length;
        }
        while self.len(0) > buf.len() {
            let Some((_, fewer)) = self.fields.split_last() else {
                return 0;
            };
            self.fields = fewer;
        }
        let text_max_bytes = self.text_max_bytes(buf.len());
        self.written(buf, text_max_bytes).unwrap_or(0)
    }

    /// The line's length, or nothing where it does not fit.
    fn written(&self, buf: &mut [u8], text_max_bytes: usize) -> Option<usize> {
        let room = buf.len();
        let mut out = buf;
        self.write(&mut out, text_max_bytes).ok()?;
        Some(room - out.len())
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

/// Writes a value that is no text, without quotes.
fn write_bare<W: Write>(out: &mut W, value: Value<'_>) -> Result<(), W::Error> {
    let mut buf = [0; 20];
    match value {
        Value::Str(text) => write_escaped(out, text),
        Value::Int(number) => {
            if number < 0 {
                out.write_all(b"-")?;
            }
            out.write_all(digits(number.unsigned_abs(), &mut buf))
        }
        Value::Uint(number) => out.write_all(digits(number, &mut buf)),
        Value::Tenths(share) => {
            let mut buf = [0; 5];
            out.write_all(percent(share, &mut buf).unwrap_or("").as_bytes())
        }
        Value::Bool(is) => out.write_all(if is { b"true" } else { b"false" }),
    }
}

/// Writes the text escaped, its end replaced by `…` when it has more than `max_bytes`.
fn write_shortened<W: Write>(out: &mut W, text: &str, max_bytes: usize) -> Result<(), W::Error> {
    const ELLIPSIS: &str = "…";
    if text.len() <= max_bytes.max(ELLIPSIS.len()) {
        return write_escaped(out, text);
    }
    write_escaped(out, cut(text, max_bytes.saturating_sub(ELLIPSIS.len())))?;
    out.write_all(ELLIPSIS.as_bytes())
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
