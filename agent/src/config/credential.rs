//! The keys and tokens that prove to a server who this is: from where they come, and come again.
//!
//! Of the key itself and a file that holds it the one counts that comes from the stronger source, or
//! else the key; a credential of the service manager serves where there is neither.

use std::path::PathBuf;

use super::file::{self, Opening};
use super::settings::AuthType;
use super::{Environment, Given, KeyOrigin, Origin, Secret, Settings, Warning};

const METRICS_KEY: &str = "api_key";
const ORCHESTRATOR_KEY: &str = "api.auth.api_key";

/// Finds the keys of both servers, and remembers where they can be read again.
pub(super) fn find(
    settings: &mut Settings,
    given: &[Given],
    environment: Environment<'_>,
    opening: Opening,
    warnings: &mut Vec<Warning>,
) -> Result<(), Vec<String>> {
    let mut errors = Vec::new();
    let mut search = Search {
        given,
        environment,
        opening,
        warnings,
    };
    let file = settings.api_key_file.clone();
    let found = search.run(
        METRICS_KEY,
        settings.api_key.take(),
        file.map(|path| ("api_key_file", path)),
        "mote.api_key",
    );
    match found {
        Ok(found) => (settings.api_key, settings.api_key_origin) = found,
        Err(words) => errors.push(words),
    }
    complete(settings, environment);
    let orchestrator = &settings.orchestrator;
    let token_file = orchestrator.token_file.clone();
    let key_file = orchestrator.api_key_file.clone();
    let (first, second) = match orchestrator.auth_type {
        Some(AuthType::Certificate) => return done(errors),
        Some(AuthType::Jwt) => (token_file.map(|path| ("api.auth.token_file", path)), None),
        Some(AuthType::ApiKey) | None => (
            key_file.map(|path| ("api.auth.api_key_file", path)),
            token_file.map(|path| ("api.auth.token_file", path)),
        ),
    };
    let inline = settings.orchestrator.credential.take();
    // A token comes from a file; what stands under the name of a key is no token.
    let inline = inline.filter(|_| settings.orchestrator.auth_type != Some(AuthType::Jwt));
    match search.run(ORCHESTRATOR_KEY, inline, first.or(second), "mote.token") {
        Ok(found) => {
            let orchestrator = &mut settings.orchestrator;
            (orchestrator.credential, orchestrator.credential_origin) = found;
        }
        Err(words) => errors.push(words),
    }
    done(errors)
}

fn done(errors: Vec<String>) -> Result<(), Vec<String>> {
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

/// Makes the orchestrator's files ones that can be opened from anywhere. The key of a certificate may
/// be the service manager's.
pub(super) fn complete(settings: &mut Settings, environment: Environment<'_>) {
    let manager = || credential(environment, "mote.tls_key");
    if settings.tls_cert_file.is_some() && settings.tls_key_file.is_none() {
        settings.tls_key_file = manager();
    }
    let path = |given: &Option<PathBuf>| {
        let given = given.as_ref()?;
        Some(settings.certificate_path(given))
    };
    let orchestrator = &settings.orchestrator;
    let certificate = path(&orchestrator.cert_file);
    let key = path(&orchestrator.key_file).or_else(|| {
        certificate.as_ref()?;
        manager()
    });
    let authority = path(&orchestrator.ca_file);
    let token = path(&orchestrator.token_file);
    let api_key = path(&orchestrator.api_key_file);
    let orchestrator = &mut settings.orchestrator;
    orchestrator.cert_file = certificate;
    orchestrator.key_file = key;
    orchestrator.ca_file = authority;
    orchestrator.token_file = token;
    orchestrator.api_key_file = api_key;
}

/// A credential that the service manager holds ready, systemd.exec(5).
fn credential(environment: Environment<'_>, name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(environment("CREDENTIALS_DIRECTORY")?);
    Some(folder.join(name)).filter(|path| path.exists())
}

struct Search<'a> {
    given: &'a [Given],
    environment: Environment<'a>,
    opening: Opening,
    warnings: &'a mut Vec<Warning>,
}

impl Search<'_> {
    fn run(
        &mut self,
        key: &str,
        inline: Option<Secret>,
        file: Option<(&str, PathBuf)>,
        name: &str,
    ) -> Result<(Option<Secret>, KeyOrigin), String> {
        let origin = |path: &str| {
            let given = self.given.iter().find(|given| given.key.path == path)?;
            Some(&given.origin)
        };
        let rank = |path: &str| origin(path).map_or(u8::MAX, Origin::rank);
        let is_nearer = |(path, _): &(&str, PathBuf)| rank(path) < rank(key);
        if inline.is_some() && !file.as_ref().is_some_and(is_nearer) {
            let origin = match origin(key) {
                Some(Origin::File(path, _)) => KeyOrigin::ConfigFile(path.clone()),
                _ => KeyOrigin::Fixed,
            };
            return Ok((inline, origin));
        }
        let manager = || credential(self.environment, name).map(|path| (name, path));
        let Some((name, path)) = file.or_else(manager) else {
            return Ok((None, KeyOrigin::Fixed));
        };
        let secret = file::read_key(name, &path, self.opening, self.warnings)?;
        Ok((Some(secret), KeyOrigin::KeyFile(path)))
    }
}

/// Reads a server's key again from where it came; `None` if it came from where nothing changes.
/// `is_metrics` says whose it is, the metrics server's or the orchestrator's.
pub fn read_again(origin: &KeyOrigin, is_metrics: bool) -> Option<Result<Secret, String>> {
    let key = if is_metrics {
        METRICS_KEY
    } else {
        ORCHESTRATOR_KEY
    };
    match origin {
        KeyOrigin::Fixed => None,
        KeyOrigin::KeyFile(path) => {
            let name = if is_metrics {
                "api_key_file"
            } else {
                "api.auth"
            };
            let opening = Opening::Running;
            Some(file::read_key(name, path, opening, &mut Vec::new()))
        }
        KeyOrigin::ConfigFile(path) => Some(
            file::read(path, Opening::Running, &mut Vec::new(), &mut Vec::new()).and_then(
                |given| {
                    let found = given.into_iter().find(|given| given.key.path == key);
                    let text = found
                        .map(|given| given.text)
                        .filter(|text| !text.is_empty());
                    text.map(Secret::new)
                        .ok_or_else(|| format!("{}: {key} is not in it any more", path.display()))
                },
            ),
        ),
    }
}
