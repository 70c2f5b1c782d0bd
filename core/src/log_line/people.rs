//! The form for people: `2025-10-10T16:32:42Z WARN  message key=value key="more words"`.
//!
//! A value stands in quotes when it is empty, or has white space, an equals sign or anything that
//! is escaped, so that a line can also be taken apart by a program.

use embedded_io::Write;

use super::{Counter, Level, Line, Value, write_bare, write_shortened};
use crate::text::write_escaped;
use crate::time::format_rfc3339;

/// Up to the seconds.
const TIME_BYTES: usize = "2025-10-10T16:32:42".len();

pub(super) fn write<W: Write>(
    line: &Line<'_>,
    out: &mut W,
    text_max_bytes: usize,
    colour: bool,
) -> Result<(), W::Error> {
    let (name, sequence) = match line.level {
        Level::Debug => ("DEBUG", "\x1b[2m"),
        Level::Info => ("INFO ", "\x1b[32m"),
        Level::Warn => ("WARN ", "\x1b[33m"),
        Level::Error => ("ERROR", "\x1b[31m"),
    };
    out.write_all(&format_rfc3339(line.now_ms)[..TIME_BYTES])?;
    out.write_all(b"Z ")?;
    if colour {
        out.write_all(sequence.as_bytes())?;
    }
    out.write_all(name.as_bytes())?;
    out.write_all(if colour { b"\x1b[0m " } else { b" " })?;
    write_shortened(out, line.msg, text_max_bytes)?;
    for (key, value, max_bytes) in line.shown_fields(text_max_bytes) {
        out.write_all(b" ")?;
        out.write_all(key.as_bytes())?;
        out.write_all(b"=")?;
        match value {
            Value::Str(text) if needs_quotes(text) => {
                out.write_all(b"\"")?;
                write_shortened(out, text, max_bytes)?;
                out.write_all(b"\"")?;
            }
            Value::Str(text) => write_shortened(out, text, max_bytes)?,
            _ => write_bare(out, value)?,
        }
    }
    out.write_all(b"\n")
}

fn needs_quotes(text: &str) -> bool {
    let mut escaped = Counter(0);
    match write_escaped(&mut escaped, text) {
        // An escape is always longer than what it stands for.
        Ok(()) => {
            text.is_empty()
                || escaped.0 > text.len()
                || text.contains(|c: char| c == '=' || c.is_whitespace())
        }
    }
}
