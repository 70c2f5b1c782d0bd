//! The metrics server: which sample it gets next, in what words, and what its answer means here.
//!
//! The order and the pace are `mote_core::delivery`'s. This file turns a held sample into a
//! request, and an answer into a log line. What a sample's first sending gave it (its wall time,
//! whether the system information goes along) is written back into the outbox, so that a repeat
//! is the same bytes under the same `Idempotency-Key`. The words are `report`'s.

mod report;

use std::sync::Arc;

use mote_core::backlog::Origin;
use mote_core::delivery::{Delivery, Next, Outcome, Policy, Settled, Standing, address_spread_ms};
use mote_core::log_line::Value;
use mote_core::outage::{Layer, Outages};
use mote_core::outbox::Cursor;
use mote_core::sample::Sample;
use mote_core::wire::lunasentri::{EncodeError, Form, encode, is_documented_acceptance};
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, USER_AGENT};
use ureq::http::uri::Scheme;
use ureq::http::{HeaderValue, Method, Uri};

use crate::agent::key_prefix;
use crate::clock;
use crate::config::{Secret, Settings, read_again};
use crate::device::{Device, Samples};
use crate::log;
use crate::setup::Target;
use crate::state::backlog::mended_ms;
use crate::state::{Start, State};
use crate::sysinfo::Inventory;
use crate::uplink::link::Link;
use crate::uplink::{Answer, DeliveryError, Request, Uplink};
pub use report::{cause, server_words};
use report::{failure, log_delivered, log_dropped, log_return, said, trouble, what_happened};

/// A payload fits with every text at its longest and every letter escaped.
pub const PAYLOAD_BYTES: usize = 8 * 1024;
/// How often the clock is looked at while it matters, and the longest time that attempts of a
/// whole fleet are spread over: together less than the minute in which a device must recover.
const LOOK_MS: u64 = 25_000;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The metrics server.
#[derive(Debug)]
pub struct MetricsServer {
    uri: Uri,
    headers: HeaderMap,
    /// Begins every `Idempotency-Key`: `<device>-<start>-`.
    key_prefix: String,
    form: Form,
    hostname: String,
    settings: Settings,
    api_key: Secret,
    delivery: Delivery,
    inventory: Inventory,
    /// The information is to go with what is sent next.
    info_due: bool,
    info_next_ms: u64,
    payload: Vec<u8>,
    /// Why the last attempt failed, for people; empty if it did not.
    trouble: String,
    outages: Outages,
}

impl MetricsServer {
    /// Prepares for `settings`, as `hostname`, with `key_prefix` in front of every key.
    pub fn new(
        settings: &Settings,
        target: &Target,
        hostname: String,
        key_prefix: String,
        seed: u64,
    ) -> Self {
        let inventory = Inventory::read(settings, &hostname);
        inventory.log();
        Self {
            uri: target.uri.clone(),
            headers: headers(&target.api_key, settings.persona.user_agent()),
            key_prefix,
            form: settings.payload,
            hostname,
            settings: settings.clone(),
            api_key: target.api_key.clone(),
            delivery: Delivery::new(policy(settings), seed),
            inventory,
            info_due: true,
            info_next_ms: clock::boot_ms() + settings.system_info_period_ms,
            payload: vec![0; PAYLOAD_BYTES],
            trouble: String::new(),
            outages: Outages::new(),
        }
    }

    /// Goes on with other settings. What a held sample's first sending gave it stays true: the
    /// name, the form and the information that went along are not among what a reload changes.
    pub fn reconfigure(&mut self, settings: &Settings, target: &Target, seed: u64) {
        self.uri = target.uri.clone();
        let key_changed = target.api_key.expose() != self.api_key.expose();
        self.headers = headers(&target.api_key, settings.persona.user_agent());
        self.api_key = target.api_key.clone();
        if settings.server_url == self.settings.server_url {
            // What the server asked for, it asked for before the reload too.
            self.delivery.change_policy(policy(settings));
            if key_changed {
                self.delivery.retry_now();
            } else {
                // What was changed, say a proxy or an authority, may be what it took.
                self.look_again(clock::boot_ms());
            }
        } else {
            self.delivery = Delivery::new(policy(settings), seed);
            self.outages = Outages::new();
        }
        let due_ms = clock::boot_ms() + settings.system_info_period_ms;
        self.info_next_ms = self.info_next_ms.min(due_ms);
        self.settings = settings.clone();
    }

