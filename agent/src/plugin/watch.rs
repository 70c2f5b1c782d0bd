//! Notices plugins that were put there, changed or taken away.
//!
//! A fingerprint of each folder and its configuration (names, sizes, times of change) is compared
//! every [`LOOK_EVERY_MS`], when the agent is awake anyway. Two equal ones in a row count, so that a
//! copy under way is not taken for the whole. Hidden files and what Python keeps beside its sources
//! do not count.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::installed::folders;
use super::manifest;
use super::scope::PluginOptions;

/// Between two looks.
const LOOK_EVERY_MS: u64 = 10_000;
/// Entries of a plugin that count, and folders in folders.
const MAX_ENTRIES: usize = 512;
const MAX_DEPTH: usize = 4;

/// The folder of a plugin by its name, and what it looks like.
type Seen = Vec<(String, u64)>;

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What runs.
    known: Seen,
    /// What was seen once and is not known.
    changed: Option<Seen>,
    look_ms: u64,
}

impl Watch {
    /// Knows what is there now.
    pub(super) fn new(options: &PluginOptions, now_ms: u64) -> Self {
        Self {
            known: see(options),
            changed: None,
            look_ms: now_ms.saturating_add(LOOK_EVERY_MS),
        }
    }

    /// The names of plugins that are other than they were; nothing between two looks.
    pub(super) fn changes(&mut self, options: &PluginOptions, now_ms: u64) -> Vec<String> {
        if now_ms < self.look_ms {
            return Vec::new();
        }
        self.look_ms = now_ms.saturating_add(LOOK_EVERY_MS);
        let seen = see(options);
        if seen == self.known {
            self.changed = None;
            return Vec::new();
        }
        if self.changed.as_ref() != Some(&seen) {
            self.changed = Some(seen);
            return Vec::new();
        }
        self.changed = None;
        let before = std::mem::replace(&mut self.known, seen);
        let gone = before
            .iter()
            .filter(|(name, _)| self.look_of(name).is_none());
        let changed = self.known.iter().filter(|known| !before.contains(known));
        gone.chain(changed).map(|(name, _)| name.clone()).collect()
    }

    /// It could not be taken up yet: it counts as changed again at the next look.
    pub(super) fn forget(&mut self, name: &str) {
        match self.known.iter_mut().find(|(known, _)| known == name) {
            Some(known) => known.1 = !known.1,
            // It was taken away.
            None => self.known.push((name.to_owned(), 0)),
        }
    }

    fn look_of(&self, name: &str) -> Option<u64> {
        let found = self.known.iter().find(|(known, _)| known == name);
        found.map(|(_, look)| *look)
    }
}

fn see(options: &PluginOptions) -> Seen {
    let (folders, _) = folders(&options.dir);
    let look = |folder: &std::path::PathBuf| {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut entries = Vec::new();
        collect(folder, 0, &mut entries);
        // Whatever name its configuration goes by.
        let id = manifest::Manifest::load(folder)
            .ok()
            .flatten()
            .map(|found| found.id);
        for name in [Some(&name), id.as_ref()].into_iter().flatten() {
            let path = options.config_dir.join(format!("{name}.yaml"));
            if let Ok(found) = std::fs::metadata(&path) {
                entries.push(entry(&path, &found));
            }
        }
        // The order of a folder is nobody's promise.
        entries.sort_unstable();
        let hash = entries
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, entry| mix(hash, *entry));
        (name, hash)
    };
    folders.iter().map(look).collect()
}

fn collect(folder: &Path, depth: usize, entries: &mut Vec<u64>) {
    let Ok(found) = std::fs::read_dir(folder) else {
        return;
    };
    for file in found.flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "__pycache__" || entries.len() >= MAX_ENTRIES {
            continue;
        }
        let path = file.path();
        let Ok(found) = file.metadata() else {
            continue;
        };
        if !found.is_dir() {
            entries.push(entry(&path, &found));
        } else if depth < MAX_DEPTH {
            collect(&path, depth + 1, entries);
        }
    }
}

fn entry(path: &Path, found: &Metadata) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes();
    let name = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        mix(hash, u64::from(*byte))
    });
    let times = [
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec(),
    ];
    let times = times.iter().fold(mix(name, found.len()), |hash, time| {
        mix(hash, time.cast_unsigned())
    });
    mix(times, u64::from(found.mode()))
}

/// A step of FNV-1a, in words.
fn mix(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x0100_0000_01b3)
}
