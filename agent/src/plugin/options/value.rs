//! The value of an option as JSON, if it is one that the option takes.
//!
//! A value goes there as it was written: type and bounds are checked, nothing is computed. Numbers
//! are compared in millionths.

use mote_core::json;

use super::super::quote::quote;
use super::{Given, OptionKind, PluginOption};

/// Largest value of type object.
const OBJECT_BYTES: usize = 16 * 1024;

impl PluginOption {
    /// Adds the value's JSON to `out`.
    pub(super) fn json(&self, given: &Given, out: &mut Vec<u8>) -> Result<(), String> {
        match (&given.items, self.kind) {
            (Some(items), OptionKind::Array) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    self.scalar(self.items, item, out)?;
                }
                out.push(b']');
                Ok(())
            }
            (Some(_), _) => Err("takes one value, not a list".to_owned()),
            (None, OptionKind::Array) => Err("takes a list: write it in brackets".to_owned()),
            (None, kind) => self.scalar(kind, &given.text, out),
        }
    }

    fn scalar(&self, kind: OptionKind, text: &str, out: &mut Vec<u8>) -> Result<(), String> {
        match kind {
            OptionKind::Text => {
                if text.contains('\0') {
                    return Err("has a NUL byte".to_owned());
                }
                quote(out, text);
            }
            OptionKind::Truth => match text {
                "true" | "false" => out.extend_from_slice(text.as_bytes()),
                _ => return Err(format!("{text:?} must be true or false")),
            },
            OptionKind::Integer | OptionKind::Number => {
                self.number(kind, text)?;
                out.extend_from_slice(text.as_bytes());
            }
            OptionKind::Object => {
                json::read(text.as_bytes(), OBJECT_BYTES)
                    .map_err(|error| format!("must be a JSON object in one line: {error}"))?;
                out.extend_from_slice(text.as_bytes());
            }
            OptionKind::Array => return Err("lists of lists are not supported".to_owned()),
        }
        Ok(())
    }

    fn number(&self, kind: OptionKind, text: &str) -> Result<(), String> {
        if !is_number(text) {
            return Err(format!("{text:?} is no number"));
        }
        if kind == OptionKind::Integer && text.parse::<i64>().is_err() {
            return Err(format!("{text:?} is no whole number"));
        }
        let number = millionths(text);
        if let Some(least) = &self.minimum
            && number < millionths(least)
        {
            return Err(format!("{text} is below the minimum of {least}"));
        }
        if let Some(most) = &self.maximum
            && number > millionths(most)
        {
            return Err(format!("{text} is above the maximum of {most}"));
        }
        Ok(())
    }
}

/// Whether it is a number in JSON too: its text goes there as it is.
pub(super) fn is_number(text: &str) -> bool {
    is_same_in_json(text, &mut |_| {})
}

/// To be compared, not computed with: what is too large for it counts as the largest.
fn millionths(text: &str) -> i128 {
    let (size, sign) = match text.strip_prefix('-') {
        Some(size) => (size, -1),
        None => (text, 1),
    };
    let mut found = u64::MAX;
    is_same_in_json(size, &mut |number| {
        found = number.scaled(6).unwrap_or(u64::MAX);
    });
    i128::from(found) * sign
}

fn is_same_in_json(text: &str, each: &mut dyn FnMut(json::Number<'_>)) -> bool {
    let document = format!("{{\"n\":{text}}}");
    let Ok(object) = json::read(document.as_bytes(), document.len()) else {
        return false;
    };
    match object.get("n").and_then(json::Value::as_number) {
        Some(number) if number.raw() == text => {
            each(number);
            true
        }
        _ => false,
    }
}
