//! One old log file on its way to gzip, a block at a time.
//!
//! The compressed file has a name of its own until it is whole; then it takes the old one's number
//! and time, and the old one goes. A job that is dropped leaves the old file as it was.
//!
//! Flushing can take a card a second. So it is done right after a sample only, each time for what was
//! compressed since the last.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};

use super::gzip::{BLOCK_BYTES, Gzip};
use super::rotate::{Old, remove, with_suffix};
use crate::state::flash;

/// What of the compressed file is held back before it is written.
const WRITE_BYTES: usize = 4096;

#[derive(Debug)]
pub(super) struct Job {
    log: PathBuf,
    /// The old file's number, which grows when the log is rotated meanwhile.
    pub number: u32,
    old: File,
    /// All of the old file is compressed.
    is_read: bool,
    gzip: Option<Gzip<BufWriter<File>>>,
    block: Vec<u8>,
}

/// The name of what is not whole yet.
fn unfinished(log: &Path) -> PathBuf {
    with_suffix(log, ".gz.tmp")
}

/// Removes what an agent that died left half done.
pub(super) fn clean(log: &Path) -> io::Result<()> {
    remove(&unfinished(log))
}

impl Job {
    /// Begins with old file `number` of the log at `log`.
    pub(super) fn start(log: &Path, number: u32) -> io::Result<Self> {
        clean(log)?;
        let old = OpenOptions::new()
            .read(true)
            // A pipe of that name would wait for somebody at its other end.
            .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)
            .open(plain(number).path(log))?;
        if !old.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(unfinished(log))?;
        Ok(Self {
            log: log.to_owned(),
            number,
            old,
            is_read: false,
            gzip: Some(Gzip::new(BufWriter::with_capacity(WRITE_BYTES, new))?),
            block: vec![0; BLOCK_BYTES],
        })
    }

    /// Compresses one block. `true` when that was all and the old file is replaced, which waits until
    /// the disk may take its time.
    pub(super) fn step(&mut self, may_wait: bool) -> io::Result<bool> {
        let Some(gzip) = &mut self.gzip else {
            return Ok(true);
        };
        if !self.is_read {
            let length = self.old.read(&mut self.block)?;
            self.is_read = length == 0;
            gzip.block(&self.block[..length])?;
        }
        if !may_wait {
            return Ok(false);
        }
        if !self.is_read {
            flash::flush(|| gzip.out().get_ref().sync_data())?;
            return Ok(false);
        }
        if let Some(gzip) = self.gzip.take() {
            self.replace(gzip)?;
        }
        Ok(true)
    }

    /// Whether there is nothing to do but what the disk may take its time for.
    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    fn replace(&self, gzip: Gzip<BufWriter<File>>) -> io::Result<()> {
        let new = gzip.finish()?;
        let (old, path) = (self.old.metadata()?, plain(self.number).path(&self.log));
        // Somebody may have moved files about meanwhile; then theirs is not ours to remove.
        let found = std::fs::symlink_metadata(&path)?;
        if (found.dev(), found.ino()) != (old.dev(), old.ino()) {
            return Err(io::Error::other("the file was replaced meanwhile"));
        }
        new.get_ref().set_modified(old.modified()?)?;
        // A power cut must not leave a name without its bytes, after the old file went.
        flash::flush(|| new.get_ref().sync_all())?;
        let number = self.number;
        let packed = Old {
            number,
            is_gzip: true,
        };
        std::fs::rename(unfinished(&self.log), packed.path(&self.log))?;
        remove(&path)
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // After a whole job there is nothing of that name; otherwise the next start tries again.
        let _ = clean(&self.log);
    }
}

fn plain(number: u32) -> Old {
    Old {
        number,
        is_gzip: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::{Folder, gunzip, names};
    use std::fs;
    use std::time::{Duration, SystemTime};

    /// A log with an old file of somewhat more than two blocks.
    fn log(folder: &Folder) -> (PathBuf, Vec<u8>) {
        let bytes: Vec<u8> = (0..140_000_u32).map(|n| (n % 83) as u8).collect();
        fs::write(folder.0.join("a.log.1"), &bytes).unwrap();
        (folder.0.join("a.log"), bytes)
    }

    #[test]
    fn the_compressed_file_takes_number_and_time() {
        let folder = Folder::new("job");
        let (log, bytes) = log(&folder);
        let time = SystemTime::now() - Duration::from_hours(24);
        let old = File::options()
            .write(true)
            .open(folder.0.join("a.log.1"))
            .unwrap();
        old.set_modified(time).unwrap();
        // A half of an earlier run is in the way.
        fs::write(folder.0.join("a.log.gz.tmp"), "half").unwrap();
        let mut job = Job::start(&log, 1).unwrap();
        let mut steps = 0;
        while !job.is_read() {
            assert!(!job.step(steps == 1).unwrap());
            steps += 1;
        }
        assert_eq!(steps, 4);
        assert!(!job.step(false).unwrap(), "the disk may not take its time");
        assert_eq!(names(&folder), ["a.log.1", "a.log.gz.tmp"]);
        assert!(job.step(true).unwrap());
        let packed = folder.0.join("a.log.1.gz");
        assert_eq!(fs::metadata(&packed).unwrap().modified().unwrap(), time);
        assert_eq!(fs::metadata(&packed).unwrap().mode() & 0o777, 0o600);
        assert!(gunzip(&packed) == bytes);
        drop(job);
        assert_eq!(names(&folder), ["a.log.1.gz"]);
    }

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = Folder::new("job-pipe");
        let pipe = folder.0.join("a.log.1");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // With its other end open, opening it would not wait: then it must be refused.
        let _writer = File::options().read(true).write(true).open(&pipe).unwrap();
        let error = Job::start(&folder.0.join("a.log"), 1).unwrap_err();
        assert!(error.to_string().contains("regular file"), "{error}");
        assert_eq!(names(&folder), ["a.log.1"]);
    }

    #[test]
    fn a_dropped_job_leaves_the_old_file() {
        let folder = Folder::new("job-dropped");
        let (log, bytes) = log(&folder);
        let mut job = Job::start(&log, 1).unwrap();
        assert!(!job.step(true).unwrap());
        drop(job);
        assert_eq!(names(&folder), ["a.log.1"]);
        assert!(fs::read(folder.0.join("a.log.1")).unwrap() == bytes);
    }

    #[test]
    fn a_file_that_was_exchanged_is_not_removed() {
        let folder = Folder::new("job-exchanged");
        let (log, _) = log(&folder);
        let mut job = Job::start(&log, 1).unwrap();
        fs::rename(folder.0.join("a.log.1"), folder.0.join("theirs")).unwrap();
        fs::write(folder.0.join("a.log.1"), "new").unwrap();
        let error = loop {
            match job.step(true) {
                Ok(done) => assert!(!done),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().contains("replaced"));
        drop(job);
        assert_eq!(names(&folder), ["a.log.1", "theirs"]);
    }
}
