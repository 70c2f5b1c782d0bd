//! The configuration file and the file that holds a key.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::unistd::Uid;

use super::keys::{KEYS, Key};
use super::{Given, Origin, Secret, Warning, keys, yaml};

/// Longest key file that is read; a key is a line.
const KEY_FILE_BYTES: u64 = 16 * 1024;

/// What configurations of the products that mote stands in for have, and mote has no use for: keys,
/// and sections with their dot.
const WITHOUT_MEANING: &[&str] = &[
    "action.",
    "api.agents_endpoint",
    "api.idle_conn_timeout",
    "api.max_idle_conns",
    "health.interval",
    "health.timeout",
    "plugins.registry.",
    "security.audit.compress",
    "security.auth.token_ttl",
];

/// Keys that are read and checked, and change nothing yet.
pub(crate) const WITHOUT_EFFECT: &[&str] = &[
    "plugins.allow_remote_install",
    "plugins.auto_update",
    "plugins.trusted_keys",
    "plugins.update_interval",
    "security.audit.enabled",
    "security.audit.file",
    "security.audit.max_age",
    "security.audit.max_backups",
    "security.audit.max_size",
    "security.sandbox.allowed_paths",
    "security.sandbox.chroot",
    "security.sandbox.network_access",
];

/// When a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// A pipe is as good as a file: whoever starts the program waits for it.
    AtStart,
    /// Nothing may wait: a pipe without a writer would stop the loop.
    Running,
}

fn open(path: &Path, opening: Opening) -> io::Result<File> {
    if opening == Opening::AtStart {
        return File::open(path);
    }
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(
            "not a regular file, it can be read at the start only",
        ));
    }
    Ok(file)
}

/// What helps against an error, if it is not another path.
pub(crate) fn remedy(error: &io::Error) -> Option<&'static str> {
    let is_refused = error.kind() == io::ErrorKind::PermissionDenied;
    is_refused.then_some(
        "let the user that mote runs as read it and enter its folder (chgrp, chmod 640 and 750)",
    )
}

/// Reads the values in a configuration file.
pub(super) fn read(
    path: &Path,
    opening: Opening,
    warnings: &mut Vec<Warning>,
    errors: &mut Vec<String>,
) -> Result<Vec<Given>, String> {
    let place = path.display();
    let unreadable = |error: io::Error| {
        let remedy = remedy(&error).unwrap_or("give the right path with --config");
        format!("{place}: {error}: {remedy}")
    };
    let handle = open(path, opening).map_err(unreadable)?;
    let exposed = exposed(&handle.metadata().map_err(unreadable)?);
    let mut text = Vec::new();
    handle
        .take(yaml::FILE_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        format!("{place}:{line}: not UTF-8 text: save it as UTF-8")
    })?;
    let entries =
        yaml::read(&text).map_err(|error| format!("{place}:{}: {}", error.line, error.words))?;
    // The documented spelling wins over an older one, wherever they stand.
    let is_alias =
        |entry: &&yaml::Entry| keys::find(&entry.path).is_some_and(|key| key.path != entry.path);
    let (older, documented): (Vec<_>, Vec<_>) = entries.iter().partition(is_alias);
    let mut given: Vec<Given> = Vec::new();
    let mut others: Vec<&str> = Vec::new();
    for entry in documented.into_iter().chain(older) {
        let without_meaning = WITHOUT_MEANING.iter().find(|known| {
            entry.path == **known || known.ends_with('.') && entry.path.starts_with(**known)
        });
        match keys::find(&entry.path).filter(|key| key.in_file) {
            Some(key) => {
                if entry.items.is_some() && !key.is_list() {
                    let (line, path) = (entry.line, &entry.path);
                    errors.push(format!(
                        "{place}:{line}: {path}: takes one value and no list: write {path}: VALUE"
                    ));
                }
                if let Some(remedy) = exposed.filter(|_| key.secret) {
                    warnings.push(Warning::strict(format!(
                        "{place}: others can read this file, and {} is in it: {remedy} {place}",
                        key.path
                    )));
                }
                if WITHOUT_EFFECT.contains(&key.path) && !others.contains(&key.path) {
                    others.push(key.path);
                }
                let mut is_second = false;
                for first in given.iter().filter(|given| given.key.path == key.path) {
                    is_second = true;
                    if first.text != entry.text {
                        warnings.push(Warning::strict(format!(
                            "{}:{}: {} disagrees with {}: the latter is used",
                            path.display(),
                            entry.line,
                            entry.path,
                            first.origin
                        )));
                    }
                }
                if !is_second {
                    given.push(Given {
                        key,
                        text: entry.text.clone(),
                        origin: Origin::File(path.to_owned(), entry.line),
                    });
                }
            }
            None => match without_meaning {
                Some(known) => {
                    let known = known.trim_end_matches('.');
                    if !others.contains(&known) {
                        others.push(known);
                    }
                }
                None if is_empty_section(entry) => {}
                None => warnings.push(Warning::strict(unknown(path, entry))),
            },
        }
    }
    if !others.is_empty() {
        warnings.push(Warning {
            words: format!(
                "{place}: without an effect in this agent: {}",
                others.join(", ")
            ),
            strict: false,
        });
    }
    Ok(given)
}

