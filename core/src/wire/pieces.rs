//! JSON (RFC 8259) that is longer than the buffer it is written into.
//!
//! A text is written in pieces, as `super::prometheus` does it with lines: whoever writes it does
//! so from its first unit each time, the units that earlier pieces held are passed over, and at
//! [`Full`] it stops. [`Pieces::unit`] then is where the next piece begins. A unit is what one call
//! writes; how many there are must not depend on what they say.
//!
//! Text is escaped as `crate::text` does it. Names of fields are the program's own.

use crate::Full;
use crate::sample::Tenths;
use crate::text::{digits, write_json_str};

/// A value.
#[derive(Debug, Clone, Copy)]
pub enum Json<'a> {
    /// Not known.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A number.
    Uint(u64),
    /// Digits of which the last `places` stand behind the point: -1234 with 2 places is -12.34.
    Decimal(i64, u8),
    /// Text.
    Str(&'a str),
    /// More fields.
    Object(&'a [(&'a str, Json<'a>)]),
    /// Nothing yet.
    EmptyArray,
}

impl Json<'_> {
    /// A number that may not be known.
    pub fn uint(number: Option<u64>) -> Self {
        number.map_or(Self::Null, Self::Uint)
    }

    /// A decimal number that may not be known.
    pub fn decimal(number: Option<i64>, places: u8) -> Self {
        number.map_or(Self::Null, |number| Self::Decimal(number, places))
    }

    /// A share as a percentage.
    pub fn percent(share: Tenths) -> Self {
        Self::decimal(share.get().map(i64::from), 1)
    }
}

/// A piece of a JSON text.
#[derive(Debug)]
pub struct Pieces<'b> {
    buffer: &'b mut [u8],
    used: usize,
    /// Units that are passed over.
    skip: u32,
    /// Units written or passed over.
    unit: u32,
    /// Nothing stands behind the bracket that was opened last.
    fresh: bool,
}

impl<'b> Pieces<'b> {
    /// A piece that begins with unit `from_unit` of the text, counted from 0.
    pub fn new(buffer: &'b mut [u8], from_unit: u32) -> Self {
        Self {
            buffer,
            used: 0,
            skip: from_unit,
            unit: 0,
            fresh: true,
        }
    }

    /// The unit with which the next piece begins.
    pub fn unit(&self) -> u32 {
        self.unit
    }

    /// Bytes written.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing is written.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Opens the object that everything is in.
    pub fn open(&mut self) -> Result<(), Full> {
        self.write(|out| out.put(b"{"))?;
        self.fresh = true;
        Ok(())
    }