    /// Where the server stands.
    pub fn standing(&self) -> Standing {
        self.delivery.standing()
    }

    /// The server's URL, as it was configured.
    pub fn url(&self) -> &str {
        self.settings.server_url.as_deref().unwrap_or_default()
    }

    /// Why the last attempt failed; empty if it did not.
    pub fn trouble(&self) -> &str {
        &self.trouble
    }

    /// Failures since the last delivery.
    pub fn failures(&self) -> u32 {
        self.delivery.failures()
    }

    /// The clock was set: a certificate that was refused for its dates may be good now. So is a
    /// fleet's whose clocks were set together, and it does not come back in one moment.
    pub fn clock_was_set(&mut self, now_ms: u64) {
        if self.outages.last_layer() == Some(Layer::Tls) {
            self.delivery.retry_within(now_ms, self.spread_ms());
        }
    }

    /// Whether the last attempt failed without a word of the server: the network may be gone.
    pub fn is_cut_off(&self) -> bool {
        self.outages.is_unanswered()
    }

    /// The network came back, perhaps, or the configuration was read again: the server may be
    /// within reach. One that answered said itself when to come again.
    pub fn look_again(&mut self, now_ms: u64) {
        if self.is_cut_off() {
            let spread_ms = address_spread_ms(self.settings.interval_ms);
            self.delivery.retry_within(now_ms, spread_ms);
        }
    }

    /// When to look at the clock again while it may be why nothing is delivered.
    pub fn look_again_ms(&self, now_ms: u64) -> u64 {
        match self.outages.last_layer() {
            Some(Layer::Tls) => now_ms + LOOK_MS,
            _ => u64::MAX,
        }
    }

    /// Whether the clock is known to be right: it is synchronized, and what this server showed over
    /// TLS was good by it.
    pub fn proves_the_clock(&self) -> bool {
        self.delivery.standing() == Standing::Delivering
            && self.uri.scheme() == Some(&Scheme::HTTPS)
            && clock::is_synchronized() == Some(true)
    }

