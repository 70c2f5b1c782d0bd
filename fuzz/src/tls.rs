//! Files with certificates and keys, as anybody might put them there.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::process;

use mote::uplink::tls::{TlsChoice, TlsSettings};

use crate::planted_bug;

thread_local! {
    /// In memory, where there is such a place.
    static FILE: RefCell<PathBuf> = RefCell::new({
        let shared = PathBuf::from("/dev/shm");
        let folder = if shared.is_dir() { shared } else { std::env::temp_dir() };
        folder.join(format!("mote-fuzz-{}.pem", process::id()))
    });
}

/// The first byte says what the file is to be: authorities, or a certificate with its key.
pub(crate) fn pem(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let path = FILE.with_borrow(Clone::clone);
    let written = fs::write(&path, text);
    assert!(written.is_ok(), "cannot write {}", path.display());
    let mut choice = TlsChoice::default();
    if first % 2 == 0 {
        choice.ca_file = Some(path.clone());
    } else {
        choice.cert_file = Some(path.clone());
        choice.key_file = Some(path.clone());
    }
    let made = TlsSettings::new(choice);
    fs::remove_file(&path).ok();
    match made {
        Ok(settings) => drop(settings.take_warnings()),
        Err(words) => {
            assert!(!words.is_empty());
            planted_bug(words.contains("damaged PEM"));
        }
    }
}
