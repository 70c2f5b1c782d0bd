//! A log file beside the agent's own, for what somebody else says: a plugin on its standard error.
//!
//! It follows the same rules: lines go in whole, escaped and cut, links are refused, and what could
//! not be written is counted. It has at most [`MAX_BYTES`] and one old file of as much. It is made
//! when the first line comes.

use std::path::PathBuf;

use mote_core::log_line::{Level, Value};

use super::file::{Limits, LogFile};
use super::sink::{Entry, Look};
use crate::clock;

/// Size at which a new file is begun.
pub(super) const MAX_BYTES: u64 = 1_000_000;

/// Such a log.
#[derive(Debug)]
pub struct SideLog {
    path: PathBuf,
    file: Option<LogFile>,
}

impl SideLog {
    /// A log that is to be at `path`.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Writes a line, or counts it.
    pub fn line(&mut self, text: &str, now_ms: u64) {
        let path = &self.path;
        let file = self.file.get_or_insert_with(|| {
            let limits = Limits {
                max_bytes: MAX_BYTES,
                backups: 1,
                max_age_days: 0,
                compress: false,
            };
            LogFile::new(path.clone(), limits, Look::Text { colour: false }, now_ms)
        });
        let entry = Entry {
            wall_ms: clock::wall_ms(),
            level: Level::Info,
            msg: text,
            key_hash: "",
            fields: &[],
        };
        file.send(&entry, now_ms);
        if let Some(trouble) = file.trouble.take() {
            let (path, error) = (path.to_string_lossy(), trouble.error.to_string());
            let fields = [("path", Value::Str(&path)), ("error", Value::Str(&error))];
            super::warn(trouble.msg, &fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stays_below_two_files_and_cannot_deceive_a_terminal() {
        let folder = std::env::temp_dir().join(format!("mote-side-{}", std::process::id()));
        let path = folder.join("plugin.log");
        let mut log = SideLog::new(path.clone());
        log.line("red \u{1b}[31m", 0);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("red \\u001b[31m\n"), "{text:?}");
        for _ in 0..1_500 {
            log.line(&"x".repeat(2_000), 0);
        }
        let sizes = std::fs::read_dir(&folder).unwrap();
        let sizes: Vec<u64> = sizes
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 2, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size <= MAX_BYTES), "{sizes:?}");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
