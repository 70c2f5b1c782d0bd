//! What protects a connection, from the settings and the files that they name.
//!
//! The files are looked at before each new connection and read again if one of them changed, so a
//! renewed certificate needs no restart; connections that are open stay as they are. New files that
//! cannot be used (half written, or a key whose certificate is still the old one) leave the former
//! ones in use, which one line of the log says. Whatever is read anew starts with no sessions to
//! resume: what was verified by other rules does not count.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mote_core::log_line::Value;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, Error, InconsistentKeys, RootCertStore, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use super::any_certificate::AnyCertificate;
use super::dates::{DatesForgiven, TrustedTime, is_unsynchronized};
use super::failure::TlsFailure;
use super::files::{Stamp, authorities, chain, private_key, stamp};
use super::identity::Identity;
use super::judge::{Judge, Verifier};
use super::pins::{Pin, Pinned};
use crate::config::Settings;
use crate::config::settings::TlsVersion;
use crate::log;
use crate::uplink::error::DeliveryError;

/// How connections are protected. Clones share what was read.
#[derive(Debug, Clone)]
pub struct TlsSettings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rules: Rules,
    /// Stands for the URL's host.
    server_name: Option<ServerName<'static>>,
    read: Mutex<Read>,
}

/// What the configuration says of one server.
#[derive(Debug, Clone, Default)]
pub struct TlsChoice {
    /// Trusted instead of the built-in roots.
    pub ca_file: Option<PathBuf>,
    /// What this device shows.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
    /// Stands for the URL's host.
    pub server_name: Option<String>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// SHA-256 of the server's public keys (RFC 7469); none are all.
    pub pins: Vec<Pin>,
    /// Cipher suites by their numbers (IANA); none are all.
    pub suites: Vec<u16>,
    /// Forgive a certificate's dates while the clock is not synchronised.
    pub allow_unsynced_clock: bool,
    /// Believe whoever answers. For this device's own loopback only, which the caller sees to.
    pub any_certificate: bool,
}

impl TlsChoice {
    /// The metrics server's.
    pub fn of_metrics_server(settings: &Settings) -> Self {
        Self {
            ca_file: settings.tls_ca_file.clone(),
            cert_file: settings.tls_cert_file.clone(),
            key_file: settings.tls_key_file.clone(),
            server_name: settings.tls_server_name.clone(),
            min_version: settings.tls_min_version,
            pins: settings.tls_pins.clone(),
            suites: Vec::new(),
            allow_unsynced_clock: settings.tls_allow_unsynced_clock,
            any_certificate: false,
        }
    }
}

/// What is read of that.
#[derive(Debug)]
struct Rules {
    ca_file: Option<PathBuf>,
    /// The certificate's file and the key's.
    identity_files: Option<(PathBuf, PathBuf)>,
    min_version: TlsVersion,
    pins: Vec<Pin>,
    allow_unsynced_clock: bool,
    suites: Vec<u16>,
    any_certificate: bool,
}

/// What the files said when they were last good.
#[derive(Debug)]
struct Read {
    /// How the files were when they were last looked at, good or not.
    stamps: Stamps,
    protection: Protection,
    /// Not told to anybody yet.
    warnings: Vec<String>,
}

type Stamps = [Option<Stamp>; 3];

/// All that a new connection needs.
#[derive(Debug, Clone)]
pub(super) struct Protection {
    pub(super) config: Arc<ClientConfig>,
    identity: Arc<Identity>,
    min_version: TlsVersion,
    has_ca_file: bool,
}

impl TlsSettings {
    /// Reads the files that `choice` names; what cannot be used is an error. Its words call the keys
    /// by the metrics server's names.
    pub fn new(choice: TlsChoice) -> Result<Self, Box<str>> {
        let server_name = choice.server_name.clone();
        let rules = Rules::new(choice)?;
        let server_name = match &server_name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|_| {
                format!(
                    "tls.server_name: {name:?} is neither a host name nor an address: write it as \
                     the server's certificate has it"
                )
            })?),
            None => None,
        };
        let read = rules.read(rules.stamps())?;
        Ok(Self(Arc::new(Shared {
            rules,
            server_name,
            read: Mutex::new(read),
        })))
    }

    /// What a person should be told of the files; each is told once, at the latest in the log when
    /// they are used.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.read().warnings)
    }

    /// What protects a connection that begins now.
    pub(super) fn current(&self) -> Protection {
        let stamps = self.0.rules.stamps();
        if stamps != self.read().stamps {
            match self.0.rules.read(stamps) {
                Ok(read) => {
                    *self.read() = read;
                    log::info("TLS files read again", &[]);
                }
                Err(error) => {
                    self.read().stamps = stamps;
                    log::warn(
                        "TLS files cannot be used, the former ones stay in use",
                        &[("error", Value::Str(&error))],
                    );
                }
            }
        }
        for warning in self.take_warnings() {
            log::warn("Configuration", &[("warning", Value::Str(&warning))]);
        }
        let protection = self.read().protection.clone();
        protection.identity.forget_asking();
        protection
    }

    /// The name that the certificate of the server must have, whose URL has `host`.
    pub(super) fn name_for(&self, host: &str) -> Result<ServerName<'static>, DeliveryError> {
        if let Some(name) = &self.0.server_name {
            return Ok(name.clone());
        }
        // An IPv6 literal stands in brackets in a URL, and without them in a certificate.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        ServerName::try_from(bare.to_owned()).map_err(|_| {
            let words = format!("{host} cannot be the name of a TLS server: set tls.server_name");
            DeliveryError::TlsSettings(words.into())
        })
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.0.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Protection {
    /// Why a connection failed that this protects.
    pub(super) fn failure(&self, error: Error) -> TlsFailure {
        let shown = self.identity.shown();
        TlsFailure::new(error, self.min_version, self.has_ca_file, shown)
    }
}

