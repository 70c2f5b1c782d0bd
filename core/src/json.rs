//! JSON objects from outside (RFC 8259), checked whole and walked without a heap.
//!
//! [`read`] looks at every byte once and then vouches for the document; what walks it afterwards
//! cannot fail. Stricter than the RFC where readers disagree about what a text means:
//! - the document is one object, so that every cut of it is refused;
//! - UTF-8 without a byte order mark, no NUL (not as `\u0000` either), no lone surrogate;
//! - no key twice in one object, however it is escaped;
//! - at most [`MAX_DEPTH`] containers in each other, and at most [`MAX_OPEN_KEYS`] keys in the
//!   objects that are open at one place: this bounds what comparing them costs;
//! - a number that an `f64` cannot hold is refused; there is no `NaN`.
//!
//! Values keep the text they came as ([`Value::raw`]), so that an object passes through untouched.
//! Not in scope: writing (see [`crate::text`]), floating point, comments, lists of documents.

mod check;
mod number;
mod string;
#[cfg(test)]
mod tests;
mod walk;

use core::fmt;

pub use number::Number;
pub use string::{Chars, Str};
pub use walk::{Elements, Members};

/// Containers in each other, the outermost object included.
pub const MAX_DEPTH: usize = 32;

/// Keys in all objects that are open at one place of the document.
pub const MAX_OPEN_KEYS: usize = 512;

/// Checks `document`, at most `max_bytes` long, and gives its object.
pub fn read(document: &[u8], max_bytes: usize) -> Result<Object<'_>, JsonError> {
    check::object(document, max_bytes).map(Object)
}

/// A checked value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as its text.
    Number(Number<'a>),
    /// A string, still escaped.
    Str(Str<'a>),
    /// An array.
    Array(Array<'a>),
    /// An object.
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    /// The text it came as, without the white space around it.
    pub fn raw(self) -> &'a str {
        match self {
            Self::Null => "null",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Number(number) => number.raw(),
            Self::Str(text) => text.raw(),
            Self::Array(array) => array.raw(),
            Self::Object(object) => object.raw(),
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        self == Self::Null
    }

    /// The truth value, if it is one.
    pub fn as_bool(self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn as_number(self) -> Option<Number<'a>> {
        match self {
            Self::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The string, if it is one.
    pub fn as_str(self) -> Option<Str<'a>> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The array, if it is one.
    pub fn as_array(self) -> Option<Array<'a>> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// The object, if it is one.
    pub fn as_object(self) -> Option<Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }
}

/// A checked object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    /// The text it came as, braces included.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Its members, in their order.
    pub fn members(self) -> Members<'a> {
        Members::of(self.0)
    }

    /// What stands under `key`.
    pub fn get(self, key: &str) -> Option<Value<'a>> {
        self.members()
            .find(|(name, _)| name.is(key))
            .map(|(_, value)| value)
    }

    /// What stands under `key`, unless it is `null`: absent and `null` mean the same to most.
    pub fn present(self, key: &str) -> Option<Value<'a>> {
        self.get(key).filter(|value| !value.is_null())
    }

    /// Whether it has no members.
    pub fn is_empty(self) -> bool {
        self.members().next().is_none()
    }
}

/// A checked array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array<'a>(&'a str);

impl<'a> Array<'a> {
    /// The text it came as, brackets included.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Its elements, in their order.
    pub fn elements(self) -> Elements<'a> {
        Elements::of(self.0)
    }
}

/// Why a document was refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// The byte at which it went wrong, counted from 0.
    pub at: usize,
    /// What was wrong there.
    pub fault: Fault,
}

/// What can be wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It has more bytes than the caller takes.
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// It ends before it is whole.
    Cut,
    /// Something else stands where this is due.
    Expected(&'static str),
    /// Containers in each other, more than [`MAX_DEPTH`].
    TooDeep,
    /// Keys in open objects, more than [`MAX_OPEN_KEYS`].
    TooManyKeys,
    /// A key that the object has already.
    DuplicateKey,
    /// A control character that should have been escaped.
    Control,
    /// NUL, escaped or not.
    Nul,
    /// A backslash with something after it that JSON does not know.
    Escape,
    /// Half of a surrogate pair.
    Surrogate,
    /// A number beyond what an `f64` holds.
    NumberRange,
    /// Something stands after the object.
    Trailing,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.fault {
            Fault::TooLong => "longer than is accepted",
            Fault::NotUtf8 => "not UTF-8",
            Fault::Cut => "ends too early",
            Fault::Expected(what) => return write!(f, "byte {}: expected {what}", self.at),
            Fault::TooDeep => "more than 32 levels deep",
            Fault::TooManyKeys => "more than 512 keys in open objects",
            Fault::DuplicateKey => "a key that is there already",
            Fault::Control => "a control character that is not escaped",
            Fault::Nul => "a NUL",
            Fault::Escape => "an unknown escape",
            Fault::Surrogate => "half of a surrogate pair",
            Fault::NumberRange => "a number out of range",
            Fault::Trailing => "something after the object",
        };
        write!(f, "byte {}: {words}", self.at)
    }
}

impl core::error::Error for JsonError {}
