//! Numbers that other programs leave in files: the `*.prom` files of one folder.
//!
//! They are foreign, and one bad line would cost the whole page. So a file is taken whole or not at
//! all: every line is checked and put into form, no family may be one of ours, none may have two
//! types, no series may be there twice, in one file or in two. A file that is refused is named in
//! the log, with line and reason, and in `node_textfile_scrape_error`.
//!
//! All files together hold 64 KiB and 1,024 lines that say something; one of more than 256 KiB is not
//! read at all. A program that writes one does so beside it and renames, as for everybody who reads
//! such files.

use std::fmt::Write;
use std::fs::{self, DirEntry, File};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use mote_core::Full;
use mote_core::log_line::Value;
use mote_core::wire::exposition::{self, ExpositionError, Line};
use mote_core::wire::prometheus::{Kind, Number};
use nix::libc;

use super::page::{Family, Page};
use super::scratch::{Scratch, Source};
use crate::log;

/// Of the files themselves.
pub(super) const FAMILIES: &[Family] = &[
    Family::gauge(
        "textfile_scrape_error",
        "Whether a file or the folder could not be read.",
    ),
    Family::gauge(
        "textfile_mtime_seconds",
        "When a file was last written, in Unix time.",
    ),
];
/// Lines that say something, of all files. Each file that is taken has one more, so more files than
/// this are never looked at.
const ENTRIES: usize = 1024;
/// A longer file is not read: with all its comments it is several times what all files may hold.
const FILE_BYTES: u64 = 256 * 1024;
/// What is said of files that are left out; a line of the log has no room for more.
const SAID_BYTES: usize = 4096;
/// The sums and counts of a histogram are its own.
const SUFFIXES: [&[u8]; 3] = [b"_bucket", b"_sum", b"_count"];

/// The folder and what was last read of it.
#[derive(Debug)]
pub(super) struct Textfiles {
    folder: Option<PathBuf>,
    entries: Vec<Entry>,
    has_error: bool,
    /// What was last said of it, so that it is said once.
    said: String,
}

/// A line, by its places in the text.
#[derive(Debug, Clone)]
struct Entry {
    /// Of the family's name.
    hash: u32,
    /// The family's name; of a file, its path.
    family: Range<u32>,
    /// The words of a help; a sample's name and labels.
    words: Range<u32>,
    /// Where the line ends.
    end: u32,
    what: What,
    /// The family's first line.
    is_first: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Help,
    Type(Kind),
    Sample,
    /// A file that was taken, and when it was written.
    File(i64),
}

/// Why a file is refused.
#[derive(Debug)]
enum Refusal {
    Unreadable(io::Error),
    NoFile,
    Line(u32, ExpositionError),
    Cut,
    TooMuch,
    Ours(String),
    TwoTypes(String),
    Twice(String),
}

