//! Certificates and a clock that is not right (yet).
//!
//! A certificate is judged by [`clock::trusted_ms`]: a device that starts in 1970 takes the time at
//! which this program was made for the present, or a later one that it knows has passed. That can
//! be too early for a certificate that is younger.
//!
//! For devices that never learn the time, `tls.allow_unsynced_clock` forgives the dates of a
//! certificate, and nothing else, and that only while the kernel says that nobody keeps the clock
//! right. There must still be a moment at which every certificate from the server up to the
//! authority was valid: the whole verification, pins included, is held at that moment.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, Error};

use super::judge::{Chain, Judge};
use crate::{clock, log};

/// Each certificate of a chain can move the moment once either way; chains are short.
const MAX_MOVES: usize = 12;

/// The time that connections are judged by.
#[derive(Debug)]
pub(super) struct TrustedTime;

impl TimeProvider for TrustedTime {
    fn current_time(&self) -> Option<UnixTime> {
        let passed = Duration::from_millis(clock::trusted_ms());
        Some(UnixTime::since_unix_epoch(passed))
    }
}

/// Whether nobody keeps the clock right, for certain.
pub(super) fn is_unsynchronized() -> bool {
    clock::is_synchronized() == Some(false)
}

/// Judges as another does, and forgives a certificate its dates while the clock cannot be
/// believed.
#[derive(Debug)]
pub(super) struct DatesForgiven {
    usual: Box<dyn Judge>,
    may_forgive: fn() -> bool,
}

impl DatesForgiven {
    /// What `usual` accepts, at any moment as long as `may_forgive` says so.
    pub(super) fn new(usual: Box<dyn Judge>, may_forgive: fn() -> bool) -> Self {
        Self { usual, may_forgive }
    }
}

impl Judge for DatesForgiven {
    fn judge(&self, chain: Chain<'_>, at: UnixTime) -> Result<(), Error> {
        let first = self.usual.judge(chain, at);
        let Some(mut moment) = first.as_ref().err().and_then(moment_of) else {
            return first;
        };
        if !(self.may_forgive)() {
            return first;
        }
        for _ in 0..MAX_MOVES {
            match self.usual.judge(chain, moment) {
                Ok(()) => {
                    log::warn(
                        "Dates of the server's certificate not held against it, the clock is not \
                         synchronized",
                        &[],
                    );
                    return Ok(());
                }
                Err(error) => match moment_of(&error) {
                    Some(other) => moment = other,
                    // Its dates were not all that is wrong with it.
                    None => return Err(error),
                },
            }
        }
        first
    }
}

/// The nearest moment at which the certificate that this error is about was valid.
fn moment_of(error: &Error) -> Option<UnixTime> {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(*not_after)
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(*not_before)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::{CertificateDer, ServerName};

    use super::super::pins::{Pin, Pinned};
    use super::super::tests::{Authority, authority, leaf, leaf_between, provider};
    use super::*;

    /// What the certificates of these tests are valid from and to.
    const IN_2019_S: u64 = 1_560_000_000;
    const IN_2030_S: u64 = 1_900_000_000;
    const IN_2050_S: u64 = 2_530_000_000;

    fn verdict(
        leaf: &CertificateDer<'_>,
        root: &Authority,
        pins: Option<&[Pin]>,
        may_forgive: fn() -> bool,
        now_s: u64,
    ) -> Result<(), Error> {
        verdict_for("hub.test", leaf, root, pins, may_forgive, now_s)
    }

    fn verdict_for(
        name: &str,
        leaf: &CertificateDer<'_>,
        root: &Authority,
        pins: Option<&[Pin]>,
        may_forgive: fn() -> bool,
        now_s: u64,
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).unwrap();
        let usual = WebPkiServerVerifier::builder_with_provider(roots.clone().into(), provider());
        let usual = usual.build().unwrap();
        let usual: Box<dyn Judge> = match pins {
            Some(pins) => Box::new(Pinned::new(usual, &roots, pins, provider())),
            None => Box::new(usual),
        };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let chain = Chain {
            leaf,
            others: &[],
            name: &name,
        };
        DatesForgiven::new(usual, may_forgive).judge(chain, now)
    }

    fn is_date(refused: Result<(), Error>) -> bool {
        moment_of(&refused.unwrap_err()).is_some()
    }

    #[test]
    fn n14_dates_are_forgiven_while_the_clock_is_not_synchronized_and_not_after() {
        let ours = authority("ours");
        let (shown, _) = leaf(&ours, "hub.test");
        for now_s in [0, IN_2019_S, IN_2050_S, 5_000_000_000] {
            assert_eq!(verdict(shown.der(), &ours, None, || true, now_s), Ok(()));
            assert!(is_date(verdict(shown.der(), &ours, None, || false, now_s)));
        }
        let good = verdict(shown.der(), &ours, None, || false, IN_2030_S);
        assert_eq!(good, Ok(()));
    }

    #[test]
    fn n14_nothing_but_the_dates_is_forgiven() {
        let ours = authority("ours");
        let (shown, _) = leaf(&ours, "hub.test");
        let shown = shown.der();
        for now_s in [0, IN_2030_S, IN_2050_S] {
            let stranger = authority("stranger");
            assert_eq!(
                verdict(shown, &stranger, None, || true, now_s),
                Err(CertificateError::UnknownIssuer.into())
            );
            let double = authority("ours");
            assert_eq!(
                verdict(shown, &double, None, || true, now_s),
                Err(CertificateError::BadSignature.into())
            );
            let other = verdict_for("other.test", shown, &ours, None, || true, now_s);
            assert!(matches!(
                other,
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForNameContext { .. }
                ))
            ));
            let pinned = verdict(shown, &ours, Some(&[[0; 32]]), || true, now_s);
            assert!(matches!(
                pinned,
                Err(Error::InvalidCertificate(CertificateError::Other(_)))
            ));
        }
    }

    #[test]
    fn n14_there_must_be_a_moment_at_which_the_whole_chain_was_valid() {
        let root = authority("root");
        // The authority between ends before the server's certificate begins.
        let key = KeyPair::generate().unwrap();
        let middle = Authority::between("middle", key, &root, (2020, 2025));
        let (late, _) = leaf_between(&middle, "hub.test", (2026, 2030));
        let (fitting, _) = leaf_between(&middle, "hub.test", (2024, 2030));
        let verdict = |leaf: &rcgen::Certificate, now_s| {
            let mut roots = RootCertStore::empty();
            roots.add(root.der().clone()).unwrap();
            let usual = WebPkiServerVerifier::builder_with_provider(roots.into(), provider());
            let judge = DatesForgiven::new(Box::new(usual.build().unwrap()), || true);
            let name = ServerName::try_from("hub.test").unwrap();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(now_s));
            let chain = Chain {
                leaf: leaf.der(),
                others: &[middle.der().clone()],
                name: &name,
            };
            judge.judge(chain, now)
        };
        for now_s in [0, IN_2019_S, IN_2030_S, IN_2050_S] {
            assert_eq!(verdict(&fitting, now_s), Ok(()), "{now_s}");
            assert!(is_date(verdict(&late, now_s)), "{now_s}");
        }
    }

    #[test]
    fn a_connection_is_never_judged_by_a_time_before_the_floor() {
        let now = TrustedTime.current_time().unwrap();
        assert!(now.as_secs() * 1000 >= clock::floor_ms());
    }
}
