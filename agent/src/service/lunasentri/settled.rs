//! What came of a request: counted, noted as an outage or its end, and said once.
//!
//! What becomes of the sample is `mote_core::delivery`'s to decide.

use mote_core::delivery::{Outcome, Settled};
use mote_core::log_line::Value;
use mote_core::outage::Layer;
use mote_core::outbox::Cursor;
use mote_core::wire::lunasentri::Filing;

use super::MetricsServer;
use super::report::{
    failure, log_delivered, log_dropped, log_return, said, trouble, what_happened,
};
use crate::clock;
use crate::device::Device;
use crate::log;
use crate::uplink::{Answer, DeliveryError};

/// Clocks that are further apart do not agree.
const DAY_MS: u64 = 86_400_000;

impl MetricsServer {
    /// Takes the outcome; `true` if the key was refused.
    pub(super) fn settle(
        &mut self,
        device: &mut Device,
        cursor: Cursor,
        sent: &Result<Answer<'_>, DeliveryError>,
    ) -> bool {
        let now_ms = clock::boot_ms();
        let sample = device.outbox.get(cursor);
        let outcome = match sent {
            Ok(answer) => Outcome::Answer {
                status: answer.status,
                retry_after_ms: answer.retry_after_ms,
                filing: Filing::of_body(answer.body),
            },
            // Only what says that a sample was taken must arrive whole.
            Err(DeliveryError::BodyTooLarge(status, _)) if !(200..300).contains(status) => {
                Outcome::Answer {
                    status: *status,
                    retry_after_ms: None,
                    filing: Filing::Unknown,
                }
            }
            Err(error) if error.layer() == Some(Layer::Http) => Outcome::Broken,
            Err(_) => Outcome::NoAnswer,
        };
        let settled = self
            .delivery
            .settle(&mut device.outbox, cursor, outcome, now_ms);
        let delivered = matches!(settled, Settled::Delivered { .. });
        let (words, trouble) = if delivered {
            (String::new(), String::new())
        } else {
            (said(sent, &self.api_key), trouble(sent))
        };
        self.trouble = trouble;
        // Trouble with one held sample is no outage.
        let failed = !delivered && !matches!(settled, Settled::Troubled { .. });
        if let Some(failure) = failure(sent, now_ms).filter(|_| failed) {
            self.outages.failed(failure);
        }
        let held = Value::Uint(device.outbox.len() as u64);
        match settled {
            Settled::Delivered { dropped, .. } => {
                // One that had to go while it was sent is counted as that already.
                device.counts.sent += u64::from(sample.is_some());
                device.counts.dropped_late += u64::from(dropped);
                let is_of_this_start = cursor.origin() == 0;
                if sample.is_some_and(|sample| sample.with_info && is_of_this_start) {
                    self.info_due = false;
                }
                if let (Ok(answer), Some(sample)) = (sent, sample) {
                    log_delivered(answer, &sample);
                }
                log_dropped(dropped);
                self.is_same_day = tells_the_same_day(sent);
                if let Some(outage) = self.outages.delivered(now_ms) {
                    log_return(outage, dropped, device.outbox.len());
                }
            }
            Settled::Troubled { tries, dropped } => {
                device.counts.dropped_refused += u64::from(dropped);
                let mut fields = what_happened(sent, &words);
                fields.push(("tries", Value::Uint(tries.into())));
                fields.push(("dropped", Value::Bool(dropped)));
                log::error("A held sample was not taken, fresh ones are", &fields);
            }
            Settled::Refused { hold_ms } => {
                device.counts.dropped_refused += u64::from(sample.is_some());
                let mut fields = what_happened(sent, &words);
                fields.extend(hold_ms.map(|ms| ("retry_in_ms", Value::Uint(ms))));
                log::error("Sample refused by the server and dropped", &fields);
            }
            Settled::Retry {
                attempt,
                in_ms,
                holding,
            } => {
                let mut fields = what_happened(sent, &words);
                fields.extend([
                    ("attempt", Value::Uint(attempt.into())),
                    ("retry_in_ms", Value::Uint(in_ms)),
                ]);
                if holding {
                    fields.push(("held", held));
                    log::error("Metrics send failed, holding samples", &fields);
                } else {
                    log::error("Metrics send failed", &fields);
                }
            }
            Settled::KeyRefused { in_ms, first } => {
                if first {
                    let mut fields = what_happened(sent, &words);
                    fields.extend([("retry_in_ms", Value::Uint(in_ms)), ("held", held)]);
                    log::error("API key refused, holding samples: check api_key", &fields);
                }
                return true;
            }
            Settled::NotThere { in_ms, first } => {
                if first {
                    let mut fields = what_happened(sent, &words);
                    fields.extend([("retry_in_ms", Value::Uint(in_ms)), ("held", held)]);
                    log::error(
                        "What answers is not the metrics server, holding samples: check server_url",
                        &fields,
                    );
                }
            }
        }
        false
    }
}