    /// Fields, as one unit.
    pub fn fields(&mut self, fields: &[(&str, Json<'_>)]) -> Result<(), Full> {
        let fresh = self.fresh;
        self.write(|out| out.put_fields(fields, fresh))?;
        self.fresh = false;
        Ok(())
    }

    /// Opens a field that is an array; its items follow.
    pub fn array(&mut self, name: &str) -> Result<(), Full> {
        let fresh = self.fresh;
        self.write(|out| {
            out.put_name(name, fresh)?;
            out.put(b"[")
        })?;
        self.fresh = true;
        Ok(())
    }

    /// The next item of the array.
    pub fn item(&mut self, value: &Json<'_>) -> Result<(), Full> {
        let fresh = self.fresh;
        self.write(|out| {
            if !fresh {
                out.put(b",")?;
            }
            out.put_value(value)
        })?;
        self.fresh = false;
        Ok(())
    }

    /// A place for an item that may be there or not: one unit either way, so that a list that grows
    /// or shrinks between two pieces leaves the text whole. Items stand in the first places.
    pub fn place(&mut self, value: Option<&Json<'_>>) -> Result<(), Full> {
        match value {
            Some(value) => self.item(value),
            None => self.write(|_| Ok(())),
        }
    }

    /// Closes the array.
    pub fn end_array(&mut self) -> Result<(), Full> {
        self.write(|out| out.put(b"]"))?;
        self.fresh = false;
        Ok(())
    }

    /// Closes the object that everything is in.
    pub fn close(&mut self) -> Result<(), Full> {
        self.write(|out| out.put(b"}\n"))
    }

    /// Writes a unit whole, passes over it, or leaves the buffer as it was.
    fn write(&mut self, unit: impl FnOnce(&mut Self) -> Result<(), Full>) -> Result<(), Full> {
        if self.unit >= self.skip {
            let before = self.used;
            if let Err(full) = unit(self) {
                self.used = before;
                return Err(full);
            }
        }
        self.unit += 1;
        Ok(())
    }

    fn put_fields(&mut self, fields: &[(&str, Json<'_>)], mut fresh: bool) -> Result<(), Full> {
        for (name, value) in fields {
            self.put_name(name, fresh)?;
            self.put_value(value)?;
            fresh = false;
        }
        Ok(())
    }

    fn put_name(&mut self, name: &str, fresh: bool) -> Result<(), Full> {
        self.put(if fresh { b"\"" } else { b",\"" })?;
        self.put(name.as_bytes())?;
        self.put(b"\":")
    }

    fn put_value(&mut self, value: &Json<'_>) -> Result<(), Full> {
        match value {
            Json::Null => self.put(b"null"),
            Json::Bool(true) => self.put(b"true"),
            Json::Bool(false) => self.put(b"false"),
            Json::Uint(number) => self.put(digits(*number, &mut [0; 20])),
            Json::Decimal(number, places) => self.put_decimal(*number, *places),
            Json::Str(text) => {
                let mut room = &mut self.buffer[self.used..];
                let before = room.len();
                write_json_str(&mut room, text).map_err(|_| Full)?;
                self.used += before - room.len();
                Ok(())
            }
            Json::Object(fields) => {
                self.put(b"{")?;
                self.put_fields(fields, true)?;
                self.put(b"}")
            }
            Json::EmptyArray => self.put(b"[]"),
        }
    }

    fn put_decimal(&mut self, number: i64, places: u8) -> Result<(), Full> {
        if number < 0 {
            self.put(b"-")?;
        }
        let unit = 10_u64.saturating_pow(places.into());
        let number = number.unsigned_abs();
        self.put(digits(number / unit, &mut [0; 20]))?;
        let mut rest = number % unit;
        let mut place = unit;
        if rest > 0 {
            self.put(b".")?;
        }
        while rest > 0 {
            place /= 10;
            self.put(&[b'0' + (rest / place) as u8])?;
            rest %= place;
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.used + bytes.len();
        self.buffer
            .get_mut(self.used..end)
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.used = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    fn write(out: &mut Pieces<'_>) -> Result<(), Full> {
        out.open()?;
        out.fields(&[("name", Json::Str("a\"\u{1b}[31m")), ("n", Json::Uint(7))])?;
        out.fields(&[(
            "inner",
            Json::Object(&[
                ("no", Json::Null),
                ("cold", Json::decimal(Some(-405), 1)),
                ("yes", Json::Bool(true)),
                ("none", Json::EmptyArray),
                ("empty", Json::Object(&[])),
            ]),
        )])?;
        out.array("points")?;
        for value in [Some(5), None, Some(-10), Some(0)] {
            out.item(&Json::decimal(value, 2))?;
        }
        out.end_array()?;
        out.array("none")?;
        out.end_array()?;
        out.fields(&[("last", Json::percent(Tenths::from_raw(1000)))])?;
        out.close()
    }

    const TEXT: &str = "{\"name\":\"a\\\"\\u001b[31m\",\"n\":7,\
        \"inner\":{\"no\":null,\"cold\":-40.5,\"yes\":true,\"none\":[],\"empty\":{}},\
        \"points\":[0.05,null,-0.1,0],\"none\":[],\"last\":100}\n";

    #[test]
    fn the_pieces_make_the_text_however_small_they_are() {
        for size in 69..TEXT.len() + 2 {
            let (mut text, mut unit) = (String::new(), 0);
            loop {
                let mut buffer = std::vec![0xa5; size];
                let mut pieces = Pieces::new(&mut buffer, unit);
                let written = write(&mut pieces);
                assert!(written.is_ok() || !pieces.is_empty(), "stuck with {size}");
                unit = pieces.unit();
                let used = pieces.len();
                text.push_str(core::str::from_utf8(&buffer[..used]).unwrap());
                if written.is_ok() {
                    break;
                }
            }
            assert_eq!(text, TEXT, "in pieces of {size}");
        }
    }

    #[test]
    fn a_list_that_changes_between_two_pieces_leaves_the_text_whole() {
        let write = |out: &mut Pieces<'_>, items: usize| {
            out.open()?;
            out.array("list")?;
            for at in 0..6 {
                let item = Json::Uint(100 + at as u64);
                out.place((at < items).then_some(&item))?;
            }
            out.end_array()?;
            out.fields(&[("last", Json::Null)])?;
            out.close()
        };
        // How many there are at the first piece, and at all that follow.
        for (first, then) in [(6, 0), (6, 3), (4, 6), (2, 6), (0, 6), (6, 6)] {
            for size in 16..60 {
                let (mut text, mut unit, mut items) = (String::new(), 0, first);
                loop {
                    let mut buffer = std::vec![0xa5; size];
                    let mut pieces = Pieces::new(&mut buffer, unit);
                    let written = write(&mut pieces, items);
                    (unit, items) = (pieces.unit(), then);
                    let used = pieces.len();
                    text.push_str(core::str::from_utf8(&buffer[..used]).unwrap());
                    if written.is_ok() {
                        break;
                    }
                }
                let object = crate::json::read(text.as_bytes(), 1_000);
                assert!(
                    object.is_ok(),
                    "{first} then {then}, {size} at a time: {text}"
                );
                assert!(text.ends_with("\"last\":null}\n"), "{text}");
            }
        }
    }

    #[test]
    fn a_unit_that_can_never_fit_leaves_the_buffer_empty() {
        let mut buffer = [0; 20];
        let mut pieces = Pieces::new(&mut buffer, 2);
        assert_eq!(write(&mut pieces), Err(Full));
        assert!(pieces.is_empty());
        assert_eq!(pieces.unit(), 2);
    }
}
