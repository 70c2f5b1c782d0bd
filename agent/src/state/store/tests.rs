//! A file of records under cuts, spoiled bytes and failures.

use std::os::unix::fs::FileTypeExt;

use super::*;

const SEED: u32 = 77;

/// An empty folder; gone with the guard.
pub(in crate::state) struct Folder(pub(in crate::state) PathBuf);

impl Folder {
    pub(in crate::state) fn new(name: &str) -> Self {
        // In memory where there is such a place: what a flush costs is not what is tested.
        let memory = PathBuf::from("/dev/shm");
        let above = Some(memory).filter(|path| path.is_dir());
        let above = above.unwrap_or_else(std::env::temp_dir);
        let path = above.join(format!("mote-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// From now on this thread can make files in it and cannot open it, so not flush it either; or it
    /// can again.
    pub(in crate::state) fn hide(&self, is_hidden: bool) {
        use std::os::unix::fs::PermissionsExt;
        let mode = if is_hidden { 0o300 } else { 0o700 };
        let nobody = if is_hidden { 65_534 } else { 0 };
        if nix::unistd::Uid::effective().is_root() {
            nix::unistd::setfsuid(0.into());
            std::os::unix::fs::chown(&self.0, Some(nobody), None).unwrap();
        }
        std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(mode)).unwrap();
        // What root may, it may not by this identity. Of others nothing changes.
        nix::unistd::setfsuid(nobody.into());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Store {
    /// From now on the disk is full, or has room again.
    pub(in crate::state) fn fill_disk(&mut self, is_full: bool) {
        use nix::fcntl::{FcntlArg, SealFlag, fcntl};
        use nix::sys::memfd::{MFdFlags, memfd_create};
        if !is_full {
            self.file = super::open(&self.path).unwrap().map(|(file, _)| file);
            return;
        }
        // A file that cannot grow refuses what is written behind its end, and nothing else.
        let fd = memfd_create(c"full", MFdFlags::MFD_ALLOW_SEALING).unwrap();
        let full = File::from(fd);
        let bytes = std::fs::read(&self.path).unwrap_or_default();
        full.write_all_at(&bytes, 0).unwrap();
        fcntl(&full, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        self.file = Some(full);
    }
}

fn record(id: u64, body: &[u8]) -> Record<'_> {
    Record { kind: 1, id, body }
}

fn open(path: &Path) -> (Store, Vec<(u64, Vec<u8>)>) {
    let mut found = Vec::new();
    let store = Store::open(path.to_owned(), SEED, 1 << 20, &mut |record, _| {
        if let Ok(record) = record {
            found.push((record.id, record.body.to_vec()));
        }
    });
    (store, found)
}

fn ids(path: &Path) -> Vec<u64> {
    open(path).1.into_iter().map(|(id, _)| id).collect()
}

/// A file with records 1 to 5 of different lengths.
fn five(path: &Path) -> Vec<u8> {
    let (mut store, _) = open(path);
    for id in 1..=5 {
        store
            .append(&record(id, &vec![id as u8; id as usize * 3]))
            .unwrap();
    }
    store.flush().unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn nothing_is_made_until_something_is_written() {
    let folder = Folder::new("store-lazy");
    let path = folder.0.join("file");
    let (mut store, found) = open(&path);
    store.flush().unwrap();
    store.clear().unwrap();
    assert!(found.is_empty() && !path.exists());
}

#[test]
fn what_was_appended_is_found_and_read_again() {
    let folder = Folder::new("store-append");
    let path = folder.0.join("file");
    five(&path);
    let (mut store, found) = open(&path);
    assert_eq!(found.len(), 5);
    let at = store.append(&record(6, b"six")).unwrap();
    let mut buffer = Vec::new();
    assert_eq!(store.read(at, &mut buffer).unwrap().body, b"six");
    assert_eq!(store.read(at + 1, &mut buffer), None);
    assert_eq!(ids(&path), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_file_that_was_cut_anywhere_goes_on_behind_its_last_whole_record() {
    let folder = Folder::new("store-cut");
    let path = folder.0.join("file");
    let whole = five(&path);
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let (mut store, found) = open(&path);
        let count = found.len() as u64;
        assert!(count < 5, "cut at byte {cut}");
        store.append(&record(9, b"after")).unwrap();
        store.flush().unwrap();
        let expected: Vec<u64> = (1..=count).chain([9]).collect();
        assert_eq!(ids(&path), expected, "cut at byte {cut}");
    }
}

#[test]
fn a_tail_of_zeros_is_cut_off() {
    let folder = Folder::new("store-zeros");
    let path = folder.0.join("file");
    let mut bytes = five(&path);
    let length = bytes.len();
    bytes.resize(length + 10_000, 0);
    std::fs::write(&path, &bytes).unwrap();
    let (store, found) = open(&path);
    assert_eq!((found.len(), store.bytes()), (5, length as u64));
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length as u64);
}

#[test]
fn d8_a_file_with_any_byte_spoiled_goes_on_with_what_is_good_and_keeps_the_old_one_aside() {
    let folder = Folder::new("store-flip");
    let path = folder.0.join("file");
    let whole = five(&path);
    for at in 0..whole.len() {
        for flip in [1, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            std::fs::write(&path, &bytes).unwrap();
            let (mut store, found) = open(&path);
            assert!(found.len() < 5, "byte {at}");
            for (id, body) in &found {
                assert_eq!(*body, vec![*id as u8; *id as usize * 3], "byte {at}");
            }
            if !store.is_good() {
                store
                    .replace(&mut |_, new| new.append(&record(9, b"")).map(drop))
                    .unwrap();
                assert_eq!(ids(&path), [9], "byte {at}");
                let aside = std::fs::read(folder.0.join("file.damaged")).unwrap();
                assert_eq!(aside, bytes, "byte {at}");
            }
        }
    }
}

#[test]
fn d8_a_file_of_anything_else_is_replaced() {
    let folder = Folder::new("store-noise");
    let path = folder.0.join("file");
    for text in [
        &[0xff; 5000][..],
        b"{\"json\": \"of somebody, not a record\"}",
    ] {
        std::fs::write(&path, text).unwrap();
        let (mut store, found) = open(&path);
        assert!(found.is_empty() && !store.is_good());
        assert!(store.append(&record(1, b"")).is_err());
        store.replace(&mut |_, _| Ok(())).unwrap();
        store.append(&record(2, b"")).unwrap();
        assert_eq!(ids(&path), [2]);
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let folder = Folder::new("store-strange");
    let path = folder.0.join("file");
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    assert!(!open(&path).0.is_good());
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let (mut store, _) = open(&path);
    assert!(!store.is_good());
    // Nothing is to be written, and yet the next start finds a file.
    store.clear().unwrap();
    assert!(std::fs::metadata(&path).unwrap().is_file());
    let aside = std::fs::symlink_metadata(folder.0.join("file.damaged")).unwrap();
    assert!(aside.file_type().is_fifo());
}

#[test]
fn what_cannot_be_linked_to_is_kept_aside_by_its_name() {
    let folder = Folder::new("store-no-links");
    let path = folder.0.join("file");
    // The kernel links no folders.
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("inside"), "of somebody").unwrap();
    let (mut store, _) = open(&path);
    store.replace(&mut |_, _| Ok(())).unwrap();
    assert!(ids(&path).is_empty());
    assert!(folder.0.join("file.damaged/inside").is_file());
}

#[test]
fn a_replacement_that_fails_leaves_the_old_file_and_no_other() {
    let folder = Folder::new("store-replace");
    let path = folder.0.join("file");
    let whole = five(&path);
    let (mut store, _) = open(&path);
    let failed = store.replace(&mut |_, new| {
        new.append(&record(1, &[7; 100]))?;
        Err(io::Error::other("no room"))
    });
    assert!(failed.is_err() && !store.may_try() && store.trouble == Trouble::Lasting);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_replacement_whose_name_may_not_last_has_both_files_readable_and_is_no_success() {
    let folder = Folder::new("store-name");
    let path = folder.0.join("file");
    five(&path);
    let (mut store, _) = open(&path);
    let mut at = 0;
    folder.hide(true);
    let replaced = store.replace(&mut |old, new| {
        let mut buffer = Vec::new();
        // The first is left out: what follows stands elsewhere.
        at = 16 + 3 + 4;
        new.append(&old.read(at, &mut buffer).unwrap()).map(drop)
    });
    folder.hide(false);
    assert!(replaced.is_err() && !store.is_good());
    assert_eq!(ids(&path), [2]);
    // Whoever holds places has been told of no others.
    let mut buffer = Vec::new();
    assert_eq!(store.read(at, &mut buffer).map(|record| record.id), Some(2));
}

#[test]
fn d4_a_file_whose_flush_failed_is_not_flushed_a_second_time() {
    let folder = Folder::new("store-flush");
    let path = folder.0.join("file");
    let (mut store, _) = open(&path);
    store.append(&record(1, b"one")).unwrap();
    let file = store.file.take();
    let (pipe, _other) = nix::unistd::pipe().unwrap();
    store.file = Some(pipe.into());
    assert!(store.flush().is_err(), "a pipe is not flushed");
    // The kernel has forgotten what it could not write, and would call it clean.
    store.file = file;
    let _ = store.flush();
    assert!(!store.is_good() && store.is_unsafe() && !store.may_try());
}

#[test]
fn a_replacement_that_succeeds_ends_the_trouble_and_says_nothing_of_itself() {
    let folder = Folder::new("store-trouble");
    let path = folder.0.join("file");
    let (mut store, _) = open(&path);
    store.trouble = Trouble::Lasting;
    store
        .replace(&mut |_, new| {
            new.append(&record(1, b"one"))?;
            // It is not for the new file to say that the old one is well again.
            assert_ne!(new.trouble, Trouble::None);
            Ok(())
        })
        .unwrap();
    assert!(store.trouble == Trouble::None && store.is_good() && !store.is_unsafe());
    assert_eq!(ids(&path), [1]);
}

#[test]
fn a_flush_of_what_was_there_before_does_not_end_the_trouble() {
    let folder = Folder::new("store-flush");
    let (mut store, _) = open(&folder.0.join("file"));
    store.append(&record(1, b"one")).unwrap();
    store.fill_disk(true);
    store.append(&record(2, b"two")).unwrap_err();
    store.fill_disk(false);
    store.flush().unwrap();
    assert_eq!(store.trouble, Trouble::Lasting);
    store.append(&record(3, b"three")).unwrap();
    store.flush().unwrap();
    assert_eq!(store.trouble, Trouble::None);
    assert_eq!(ids(&folder.0.join("file")), [1, 3]);
}
