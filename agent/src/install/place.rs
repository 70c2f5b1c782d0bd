//! The file system that is installed to: this device's, or a prepared one below another root.
//!
//! Paths are the installed system's own, from its `/`. Every change is said in a line, which is all
//! that a dry run does. No folder above a file is made: a root without `/etc` is no root. A link
//! that leads out of another root is refused, for it would change this device.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{
    DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink,
};
use std::path::{Path, PathBuf};

use super::account::USER;
use crate::agent::{Exit, Refusal, print, tame};

/// Says one line of what is done. The service's own words may be among it.
pub(super) fn say(words: impl std::fmt::Display) -> Result<(), Refusal> {
    print(&tame(&format!("{words}\n")))
}

#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    dry_run: bool,
}

impl Place {
    pub(super) fn new(root: &Path, dry_run: bool) -> Result<Self, Refusal> {
        let is_folder = |path: &PathBuf| path.is_dir();
        match root.canonicalize().ok().filter(is_folder) {
            Some(root) => Ok(Self { root, dry_run }),
            None => Err((
                Exit::Usage,
                format!("--root {}: there is no such folder", root.display()),
            )),
        }
    }

    /// Whether it is the running device, and no image of one.
    pub(super) fn is_this_device(&self) -> bool {
        self.root == Path::new("/")
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Where the installed system's `path` is, seen from here.
    pub(super) fn at(&self, path: &str) -> Result<PathBuf, Refusal> {
        let full = self.root.join(path.trim_start_matches('/'));
        self.must_hold(&full, full.parent())?;
        Ok(full)
    }

    /// The same of a file that is read or replaced where a link of its own leads.
    fn at_its_end(&self, path: &str) -> Result<PathBuf, Refusal> {
        let full = self.at(path)?;
        self.must_hold(&full, Some(&full))?;
        Ok(full)
    }

    /// Of `above` and the folders above it, the nearest that is there decides where `full` leads.
    fn must_hold(&self, full: &Path, mut above: Option<&Path>) -> Result<(), Refusal> {
        while let Some(folder) = above {
            match folder.canonicalize() {
                Ok(real) if real.starts_with(&self.root) => return Ok(()),
                Ok(real) => {
                    let words = format!(
                        "{} leads to {}, out of --root: make the link a relative one",
                        full.display(),
                        real.display()
                    );
                    return Err((Exit::State, words));
                }
                Err(_) => above = folder.parent(),
            }
        }
        Ok(())
    }

    pub(super) fn has(&self, path: &str) -> Result<bool, Refusal> {
        Ok(self.at(path)?.symlink_metadata().is_ok())
    }

    /// The text of a file; empty if it is not there.
    pub(super) fn read(&self, path: &str) -> Result<String, Refusal> {
        let full = self.at_its_end(path)?;
        match fs::read_to_string(&full) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read.map_err(|error| (Exit::Failed, format!("{}: {error}", full.display()))),
        }
    }

    /// Puts a file there, of root and of `group` if that is given: whoever else owns it could change
    /// what root runs.
    pub(super) fn write(
        &self,
        path: &str,
        bytes: &[u8],
        mode: u32,
        group: Option<u32>,
    ) -> Result<(), Refusal> {
        let full = self.at(path)?;
        let owner = (0, group.unwrap_or(0));
        let is_so = |found: fs::Metadata| {
            found.is_file()
                && found.mode() & 0o7777 == mode
                && (found.uid(), found.gid()) == owner
                && fs::read(&full).is_ok_and(|there| there == bytes)
        };
        if full.symlink_metadata().is_ok_and(is_so) {
            return say(format!("keep {path}, it is the same"));
        }
        self.change(format!("write {path} ({mode:04o})"), &full, |full| {
            replace(full, bytes, mode, owner)
        })
    }

    /// Replaces a list that others keep, as it is but for its text.
    pub(super) fn rewrite(&self, path: &str, text: &str) -> Result<(), Refusal> {
        let full = self.at_its_end(path)?;
        self.change(format!("change {path}"), &full, |full| {
            let old = full.metadata()?;
            // The real file, where the path is a link to it.
            let real = full.canonicalize()?;
            replace(
                &real,
                text.as_bytes(),
                old.mode() & 0o7777,
                (old.uid(), old.gid()),
            )
        })
    }

