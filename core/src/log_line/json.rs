//! The form for machines: a JSON object.

use embedded_io::Write;

use super::{Line, Value, write_bare, write_shortened};
use crate::time::format_rfc3339;

pub(super) fn write<W: Write>(
    line: &Line<'_>,
    out: &mut W,
    text_max_bytes: usize,
) -> Result<(), W::Error> {
    out.write_all(b"{\"timestamp\":\"")?;
    out.write_all(&format_rfc3339(line.now_ms))?;
    out.write_all(b"\",\"level\":\"")?;
    out.write_all(line.level.as_str().as_bytes())?;
    out.write_all(b"\",\"msg\":\"")?;
    write_shortened(out, line.msg, text_max_bytes)?;
    out.write_all(b"\"")?;
    for (key, value, max_bytes) in line.shown_fields(text_max_bytes) {
        out.write_all(b",\"")?;
        out.write_all(key.as_bytes())?;
        out.write_all(b"\":")?;
        match value {
            Value::Str(text) => {
                out.write_all(b"\"")?;
                write_shortened(out, text, max_bytes)?;
                out.write_all(b"\"")?;
            }
            // Readers of the log know shares as text.
            Value::Tenths(_) => {
                out.write_all(b"\"")?;
                write_bare(out, value)?;
                out.write_all(b"\"")?;
            }
            Value::Int(_) | Value::Uint(_) | Value::Bool(_) => write_bare(out, value)?,
        }
    }
    out.write_all(b"}\n")
}
