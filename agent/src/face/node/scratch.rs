//! One buffer for all that is read while a page is made, and the files it is read from.
//!
//! A file is read whole, piece by piece, and only its lines that count stay: what a page is made
//! of is one reading, however many pieces the page is sent in. The buffer never grows. A device
//! with more disks or interfaces than it holds shows the first of them and says so, and so does one
//! whose file does not come to an end.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mote_core::text::{digits, find};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Room for the lines of 600 processors or 400 interfaces. What is not used is never touched.
const BYTES: usize = 64 * 1024;
/// Of a file no more is read than this: none that is what it says it is has as much.
const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// With less room than this no more is read: lines of the kernel's tables are shorter.
const ROOM_BYTES: usize = 1024;
/// Between the fields of a record that is made here; no name has it.
pub(super) const FIELD_END: u8 = 0;

/// Lines of files, or records made of them.
#[derive(Debug)]
pub(super) struct Scratch {
    buffer: Vec<u8>,
    used: usize,
    /// Of the kept lines and records.
    count: usize,
    /// Where lines have to end.
    lines_end: usize,
    is_cut: bool,
    is_open_ended: bool,
}

impl Scratch {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self {
            // Zeros from the allocator are pages that are not there until used.
            buffer: vec![0; BYTES],
            used: 0,
            count: 0,
            lines_end: BYTES,
            is_cut: false,
            is_open_ended: false,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.count = 0;
        self.lines_end = BYTES;
        self.is_cut = false;
    }

    /// Holds no more than `bytes` of lines.
    pub(super) fn hold_lines_to(&mut self, bytes: usize) {
        self.lines_end = bytes;
    }

    /// Whether something had no room.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Whether the file that was added last had no newline at its end.
    pub(super) fn is_open_ended(&self) -> bool {
        self.is_open_ended
    }

    /// Adds the lines of a file. `keep` is shown each line without its newline, may rewrite it, and
    /// says how many of its first bytes stay; 0 is none. Of a line that is longer than all the room
    /// it is shown the beginning.
    pub(super) fn add(
        &mut self,
        source: &mut Source,
        keep: &mut dyn FnMut(&mut [u8]) -> usize,
    ) -> io::Result<()> {
        let mut offset = 0;
        // Bytes behind the kept ones that are part of a line whose end was not read yet.
        let mut pending = 0;
        let mut is_skipping = false;
        let count_before = self.count;
        self.is_open_ended = false;
        loop {
            if self.used + ROOM_BYTES > self.lines_end || offset > FILE_BYTES {
                self.is_cut = true;
                return Ok(());
            }
            if self.used + pending == BYTES {
                if !is_skipping {
                    let kept = keep(&mut self.buffer[self.used..]);
                    self.is_cut |= kept >= pending;
                    self.keep_line(self.used, if kept < pending { kept } else { 0 });
                }
                is_skipping = true;
                pending = 0;
                continue;
            }
            let from = self.used + pending;
            let bytes = source.read_at(&mut self.buffer[from..], offset)?;
            if bytes == 0 {
                if self.count > count_before {
                    source.learn_last(self.last_name());
                }
                break;
            }
            let is_last = bytes < source.sure_bytes && from + bytes < BYTES;
            offset += bytes as u64;
            let end = from + bytes;
            let mut at = self.used;
            let mut search = from;
            while let Some(length) = find(b'\n', &self.buffer[search..end]) {
                let newline = search + length;
                if !is_skipping {
                    let kept = keep(&mut self.buffer[at..newline]);
                    self.keep_line(at, kept);
                }
                is_skipping = false;
                at = newline + 1;
                search = at;
            }
            if self.count > count_before && source.is_last(self.last_name()) {
                return Ok(());
            }
            pending = end - at;
            self.buffer.copy_within(at..end, self.used);
            if is_last {
                break;
            }
        }
        if pending > 0 && !is_skipping {
            self.is_open_ended = true;
            let line = self.used..self.used + pending;
            let kept = keep(&mut self.buffer[line]);
            self.keep_line(self.used, kept.min(BYTES - self.used - 1));
        }
        Ok(())
    }

    /// Moves the line that begins at `at` to the kept ones.
    fn keep_line(&mut self, at: usize, bytes: usize) {
        if bytes > 0 {
            if at > self.used {
                self.buffer.copy_within(at..at + bytes, self.used);
            }
            self.used += bytes;
            self.buffer[self.used] = b'\n';
            self.used += 1;
            self.count += 1;
        }
    }

