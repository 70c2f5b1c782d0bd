//! Why TLS failed, in words that say which side has to change what.
//!
//! The same alert means one thing or another by what was asked and shown before it; what is known
//! of that is kept beside rustls's error. A server refuses a certificate of ours by an alert, which
//! TLS 1.3 delivers only after the handshake has ended here: the words do not depend on the phase.

use std::fmt;

use mote_core::time::Rfc3339;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use super::identity::Shown;
use super::pins::NotPinned;
use crate::clock;
use crate::config::settings::TlsVersion;

/// Names of a certificate that are told; some have hundreds.
const MAX_NAMES: usize = 8;

/// What rustls found, and what it takes to explain it.
#[derive(Debug)]
pub struct TlsFailure {
    error: Error,
    min_version: TlsVersion,
    /// Whether `tls.ca_file` says whom to trust.
    has_ca_file: bool,
    shown: Shown,
}

impl TlsFailure {
    pub(super) fn new(
        error: Error,
        min_version: TlsVersion,
        has_ca_file: bool,
        shown: Shown,
    ) -> Self {
        Self {
            error,
            min_version,
            has_ca_file,
            shown,
        }
    }

    fn no_version(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.min_version {
            TlsVersion::V1_2 => "the server speaks neither TLS 1.2 nor 1.3: it must be renewed",
            TlsVersion::V1_3 => {
                "the server does not speak TLS 1.3: renew it, or set tls.min_version to 1.2"
            }
        })
    }

    /// What the server's certificate lacks.
    fn bad_certificate(&self, bad: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CertificateError as Bad;
        match bad {
            Bad::ExpiredContext { time, not_after } if !clock::is_set() => write!(
                f,
                "the server's certificate expired at {}: renew it, or, if {} has not passed yet, stop \
                 mote and remove data/state/time in its folder",
                at(*not_after),
                at(*time)
            ),
            Bad::ExpiredContext { time, not_after } => write!(
                f,
                "the server's certificate expired at {}: renew it (this device's clock says {})",
                at(*not_after),
                at(*time)
            ),
            Bad::NotValidYetContext { not_before, .. } if !clock::is_set() => write!(
                f,
                "the server's certificate is not valid before {}, and this device's clock is not \
                 set: it says {}",
                at(*not_before),
                Rfc3339(clock::wall_ms())
            ),
            Bad::NotValidYetContext { time, not_before } => write!(
                f,
                "the server's certificate is not valid before {}, and this device's clock says {}: \
                 set the clock",
                at(*not_before),
                at(*time)
            ),
            Bad::NotValidForNameContext {
                expected,
                presented,
            } => {
                write!(
                    f,
                    "the server's certificate is not for {}",
                    expected.to_str()
                )?;
                names(presented, f)?;
                f.write_str(": check server_url, or set tls.server_name")
            }
            Bad::UnknownIssuer if self.has_ca_file => f.write_str(
                "the server's certificate has an unknown issuer: no authority in tls.ca_file leads \
                 to it, or the server does not send the certificates between",
            ),
            Bad::UnknownIssuer => f.write_str(
                "the server's certificate has an unknown issuer: set tls.ca_file to its \
                 authority's certificate, or make the server send the certificates between",
            ),
            Bad::BadSignature => f.write_str(
                "the server's certificate is not signed by the issuer that it names: if that \
                 authority has a new key, renew tls.ca_file",
            ),
            Bad::Other(OtherError(other)) => {
                if let Some(not_pinned) = other.downcast_ref::<NotPinned>() {
                    return write!(
                        f,
                        "none of the server's keys is in tls.pins: its own is {not_pinned}"
                    );
                }
                match other.to_string().as_str() {
                    "CaUsedAsEndEntity" => f.write_str(
                        "the server shows the certificate of an authority (CA:TRUE) as its own: \
                         give it one that its authority signed",
                    ),
                    "UnsupportedCertVersion" => f.write_str(
                        "the server's certificate is of an old form (not X.509 v3): renew it",
                    ),
                    words => write!(f, "the server's certificate is not accepted: {words}"),
                }
            }
            other => write!(f, "the server's certificate is not accepted: {other}"),
        }
    }

    /// What the server did not like.
    fn alert(&self, alert: AlertDescription, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use AlertDescription as Alert;
        let about_us = match alert {
            Alert::ProtocolVersion => return self.no_version(f),
            Alert::UnrecognisedName => {
                return f.write_str(
                    "the server does not know the name that it was asked for: check server_url, or \
                     set tls.server_name",
                );
            }
            Alert::CertificateRequired | Alert::NoCertificate => "it requires one",
            Alert::CertificateExpired => "it has expired, or the server's clock is wrong",
            Alert::CertificateRevoked => "it is revoked",
            Alert::UnknownCA => "the server does not know its issuer",
            Alert::UnsupportedCertificate => "it is not of a kind for clients",
            Alert::DecryptError => "its signature is wrong",
            Alert::BadCertificate | Alert::CertificateUnknown | Alert::AccessDenied => {
                "the server does not say more"
            }
            // The alert of TLS 1.2 for whatever has none of its own.
            Alert::HandshakeFailure if self.shown != Shown::NotAsked => {
                "the server does not say more"
            }
            Alert::HandshakeFailure | Alert::InsufficientSecurity => {
                return f.write_str("the server accepts none of the ciphers that mote offers");
            }
            other => return write!(f, "the server ended the TLS connection: {other:?}"),
        };
        match (self.shown, alert) {
            (Shown::Certificate, Alert::CertificateRequired) => f.write_str(
                "the server wants another certificate of this device than the one in tls.cert_file",
            ),
            (Shown::Certificate, _) => write!(
                f,
                "the server refuses this device's certificate (tls.cert_file): {about_us}"
            ),
            (Shown::Nothing, _) | (_, Alert::CertificateRequired) => f.write_str(
                "the server wants a certificate of this device: set tls.cert_file and tls.key_file",
            ),
            (Shown::NotAsked, _) => write!(f, "the server ended the TLS connection: {alert:?}"),
        }
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Error::InvalidCertificate(bad) => self.bad_certificate(bad, f),
            Error::AlertReceived(alert) => self.alert(*alert, f),
            Error::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => self.no_version(f),
            Error::PeerIncompatible(why) => {
                write!(f, "the server's TLS does not go with mote's: {why:?}")
            }
            Error::InvalidMessage(_) => f.write_str("what answers there does not speak TLS"),
            other => write!(f, "TLS: {other}"),
        }
    }
}

