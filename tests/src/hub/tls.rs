//! The hub's certificates: a throw-away authority, made afresh at each start, and the leaves it
//! signs, right or wrong in one respect each.
//!
//! Validity is a day back and a month ahead of this machine's clock. The authority's key never
//! leaves memory; only its certificate is written down, for the agent to trust.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

/// The beginnings of these years, seconds since 1970.
const IN_2000_S: i64 = 946_684_800;
const IN_2100_S: i64 = 4_102_444_800;

/// What the hub shows for a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certificate {
    /// Valid, for the right names, signed by the hub's authority.
    #[default]
    Good,
    /// Ended yesterday.
    Expired,
    /// Begins tomorrow.
    NotYetValid,
    /// Valid from 2000 to 2100, whatever this machine's clock says.
    LongLived,
    /// For `wrong.invalid` only.
    WrongName,
    /// Signed by an authority of the same name whose key nobody was given.
    ForeignCa,
    /// Signed by itself.
    SelfSigned,
}

/// Which versions of TLS the hub speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    #[default]
    #[serde(rename = "both")]
    Both,
    /// 1.2 and no other.
    #[serde(rename = "1.2")]
    Only12,
    /// 1.3 and no other.
    #[serde(rename = "1.3")]
    Only13,
}

impl TlsVersions {
    fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Both => vec![&TLS12, &TLS13],
            Self::Only12 => vec![&TLS12],
            Self::Only13 => vec![&TLS13],
        }
    }
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

/// The hub's own authority, its double, and the names its leaves are for.
#[derive(Debug)]
pub(super) struct Authority {
    own: Issuer,
    foreign: Issuer,
    names: Vec<String>,
}

impl Authority {
    /// A fresh authority for `localhost`, both loopback addresses, `ip` and the names given.
    pub(super) fn new(ip: IpAddr, extra_names: &[String]) -> io::Result<Self> {
        let mut names = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
        names.push(ip.to_string());
        names.extend_from_slice(extra_names);
        names.sort_unstable();
        names.dedup();
        Ok(Self {
            own: new_issuer()?,
            foreign: new_issuer()?,
            names,
        })
    }

    /// The certificate to trust, as PEM.
    pub(super) fn pem(&self) -> String {
        self.own.pem()
    }

    /// A server set up with one kind of certificate. Its session cache is its own, so that no
    /// resumed session can slip past a certificate that was changed.
    pub(super) fn server_config(
        &self,
        certificate: Certificate,
        versions: TlsVersions,
        wants_client: bool,
    ) -> io::Result<Arc<ServerConfig>> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let params = self.leaf_params(certificate)?;
        let leaf = match certificate {
            Certificate::SelfSigned => params.self_signed(&key),
            Certificate::ForeignCa => params.signed_by(&key, &self.foreign),
            _ => params.signed_by(&key, &self.own),
        }
        .map_err(io::Error::other)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions.supported())
            .map_err(io::Error::other)?;
        let builder = if wants_client {
            let mut roots = RootCertStore::empty();
            roots
                .add(self.own.der().clone())
                .map_err(io::Error::other)?;
            let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(clients.build().map_err(io::Error::other)?)
        } else {
            builder.with_no_client_auth()
        };
        let config = builder
            .with_single_cert(vec![leaf.der().clone()], private)
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }

    /// A certificate for a client and its key, as PEM, that holds for so many days.
    pub(super) fn client(&self, name: &str, days: i64) -> io::Result<(String, String)> {
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let mut params = new_params(vec![name.to_owned()])?;
        params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let leaf = params
            .signed_by(&key, &self.own)
            .map_err(io::Error::other)?;
        Ok((leaf.pem(), key.serialize_pem()))
    }

    fn leaf_params(&self, certificate: Certificate) -> io::Result<CertificateParams> {
        let names = match certificate {
            Certificate::WrongName => vec!["wrong.invalid".to_owned()],
            _ => self.names.clone(),
        };
        let mut params = new_params(names)?;
        let now = OffsetDateTime::now_utc();
        match certificate {
            Certificate::Expired => {
                params.not_before = now - Duration::days(30);
                params.not_after = now - Duration::days(1);
            }
            Certificate::NotYetValid => params.not_before = now + Duration::days(1),
            Certificate::LongLived => {
                let of_unix = |seconds| OffsetDateTime::from_unix_timestamp(seconds);
                params.not_before = of_unix(IN_2000_S).map_err(io::Error::other)?;
                params.not_after = of_unix(IN_2100_S).map_err(io::Error::other)?;
            }
            _ => {}
        }
        params
            .distinguished_name
            .push(DnType::CommonName, "mote hub");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = certificate != Certificate::SelfSigned;
        Ok(params)
    }
}

fn new_issuer() -> io::Result<Issuer> {
    let mut params = new_params(Vec::new())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "mote hub's throw-away authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().map_err(io::Error::other)?;
    CertifiedIssuer::self_signed(params, key).map_err(io::Error::other)
}

fn new_params(names: Vec<String>) -> io::Result<CertificateParams> {
    let mut params = CertificateParams::new(names).map_err(io::Error::other)?;
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(30);
    params.distinguished_name = rcgen::DistinguishedName::new();
    Ok(params)
}
