//! What holds for a time only and takes a person to renew: certificates that this device shows, and
//! tokens. From 30 days before the end of one it is warned of.
//!
//! Moments are Unix milliseconds where they are an end, `CLOCK_BOOTTIME` milliseconds where a file
//! is looked at. Only dates are read: whether a certificate or token is good is its server's to say.

use std::path::PathBuf;

use mote_core::certificate;

use crate::uplink::tls::first_certificate;

const DAY_MS: u64 = 86_400_000;
/// What lasts is warned of this long before its end.
pub const WARN_MS: u64 = 30 * DAY_MS;
/// Between two looks at a file.
const LOOK_MS: u64 = 3_600_000;

/// The end of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// What ends, in words that a sentence can begin with.
    pub what: &'static str,
    /// When, Unix milliseconds.
    pub ends_ms: u64,
    /// How long before a person is to be told, milliseconds.
    pub before_ms: u64,
}

impl Expiry {
    /// Whole days that are left, if it is time to tell.
    pub fn days_left(&self, wall_ms: u64) -> Option<u64> {
        let left_ms = self.ends_ms.saturating_sub(wall_ms);
        (left_ms <= self.before_ms).then_some(left_ms / DAY_MS)
    }

    /// What a person should be told, if it is time.
    pub fn words(&self, wall_ms: u64) -> Option<String> {
        let what = self.what;
        Some(match self.days_left(wall_ms)? {
            0 if wall_ms >= self.ends_ms => [what, " has ended: renew it"].concat(),
            0 => [what, " ends within a day: renew it"].concat(),
            days => format!("{what} ends in {days} days: renew it"),
        })
    }
}

/// A certificate in a file that somebody renews while the agent runs.
#[derive(Debug)]
pub struct Certificate {
    what: &'static str,
    path: Option<PathBuf>,
    expiry: Option<Expiry>,
    look_ms: u64,
    /// What was said of it last.
    said: Option<String>,
}

impl Certificate {
    /// The one in `path`, if there is one; it is looked at when it is first asked about.
    pub fn new(what: &'static str, path: Option<PathBuf>) -> Self {
        Self {
            what,
            path,
            expiry: None,
            look_ms: 0,
            said: None,
        }
    }

    /// Its end, if its file could be read.
    pub fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// Reads its file again if the last time was an hour ago; gives what a person should be told,
    /// if that is something new.
    pub fn look(&mut self, now_ms: u64, wall_ms: u64) -> Option<&str> {
        let path = self.path.as_ref()?;
        if now_ms < self.look_ms {
            return None;
        }
        self.look_ms = now_ms + LOOK_MS;
        let what = self.what;
        let ends_ms = first_certificate(path).and_then(|der| certificate::not_after_ms(&der));
        self.expiry = ends_ms.map(|ends_ms| Expiry {
            what,
            ends_ms,
            before_ms: WARN_MS,
        });
        let words = self.expiry.and_then(|expiry| expiry.words(wall_ms));
        let is_news = words != self.said;
        self.said = words;
        self.said.as_deref().filter(|_| is_news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_from_thirty_days_before_and_by_the_day() {
        let expiry = Expiry {
            what: "the certificate x",
            ends_ms: 100 * DAY_MS,
            before_ms: WARN_MS,
        };
        assert_eq!(expiry.words(70 * DAY_MS - 1), None);
        for (wall_ms, days, words) in [
            (
                70 * DAY_MS,
                30,
                "the certificate x ends in 30 days: renew it",
            ),
            (
                90 * DAY_MS + 1,
                9,
                "the certificate x ends in 9 days: renew it",
            ),
            (
                99 * DAY_MS + 1,
                0,
                "the certificate x ends within a day: renew it",
            ),
            (100 * DAY_MS, 0, "the certificate x has ended: renew it"),
            (300 * DAY_MS, 0, "the certificate x has ended: renew it"),
        ] {
            assert_eq!(expiry.days_left(wall_ms), Some(days), "{wall_ms}");
            assert_eq!(expiry.words(wall_ms).as_deref(), Some(words));
        }
    }

    #[test]
    fn without_a_file_there_is_no_end_and_one_that_is_gone_is_forgotten() {
        let mut certificate = Certificate::new("the certificate x", None);
        assert_eq!(certificate.look(1, 0), None);
        assert_eq!(certificate.expiry(), None);
        let mut certificate = Certificate::new("x", Some("/nonexistent/x.pem".into()));
        assert_eq!(certificate.look(1, u64::MAX), None);
        assert_eq!(certificate.expiry(), None);
    }
}