impl Rules {
    fn new(choice: TlsChoice) -> Result<Self, Box<str>> {
        let identity_files = match (choice.cert_file, choice.key_file) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(
                    "tls.cert_file is set without tls.key_file: set both, or neither".into(),
                );
            }
            (None, Some(_)) => {
                return Err(
                    "tls.key_file is set without tls.cert_file: set both, or neither".into(),
                );
            }
        };
        Ok(Self {
            ca_file: choice.ca_file,
            identity_files,
            min_version: choice.min_version,
            pins: choice.pins,
            suites: choice.suites,
            allow_unsynced_clock: choice.allow_unsynced_clock,
            any_certificate: choice.any_certificate,
        })
    }

    fn stamps(&self) -> Stamps {
        let identity = self.identity_files.as_ref();
        let certificate = identity.map(|(certificate, _)| certificate);
        let key = identity.map(|(_, key)| key);
        [self.ca_file.as_ref(), certificate, key].map(|path| path.and_then(|path| stamp(path)))
    }

    /// Reads everything. `stamps` were taken before: a file that changes meanwhile is read again.
    fn read(&self, stamps: Stamps) -> Result<Read, Box<str>> {
        let mut warnings = Vec::new();
        let mut provider = ring::default_provider();
        if !self.suites.is_empty() {
            let is_chosen = |suite: &SupportedCipherSuite| {
                let number = u16::from(suite.suite());
                self.suites.contains(&number)
            };
            provider.cipher_suites.retain(is_chosen);
        }
        let provider = Arc::new(provider);
        let roots = self.roots(&mut warnings)?;
        let key = self.certified_key(&provider, &mut warnings)?;
        let config = self
            .client_config(provider, roots, key)
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let (config, identity) = config;
        Ok(Read {
            stamps,
            protection: Protection {
                config: Arc::new(config),
                identity,
                min_version: self.min_version,
                has_ca_file: self.ca_file.is_some(),
            },
            warnings,
        })
    }

    fn roots(&self, warnings: &mut Vec<String>) -> Result<RootCertStore, Box<str>> {
        let Some(path) = &self.ca_file else {
            return Ok(RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
            });
        };
        let (roots, warning) = authorities(path)?;
        warnings.extend(warning);
        Ok(roots)
    }

    fn certified_key(
        &self,
        provider: &CryptoProvider,
        warnings: &mut Vec<String>,
    ) -> Result<Option<CertifiedKey>, Box<str>> {
        let Some((certificate_file, key_file)) = &self.identity_files else {
            return Ok(None);
        };
        let chain = chain(certificate_file)?;
        let (key, warning) = private_key(key_file)?;
        warnings.extend(warning);
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => format!(
                "tls.key_file {}: this is not the key of the first certificate in tls.cert_file {}",
                key_file.display(),
                certificate_file.display()
            ),
            Error::InvalidCertificate(bad) => format!(
                "tls.cert_file {}: the first certificate cannot be used: {bad}",
                certificate_file.display()
            ),
            _ => format!(
                "tls.key_file {}: not a key that can be used: it must be EC P-256 or P-384, RSA of \
                 2048 to 8192 bits, or Ed25519",
                key_file.display()
            ),
        })?;
        Ok(Some(certified))
    }

    fn client_config(
        &self,
        provider: Arc<CryptoProvider>,
        roots: RootCertStore,
        key: Option<CertifiedKey>,
    ) -> Result<(ClientConfig, Arc<Identity>), Box<dyn std::error::Error>> {
        let time = Arc::new(TrustedTime);
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), time)
            .with_protocol_versions(self.versions())?;
        // It does what the usual verifier does, and then some.
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self.verifier(provider, roots)?));
        let identity = Arc::new(Identity::new(key));
        let resolver = Arc::clone(&identity);
        let mut config = builder.with_client_cert_resolver(resolver);
        // One or two servers: a ticket or two for each is enough to resume with.
        config.resumption = Resumption::in_memory_sessions(4);
        Ok((config, identity))
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
        roots: RootCertStore,
    ) -> Result<Verifier, Box<dyn std::error::Error>> {
        if self.any_certificate {
            return Ok(Verifier::new(Box::new(AnyCertificate), provider));
        }
        let roots = Arc::new(roots);
        let usual =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let usual = usual.build()?;
        let mut judge: Box<dyn Judge> = Box::new(Arc::clone(&usual));
        if !self.pins.is_empty() {
            let provider = Arc::clone(&provider);
            judge = Box::new(Pinned::new(usual, &roots, &self.pins, provider));
        }
        if self.allow_unsynced_clock {
            judge = Box::new(DatesForgiven::new(judge, is_unsynchronized));
        }
        Ok(Verifier::new(judge, provider))
    }

    fn versions(&self) -> &'static [&'static SupportedProtocolVersion] {
        static NEWEST_FIRST: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
        match self.min_version {
            TlsVersion::V1_2 => &NEWEST_FIRST,
            TlsVersion::V1_3 => &NEWEST_FIRST[..1],
        }
    }
}

#[cfg(test)]
mod tests;
