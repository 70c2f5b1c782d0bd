//! A file of somebody else's, read as text: manifests, configurations.
//!
//! Of limited size, and never waited for.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc::O_NONBLOCK;

use super::error::PluginError;
use crate::config::yaml::FILE_BYTES;

/// The text of a file of at most [`FILE_BYTES`]; `None` if there is none.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, PluginError> {
    let wrong = |words: &str| PluginError::File(format!("{}: {words}", path.display()));
    // A pipe under that name would make the loop wait.
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&error.to_string())),
    };
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return Err(wrong("is no regular file: put one there"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(&error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("is not UTF-8 text: save it as such"))?;
    Ok(Some(text))
}