    /// The first word of the last line that was kept.
    fn last_name(&self) -> &[u8] {
        let lines = self.text().trim_ascii_end();
        let line = lines.rsplit(|byte| *byte == b'\n').next();
        let name = line.and_then(|line| line.split(|byte| *byte == b' ').next());
        name.unwrap_or_default()
    }

    /// All that is kept.
    pub(super) fn text(&self) -> &[u8] {
        &self.buffer[..self.used]
    }

    /// How many lines or records are kept.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The kept lines or records.
    pub(super) fn records(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = self.text();
        std::iter::from_fn(move || {
            let (line, behind) = rest.split_at_checked(find(b'\n', rest)?)?;
            rest = &behind[1..];
            Some(line)
        })
    }

    /// Adds a record that was in another one, with the newline at its end.
    pub(super) fn add_record(&mut self, record: &[u8]) {
        let end = self.used + record.len();
        if let Some(room) = self.buffer.get_mut(self.used..end) {
            room.copy_from_slice(record);
            self.used = end;
            self.count += 1;
        } else {
            self.is_cut = true;
        }
    }

    /// Forgets what was added since there were `bytes` of text, and that it had no room.
    pub(super) fn forget_since(&mut self, bytes: usize) {
        self.used = self.used.min(bytes);
        self.count = self.records().count();
        self.is_cut = false;
    }

    /// Adds a record.
    pub(super) fn push(&mut self, make: &mut dyn FnMut(&mut Record<'_>)) {
        let mut record = Record {
            end: self.used,
            buffer: &mut self.buffer,
            is_full: false,
        };
        make(&mut record);
        let (end, is_full) = (record.end, record.is_full);
        if is_full {
            self.is_cut = true;
        } else if end > self.used {
            // In the place of the last field's end.
            self.buffer[end - 1] = b'\n';
            self.used = end;
            self.count += 1;
        }
    }
}

/// A record that is being made: fields one after the other.
#[derive(Debug)]
pub(super) struct Record<'s> {
    buffer: &'s mut [u8],
    end: usize,
    is_full: bool,
}

impl Record<'_> {
    /// Adds a field. What would end it becomes a blank.
    pub(super) fn field(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        if end >= self.buffer.len() {
            self.is_full = true;
            return;
        }
        for (place, byte) in self.buffer[self.end..end].iter_mut().zip(bytes) {
            *place = if matches!(byte, b'\n' | &FIELD_END) {
                b' '
            } else {
                *byte
            };
        }
        self.buffer[end] = FIELD_END;
        self.end = end + 1;
    }

    /// Adds a number.
    pub(super) fn number(&mut self, number: u64) {
        self.field(digits(number, &mut [0; 20]));
    }

    /// Adds a number with its sign.
    pub(super) fn signed(&mut self, number: i64) {
        let mut text = heapless::Vec::<u8, 21>::new();
        let sign: &[u8] = if number < 0 { b"-" } else { b"" };
        // Twenty digits and a sign are all there can be.
        for part in [sign, digits(number.unsigned_abs(), &mut [0; 20])] {
            let _ = text.extend_from_slice(part);
        }
        self.field(&text);
    }
}

/// Field `at` of a record; empty if there is none.
pub(super) fn field(record: &[u8], at: usize) -> &[u8] {
    let mut rest = record;
    for _ in 0..at {
        match find(FIELD_END, rest) {
            Some(end) => rest = &rest[end + 1..],
            None => return &[],
        }
    }
    &rest[..find(FIELD_END, rest).unwrap_or(rest.len())]
}

/// The kernel puts whole lines of a table into a page of its own, of this size or larger, as long as
/// the next one fits (`fs/seq_file.c`). A read that ended a line's length before that was the last,
/// if the caller's buffer had room for more; so it was of a file that is made at once or on a disk.
const PAGE_BYTES: usize = 4096;
/// Longer than a line of disks or interfaces with every number at its largest.
pub(super) const SHORT_LINE_BYTES: usize = 512;
/// A file that is read over and over, and held open in between.
#[derive(Debug)]
pub(super) struct Source {
    /// None if it is not to be opened again.
    path: Option<PathBuf>,
    file: Option<File>,
    /// A read of fewer bytes was the last; 0 where only an empty one is.
    sure_bytes: usize,
    /// Whether the kernel makes up what is open: such a file has no size.
    is_kernels: bool,
    /// Of a list: the name of the last line that counts; empty before it is known.
    last_name: Option<Vec<u8>>,
}

impl Source {
    /// Nothing is opened yet.
    pub(super) fn new(root: &Path, name: &str) -> Self {
        Self {
            path: Some(root.join(name)),
            file: None,
            sure_bytes: 0,
            is_kernels: false,
            last_name: None,
        }
    }