fn at(time: UnixTime) -> Rfc3339 {
    Rfc3339(time.as_secs().saturating_mul(1000))
}

/// The names that a certificate has. They come as `DnsName("a.example")` and `IpAddress(192.0.2.1)`.
fn names(presented: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let bare = presented.iter().map(|name| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest);
        inner.trim_end_matches(')').trim_matches('"')
    });
    for (at, name) in bare.take(MAX_NAMES).enumerate() {
        f.write_str(if at == 0 { " but for " } else { ", " })?;
        f.write_str(name)?;
    }
    match presented.len() {
        0 => f.write_str(" and for no other name either (only subjectAltName counts)"),
        many if many > MAX_NAMES => f.write_str(" and others"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{InvalidMessage, RootCertStore};

    use super::super::tests::{Authority, authority, leaf, provider};
    use super::*;

    fn words_for(error: Error, shown: Shown) -> String {
        TlsFailure::new(error, TlsVersion::V1_2, false, shown).to_string()
    }

    /// What is said of `certificate` when it is shown for `name` at `now_s`.
    fn verdict(
        certificate: &CertificateDer<'_>,
        roots: RootCertStore,
        name: &str,
        now_s: u64,
    ) -> String {
        use rustls::client::danger::ServerCertVerifier;
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(now_s));
        let error = verifier
            .build()
            .unwrap()
            .verify_server_cert(certificate, &[], &name, &[], now)
            .unwrap_err();
        words_for(error, Shown::NotAsked)
    }

    #[test]
    fn each_fault_of_a_certificate_is_told_with_what_mends_it() {
        let ours = authority("ours");
        let (shown, _) = leaf(&ours, "hub.test");
        let shown = shown.der();
        let roots = |authority: &Authority| {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            roots
        };
        // Certificates of these tests are valid from 2020 to 2040.
        let (in_2019, in_2030, in_2050) = (1_560_000_000, 1_900_000_000, 2_530_000_000);
        let say = |certificate, roots, name, now_s, expected: &[&str]| {
            let words = verdict(certificate, roots, name, now_s);
            for part in expected {
                assert!(words.contains(part), "{words}");
            }
        };
        let expired = ["expired at 2040-01-01T00:00:00.000Z", "clock says 2050-"];
        say(shown, roots(&ours), "hub.test", in_2050, &expired);
        let early = [
            "not valid before 2020-01-01T",
            "clock says 2019-",
            "set the clock",
        ];
        say(shown, roots(&ours), "hub.test", in_2019, &early);
        let name = ["not for other.test but for hub.test, 192.0.2.7: check server_url"];
        say(shown, roots(&ours), "other.test", in_2030, &name);
        let stranger = authority("stranger");
        let issuer = ["unknown issuer: set tls.ca_file"];
        say(shown, roots(&stranger), "hub.test", in_2030, &issuer);
        let double = authority("ours");
        let key = [
            "not signed by the issuer that it names",
            "renew tls.ca_file",
        ];
        say(shown, roots(&double), "hub.test", in_2030, &key);
        let authority = ["authority (CA:TRUE) as its own"];
        say(ours.der(), roots(&ours), "hub.test", in_2030, &authority);
    }

    #[test]
    fn of_many_names_some_are_told_and_of_none_why() {
        let say = |count: usize| {
            let error = CertificateError::NotValidForNameContext {
                expected: ServerName::try_from("hub.test").unwrap(),
                presented: (0..count)
                    .map(|n| format!("DnsName(\"n{n}.test\")"))
                    .collect(),
            };
            words_for(error.into(), Shown::NotAsked)
        };
        assert!(say(0).contains("no other name either (only subjectAltName counts)"));
        assert!(say(8).contains("n6.test, n7.test: check"));
        assert!(say(9).contains("n6.test, n7.test and others: check"));
    }

    #[test]
    fn an_alert_means_what_was_shown_before_it() {
        use AlertDescription as Alert;
        let wants = "wants a certificate of this device: set tls.cert_file";
        let refuses = "refuses this device's certificate (tls.cert_file): ";
        for (alert, shown, expected) in [
            (Alert::CertificateRequired, Shown::Nothing, wants),
            (Alert::CertificateRequired, Shown::NotAsked, wants),
            (
                Alert::CertificateRequired,
                Shown::Certificate,
                "wants another certificate",
            ),
            (Alert::HandshakeFailure, Shown::Nothing, wants),
            (Alert::HandshakeFailure, Shown::Certificate, refuses),
            (Alert::HandshakeFailure, Shown::NotAsked, "ciphers"),
            (Alert::BadCertificate, Shown::Nothing, wants),
            (Alert::BadCertificate, Shown::Certificate, refuses),
            (
                Alert::BadCertificate,
                Shown::NotAsked,
                "connection: BadCertificate",
            ),
            (
                Alert::CertificateExpired,
                Shown::Certificate,
                "it has expired",
            ),
            (
                Alert::UnknownCA,
                Shown::Certificate,
                "does not know its issuer",
            ),
            (
                Alert::InternalError,
                Shown::Certificate,
                "connection: InternalError",
            ),
            (
                Alert::UnrecognisedName,
                Shown::NotAsked,
                "set tls.server_name",
            ),
            (
                Alert::ProtocolVersion,
                Shown::NotAsked,
                "neither TLS 1.2 nor 1.3",
            ),
        ] {
            let words = words_for(Error::AlertReceived(alert), shown);
            assert!(words.contains(expected), "{alert:?} {shown:?}: {words}");
        }
    }

    #[test]
    fn a_version_that_is_too_old_is_told_with_the_setting() {
        for error in [
            Error::AlertReceived(AlertDescription::ProtocolVersion),
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig.into(),
            PeerIncompatible::ServerDoesNotSupportTls12Or13.into(),
        ] {
            let failure = TlsFailure::new(error, TlsVersion::V1_3, false, Shown::NotAsked);
            let words = failure.to_string();
            assert!(words.contains("set tls.min_version to 1.2"), "{words}");
        }
    }

    #[test]
    fn an_unknown_issuer_with_a_ca_file_is_told_so() {
        let error = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let failure = TlsFailure::new(error, TlsVersion::V1_2, true, Shown::NotAsked);
        assert!(failure.to_string().contains("no authority in tls.ca_file"));
    }

    #[test]
    fn another_protocol_is_told_as_such() {
        let error = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(words_for(error, Shown::NotAsked).contains("does not speak TLS"));
    }
}