    /// What the samples of this start are sent with.
    pub fn origin(&self, state: &State) -> Origin<'_> {
        Origin {
            // Drawn or read as sixteen hex digits.
            identity: u64::from_str_radix(&state.start.identity, 16).unwrap_or(0),
            start: state.start.number,
            boot_id: state.boot_id,
            form: self.form,
            info: self.inventory.as_info(),
        }
    }

    /// What the server's outages were like, this one and the last.
    pub fn outages(&self) -> &Outages {
        &self.outages
    }

    /// Over this time a fleet's attempts are spread whose clocks were set.
    fn spread_ms(&self) -> u64 {
        self.settings.interval_ms.min(LOOK_MS)
    }

    /// What to send now, or how long to wait.
    pub fn next(&self, outbox: &Samples, now_ms: u64) -> Next {
        self.delivery.next(outbox, now_ms)
    }

    /// Whether the sample at `cursor` is one that the server was not offered yet, rather than one of
    /// the backlog.
    pub fn is_fresh(&self, outbox: &Samples, cursor: Cursor) -> bool {
        self.delivery.is_fresh(outbox, cursor)
    }

    /// Sends the sample at `cursor` and takes what comes of it. False if nothing did: it could not
    /// be written, or the agent stops.
    pub fn deliver(&mut self, link: &Arc<Link>, uplink: &mut Uplink, cursor: Cursor) -> bool {
        self.renew_inventory(&link.reactor().device.outbox, clock::boot_ms());
        if self.delivery.failures() > 0 {
            log::info(
                "Retrying metrics send",
                &[
                    ("attempt", Value::Uint(self.delivery.failures().into())),
                    ("max_retries", Value::Uint(self.settings.max_retries.into())),
                ],
            );
        }
        let sent = self.post(link, uplink, cursor);
        let Some(sent) = sent.filter(|sent| !matches!(sent, Err(DeliveryError::Stopped))) else {
            return false;
        };
        let key_refused = self.settle(&mut link.reactor().device, cursor, &sent);
        if key_refused {
            self.read_key_again();
        }
        true
    }

    /// Sends the sample at `cursor`; `None` if it is gone, or cannot be written.
    pub fn post<'u>(
        &mut self,
        link: &Arc<Link>,
        uplink: &'u mut Uplink,
        cursor: Cursor,
    ) -> Option<Result<Answer<'u>, DeliveryError>> {
        // The bytes are copied out here: while the request runs, samples go on coming in.
        let (sample, length, key) = self.prepare(&mut link.reactor().device, cursor)?;
        let mut headers = self.headers.clone();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::try_from(key).ok()?);
        let request = Request {
            method: Method::POST,
            uri: &self.uri,
            headers,
            body: &self.payload[..length],
        };
        let sent = uplink.send(&request);
        // What did not leave the device may still be said differently: a clock that is not set yet
        // will be.
        if link.has_left() {
            remember(&mut link.reactor().device, cursor, &sample);
        }
        Some(sent)
    }

    /// Writes the payload of a sample; gives it as its first sending makes it, the length, and the
    /// key. One that an earlier start took is sent as that start would have.
    fn prepare(&mut self, device: &mut Device, cursor: Cursor) -> Option<(Sample, usize, String)> {
        let outbox = &device.outbox;
        let mut sample = outbox.get(cursor)?;
        let (now_ms, wall_ms) = (clock::boot_ms(), clock::wall_ms());
        if sample.wall_ms.is_none() {
            sample.stamp(now_ms, wall_ms);
            sample.with_info = self.info_due && self.form != Form::Documented;
        } else if outbox.marks(cursor)?.provisional {
            let mended_ms = mended_ms(sample.boot_ms, sample.wall_ms, now_ms, wall_ms);
            sample.wall_ms = mended_ms.or(sample.wall_ms);
        }
        let this = self.inventory.as_info();
        let (form, info, key) = match device.origin(cursor) {
            Some(origin) => {
                let start = Start {
                    identity: format!("{:016x}", origin.identity),
                    number: origin.start,
                };
                let key = key_prefix(origin.info.hostname, &start);
                (origin.form, origin.info, key)
            }
            None => (self.form, this, self.key_prefix.clone()),
        };
        let key = format!("{key}{}", sample.number);
        let encoded = encode(
            form,
            info.hostname,
            &sample,
            sample.with_info.then_some(&info),
            &mut self.payload[..],
        );
        match encoded {
            Ok(length) => Some((sample, length, key)),
            Err(error) => {
                let reason = match error {
                    EncodeError::Full => "its payload is larger than 8 KiB: shorten hostname",
                    EncodeError::NoTime => "it has no time",
                };
                log::error("Sample dropped", &[("error", Value::Str(reason))]);
                device.outbox.remove(cursor);
                device.counts.dropped_refused += 1;
                None
            }
        }
    }

    /// Takes the outcome; `true` if the key was refused.
    fn settle(
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
                documented: is_documented_acceptance(answer.body),
            },
            // Only what says that a sample was taken must arrive whole.
            Err(DeliveryError::BodyTooLarge(status, _)) if !(200..300).contains(status) => {
                Outcome::Answer {
                    status: *status,
                    retry_after_ms: None,
                    documented: false,
                }
            }
            Err(_) => Outcome::NoAnswer,
        };
        let words = said(sent, &self.api_key);
        let settled = self
            .delivery
            .settle(&mut device.outbox, cursor, outcome, now_ms);
        let delivered = matches!(settled, Settled::Delivered { .. });
        self.trouble = if delivered {
            String::new()
        } else {
            trouble(sent)
        };
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

    /// Keys are changed on servers first; where this one came from may have the new one by now.
    fn read_key_again(&mut self) {
        let error = match read_again(&self.settings.api_key_origin, true) {
            None => return,
            Some(Ok(key)) if key.expose() == self.api_key.expose() => return,
            Some(Ok(key)) if !key.fits_a_header() => "it has characters of its own".to_owned(),
            Some(Ok(key)) => {
                self.headers = headers(&key, self.settings.persona.user_agent());
                log::set_key_hash(key.fingerprint());
                self.api_key = key;
                self.delivery.retry_now();
                log::info("API key read again, it has changed", &[]);
                return;
            }
            Some(Err(error)) => error,
        };
        log::error("API key not read again", &[("error", Value::Str(&error))]);
    }

    /// Reads the system information again when its period is over, but not while a held sample
    /// was already tried with what it says now: a repeat must be the same bytes.
    fn renew_inventory(&mut self, outbox: &Samples, now_ms: u64) {
        if now_ms < self.info_next_ms || outbox.any_of_this_start(|sample| sample.with_info) {
            return;
        }
        self.inventory = Inventory::read(&self.settings, &self.hostname);
        self.inventory.log();
        self.info_due = true;
        self.info_next_ms = now_ms + self.settings.system_info_period_ms;
    }
}