    /// The same of a table with lines of less than `line_bytes`, or that the kernel makes at once:
    /// its end is seen without another read.
    pub(super) fn table(root: &Path, name: &str, line_bytes: usize) -> Self {
        Self {
            sure_bytes: PAGE_BYTES - line_bytes,
            ..Self::new(root, name)
        }
    }

    /// The same of a table whose lines have the same names for as long as the kernel runs. The last
    /// one that counts is remembered: for whoever asks what comes behind it, the kernel makes all
    /// of it up once more.
    pub(super) fn list(root: &Path, name: &str) -> Self {
        Self {
            last_name: Some(Vec::new()),
            ..Self::new(root, name)
        }
    }

    /// Whether behind the line of this name there is none that counts.
    fn is_last(&self, name: &[u8]) -> bool {
        self.is_kernels && self.last_name.as_deref() == Some(name)
    }

    /// Notes that there was none.
    fn learn_last(&mut self, name: &[u8]) {
        if let Some(last) = &mut self.last_name {
            last.clear();
            last.extend_from_slice(name);
        }
    }

    /// A file that is open, and is not opened again: what stands at its path by then may be another,
    /// even a pipe that would wait for its writer.
    pub(super) fn opened(file: File) -> Self {
        Self {
            path: None,
            file: Some(file),
            sure_bytes: 0,
            is_kernels: false,
            last_name: None,
        }
    }