impl MetricsServer {
    /// Says once that held samples wait for an answer that tells what to do with them.
    pub(super) fn tell_loss(&mut self, held: usize) {
        let is_at_a_loss = self.delivery.is_at_a_loss() && held > 0;
        if is_at_a_loss && !self.was_at_a_loss {
            log::warn(
                "The server's answer is neither empty nor the documented one, held samples wait: set \
                 backfill to on or off if that is how it answers",
                &[("held", Value::Uint(held as u64))],
            );
        }
        self.was_at_a_loss = is_at_a_loss;
    }
}

fn tells_the_same_day(sent: &Result<Answer<'_>, DeliveryError>) -> bool {
    let date_ms = sent.as_ref().ok().and_then(|answer| answer.date_ms);
    date_ms.is_some_and(|date_ms| date_ms.abs_diff(clock::wall_ms()) < DAY_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, Settings};
    use crate::setup::Target;

    fn server(settings: &Settings) -> MetricsServer {
        let target = Target::of(settings).unwrap();
        let (hostname, prefix) = ("gw-7".to_owned(), "gw-7.1-1-".to_owned());
        MetricsServer::new(settings, &target, hostname, prefix, 1)
    }

    fn settings() -> Settings {
        Settings {
            server_url: Some("https://hub.example.com".into()),
            api_key: Some(Secret::new("key".into())),
            buffer_samples: 2,
            ..Settings::default()
        }
    }

    #[test]
    fn a_clock_is_proved_right_only_by_a_server_that_tells_the_same_day() {
        let settings = settings();
        let mut server = server(&settings);
        let mut device = Device::new(&settings, 0).unwrap();
        let now_ms = clock::wall_ms();
        for (date_ms, is_same_day) in [
            (Some(now_ms), true),
            (None, false),
            (Some(now_ms - DAY_MS / 2), true),
            (Some(now_ms + 2 * DAY_MS), false),
            (Some(now_ms - 2 * DAY_MS), false),
        ] {
            device.tick();
            let answer = Answer {
                status: 202,
                retry_after_ms: None,
                date_ms,
                body: b"",
                took_ms: 1,
            };
            let newest = device.outbox.newest().unwrap();
            server.settle(&mut device, newest, &Ok(answer));
            assert_eq!(server.is_same_day, is_same_day, "{date_ms:?} {now_ms}");
        }
    }

    #[test]
    fn a_sample_that_had_to_go_while_it_was_sent_is_counted_once() {
        for status in [200, 400] {
            let settings = settings();
            let mut server = server(&settings);
            let mut device = Device::new(&settings, 0).unwrap();
            device.tick();
            device.tick();
            let oldest = device.outbox.oldest().unwrap();
            // The outbox is full: the next one takes its place while it is on its way.
            device.tick();
            let answer = Answer {
                status,
                retry_after_ms: None,
                date_ms: None,
                body: b"",
                took_ms: 1,
            };
            server.settle(&mut device, oldest, &Ok(answer));
            let counts = device.counts;
            let held = device.outbox.len() as u64;
            let known = counts.sent + counts.dropped() + held;
            assert_eq!(counts.collected, known, "{status}: {counts:?}");
        }
    }
}
