//! What became of an attempt, in the words of the log and in the figures of the black box.

use mote_core::log_line::Value;
use mote_core::outage::{FIRST_STATUS, Failure, Layer, Outage, Spell};
use mote_core::sample::Sample;
use nix::errno::Errno;

use crate::config::Secret;
use crate::log;
use crate::uplink::{Answer, DeliveryError};

pub(super) fn log_delivered(answer: &Answer<'_>, sample: &Sample) {
    log::info(
        "Metrics sent successfully",
        &[
            ("status_code", Value::Uint(answer.status.into())),
            ("cpu_pct", Value::Tenths(sample.cpu)),
            ("mem_pct", Value::Tenths(sample.memory)),
            ("disk_pct", Value::Tenths(sample.disk)),
            ("took_ms", Value::Uint(answer.took_ms)),
        ],
    );
}

pub(super) fn log_dropped(dropped: u32) {
    if dropped > 0 {
        log::warn(
            "Held samples dropped, this server would file them at the wrong time",
            &[("dropped", Value::Uint(dropped.into()))],
        );
    }
}

/// Says what the outage was like that is over, and what it means for the samples that were held.
pub(super) fn log_return(outage: &Outage, dropped: u32, held: usize) {
    log::info(
        "Server is back",
        &[
            ("failures", Value::Uint(outage.failures.into())),
            ("away_ms", Value::Uint(outage.duration_ms())),
            ("layers", Value::Str(&outage.layers().to_string())),
            ("first", Value::Str(&cause(outage.first()))),
            ("last", Value::Str(&cause(outage.latest()))),
            ("held", Value::Uint(held as u64)),
            ("dropped", Value::Uint(dropped.into())),
        ],
    );
}

/// What failed, for people: `http 503`, or `tcp: Connection refused`.
pub fn cause(spell: &Spell) -> String {
    let layer = spell.layer.as_str();
    match (spell.layer, spell.code) {
        (_, 0) => layer.to_owned(),
        (Layer::Http | Layer::Proxy, FIRST_STATUS..) => format!("{layer} {}", spell.code),
        (_, code) => format!("{layer}: {}", Errno::from_raw(code.into()).desc()),
    }
}

/// What the black box is told of an attempt that was not good.
pub(super) fn failure(sent: &Result<Answer<'_>, DeliveryError>, boot_ms: u64) -> Option<Failure> {
    let (layer, code) = match sent {
        Ok(answer) => (Layer::Http, answer.status),
        Err(error) => (error.layer()?, error.code()),
    };
    Some(Failure {
        layer,
        code,
        boot_ms,
    })
}

/// Why the sample was not delivered, in words; none if it was.
pub(super) fn trouble(sent: &Result<Answer<'_>, DeliveryError>) -> String {
    match sent {
        Ok(answer) if (200..300).contains(&answer.status) => String::new(),
        Ok(answer) => format!("the server answered {}", answer.status),
        Err(error) => error.to_string(),
    }
}

/// What the server said, cut, and without the key if it repeats it.
pub fn server_words(answer: &Answer<'_>, api_key: &Secret) -> String {
    crate::service::said(answer.body, Some(api_key))
}

/// What the server or the error said.
pub(super) fn said(sent: &Result<Answer<'_>, DeliveryError>, api_key: &Secret) -> String {
    match sent {
        Ok(answer) => server_words(answer, api_key),
        Err(error) => error.to_string(),
    }
}

/// The fields of a log line that say why; `words` are what was said.
pub(super) fn what_happened<'a>(
    sent: &Result<Answer<'_>, DeliveryError>,
    words: &'a str,
) -> Vec<(&'static str, Value<'a>)> {
    match sent {
        Ok(answer) => {
            let mut fields = vec![("status_code", Value::Uint(answer.status.into()))];
            if !words.is_empty() {
                fields.push(("answer", Value::Str(words)));
            }
            fields
        }
        Err(error) => {
            let mut fields = vec![
                ("layer", Value::Str(error.layer_name())),
                ("error", Value::Str(words)),
            ];
            if let DeliveryError::BodyTooLarge(status, _) = error {
                fields.insert(0, ("status_code", Value::Uint((*status).into())));
            }
            fields
        }
    }
}