/// What helps if others can read it than its owner, or than a group that root chose: that is how an
/// installation lets the agent read a file that it may not change.
fn exposed(found: &Metadata) -> Option<&'static str> {
    let owner = found.uid();
    let others = if owner == 0 { 0o004 } else { 0o044 };
    let remedy = if owner != 0 && owner == Uid::effective().as_raw() {
        "chmod 600"
    } else {
        // The agent may be another user than its owner and root, and is not to be locked out.
        "chown it to root and the group that mote runs as, and chmod 640"
    };
    (found.mode() & others != 0).then_some(remedy)
}

/// Whether it is a section whose keys are left out, or made comments.
fn is_empty_section(entry: &yaml::Entry) -> bool {
    let mut known = KEYS.iter().flat_map(Key::paths);
    let begins = |known: &str| {
        let rest = known.strip_prefix(&*entry.path);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    entry.text.is_empty() && (known.any(begins) || WITHOUT_MEANING.iter().any(|it| begins(it)))
}

fn unknown(path: &Path, entry: &yaml::Entry) -> String {
    let near = keys::nearest(&entry.path, keys::in_file);
    let hint = keys::hint(near.map(|key| key.path.to_owned()));
    format!(
        "{}:{}: unknown key {}: {hint}",
        path.display(),
        entry.line,
        entry.path
    )
}

/// Reads a key from the file that holds it and nothing else; the key `name` names the file.
pub(super) fn read_key(
    name: &str,
    path: &Path,
    opening: Opening,
    warnings: &mut Vec<Warning>,
) -> Result<Secret, String> {
    let place = path.display();
    let mut text = String::new();
    let unreadable = |error: io::Error| {
        let remedy = remedy(&error).unwrap_or("give the right path");
        format!("{name} {place}: {error}: {remedy}")
    };
    let file = open(path, opening).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // A pipe belongs to who made it, and is gone when it was read.
    if let Some(remedy) = exposed(&metadata).filter(|_| metadata.is_file()) {
        warnings.push(Warning::strict(format!(
            "{name} {place}: others can read this file: {remedy} {place}"
        )));
    }
    file.take(KEY_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let key = text.trim();
    if key.is_empty() {
        return Err(format!(
            "{name} {place}: the file is empty: put the key into it"
        ));
    }
    let key = Secret::new(key.to_owned());
    if !key.fits_a_header() {
        return Err(format!(
            "{name} {place}: more than a line of plain characters, or than 3 KiB: put the key alone \
             into it"
        ));
    }
    Ok(key)
}