/// Keeps what the first sending of a sample gave it.
fn remember(device: &mut Device, cursor: Cursor, sample: &Sample) {
    let Some(mut marks) = device.outbox.marks(cursor) else {
        return;
    };
    if device.outbox.get(cursor).as_ref() != Some(sample) {
        device.restamped |= marks.saved;
    }
    marks.provisional = false;
    device.outbox.update(cursor, sample, marks);
}

impl Inventory {
    fn log(&self) {
        let info = self.as_info();
        log::info(
            "System info collected",
            &[
                ("hostname", Value::Str(info.hostname)),
                ("platform", Value::Str(info.platform)),
                ("platform_version", Value::Str(info.platform_version)),
                ("kernel_version", Value::Str(info.kernel_version)),
                ("cpu_cores", Value::Uint(info.cpu_cores.into())),
                ("memory_total_mb", Value::Uint(info.memory_total_mb)),
                (
                    "disk_total_gb",
                    Value::Uint(info.disk_total_gb.unwrap_or(0)),
                ),
            ],
        );
    }
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        retry_first_ms: settings.retry_backoff_ms,
        retry_cap_ms: settings.retry_max_ms,
        jitter_permille: settings.retry_jitter_permille,
        max_retries: settings.max_retries,
        backfill: settings.backfill,
        backfill_every_ms: settings.backfill_every_ms(),
    }
}

fn headers(api_key: &Secret, user_agent: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(4);
    // A plan holds no key that a header cannot carry.
    if let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {}", api_key.expose())) {
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(user_agent));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_policy_that_a_fleet_is_simulated_with() {
        let settings = Settings::default();
        assert_eq!(policy(&settings), Policy::usual(settings.interval_ms));
    }

    #[test]
    fn a_sample_that_had_to_go_while_it_was_sent_is_counted_once() {
        for status in [200, 400] {
            let settings = Settings {
                server_url: Some("https://hub.example.com".into()),
                api_key: Some(Secret::new("key".into())),
                buffer_samples: 2,
                ..Settings::default()
            };
            let target = Target::of(&settings).unwrap();
            let (hostname, prefix) = ("gw-7".to_owned(), "gw-7.1-1-".to_owned());
            let mut server = MetricsServer::new(&settings, &target, hostname, prefix, 1);
            let mut device = Device::new(&settings, 0).unwrap();
            device.tick();
            device.tick();
            let oldest = device.outbox.oldest().unwrap();
            // The outbox is full: the next one takes its place while it is on its way.
            device.tick();
            let answer = Answer {
                status,
                retry_after_ms: None,
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
