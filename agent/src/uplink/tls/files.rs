//! Reads the PEM files of the TLS settings (RFC 7468), and tells when they changed.
//!
//! Only regular files of at most [`FILE_BYTES`] are read: a pipe would make the agent wait. Keys
//! may be PKCS#8, PKCS#1 or SEC1, never encrypted: nobody is there to type a password.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::remedy;

/// The largest file that is read; a bundle of all public authorities is a fifth of it.
const FILE_BYTES: u64 = 1024 * 1024;
/// Read permission for everybody. A group may be given the key on purpose.
const READ_BY_OTHERS: u32 = 0o004;

/// Tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Also moves when the file becomes readable.
    changed: (i64, i64),
}

/// The state of the file at `path` now; `None` if there is none.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: file.dev(),
        inode: file.ino(),
        bytes: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

/// The authorities in `path`, and a warning if some of them cannot be used.
pub(super) fn authorities(path: &Path) -> Result<(RootCertStore, Option<String>), Box<str>> {
    let named = |words: &str| format!("tls.ca_file {}: {words}", path.display());
    let mut roots = RootCertStore::empty();
    let mut unusable = (0, String::new());
    each_certificate(path, |certificate| {
        // Bundles of a distribution hold some that no verifier takes.
        if let Err(error) = roots.add(certificate) {
            unusable = (unusable.0 + 1, error.to_string());
        }
    })
    .map_err(|words| named(&words))?;
    let (count, error) = unusable;
    if roots.is_empty() {
        return Err(named(&format!("no certificate in it can be used: {error}")).into());
    }
    let warning = (count > 0).then(|| {
        named(&format!(
            "{count} of its certificates cannot be used: {error}"
        ))
    });
    Ok((roots, warning))
}

/// The certificates in `path`, in their order.
pub(super) fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Box<str>> {
    let mut chain = Vec::new();
    each_certificate(path, |certificate| chain.push(certificate))
        .map_err(|words| format!("tls.cert_file {}: {words}", path.display()))?;
    Ok(chain)
}

/// The first certificate in `path`, DER; none if there is none that can be read.
pub fn first_certificate(path: &Path) -> Option<Vec<u8>> {
    let chain = chain(path).ok()?;
    chain.first().map(|certificate| certificate.to_vec())
}

/// Gives `take` one certificate after the other; none at all is an error.
fn each_certificate(
    path: &Path,
    mut take: impl FnMut(CertificateDer<'static>),
) -> Result<(), String> {
    let (file, _) = open(path)?;
    let mut count = 0;
    for certificate in CertificateDer::pem_reader_iter(file) {
        take(certificate.map_err(|error| not_pem(&error))?);
        count += 1;
    }
    if count == 0 {
        return Err("no certificate in it: it must hold PEM, with lines like \
             \"-----BEGIN CERTIFICATE-----\""
            .into());
    }
    Ok(())
}

/// The first key in `path`, and a warning if everybody can read it.
pub(super) fn private_key(
    path: &Path,
) -> Result<(PrivateKeyDer<'static>, Option<String>), Box<str>> {
    let place = path.display();
    let named = |words: &str| Box::from(format!("tls.key_file {place}: {words}"));
    let (file, metadata) = open(path).map_err(|words| named(&words))?;
    let mut text = Vec::new();
    file.take(FILE_BYTES)
        .read_to_end(&mut text)
        .map_err(|error| named(&error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        if is_encrypted(&text) {
            named(&format!(
                "the key is encrypted, and nobody is there to type its password: decrypt it with \
                 openssl pkey -in {place} -out plain.pem"
            ))
        } else if matches!(error, pem::Error::NoItemsFound) {
            named(
                "no private key in it: it must hold PEM, with lines like \
                 \"-----BEGIN PRIVATE KEY-----\"",
            )
        } else {
            named(&not_pem(&error))
        }
    })?;
    let warning = (metadata.mode() & READ_BY_OTHERS != 0)
        .then(|| format!("tls.key_file {place}: everybody can read this key: chmod o-rwx {place}"));
    Ok((key, warning))
}

/// Whether a password is needed, as PKCS#8 (RFC 5958) or the older form (RFC 1421) say it.
fn is_encrypted(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines.any(|line| {
        line == b"-----BEGIN ENCRYPTED PRIVATE KEY-----" || line == b"Proc-Type: 4,ENCRYPTED"
    })
}

fn not_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        error => format!("damaged PEM: {error}"),
    }
}

