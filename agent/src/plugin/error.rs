//! Why a plugin does not run, in words that say what to do.

use std::fmt;

/// What stands in the way of a plugin or an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginError {
    /// A file is missing or wrong: its path, its line, what would be right.
    File(String),
    /// There is no such plugin.
    Unknown(String),
    /// The configuration, or the instruction, forbids it.
    Refused(String),
    /// As many run already as may.
    Busy(String),
    /// It could not be started: the interpreter, the kernel.
    Start(String),
}

impl PluginError {
    /// Whether another attempt at the same may go well.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Start(_) => true,
            Self::File(_) | Self::Unknown(_) | Self::Refused(_) => false,
        }
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::File(words)
        | Self::Unknown(words)
        | Self::Refused(words)
        | Self::Busy(words)
        | Self::Start(words)) = self;
        f.write_str(words)
    }
}

impl std::error::Error for PluginError {}
