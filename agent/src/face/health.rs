//! Whether the agent is well, and whether it does what it is for.
//!
//! Health is about this process alone: the loop goes round and samples are taken on time. A
//! server that is away is no reason to restart an agent that holds what it cannot deliver, so the
//! server has no part in it. Ready is about the work: the configuration that was given is the one
//! in force, and what is taken gets to the server or is held with room to spare: samples, and the
//! results of instructions. A plugin that fails and a certificate that ends are for people to see;
//! the rest goes on.
//!
//! Both show the state of every part, and what is to be warned of.

use mote_core::Full;
use mote_core::delivery::Standing;
use mote_core::wire::pieces::{Json, Pieces};

use super::routes::Desk;
use super::{orchestrator, plugins, warnings};
use crate::board::Uplink;
use crate::clock;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// Does the process live?
    Health,
    /// Does it do its work?
    Ready,
}

/// A sample that comes this much later than it should is not late yet.
const GRACE_MS: u64 = 1_000;

/// Whether the answer is yes.
pub fn is_good(desk: &Desk<'_>, question: Question) -> bool {
    let samples = is_sampling(desk);
    match question {
        Question::Health => samples,
        Question::Ready => {
            let other = desk.board.orchestrator.as_ref();
            let delivers = desk.board.uplink.as_ref().is_none_or(|uplink| {
                uplink.standing == Standing::Delivering
                    || (is_waiting(uplink.standing) && room(desk) > 0)
            });
            let works = delivers && other.is_none_or(orchestrator::is_good);
            samples && desk.board.reload_trouble.is_empty() && works
        }
    }
}

/// Writes the answer.
pub fn write(desk: &Desk<'_>, question: Question, out: &mut Pieces<'_>) -> Result<(), Full> {
    let word = |is_good: bool| Json::Str(if is_good { "ok" } else { "failing" });
    let words = |text: &'static str| Json::Str(text);
    let board = desk.board;
    out.open()?;
    out.fields(&[("status", word(is_good(desk, question)))])?;
    out.fields(&[(
        "sampler",
        Json::Object(&[
            ("state", word(is_sampling(desk))),
            ("age_ms", Json::uint(age_ms(desk))),
            ("missed", Json::Uint(desk.device.missed())),
        ]),
    )])?;
    let reload = board.reload_trouble.as_str();
    out.fields(&[(
        "configuration",
        Json::Object(&[
            ("state", word(reload.is_empty())),
            ("trouble", some(reload)),
        ]),
    )])?;
    let uplink = board.uplink.as_ref();
    out.fields(&[(
        "uplink",
        Json::Object(&[
            (
                "state",
                words(uplink.map_or("not configured", |uplink| standing(uplink.standing))),
            ),
            (
                "trouble",
                some(uplink.map_or("", |uplink| uplink.trouble.as_str())),
            ),
        ]),
    )])?;
    out.fields(&[(
        "outbox",
        Json::Object(&[
            ("state", words(if room(desk) > 0 { "ok" } else { "full" })),
            ("held", Json::Uint(desk.device.outbox.len() as u64)),
            ("room", Json::Uint(room(desk))),
        ]),
    )])?;
    out.fields(&[("clock", Json::Object(&[("state", words(clock::trust()))]))])?;
    let tls = uplink.map_or("", |uplink: &Uplink| uplink.tls_trouble.as_str());
    out.fields(&[(
        "certificates",
        Json::Object(&[("state", word(tls.is_empty())), ("trouble", some(tls))]),
    )])?;
    orchestrator::write(desk, out)?;
    plugins::write_part(desk.plugins, out)?;
    warnings::write(desk, out)?;
    out.close()
}

/// Where the server stands, in one word.
pub fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "unknown",
        Standing::Delivering => "delivering",
        Standing::Away => "away",
        Standing::Refusing => "refusing",
        Standing::KeyRefused => "key_refused",
        Standing::NotThere => "not_there",
    }
}

/// Words, if there are any.
pub fn some(words: &str) -> Json<'_> {
    if words.is_empty() {
        Json::Null
    } else {
        Json::Str(words)
    }
}

/// Samples that the outbox still has room for.
pub fn room(desk: &Desk<'_>) -> u64 {
    let outbox = &desk.device.outbox;
    outbox.capacity().saturating_sub(outbox.len()) as u64
}

/// How old the last sample is.
pub fn age_ms(desk: &Desk<'_>) -> Option<u64> {
    let last_ms = desk.device.last_ms()?;
    Some(desk.now_ms.saturating_sub(last_ms))
}

fn is_sampling(desk: &Desk<'_>) -> bool {
    desk.now_ms < desk.device.next_ms() + desk.device.interval_ms() + GRACE_MS
}

/// Whether it will do good to wait, without anybody's help.
fn is_waiting(standing: Standing) -> bool {
    match standing {
        Standing::Unknown | Standing::Delivering | Standing::Away => true,
        // These take somebody who looks after the server, the key or the address.
        Standing::Refusing | Standing::KeyRefused | Standing::NotThere => false,
    }
}