    /// Makes a folder of root that `group` can enter.
    pub(super) fn folder(&self, path: &str, mode: u32, group: u32) -> Result<(), Refusal> {
        let full = self.at(path)?;
        if full.is_dir() {
            return say(format!("keep folder {path}, it is there"));
        }
        self.change(format!("make folder {path} ({mode:04o})"), &full, |full| {
            DirBuilder::new().mode(0o700).create(full)?;
            chown(full, Some(0), Some(group))?;
            fs::set_permissions(full, Permissions::from_mode(mode))
        })
    }

    /// Lets `group` use what is there: its owner stays.
    pub(super) fn give(&self, path: &Path, mode: u32, group: u32) -> Result<(), Refusal> {
        let name = path.strip_prefix(&self.root).unwrap_or(path).display();
        let words = format!("let group {USER} read /{name} ({mode:04o})");
        self.change(words, path, |full| {
            chown(full, None, Some(group))?;
            fs::set_permissions(full, Permissions::from_mode(mode))
        })
    }

    /// Makes a link, and the folder that it is in.
    pub(super) fn link(&self, path: &str, to: &str) -> Result<(), Refusal> {
        let full = self.at(path)?;
        if fs::read_link(&full).is_ok_and(|found| found == Path::new(to)) {
            return say(format!("keep link {path}, it is there"));
        }
        self.change(format!("link {path} to {to}"), &full, |full| {
            if let Some(folder) = full.parent().filter(|folder| !folder.exists()) {
                fs::create_dir(folder)?;
            }
            let next = beside(full);
            remove_if_there(&next)?;
            symlink(to, &next)?;
            fs::rename(&next, full)
        })
    }

    /// Removes a file, or a folder with all that is in it, if it is there.
    pub(super) fn remove(&self, path: &str) -> Result<(), Refusal> {
        let full = self.at(path)?;
        let Ok(found) = full.symlink_metadata() else {
            return Ok(());
        };
        self.change(format!("remove {path}"), &full, |full| {
            if found.is_dir() {
                fs::remove_dir_all(full)
            } else {
                fs::remove_file(full)
            }
        })
    }

    /// Removes a folder if nothing is left in it.
    pub(super) fn remove_if_empty(&self, path: &str) -> Result<(), Refusal> {
        let full = self.at(path)?;
        let is_empty = fs::read_dir(&full).is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty {
            return Ok(());
        }
        self.change(format!("remove {path}, it is empty"), &full, |full| {
            fs::remove_dir(full)
        })
    }

    fn change(
        &self,
        words: String,
        full: &Path,
        make: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), Refusal> {
        if !self.dry_run {
            make(full).map_err(|error| {
                let hint = match error.kind() {
                    ErrorKind::NotFound => ": the folder that it belongs to is missing",
                    ErrorKind::ReadOnlyFilesystem => ": mount it to be written",
                    ErrorKind::StorageFull => ": make room on the file system",
                    _ => "",
                };
                (Exit::State, format!("cannot {words}: {error}{hint}"))
            })?;
        }
        say(words)
    }
}

/// A power cut leaves the old file or the new one, and nobody sees half of either.
fn replace(path: &Path, bytes: &[u8], mode: u32, owner: (u32, u32)) -> std::io::Result<()> {
    let next = beside(path);
    remove_if_there(&next)?;
    // For its owner only, until it belongs to whom it should.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&next)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| std::os::unix::fs::fchown(&file, Some(owner.0), Some(owner.1)))
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&next, path));
    if written.is_err() {
        // What went wrong is told; that half a file stayed behind as well would not help.
        let _ = fs::remove_file(&next);
    }
    written
}