fn open(path: &Path) -> Result<(File, Metadata), String> {
    let opened = || -> io::Result<(File, Metadata)> {
        // Without it, opening a pipe waits for somebody at its other end.
        let flags = OFlag::O_NONBLOCK.bits();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(path)?;
        let metadata = file.metadata()?;
        Ok((file, metadata))
    };
    let another = "give the path of a PEM file, or leave the key out";
    let (file, metadata) = opened().map_err(|error| {
        let remedy = remedy(&error).unwrap_or(another);
        format!("{error}: {remedy}")
    })?;
    let wrong = if !metadata.is_file() {
        "not a regular file"
    } else if metadata.len() > FILE_BYTES {
        "larger than 1 MiB"
    } else {
        return Ok((file, metadata));
    };
    Err(format!("{wrong}: {another}"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Folder, authority};
    use super::*;

    #[test]
    fn a_file_without_what_is_wanted_says_what_it_must_hold() {
        let folder = Folder::new();
        for text in ["", "hello\n", "-----BEGIN X-----\nAAAA\n-----END X-----\n"] {
            let path = folder.write("empty.pem", text);
            for words in [
                authorities(&path).unwrap_err(),
                chain(&path).unwrap_err(),
                private_key(&path).unwrap_err(),
            ] {
                assert!(words.contains("-----BEGIN "), "{words}");
                assert!(words.contains("empty.pem: no "), "{words}");
            }
        }
    }

    #[test]
    fn damage_is_named_with_the_file() {
        let folder = Folder::new();
        let whole = authority("a").pem();
        let path = folder.write("cut.pem", &whole[..whole.len() - 20]);
        assert!(
            authorities(&path)
                .unwrap_err()
                .contains("cut.pem: damaged PEM")
        );
        let path = folder.write("bad.pem", &whole.replace('M', "?"));
        assert!(chain(&path).unwrap_err().contains("bad.pem: damaged PEM"));
    }

    #[test]
    fn an_authority_that_cannot_be_used_does_not_spoil_the_others() {
        let folder = Folder::new();
        let no_certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let text = format!("{no_certificate}{}", authority("a").pem());
        let (roots, warning) = authorities(&folder.write("ca.pem", &text)).unwrap();
        assert_eq!(roots.len(), 1);
        assert!(warning.unwrap().contains("ca.pem: 1 of its certificates"));
        let words = authorities(&folder.write("ca.pem", no_certificate)).unwrap_err();
        assert!(words.contains("can be used"), "{words}");
    }

    #[test]
    fn an_encrypted_key_is_refused_with_the_remedy() {
        let folder = Folder::new();
        for text in [
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\n\
             DEK-Info: AES-256-CBC,00\r\n\r\nMIIB\r\n-----END RSA PRIVATE KEY-----\r\n",
        ] {
            let path = folder.write("key.pem", text);
            let words = private_key(&path).unwrap_err();
            let remedy = format!("openssl pkey -in {} -out plain.pem", path.display());
            assert!(words.contains(&remedy), "{words}");
        }
    }

    #[test]
    fn a_key_that_everybody_can_read_is_warned_of() {
        let folder = Folder::new();
        let path = folder.write(
            "key.pem",
            &rcgen::KeyPair::generate().unwrap().serialize_pem(),
        );
        let warning = |mode| {
            folder.permit(&path, mode);
            private_key(&path).unwrap().1
        };
        assert_eq!(warning(0o600), None);
        assert_eq!(warning(0o640), None);
        assert!(warning(0o644).unwrap().contains("chmod o-rwx"));
    }

    #[test]
    fn what_is_no_file_or_too_large_is_not_read() {
        let folder = Folder::new();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(private_key(&pipe).unwrap_err().contains("regular file"));
        assert!(chain(folder.path()).unwrap_err().contains("regular file"));
        let large = folder.write("large.pem", &"#".repeat(FILE_BYTES as usize + 1));
        assert!(authorities(&large).unwrap_err().contains("1 MiB"));
        let absent = folder.path().join("absent.pem");
        let words = chain(&absent).unwrap_err();
        assert!(words.contains("No such file"), "{words}");
        assert!(words.contains(": give the path of a PEM file"), "{words}");
    }

    #[test]
    fn a_stamp_moves_with_content_place_and_permissions() {
        let folder = Folder::new();
        let path = folder.write("a.pem", "one");
        let mut stamps = vec![stamp(&path)];
        folder.write("a.pem", "three");
        stamps.push(stamp(&path));
        std::fs::rename(folder.write("b.pem", "five!"), &path).unwrap();
        stamps.push(stamp(&path));
        // The kernel's clock for files is coarse: within one tick of it two changes look like one.
        while stamp(&path) == stamps[2] {
            folder.permit(&path, 0o400);
        }
        stamps.push(stamp(&path));
        std::fs::remove_file(&path).unwrap();
        stamps.push(stamp(&path));
        for (at, one) in stamps.iter().enumerate() {
            for other in &stamps[at + 1..] {
                assert_ne!(one, other);
            }
        }
    }
}