impl Textfiles {
    /// Reads `folder`, if there is one.
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        let room = if folder.is_some() { ENTRIES } else { 0 };
        Self {
            folder,
            entries: Vec::with_capacity(room),
            has_error: false,
            said: String::new(),
        }
    }

    /// Reads all files.
    pub(super) fn load(&mut self, scratch: &mut Scratch, is_ours: &dyn Fn(&[u8]) -> bool) -> bool {
        self.entries.clear();
        self.has_error = false;
        let mut refusals = String::new();
        let Some(folder) = self.folder.take() else {
            return true;
        };
        match fs::read_dir(&folder) {
            Ok(files) => {
                let is_one = |file: &DirEntry| file.file_name().as_bytes().ends_with(b".prom");
                let mut files = files.filter_map(Result::ok).filter(is_one);
                for file in files.by_ref().take(ENTRIES) {
                    let read = self.read(scratch, &file, is_ours);
                    if let Some(refusal) = read.err().filter(|_| refusals.len() < SAID_BYTES) {
                        let _ = write!(refusals, "{}: {refusal}; ", file.path().display());
                    }
                }
                if files.next().is_some() {
                    let place = folder.display();
                    let _ = write!(
                        refusals,
                        "{place}: more than {ENTRIES} files: remove some; "
                    );
                }
            }
            Err(error) => {
                let _ = write!(refusals, "{}: {error}; ", folder.display());
            }
        }
        self.folder = Some(folder);
        self.has_error = !refusals.is_empty();
        if self.has_error && self.said != refusals {
            log::warn(
                "Text files are left out of the metrics until they are right",
                &[("files", Value::Str(refusals.trim_end_matches("; ")))],
            );
        }
        self.said = refusals;
        true
    }

    fn read(
        &mut self,
        scratch: &mut Scratch,
        found: &DirEntry,
        is_ours: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Refusal> {
        let (entries, bytes) = (self.entries.len(), scratch.text().len());
        let taken = self.read_lines(scratch, found, is_ours);
        if taken.is_err() {
            self.entries.truncate(entries);
            scratch.forget_since(bytes);
        }
        taken
    }

    fn read_lines(
        &mut self,
        scratch: &mut Scratch,
        found: &DirEntry,
        is_ours: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Refusal> {
        let path = found.path();
        // A pipe would wait for its writer.
        let mut how = File::options();
        how.read(true).custom_flags(libc::O_NONBLOCK);
        let file = how.open(&path).map_err(Refusal::Unreadable)?;
        let about = file.metadata().map_err(Refusal::Unreadable)?;
        if !about.is_file() {
            return Err(Refusal::NoFile);
        }
        if about.len() > FILE_BYTES {
            return Err(Refusal::TooMuch);
        }
        let from = self.entries.len();
        let mut at = scratch.text().len();
        let mut number = 0;
        let mut wrong = None;
        let entries = &mut self.entries;
        let mut source = Source::opened(file);
        let read = scratch.add(&mut source, &mut |line| {
            number += 1;
            let entry = match exposition::read(line) {
                _ if wrong.is_some() => return 0,
                Ok(line) => entry_of(&line, at as u32),
                Err(error) => {
                    wrong = Some(Refusal::Line(number, error));
                    return 0;
                }
            };
            let Some(entry) = entry else {
                return 0;
            };
            if entries.len() == ENTRIES {
                wrong = Some(Refusal::TooMuch);
                return 0;
            }
            let bytes = entry.end as usize - at;
            at += bytes + 1;
            entries.push(entry);
            bytes
        });
        read.map_err(Refusal::Unreadable)?;
        match wrong {
            Some(refusal) => return Err(refusal),
            None if scratch.is_open_ended() => return Err(Refusal::Cut),
            None if scratch.is_cut() || self.entries.len() == ENTRIES => {
                return Err(Refusal::TooMuch);
            }
            None => {}
        }
        for at in from..self.entries.len() {
            self.settle(scratch.text(), from, at, is_ours)?;
        }
        let begin = scratch.text().len();
        scratch.push(&mut |record| record.field(found.path().as_os_str().as_bytes()));
        let end = scratch.text().len().saturating_sub(1);
        self.entries.push(Entry {
            hash: 0,
            family: begin as u32..end as u32,
            words: 0..0,
            end: end as u32,
            what: What::File(about.mtime()),
            is_first: false,
        });
        Ok(())
    }

    /// Finds out which family line `at` belongs to, and whether that goes well with the lines
    /// before. Those from `from` on are of the same file.
    fn settle(
        &mut self,
        text: &[u8],
        from: usize,
        at: usize,
        is_ours: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Refusal> {
        let (before, rest) = self.entries.split_at_mut(at);
        let entry = &mut rest[0];
        let name = place(text, &entry.family);
        if entry.what == What::Sample {
            let base = SUFFIXES
                .iter()
                .find_map(|suffix| name.strip_suffix(*suffix));
            let is_composed = |base: &&[u8]| {
                before[from..].iter().any(|other| {
                    matches!(other.what, What::Type(Kind::Histogram | Kind::Summary))
                        && place(text, &other.family) == *base
                })
            };
            if let Some(base) = base.filter(is_composed) {
                entry.family.end = entry.family.start + base.len() as u32;
            }
        }
        let name = place(text, &entry.family);
        let named = || String::from_utf8_lossy(name).into_owned();
        if is_ours(name) {
            return Err(Refusal::Ours(named()));
        }
        entry.hash = hash(name);
        entry.is_first = true;
        for (index, other) in before.iter().enumerate() {
            if other.hash != entry.hash || place(text, &other.family) != name {
                continue;
            }
            entry.is_first = false;
            let is_same_file = index >= from;
            match (entry.what, other.what) {
                (What::Type(kind), What::Type(known)) if is_same_file || kind != known => {
                    return Err(Refusal::TwoTypes(named()));
                }
                (What::Type(_), What::Sample) if is_same_file => {
                    return Err(Refusal::TwoTypes(named()));
                }
                (What::Help, What::Help) if is_same_file => return Err(Refusal::Twice(named())),
                (What::Sample, What::Sample)
                    if place(text, &entry.words) == place(text, &other.words) =>
                {
                    return Err(Refusal::Twice(
                        String::from_utf8_lossy(place(text, &entry.words)).into_owned(),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes what the files say, and about them.
    pub(super) fn write(&self, page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
        let own = FAMILIES.len();
        let text = scratch.text();
        page.families(own + self.entries.len(), &mut |page, at| match at {
            0 => {
                page.head(&FAMILIES[0])?;
                page.sample(&FAMILIES[0], &[], Number::from(self.has_error))
            }
            1 => self.write_times(page, text),
            _ => self.write_family(page, text, &self.entries[at - own]),
        })
    }

    fn write_times(&self, page: &mut Page<'_, '_>, text: &[u8]) -> Result<(), Full> {
        let mut has_head = false;
        for entry in &self.entries {
            if let What::File(written) = entry.what {
                if !has_head {
                    page.head(&FAMILIES[1])?;
                    has_head = true;
                }
                let labels = [("file", place(text, &entry.family))];
                page.sample(&FAMILIES[1], &labels, Number::Int(written))?;
            }
        }
        Ok(())
    }

    fn write_family(
        &self,
        page: &mut Page<'_, '_>,
        text: &[u8],
        first: &Entry,
    ) -> Result<(), Full> {
        let name = place(text, &first.family);
        let family = || {
            let same = |entry: &&Entry| entry.hash == first.hash;
            self.entries
                .iter()
                .filter(same)
                .filter(|entry| place(text, &entry.family) == name)
        };
        if !first.is_first || !family().any(|entry| entry.what == What::Sample) {
            return Ok(());
        }
        let words = family().find(|entry| entry.what == What::Help);
        let words = words.map(|entry| place(text, &entry.words));
        let kind = family().find_map(|entry| match entry.what {
            What::Type(kind) => Some(kind),
            _ => None,
        });
        // The reader took nothing but UTF-8.
        let read = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
        page.out.family(
            [read(name), ""],
            kind.unwrap_or(Kind::Untyped),
            words.map_or("Read from a file.", read),
        )?;
        for sample in family().filter(|entry| entry.what == What::Sample) {
            page.out
                .ready_sample(place(text, &(sample.family.start..sample.end)))?;
        }
        Ok(())
    }
}

/// What a line says, with places in the text, where it will begin at `at`.
fn entry_of(line: &Line, at: u32) -> Option<Entry> {
    let shift = |range: &Range<usize>| at + range.start as u32..at + range.end as u32;
    let (family, words, end, what) = match line {
        Line::Nothing => return None,
        Line::Help { name, text } => (shift(name), shift(text), text.end.max(name.end), What::Help),
        Line::Type { name, kind } => (shift(name), 0..0, name.end, What::Type(*kind)),
        Line::Sample {
            name_end,
            series_end,
            end,
        } => (
            shift(&(0..*name_end)),
            shift(&(0..*series_end)),
            *end,
            What::Sample,
        ),
    };
    Some(Entry {
        hash: 0,
        family,
        words,
        end: at + end as u32,
        what,
        is_first: false,
    })
}

fn place<'t>(text: &'t [u8], range: &Range<u32>) -> &'t [u8] {
    text.get(range.start as usize..range.end as usize)
        .unwrap_or_default()
}

/// FNV-1a: only to pass over most of the others quickly.
pub(super) fn hash(name: &[u8]) -> u32 {
    hash_on(0x811c_9dc5, name)
}

/// The hash of what had `hash` so far, and goes on with `bytes`.
pub(super) fn hash_on(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::NoFile => f.write_str("not a regular file"),
            Self::Line(number, error) => write!(f, "line {number}: {error}"),
            Self::Cut => f.write_str("the last line has no newline: it may be cut"),
            Self::TooMuch => f.write_str("more than 64 KiB or 1023 lines in all files: shorten it"),
            Self::Ours(name) => write!(f, "{name} is measured here already: rename it"),
            Self::TwoTypes(name) => write!(f, "{name} has two types, or one behind its numbers"),
            Self::Twice(name) => write!(f, "{name} is there twice"),
        }
    }
}

#[cfg(test)]
mod tests;
