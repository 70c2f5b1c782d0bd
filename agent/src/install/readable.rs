//! What the service must be able to read: the keys and the files of the TLS settings, of both
//! servers.
//!
//! Root reads everything, so what root can read says nothing about user `mote`. Looked at are the
//! bits of a file and of the folders above it, as `path_resolution(7)` has them; access control lists
//! are not. Below `/etc/mote` files and folders are given to the agent's group; elsewhere they are
//! somebody else's, and what the service cannot read is refused before anything is changed.
//!
//! A file that is not there is warned of; one that a link takes out of another root is not judged.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::account::{self, USER};
use super::place::{Place, say};
use super::{CONFIG, CONFIG_FOLDER};
use crate::agent::{Exit, Refusal};
use crate::config::Settings;

const READ: u32 = 0o4;
const ENTER: u32 = 0o1;

/// Who the service is, and the files of `/etc/mote` that it is to read.
#[derive(Debug)]
pub(super) struct Files {
    user: Option<u32>,
    groups: Vec<u32>,
    /// Without links, with the root.
    own: Vec<PathBuf>,
}

impl Files {
    /// Looks at what `settings` name, with relative paths taken from `folder`.
    pub(super) fn find(place: &Place, settings: &Settings, folder: &Path) -> Result<Self, Refusal> {
        let (user, groups) = account::identity(place)?;
        let mut files = Self {
            user,
            groups,
            own: Vec::new(),
        };
        let config = PathBuf::from(CONFIG);
        let orchestrator = &settings.orchestrator;
        let named = [
            ("the configuration", Some(&config)),
            ("api_key_file", settings.api_key_file.as_ref()),
            ("tls.ca_file", settings.tls_ca_file.as_ref()),
            ("tls.cert_file", settings.tls_cert_file.as_ref()),
            ("tls.key_file", settings.tls_key_file.as_ref()),
            ("api.auth.cert_file", orchestrator.cert_file.as_ref()),
            ("api.auth.key_file", orchestrator.key_file.as_ref()),
            ("api.auth.ca_file", orchestrator.ca_file.as_ref()),
            ("api.auth.token_file", orchestrator.token_file.as_ref()),
            ("api.auth.api_key_file", orchestrator.api_key_file.as_ref()),
        ];
        let own_folder = place.at(CONFIG_FOLDER)?.canonicalize().ok();
        for (key, path) in named {
            let Some(path) = path else { continue };
            let full = place.at(&folder.join(path).to_string_lossy())?;
            let Ok(real) = full.canonicalize() else {
                let error = full.symlink_metadata().err().map(|error| error.kind());
                if error == Some(ErrorKind::NotFound) && *path != config {
                    let path = path.display();
                    say(format!(
                        "warning: {key} {path}: there is no such file, and the service needs it"
                    ))?;
                }
                continue;
            };
            if !real.starts_with(place.root()) {
                continue;
            }
            let is_own = |own: &PathBuf| real.starts_with(own);
            if own_folder.as_ref().is_some_and(is_own) {
                files.own.push(real);
            } else if let Some(closed) = files.closed(place.root(), &real).last() {
                return Err((Exit::Permission, refusal(key, path, &closed)));
            }
        }
        Ok(files)
    }

    /// Opens the files of `/etc/mote`, and the folders that they are in, for the agent's group.
    pub(super) fn open(mut self, place: &Place, group: u32) -> Result<(), Refusal> {
        self.groups.push(group);
        let own = place.at(CONFIG_FOLDER)?;
        let Ok(own) = own.canonicalize() else {
            // It is only made now, or would be, and nothing is in it.
            return Ok(());
        };
        let mut given: Vec<PathBuf> = Vec::new();
        for real in [&own].into_iter().chain(&self.own) {
            let below: Vec<PathBuf> = self.closed(&own, real).collect();
            // The outermost first.
            for path in below.into_iter().rev() {
                if given.contains(&path) {
                    continue;
                }
                let mode = if path.is_dir() { 0o750 } else { 0o640 };
                place.give(&path, mode, group)?;
                given.push(path);
            }
        }
        Ok(())
    }

    /// From `real` up to `top`: what the service cannot read or enter.
    fn closed<'a>(&'a self, top: &'a Path, real: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
        let all = real
            .ancestors()
            .take_while(move |path| path.starts_with(top));
        let is_closed = |path: &&Path| {
            path.metadata().is_ok_and(|found| {
                let wanted = if found.is_dir() { ENTER } else { READ };
                !self.may(&found, wanted)
            })
        };
        all.filter(is_closed).map(Path::to_owned)
    }

    /// Of the three classes of bits the first that fits decides.
    fn may(&self, found: &Metadata, wanted: u32) -> bool {
        let shift = if self.user == Some(found.uid()) {
            6
        } else if self.groups.contains(&found.gid()) {
            3
        } else {
            0
        };
        found.mode() >> shift & wanted == wanted
    }
}

fn refusal(key: &str, path: &Path, closed: &Path) -> String {
    format!(
        "{key} {}: the service runs as user {USER}, which cannot read {}: move the file to \
         {CONFIG_FOLDER}, where installing lets group {USER} read it",
        path.display(),
        closed.display()
    )
}
