//! Public keys that a server must have, besides a certificate that is good (RFC 7469).
//!
//! A pin is the SHA-256 of a `SubjectPublicKeyInfo`. It is held against the server's own key and
//! against the keys of the authorities above it, once the whole chain was verified; one match is
//! enough. What a server merely sends along proves nothing, so an authority counts only if the
//! server's certificate leads up to it by good signatures.
//!
//! A pin never makes a certificate good that is not.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{Context, SHA256};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, Error, OtherError, RootCertStore};

use super::judge::{Chain, Judge};

/// SHA-256 of a public key.
pub(super) type Pin = [u8; 32];

/// None of the pins is a key of the server, which has this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotPinned(Pin);

impl fmt::Display for NotPinned {
    /// In the form of `tls.pins`, base64 by RFC 4648, section 4.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", BASE64_STANDARD.encode(self.0))
    }
}

impl std::error::Error for NotPinned {}

/// Judges as always, and then looks at the pins.
#[derive(Debug)]
pub(super) struct Pinned {
    usual: Arc<WebPkiServerVerifier>,
    /// The trusted authorities whose keys are pinned.
    trusted: RootCertStore,
    pins: Box<[Pin]>,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    /// What `usual` accepts by `roots`, if a key of it is among `pins`.
    pub(super) fn new(
        usual: Arc<WebPkiServerVerifier>,
        roots: &RootCertStore,
        pins: &[Pin],
        provider: Arc<CryptoProvider>,
    ) -> Self {
        let is_pinned =
            |root: &&TrustAnchor<'_>| pin_of_anchor(root).is_some_and(|pin| pins.contains(&pin));
        Self {
            usual,
            trusted: RootCertStore {
                roots: roots.roots.iter().filter(is_pinned).cloned().collect(),
            },
            pins: pins.into(),
            provider,
        }
    }

    /// Whether the chain leads up to a pinned authority.
    fn is_below_a_pin(&self, chain: Chain<'_>, at: UnixTime) -> bool {
        let mut anchors = self.trusted.clone();
        for other in chain.others {
            let is_pinned = pin_of(other).is_ok_and(|pin| self.pins.contains(&pin));
            if is_pinned && anchors.add(other.clone().into_owned()).is_err() {
                return false;
            }
        }
        let provider = Arc::clone(&self.provider);
        let anchors = Arc::new(anchors);
        // Without an anchor there is no verifier, and no pinned authority either.
        WebPkiServerVerifier::builder_with_provider(anchors, provider)
            .build()
            .is_ok_and(|usual| usual.judge(chain, at).is_ok())
    }
}

impl Judge for Pinned {
    fn judge(&self, chain: Chain<'_>, at: UnixTime) -> Result<(), Error> {
        self.usual.judge(chain, at)?;
        let pin = pin_of(chain.leaf)?;
        if self.pins.contains(&pin) || self.is_below_a_pin(chain, at) {
            return Ok(());
        }
        let error = OtherError(Arc::new(NotPinned(pin)));
        Err(CertificateError::Other(error).into())
    }
}

fn pin_of(certificate: &CertificateDer<'_>) -> Result<Pin, Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    Ok(sha256(&[key.as_ref()]))
}

/// An anchor keeps the content of its key's SEQUENCE without the head, which is put back here.
/// `None` for keys of more than 64 KiB, which nobody has.
fn pin_of_anchor(anchor: &TrustAnchor<'_>) -> Option<Pin> {
    const SEQUENCE: u8 = 0x30;
    let content = &anchor.subject_public_key_info[..];
    let [high, low] = u16::try_from(content.len()).ok()?.to_be_bytes();
    // The length as DER wants it: as short as it gets.
    Some(match (high, low) {
        (0, 0..0x80) => sha256(&[&[SEQUENCE, low], content]),
        (0, _) => sha256(&[&[SEQUENCE, 0x81, low], content]),
        _ => sha256(&[&[SEQUENCE, 0x82, high, low], content]),
    })
}

