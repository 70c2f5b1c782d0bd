//! The metrics server: which sample it gets next, in what words, and what its answer means here.
//!
//! The order and the pace are `mote_core::delivery`'s. `request.rs` turns a held sample into a
//! request, `settled.rs` an answer into counts and a log line. What a sample's first sending gave it
//! (its wall time, whether the system information goes along) is written back into the outbox, so
//! that a repeat is the same bytes under the same `Idempotency-Key`. The words are `report.rs`'s.

mod report;
mod request;
mod settled;

use std::rc::Rc;

use http::Uri;
use http::uri::Scheme;
use mote_core::backlog::Origin;
use mote_core::delivery::{Delivery, Next, Policy, Standing, address_spread_ms};
use mote_core::log_line::Value;
use mote_core::outage::{Layer, Outages};
use mote_core::outbox::Cursor;
use mote_core::wire::lunasentri::Form;

use crate::clock;
use crate::config::{Secret, Settings, read_again};
use crate::device::Samples;
use crate::log;
use crate::setup::Target;
use crate::state::State;
use crate::sysinfo::Inventory;
use crate::uplink::link::Link;
use crate::uplink::{DeliveryError, Headers, Uplink};
pub use report::{cause, server_words};

/// A payload fits with every text at its longest and every letter escaped.
pub const PAYLOAD_BYTES: usize = 8 * 1024;
/// How often the clock is looked at while it matters, and the longest time that attempts of a
/// whole fleet are spread over: together less than the minute in which a device must recover.
const LOOK_MS: u64 = 25_000;
/// So long after the device started its clock may still be about to be set: what leaves it before that
/// would have a wrong time for ever.
const CLOCK_GRACE_MS: u64 = 120_000;
/// How often is looked whether it was.
const CLOCK_LOOK_MS: u64 = 1_000;

/// The metrics server.
#[derive(Debug)]
pub struct MetricsServer {
    uri: Uri,
    headers: Headers,
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
    /// The `Idempotency-Key` of what is in `payload`.
    key: String,
    /// Why the last attempt failed, for people; empty if it did not.
    trouble: String,
    outages: Outages,
    /// When the last sample was taken the server's clock told the day that this device's did.
    is_same_day: bool,
    /// Held samples waited, when that was last looked at, for an answer that says what to do with them.
    was_at_a_loss: bool,
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
            key: String::new(),
            trouble: String::new(),
            outages: Outages::new(),
            is_same_day: false,
            was_at_a_loss: false,
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
            self.info_due = true;
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

    /// The clock was set: the time of the start is another now, and a certificate that was refused for
    /// its dates may be good. So is a fleet's whose clocks were set together, and it does not come back
    /// in one moment.
    pub fn clock_was_set(&mut self, now_ms: u64) {
        self.info_next_ms = self.info_next_ms.min(now_ms);
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

    /// Whether this server took the last sample, and what it showed over TLS was good.
    pub fn is_verified(&self) -> bool {
        self.delivery.standing() == Standing::Delivering
            && self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether the clock is known to be right: it is synchronized, what this server showed over TLS was
    /// good by it, and the server's own clock agrees. A certificate alone proves little: one of a
    /// network's own authority may be good for decades.
    pub fn proves_the_clock(&self) -> bool {
        self.is_verified() && self.is_same_day && clock::is_synchronized() == Some(true)
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
        match wait_for_clock_ms(now_ms, clock::is_set) {
            Some(until_ms) => Next::Wait { until_ms },
            None => self.delivery.next(outbox, now_ms),
        }
    }

    /// Whether the sample at `cursor` is one that the server was not offered yet, rather than one of
    /// the backlog.
    pub fn is_fresh(&self, outbox: &Samples, cursor: Cursor) -> bool {
        self.delivery.is_fresh(outbox, cursor)
    }

    /// Sends the sample at `cursor` and takes what comes of it. False if nothing did: it could not
    /// be written, or the agent stops.
    pub fn deliver(&mut self, link: &Rc<Link>, uplink: &mut Uplink, cursor: Cursor) -> bool {
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
        self.tell_loss(link.reactor().device.outbox.len());
        if key_refused {
            self.read_key_again();
        }
        true
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

/// When to look again, if samples wait for the clock: on a device without a battery that was switched
/// on just now, the network is there sooner than the time.
fn wait_for_clock_ms(now_ms: u64, is_set: impl Fn() -> bool) -> Option<u64> {
    let waits = now_ms < CLOCK_GRACE_MS && !is_set();
    waits.then(|| (now_ms + CLOCK_LOOK_MS).min(CLOCK_GRACE_MS))
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

fn headers(api_key: &Secret, user_agent: &'static str) -> Headers {
    let mut headers = Headers::default();
    // A plan holds no key that a header cannot carry.
    headers.add("Authorization", &format!("Bearer {}", api_key.expose()));
    headers.add("Content-Type", "application/json");
    headers.add("User-Agent", user_agent);
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_wait_for_a_clock_that_may_still_be_set() {
        assert_eq!(wait_for_clock_ms(5_000, || false), Some(6_000));
        assert_eq!(wait_for_clock_ms(119_500, || false), Some(120_000));
        assert_eq!(wait_for_clock_ms(5_000, || true), None);
        assert_eq!(wait_for_clock_ms(120_000, || false), None);
    }

    #[test]
    fn the_defaults_are_the_policy_that_a_fleet_is_simulated_with() {
        let settings = Settings::default();
        assert_eq!(policy(&settings), Policy::usual(settings.interval_ms));
    }
}
