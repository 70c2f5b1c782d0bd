//! Why a command could not do its work, and the exit code that says so.
//!
//! The codes are those of `sysexits.h` where it has one. Texts are for the person at the terminal:
//! lower case, no full stop, with what to do where that is known.

use std::fmt;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Called wrongly.
    Usage(String),
    /// The machine lacks a program, a package or a compiler target.
    Unavailable(String),
    /// The work was tried and did not succeed.
    Failed(String),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 64,
            Self::Unavailable(_) => 69,
            Self::Failed(_) => 1,
        }
    }

    /// The same failure, with the place where it happened in front of its text.
    pub(crate) fn at(self, place: &str) -> Self {
        let put = |text| format!("{place}: {text}");
        match self {
            Self::Usage(text) => Self::Usage(put(text)),
            Self::Unavailable(text) => Self::Unavailable(put(text)),
            Self::Failed(text) => Self::Failed(put(text)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Unavailable(text) | Self::Failed(text) => out.write_str(text),
        }
    }
}
