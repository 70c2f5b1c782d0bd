//! Folders, authorities and certificates for the tests of this room. Certificates are valid from
//! 2020 to 2040.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;

pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A folder that goes with the test.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mote-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[expect(clippy::unused_self, reason = "only what is in the folder is changed")]
    pub(super) fn permit(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Whoever signs.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Signed by `above`, or by itself.
    pub(super) fn new(name: &str, key: KeyPair, above: Option<&Self>) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(match above {
            Some(above) => CertifiedIssuer::signed_by(params, key, &above.0).unwrap(),
            None => CertifiedIssuer::self_signed(params, key).unwrap(),
        })
    }

    /// Signed by `above`, valid from the first day of one year to that of another.
    pub(super) fn between(name: &str, key: KeyPair, above: &Self, years: (i32, i32)) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        limit(&mut params, years);
        Self(CertifiedIssuer::signed_by(params, key, &above.0).unwrap())
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }
}

/// An authority that signed itself.
pub(super) fn authority(name: &str) -> Authority {
    Authority::new(name, KeyPair::generate().unwrap(), None)
}

/// A certificate for `name` and 192.0.2.7, and its key.
pub(super) fn leaf(authority: &Authority, name: &str) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let params = params(name, &[name, "192.0.2.7"]);
    (params.signed_by(&key, &authority.0).unwrap(), key)
}

/// The same, valid from the first day of one year to that of another.
pub(super) fn leaf_between(
    authority: &Authority,
    name: &str,
    years: (i32, i32),
) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    let mut params = params(name, &[name]);
    limit(&mut params, years);
    (params.signed_by(&key, &authority.0).unwrap(), key)
}

fn limit(params: &mut CertificateParams, years: (i32, i32)) {
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
}

fn params(name: &str, alternative_names: &[&str]) -> CertificateParams {
    let names: Vec<_> = alternative_names
        .iter()
        .map(|&name| name.to_owned())
        .collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