    /// Reads the file from the start, as much as `buffer` holds.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let bytes = self.read_at(buffer, 0)?;
        Ok(&buffer[..bytes])
    }

    /// Whether it says something else than when this was asked last: true unless the kernel, which
    /// tells that of the table of mounts, says no (`proc(5)`).
    pub(super) fn has_changed(&self) -> bool {
        let Some(file) = &self.file else {
            return true;
        };
        // Any other file may be written by anybody.
        let mut watched = [PollFd::new(file.as_fd(), PollFlags::POLLPRI)];
        !self.is_kernels || poll(&mut watched, PollTimeout::ZERO) != Ok(0)
    }

    /// One read. A file that cannot be read any more, as when its module was unloaded and loaded
    /// again, is opened anew.
    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if let Some(file) = &self.file {
            match file.read_at(buffer, offset) {
                read if self.path.is_none() => return read,
                Ok(bytes) if bytes > 0 || offset > 0 => return Ok(bytes),
                _ => self.file = None,
            }
        }
        let Some(path) = &self.path else {
            return Ok(0);
        };
        let file = File::open(path)?;
        let bytes = file.read_at(buffer, offset)?;
        self.is_kernels = file.metadata().is_ok_and(|about| about.len() == 0);
        self.file = Some(file);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &[u8]) -> Source {
        use std::io::Write;
        let path = std::env::temp_dir().join(format!(
            "mote-scratch-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let mut file = File::create(&path).unwrap();
        file.write_all(text).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Source::opened(file)
    }

    #[test]
    fn an_open_file_is_not_opened_again_though_it_is_empty() {
        // What stood at its path is gone.
        assert_eq!(source(b"").read(&mut [0; 8]).unwrap(), b"");
    }

    #[test]
    fn a_file_without_end_is_given_up_and_said_to_be_cut() {
        let zeros = Path::new("/dev");
        let mut scratch = Scratch::new();
        let read = scratch.add(&mut Source::new(zeros, "zero"), &mut |_| 0);
        assert!(read.is_ok() && scratch.is_cut());
        // The next one is read as ever.
        scratch.clear();
        scratch
            .add(&mut source(b"a 1\n"), &mut |line| line.len())
            .unwrap();
        assert_eq!((scratch.text(), scratch.is_cut()), (&b"a 1\n"[..], false));
    }

    #[test]
    fn only_what_counts_stays_even_of_a_line_that_is_longer_than_the_room() {
        let mut text = b"a 1\nb 2\n".to_vec();
        text.extend_from_slice(b"long ");
        text.resize(3 * BYTES, b'7');
        text.extend_from_slice(b"\nc 3\nd 4");
        let mut scratch = Scratch::new();
        let mut keep = |line: &mut [u8]| match line[0] {
            b'b' => 0,
            b'l' => 6,
            _ => line.len(),
        };
        scratch.add(&mut source(&text), &mut keep).unwrap();
        assert_eq!(scratch.text(), b"a 1\nlong 7\nc 3\nd 4\n");
        assert!(!scratch.is_cut());
    }

    /// The first words of a file's lines.
    fn names(mut source: Source) -> Vec<Vec<u8>> {
        let (mut scratch, mut names) = (Scratch::new(), Vec::new());
        let mut keep = |line: &mut [u8]| {
            let name = line.trim_ascii_start().split(|byte| *byte == b' ').next();
            names.push(name.unwrap_or_default().to_vec());
            0
        };
        scratch.add(&mut source, &mut keep).unwrap();
        names
    }

    #[test]
    fn a_table_has_all_its_lines_although_its_end_is_not_waited_for() {
        let root = Path::new("/proc");
        for (name, line_bytes) in [
            ("stat", SHORT_LINE_BYTES),
            ("meminfo", SHORT_LINE_BYTES),
            ("net/dev", SHORT_LINE_BYTES),
            ("diskstats", SHORT_LINE_BYTES),
        ] {
            let table = names(Source::table(root, name, line_bytes));
            assert_eq!(table, names(Source::new(root, name)), "{name}");
        }
        let line = b"0123456789abcdef0123456789abcdef\n";
        for lines in [1, 107, 108, 124, 125, 2_000] {
            let mut long = source(&line.repeat(lines));
            long.sure_bytes = PAGE_BYTES - SHORT_LINE_BYTES;
            assert_eq!(names(long).len(), lines);
        }
    }

    #[test]
    fn a_list_has_all_its_lines_although_what_is_behind_the_last_is_not_read() {
        let mut keep = |line: &mut [u8]| match line {
            [b'p', b'g', ..] => line.len(),
            _ => 0,
        };
        let names = |scratch: &Scratch| -> Vec<Vec<u8>> {
            let name = |line: &[u8]| line.split(|byte| *byte == b' ').next().unwrap().to_vec();
            scratch.records().map(name).collect()
        };
        let root = Path::new("/proc");
        let (mut whole, mut list) = (Scratch::new(), Source::list(root, "vmstat"));
        whole
            .add(&mut Source::new(root, "vmstat"), &mut keep)
            .unwrap();
        for reading in 0..3 {
            let mut scratch = Scratch::new();
            // What is from another file is none of its lines.
            scratch.add(&mut source(b"pgfree 7\n"), &mut keep).unwrap();
            assert!(!list.is_last(b"pgfree"));
            scratch.add(&mut list, &mut keep).unwrap();
            assert_eq!(names(&scratch)[1..], names(&whole), "reading {reading}");
            assert!(list.is_last(scratch.last_name()));
        }
        // A file that anybody may write to can have more next time.
        let mut other = source(b"pga 1\npgb 2\nz 3\n");
        other.last_name = Some(b"pga".to_vec());
        let mut scratch = Scratch::new();
        scratch.add(&mut other, &mut keep).unwrap();
        assert_eq!(names(&scratch), [b"pga", b"pgb"]);
    }

    #[test]
    fn what_has_no_room_is_left_out_and_said() {
        let line = b"0123456789abcdef0123456789abcdef\n";
        let mut scratch = Scratch::new();
        let text = line.repeat(BYTES / line.len() + 10);
        scratch
            .add(&mut source(&text), &mut |line| line.len())
            .unwrap();
        assert!(scratch.is_cut());
        assert!(scratch.text().len() <= BYTES);
        assert!(scratch.records().all(|record| record == &line[..32]));
        scratch.clear();
        scratch
            .add(&mut source(line), &mut |line| line.len())
            .unwrap();
        assert!(!scratch.is_cut());
        assert_eq!(scratch.text(), line);
    }

    #[test]
    fn the_kernel_tells_whether_its_table_of_mounts_changed_and_no_other_file_does() {
        let mut table = Source::new(Path::new("/proc"), "self/mounts");
        assert!(table.has_changed());
        // Something may be mounted on this machine at any moment.
        let is_still = (0..1_000).any(|_| {
            table.read(&mut [0; 64]).unwrap();
            !table.has_changed()
        });
        assert!(is_still);
        let mut file = source(b"disk / ext4 rw 0 0\n");
        file.read(&mut [0; 64]).unwrap();
        assert!(file.has_changed());
    }

    #[test]
    fn a_record_is_fields_in_a_line() {
        let mut scratch = Scratch::new();
        for (name, number) in [("ab", -7), ("cde", 12)] {
            scratch.push(&mut |record| {
                record.field(name.as_bytes());
                record.signed(number);
                record.field(b"x\ny");
            });
        }
        scratch.push(&mut |_| {});
        let records: Vec<_> = scratch.records().collect();
        assert_eq!(records, [&b"ab\x00-7\x00x y"[..], b"cde\x0012\x00x y"]);
        assert_eq!(field(records[1], 1), b"12");
        assert_eq!(field(records[1], 3), b"");
    }
}
