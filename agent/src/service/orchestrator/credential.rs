//! What proves to the orchestrator who this is, and until when.
//!
//! The file of a token is looked at before each request and read again when it changed, and as long
//! as the token is about to end: something else puts newer ones there. Of a token (RFC 7519) only
//! its times are read; whether it is good is the orchestrator's to say.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mote_core::json;
use mote_core::log_line::Value;

use crate::config::{KeyOrigin, Secret, read_again};
use crate::expiry::{Expiry, WARN_MS};
use crate::log;

/// Between two looks at a file whose token is about to end.
const LOOK_MS: u64 = 10_000;
/// A token that lasts no longer than this is renewed by something else, and often.
const SHORT_MS: u64 = 2 * WARN_MS;
/// Largest payload of a token.
const PAYLOAD_BYTES: usize = 4 * 1024;

/// A key or token, if there is one, and where it comes from.
#[derive(Debug)]
pub(super) struct Credential {
    secret: Option<Secret>,
    origin: KeyOrigin,
    /// How its file was when it was last read.
    stamp: Option<Stamp>,
    times: Times,
    refresh_ms: u64,
    looked_ms: u64,
}

type Stamp = (u64, u64, i64, i64);

/// Unix milliseconds that a token says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    issued_ms: Option<u64>,
    ends_ms: Option<u64>,
}

impl Credential {
    /// `secret`, which came from `origin`; `refresh_ms` before its end a newer one is looked for.
    pub(super) fn new(secret: Option<Secret>, origin: KeyOrigin, refresh_ms: u64) -> Self {
        Self {
            times: secret.as_ref().map(times).unwrap_or_default(),
            stamp: file(&origin).and_then(stamp),
            secret,
            origin,
            refresh_ms,
            looked_ms: 0,
        }
    }

    /// The key or token.
    pub(super) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// Looks whether there is a newer one; `true` if there is.
    pub(super) fn look(&mut self, boot_ms: u64, wall_ms: u64) -> bool {
        let Some(path) = file(&self.origin) else {
            return false;
        };
        let is_changed = stamp(path) != self.stamp;
        let ends_soon = self
            .times
            .ends_ms
            .is_some_and(|ends_ms| wall_ms.saturating_add(self.refresh_ms) >= ends_ms);
        let is_time = boot_ms >= self.looked_ms.saturating_add(LOOK_MS);
        if !(is_changed || ends_soon && is_time) {
            return false;
        }
        self.looked_ms = boot_ms;
        self.read_again()
    }

    /// Reads it again from where it came; `true` if it is another one.
    pub(super) fn read_again(&mut self) -> bool {
        // Taken before: a file that changes meanwhile is read again.
        let stamp = file(&self.origin).and_then(stamp);
        let is_news = stamp != self.stamp;
        self.stamp = stamp;
        let error = match read_again(&self.origin, false) {
            None => return false,
            Some(Ok(secret)) if !secret.fits_a_header() => {
                "it has characters of its own".to_owned()
            }
            Some(Ok(secret)) => {
                let is_same = self
                    .secret
                    .as_ref()
                    .is_some_and(|own| own.expose() == secret.expose());
                if is_same {
                    return false;
                }
                self.times = times(&secret);
                self.secret = Some(secret);
                log::info("Orchestrator's key read again, it has changed", &[]);
                return true;
            }
            Some(Err(error)) => error,
        };
        if is_news {
            log::error(
                "Orchestrator's key not read again, the former one stays in use",
                &[("error", Value::Str(&error))],
            );
        }
        false
    }

    /// Its end, if it says so.
    pub(super) fn expiry(&self) -> Option<Expiry> {
        let Times { issued_ms, ends_ms } = self.times;
        let ends_ms = ends_ms?;
        let lasts_ms = ends_ms.saturating_sub(issued_ms.unwrap_or(0));
        let before_ms = if lasts_ms > SHORT_MS {
            WARN_MS
        } else {
            // Whatever renews it does so in time, or this is to be seen.
            self.refresh_ms.min(lasts_ms / 10)
        };
        Some(Expiry {
            what: "the orchestrator's token",
            ends_ms,
            before_ms,
        })
    }
}

fn file(origin: &KeyOrigin) -> Option<&PathBuf> {
    match origin {
        KeyOrigin::KeyFile(path) => Some(path),
        KeyOrigin::Fixed | KeyOrigin::ConfigFile(_) => None,
    }
}

fn stamp(path: &PathBuf) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
}

/// What the middle part of a token says of its times; nothing if it is a key.
fn times(secret: &Secret) -> Times {
    let mut parts = secret.expose().split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Times::default();
    };
    let Ok(payload) = BASE64_URL_SAFE_NO_PAD.decode(payload) else {
        return Times::default();
    };
    let Ok(payload) = json::read(&payload, PAYLOAD_BYTES) else {
        return Times::default();
    };
    // Seconds, and a fraction if somebody likes (RFC 7519, section 2).
    let time = |name: &str| payload.present(name)?.as_number()?.scaled(3);
    Times {
        issued_ms: time("iat"),
        ends_ms: time("exp"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"iat":1700000000,"exp":1800000000.5}` in the middle.
    const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTgwMDAwMDAwMC41fQ.x";

    #[test]
    fn a_token_says_when_it_ends() {
        let found = times(&Secret::new(TOKEN.into()));
        assert_eq!(found.issued_ms, Some(1_700_000_000_000));
        assert_eq!(found.ends_ms, Some(1_800_000_000_500));
        for other in ["key", "a.b", "a.b.c.d", "a.!!.c", "a.e30.c", "a..c"] {
            assert_eq!(
                times(&Secret::new(other.into())),
                Times::default(),
                "{other}"
            );
        }
    }

    #[test]
    fn what_lasts_is_warned_of_for_a_month_and_what_is_short_at_its_end() {
        let mut credential =
            Credential::new(Some(Secret::new(TOKEN.into())), KeyOrigin::Fixed, 300_000);
        let ends_ms = 1_800_000_000_500;
        let words = |credential: &Credential, wall_ms| credential.expiry()?.words(wall_ms);
        assert_eq!(words(&credential, ends_ms - WARN_MS - 1), None);
        assert_eq!(
            words(&credential, ends_ms - WARN_MS / 10).unwrap(),
            "the orchestrator's token ends in 3 days: renew it"
        );
        credential.times.issued_ms = Some(ends_ms - 3_600_000);
        assert_eq!(words(&credential, ends_ms - 600_000), None);
        assert!(words(&credential, ends_ms - 200_000).is_some());
        credential.times = Times::default();
        assert_eq!(credential.expiry(), None);
    }
}
