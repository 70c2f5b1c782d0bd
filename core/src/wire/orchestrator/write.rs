//! JSON objects, member by member.

use embedded_io::Write;

use crate::text::{digits, write_escaped, write_json_str};
use crate::time::{UnixMs, format_rfc3339};

/// Writes one object: [`ObjectWriter::begin`], members, [`ObjectWriter::end`].
///
/// A member that is not known is left out, never written as `null`.
#[derive(Debug)]
pub struct ObjectWriter<'w, W: Write> {
    out: &'w mut W,
    is_first: bool,
}

impl<'w, W: Write> ObjectWriter<'w, W> {
    /// Opens the object.
    pub fn begin(out: &'w mut W) -> Result<Self, W::Error> {
        out.write_all(b"{")?;
        Ok(Self {
            out,
            is_first: true,
        })
    }

    /// Closes it.
    pub fn end(self) -> Result<(), W::Error> {
        self.out.write_all(b"}")
    }

    /// A string.
    pub fn str(&mut self, key: &str, value: &str) -> Result<(), W::Error> {
        write_json_str(self.key(key)?, value)
    }

    /// A string, if there is one.
    pub fn known_str(&mut self, key: &str, value: Option<&str>) -> Result<(), W::Error> {
        value.map_or(Ok(()), |value| self.str(key, value))
    }

    /// What is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) -> Result<(), W::Error> {
        self.key(key)?.write_all(json.as_bytes())
    }

    /// True or false.
    pub fn truth(&mut self, key: &str, value: bool) -> Result<(), W::Error> {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// A whole number.
    pub fn int(&mut self, key: &str, value: i64) -> Result<(), W::Error> {
        let out = self.key(key)?;
        if value < 0 {
            out.write_all(b"-")?;
        }
        out.write_all(digits(value.unsigned_abs(), &mut [0; 20]))
    }

    /// Milliseconds as seconds, with three decimals.
    pub fn seconds(&mut self, key: &str, ms: u64) -> Result<(), W::Error> {
        let out = self.key(key)?;
        out.write_all(digits(ms / 1_000, &mut [0; 20]))?;
        let [hundreds, tens, ones] = [100, 10, 1].map(|place| b'0' + (ms / place % 10) as u8);
        out.write_all(&[b'.', hundreds, tens, ones])
    }

    /// A point in time, as RFC 3339.
    pub fn time(&mut self, key: &str, wall_ms: UnixMs) -> Result<(), W::Error> {
        let out = self.key(key)?;
        out.write_all(b"\"")?;
        out.write_all(&format_rfc3339(wall_ms))?;
        out.write_all(b"\"")
    }

    /// A list of strings.
    pub fn strs<'t>(
        &mut self,
        key: &str,
        values: impl IntoIterator<Item = &'t str>,
    ) -> Result<(), W::Error> {
        let out = self.key(key)?;
        out.write_all(b"[")?;
        for (at, value) in values.into_iter().enumerate() {
            if at > 0 {
                out.write_all(b",")?;
            }
            write_json_str(out, value)?;
        }
        out.write_all(b"]")
    }

    /// A list of log entries, `[2025-07-01T12:00:00.000Z] words` each.
    pub fn entries(&mut self, key: &str, entries: &[Entry<'_>]) -> Result<(), W::Error> {
        let out = self.key(key)?;
        out.write_all(b"[")?;
        for (at, entry) in entries.iter().enumerate() {
            out.write_all(if at > 0 { b",\"[" } else { b"\"[" })?;
            out.write_all(&format_rfc3339(entry.wall_ms))?;
            out.write_all(b"] ")?;
            write_escaped(out, entry.words)?;
            out.write_all(b"\"")?;
        }
        out.write_all(b"]")
    }

    /// Writes a key; what is written next is its value.
    pub(super) fn key(&mut self, key: &str) -> Result<&mut W, W::Error> {
        if !core::mem::take(&mut self.is_first) {
            self.out.write_all(b",")?;
        }
        write_json_str(self.out, key)?;
        self.out.write_all(b":")?;
        Ok(self.out)
    }
}

/// Something that happened while an instruction was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When.
    pub wall_ms: UnixMs,
    /// What, for people.
    pub words: &'a str,
}