fn sha256(pieces: &[&[u8]]) -> Pin {
    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(piece);
    }
    let mut hash = Pin::default();
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use rustls::pki_types::ServerName;

    use super::super::judge::Chain as Shown;
    use super::super::tests::{Authority, authority, leaf, provider};
    use super::*;
    use crate::config::value;

    #[test]
    fn a_pin_is_written_as_the_configuration_reads_it() {
        let pins: [Pin; 3] = [[0; 32], [0xff; 32], sha256(&[b"x"])];
        for pin in pins {
            let text = NotPinned(pin).to_string();
            assert_eq!(value::pins(&text), Ok(vec![pin]), "{text}");
        }
        // SHA-256 of nothing.
        let nothing = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(NotPinned(sha256(&[])).to_string(), nothing);
    }

    #[test]
    fn an_anchor_has_the_pin_of_its_certificate() {
        // Ed25519, P-256 and the length of a large RSA key: one form of length each.
        for algorithm in [&rcgen::PKCS_ED25519, &rcgen::PKCS_ECDSA_P256_SHA256] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let authority = Authority::new("a", key, None);
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).unwrap();
            assert_eq!(
                pin_of_anchor(&roots.roots[0]),
                pin_of(authority.der()).ok(),
                "{algorithm:?}"
            );
        }
        for (bytes, head) in [
            (127, &[0x30, 127][..]),
            (128, &[0x30, 0x81, 128]),
            (550, &[0x30, 0x82, 2, 38]),
        ] {
            let content = vec![7; bytes];
            let anchor = TrustAnchor {
                subject: Vec::new().into(),
                subject_public_key_info: content.clone().into(),
                name_constraints: None,
            };
            assert_eq!(pin_of_anchor(&anchor), Some(sha256(&[head, &content])));
        }
    }

    /// A server below an authority below a root, and what is sent along.
    struct Chain {
        root: Authority,
        middle: Authority,
        leaf: CertificateDer<'static>,
    }

    impl Chain {
        fn new() -> Self {
            let root = authority("root");
            let key = KeyPair::generate().unwrap();
            let middle = Authority::new("middle", key, Some(&root));
            let leaf = leaf(&middle, "hub.test").0.der().clone();
            Self { root, middle, leaf }
        }

        fn verify(&self, pins: &[Pin], others: &[&Authority]) -> Result<(), Error> {
            self.verify_for("hub.test", pins, others)
        }

        fn verify_for(&self, name: &str, pins: &[Pin], others: &[&Authority]) -> Result<(), Error> {
            let mut roots = RootCertStore::empty();
            roots.add(self.root.der().clone()).unwrap();
            let anchors = Arc::new(roots.clone());
            let usual = WebPkiServerVerifier::builder_with_provider(anchors, provider());
            let judge = Pinned::new(usual.build().unwrap(), &roots, pins, provider());
            let others: Vec<_> = others.iter().map(|other| other.der().clone()).collect();
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let chain = Shown {
                leaf: &self.leaf,
                others: &others,
                name: &name,
            };
            judge.judge(chain, UnixTime::now())
        }
    }

    fn refused_with(result: Result<(), Error>) -> Option<NotPinned> {
        match result.unwrap_err() {
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                other.0.downcast_ref::<NotPinned>().copied()
            }
            other => panic!("{other}"),
        }
    }

    #[test]
    fn any_key_from_the_server_up_to_the_root_may_be_pinned() {
        let chain = Chain::new();
        for pinned in [&chain.leaf, chain.middle.der(), chain.root.der()] {
            let pin = pin_of(pinned).unwrap();
            assert_eq!(chain.verify(&[[0; 32], pin], &[&chain.middle]), Ok(()));
        }
    }

    #[test]
    fn without_a_pinned_key_the_servers_own_is_named() {
        let chain = Chain::new();
        let own = NotPinned(pin_of(&chain.leaf).unwrap());
        let refused = chain.verify(&[[0; 32]], &[&chain.middle]);
        assert_eq!(refused_with(refused), Some(own));
    }

    #[test]
    fn a_pinned_certificate_that_is_only_sent_along_does_not_count() {
        let chain = Chain::new();
        let stranger = authority("stranger");
        // Even one of the right name: it must have signed.
        let double = authority("middle");
        for other in [&stranger, &double] {
            let pin = pin_of(other.der()).unwrap();
            let refused = chain.verify(&[pin], &[&chain.middle, other]);
            assert!(refused_with(refused).is_some());
        }
    }

    #[test]
    fn a_pin_does_not_make_a_bad_certificate_good() {
        let chain = Chain::new();
        let pins = [
            pin_of(&chain.leaf).unwrap(),
            pin_of(chain.middle.der()).unwrap(),
        ];
        assert_eq!(
            chain.verify(&pins, &[]).unwrap_err(),
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
        );
        let other_name = chain.verify_for("other.test", &pins, &[&chain.middle]);
        assert!(matches!(
            other_name.unwrap_err(),
            Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ));
    }
}
