//! Which start of the agent this is.
//!
//! `start` holds an identity, drawn when the folder is new, and how often the agent started. Both go
//! into every `Idempotency-Key`, so that no key is ever used for two samples: neither after a
//! restart, nor after the folder was lost. Behind them stands when this start begins to work
//! (`pace.rs`). The file is written once a start, and once more by a good stop that comes right
//! after it.

use std::io::Read;
use std::path::Path;

use mote_core::log_line::Value;
use ring::rand::{SecureRandom, SystemRandom};

use super::flash;
use super::pace::Pace;
use super::store::open;
use super::write_whole;
use crate::log;

/// Hex digits of an identity.
const IDENTITY_DIGITS: usize = 16;

/// This start of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// 64 random bits, drawn when the folder was new.
    pub identity: String,
    /// Counted from 1.
    pub number: u64,
}

impl Start {
    /// A start that no folder remembers.
    pub fn alone() -> Self {
        Self {
            identity: draw_identity(),
            number: 1,
        }
    }
}

/// What the file says; `None` if there is none, or it says nothing that we wrote.
pub(super) fn read(path: &Path) -> Option<(Start, Option<Pace>)> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|found| match found {
        Some((file, _)) => file.take(256).read_to_end(&mut bytes).map(Some),
        None => Ok(None),
    });
    let why = match read {
        Ok(None) => return None,
        Ok(Some(_)) => match str::from_utf8(&bytes).ok().and_then(parse) {
            Some(start) => return Some(start),
            None => "it says nothing that was written here".to_owned(),
        },
        Err(error) => error.to_string(),
    };
    flash::damaged();
    log::warn(
        "State file is damaged, beginning anew",
        &[
            ("path", Value::Str(&path.to_string_lossy())),
            ("error", Value::Str(&why)),
        ],
    );
    None
}

fn parse(text: &str) -> Option<(Start, Option<Pace>)> {
    let (identity, rest) = text.strip_suffix('\n')?.split_once(' ')?;
    let is_identity = identity.len() == IDENTITY_DIGITS
        && identity
            .bytes()
            .all(|byte| b"0123456789abcdef".contains(&byte));
    let (number, pace) = match rest.split_once(' ') {
        Some((number, pace)) => (number, Some(Pace::parse(pace)?)),
        None => (rest, None),
    };
    let number: u64 = number.parse().ok()?;
    let start = Start {
        identity: identity.to_owned(),
        number,
    };
    (is_identity && number > 0 && number < u64::MAX).then_some((start, pace))
}

/// Replaces the file.
pub(super) fn write(folder: &Path, start: &Start, pace: Option<&Pace>) -> std::io::Result<()> {
    let pace = pace.map(|pace| format!(" {pace}")).unwrap_or_default();
    let text = format!("{} {}{pace}\n", start.identity, start.number);
    write_whole(&folder.join("start"), text.as_bytes(), None)
}

fn draw_identity() -> String {
    let mut random = [0; 8];
    // Without a random source there is no TLS either; the number of the process then has to do.
    if SystemRandom::new().fill(&mut random).is_err() {
        random = u64::from(std::process::id()).to_be_bytes();
    }
    format!("{:016x}", u64::from_be_bytes(random))
}
