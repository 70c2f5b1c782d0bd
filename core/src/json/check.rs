//! The one pass that vouches for a document.
//!
//! Recursion is bounded by [`MAX_DEPTH`]. Keys of the objects that are open are remembered as
//! (hash, place); equal hashes are compared by their characters, so a made-up collision costs time
//! that is bounded and never a wrong verdict.

use super::number;
use super::string::{self, Str};
use super::{Fault, JsonError, MAX_DEPTH, MAX_OPEN_KEYS};

/// Checks the document and gives its object's text.
pub(super) fn object(document: &[u8], max_bytes: usize) -> Result<&str, JsonError> {
    if document.len() > max_bytes {
        return Err(JsonError {
            at: max_bytes,
            fault: Fault::TooLong,
        });
    }
    let text = core::str::from_utf8(document).map_err(|error| JsonError {
        at: error.valid_up_to(),
        fault: match error.error_len() {
            Some(_) => Fault::NotUtf8,
            None => Fault::Cut,
        },
    })?;
    let mut check = Check {
        text,
        at: 0,
        keys: [(0, 0); MAX_OPEN_KEYS],
        open_keys: 0,
    };
    check.skip_space();
    let from = check.at;
    if check.peek()? != b'{' {
        return Err(check.fault(Fault::Expected("an object")));
    }
    check.object(1)?;
    let to = check.at;
    check.skip_space();
    if check.at < text.len() {
        return Err(check.fault(Fault::Trailing));
    }
    Ok(&text[from..to])
}

struct Check<'a> {
    text: &'a str,
    at: usize,
    /// Hash and place of each key in the objects that are open, outermost first.
    keys: [(u32, u32); MAX_OPEN_KEYS],
    open_keys: usize,
}

impl Check<'_> {
    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek()? {
            b'{' => self.object(depth + 1),
            b'[' => self.array(depth + 1),
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => Err(self.fault(Fault::Expected("a value"))),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        let outer_keys = self.open_keys;
        self.enter(depth)?;
        if self.peek()? != b'}' {
            loop {
                if self.peek()? != b'"' {
                    return Err(self.fault(Fault::Expected("a key in quotes")));
                }
                self.key(outer_keys)?;
                self.skip_space();
                if self.peek()? != b':' {
                    return Err(self.fault(Fault::Expected("a colon")));
                }
                self.at += 1;
                self.skip_space();
                self.value(depth)?;
                if !self.comma(b'}', "a comma or a closing brace")? {
                    break;
                }
            }
        }
        self.at += 1;
        self.open_keys = outer_keys;
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.enter(depth)?;
        if self.peek()? != b']' {
            loop {
                self.value(depth)?;
                if !self.comma(b']', "a comma or a closing bracket")? {
                    break;
                }
            }
        }
        self.at += 1;
        Ok(())
    }

    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth > MAX_DEPTH {
            return Err(self.fault(Fault::TooDeep));
        }
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// Whether a comma and so another one follows, rather than the end.
    fn comma(&mut self, end: u8, expected: &'static str) -> Result<bool, JsonError> {
        self.skip_space();
        match self.peek()? {
            b',' => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            byte if byte == end => Ok(false),
            _ => Err(self.fault(Fault::Expected(expected))),
        }
    }

    fn key(&mut self, outer_keys: usize) -> Result<(), JsonError> {
        let from = self.at;
        self.string()?;
        let key = Str::of(&self.text[from..self.at]);
        let hash = key.hash();
        for &(other_hash, place) in &self.keys[outer_keys..self.open_keys] {
            if other_hash == hash && string::at(self.text, place as usize).same(key) {
                return Err(JsonError {
                    at: from,
                    fault: Fault::DuplicateKey,
                });
            }
        }
        let (Some(room), Ok(place)) = (self.keys.get_mut(self.open_keys), u32::try_from(from))
        else {
            return Err(JsonError {
                at: from,
                fault: Fault::TooManyKeys,
            });
        };
        *room = (hash, place);
        self.open_keys += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at = string::check(self.text, self.at)?;
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        self.at = number::check(self.text, self.at)?;
        Ok(())
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        if word.as_bytes().starts_with(rest) {
            self.at = self.text.len();
            return Err(self.fault(Fault::Cut));
        }
        Err(self.fault(Fault::Expected("a value")))
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| is_space(**byte)).count();
    }

    fn peek(&self) -> Result<u8, JsonError> {
        let byte = self.text.as_bytes().get(self.at);
        byte.copied().ok_or_else(|| self.fault(Fault::Cut))
    }

    fn fault(&self, fault: Fault) -> JsonError {
        JsonError { at: self.at, fault }
    }
}

/// What JSON calls white space.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}