/// A name in the same folder, which a rename stays within.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.mote-new"))
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str) -> (PathBuf, Place) {
        let path = std::env::temp_dir().join(format!("mote-place-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("etc")).unwrap();
        let place = Place::new(&path, false).unwrap();
        (path, place)
    }

    #[test]
    fn a_file_is_written_whole_and_with_its_mode() {
        let (path, place) = root("write");
        let mine = fs::metadata(&path).unwrap();
        if mine.uid() != 0 {
            // Only root can give a file to root.
            return fs::remove_dir_all(path).unwrap();
        }
        for text in ["one", "two"] {
            place
                .write("/etc/x", text.as_bytes(), 0o640, Some(7))
                .unwrap();
            let found = fs::metadata(path.join("etc/x")).unwrap();
            assert_eq!(
                (found.mode() & 0o7777, found.uid(), found.gid()),
                (0o640, 0, 7)
            );
            assert_eq!(fs::read_to_string(path.join("etc/x")).unwrap(), text);
        }
        assert_eq!(
            fs::read_dir(path.join("etc")).unwrap().count(),
            1,
            "nothing beside it"
        );
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_program_that_somebody_else_owns_is_not_the_same() {
        let (path, place) = root("owner");
        if fs::metadata(&path).unwrap().uid() != 0 {
            // Only root can give a file to somebody else.
            return fs::remove_dir_all(path).unwrap();
        }
        let file = path.join("etc/x");
        place.write("/etc/x", b"text", 0o755, None).unwrap();
        for owner in [(1000, 0), (0, 1000)] {
            chown(&file, Some(owner.0), Some(owner.1)).unwrap();
            place.write("/etc/x", b"text", 0o755, None).unwrap();
            let found = fs::metadata(&file).unwrap();
            assert_eq!((found.uid(), found.gid()), (0, 0), "was {owner:?}");
        }
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_list_that_is_a_link_out_of_the_root_is_refused() {
        let (path, _) = root("list");
        let (image, list) = (path.join("image"), path.join("passwd"));
        fs::create_dir_all(image.join("etc")).unwrap();
        fs::write(&list, "of this device").unwrap();
        let place = Place::new(&image, false).unwrap();
        for to in [list.as_path(), Path::new("../../passwd")] {
            let link = image.join("etc/passwd");
            symlink(to, &link).unwrap();
            for refused in [
                place.read("/etc/passwd").map(drop),
                place.rewrite("/etc/passwd", "of the image"),
            ] {
                let (exit, words) = refused.unwrap_err();
                assert_eq!(exit, Exit::State);
                assert!(words.contains("out of --root"), "{words}");
            }
            assert_eq!(fs::read_to_string(&list).unwrap(), "of this device");
            fs::remove_file(&link).unwrap();
        }
        fs::write(image.join("etc/real"), "one").unwrap();
        symlink("real", image.join("etc/passwd")).unwrap();
        place.rewrite("/etc/passwd", "two").unwrap();
        assert_eq!(place.read("/etc/real").unwrap(), "two");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_dry_run_changes_nothing() {
        let (path, _) = root("dry");
        let place = Place::new(&path, true).unwrap();
        place.write("/etc/x", b"text", 0o644, None).unwrap();
        place.folder("/etc/y", 0o755, 0).unwrap();
        place.link("/etc/z", "x").unwrap();
        place.remove("/etc").unwrap();
        assert_eq!(fs::read_dir(path.join("etc")).unwrap().count(), 0);
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_link_that_leads_out_of_the_root_is_refused() {
        let (path, place) = root("out");
        symlink("/tmp", path.join("var")).unwrap();
        let (exit, words) = place.at("/var/lib/mote").unwrap_err();
        assert_eq!(exit, Exit::State);
        assert!(words.contains("out of --root"), "{words}");
        assert!(place.at("/etc/mote/mote.yaml").is_ok());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_says_which_and_why() {
        let (path, place) = root("missing");
        let (exit, words) = place.write("/usr/bin/mote", b"", 0o755, None).unwrap_err();
        assert_eq!(exit, Exit::State);
        assert!(
            words.contains("/usr/bin/mote") && words.contains("folder"),
            "{words}"
        );
        assert!(Place::new(&path.join("none"), true).is_err());
        fs::remove_dir_all(path).unwrap();
    }
}
