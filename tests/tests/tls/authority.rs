//! Authorities, certificates and keys in all the forms that devices are given them.
//!
//! rcgen signs; keys are changed from one form to another by openssl, as people do it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

/// The kind of a key, and how its file has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    EcPkcs8,
    EcSec1,
    RsaPkcs8,
    RsaPkcs1,
}

/// Two files: a certificate and its key.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// An authority with a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: TempDir,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = TempDir::with_prefix("mote-authority-").unwrap();
        fs::write(dir.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// Its certificate's file.
    pub(crate) fn pem(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// For a server on 127.0.0.1.
    pub(crate) fn server(&self) -> Pair {
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        self.sign("server", purpose, &self.key("server", Form::EcPkcs8))
    }

    /// For a device.
    pub(crate) fn device(&self, name: &str, form: Form) -> Pair {
        let purpose = ExtendedKeyUsagePurpose::ClientAuth;
        self.sign(name, purpose, &self.key(name, form))
    }

    fn sign(&self, name: &str, purpose: ExtendedKeyUsagePurpose, key: &Path) -> Pair {
        // rcgen reads no other form.
        let pkcs8 = converted(key, &[]);
        let public = KeyPair::from_pem(&fs::read_to_string(pkcs8).unwrap()).unwrap();
        let mut params = params(name, &["127.0.0.1"]);
        params.extended_key_usages = vec![purpose];
        let signed = params.signed_by(&public, &self.issuer).unwrap();
        let certificate = self.dir.path().join(format!("{name}.pem"));
        fs::write(&certificate, signed.pem()).unwrap();
        Pair {
            certificate,
            key: key.to_owned(),
        }
    }

    fn key(&self, name: &str, form: Form) -> PathBuf {
        let path = self.dir.path().join(format!("{name}.key"));
        let file = path.to_str().unwrap();
        match form {
            Form::EcPkcs8 | Form::EcSec1 => {
                let options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
                openssl(&[&["genpkey", "-out", file], &options[..]].concat());
            }
            Form::RsaPkcs8 | Form::RsaPkcs1 => {
                openssl(&["genpkey", "-out", file, "-algorithm", "RSA"]);
            }
        }
        let (begin, path) = match form {
            Form::EcPkcs8 | Form::RsaPkcs8 => ("PRIVATE KEY", path),
            Form::EcSec1 => ("EC PRIVATE KEY", converted(&path, &["-traditional"])),
            Form::RsaPkcs1 => ("RSA PRIVATE KEY", converted(&path, &["-traditional"])),
        };
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with(&format!("-----BEGIN {begin}-----")),
            "{form:?}"
        );
        path
    }
}

/// The key in another form, in a file beside.
pub(crate) fn converted(key: &Path, options: &[&str]) -> PathBuf {
    let out = key.with_extension(format!("pkcs8{}", options.concat()));
    let files = [
        "pkey",
        "-in",
        key.to_str().unwrap(),
        "-out",
        out.to_str().unwrap(),
    ];
    openssl(&[&files[..], options].concat());
    out
}

fn params(name: &str, alternative_names: &[&str]) -> CertificateParams {
    let names: Vec<_> = alternative_names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {words}");
}
