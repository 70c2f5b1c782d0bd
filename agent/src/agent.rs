//! The agent, readable aloud: take what is due, send what is due, wait, until told to stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use mote_core::delivery::{Next, Standing};
use mote_core::log_line::Value;
use mote_core::outbox::Cursor;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::config::{self, Loaded, Settings, Sources, process_environment};
use crate::device::Device;
use crate::log;
use crate::notify::Notifier;
use crate::reactor::{Interest, Reactor, Wake};
use crate::service::lunasentri::MetricsServer;
use crate::service::orchestrator::{self, Duty, Orchestrator};
use crate::setup::Plan;
use crate::state::backlog::Backlog;
use crate::state::{Now, Start, State};
use crate::status;
use crate::sysinfo::hostname;
use crate::uplink::Uplink;
use crate::uplink::link::Link;

/// How the program ends (sysexits.h, where it has a code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As asked.
    Good = 0,
    /// Something failed that should not.
    Failed = 1,
    /// The command line.
    Usage = 64,
    /// The server was not reached.
    Unreached = 69,
    /// The state folder.
    State = 73,
    /// The user may not do this.
    Permission = 77,
    /// The configuration.
    Config = 78,
}

/// Why it did not do what was asked: how to end, and the words.
pub type Refusal = (Exit, String);

/// Watches and delivers until a signal says stop.
pub fn run(sources: &Sources) -> Result<(), Refusal> {
    let loaded = config::load(sources, &process_environment).map_err(|error| refuse(&error))?;
    let settings = &loaded.settings;
    let plan = Plan::of(settings).map_err(|lines| (Exit::Config, lines.join("\n")))?;
    introduce(&loaded, &plan, "LunaSentri agent starting");
    let base = settings.base_dir();
    let state = State::open(&base).map_err(|error| (Exit::State, error.to_string()))?;

    let mut reactor = start_reactor(settings)?;
    reactor.notifier = Notifier::from_environment();
    if let Some(begin_ms) = state.begin_ms() {
        if reactor.pause(begin_ms) == Wake::Stop {
            // Nothing ran that could have gone well: the next start waits too.
            return Ok(());
        }
        // Its schedule begins now.
        reactor.device = device(settings)?;
    }
    let mut backlog = state.backlog(&mut reactor.device);
    backlog.save_every_ms = settings.buffer_save_every_ms;
    let link = Arc::new(Link::new(reactor));
    let hostname = hostname(settings);
    let prefix = key_prefix(&hostname, &state.start);
    link.reactor().plugins = plan.plugins(settings, seed());
    let orchestrator = plan
        .orchestrator
        .as_ref()
        .map(|plan| Orchestrator::new(settings, plan, &state, &link, hostname.clone(), seed()));
    let mut servers = Servers {
        uplink: plan.uplink(settings, &link),
        metrics: MetricsServer::new(settings, &plan, hostname, prefix, seed()),
        orchestrator,
    };
    let mut disk = Disk { state, backlog };

    serve(sources, loaded.settings, &link, &mut servers, &mut disk);

    // Samples first: what runs may take its time to end.
    disk.stop(&link, &servers.metrics);
    if let Some(orchestrator) = &mut servers.orchestrator {
        orchestrator.stop(&link);
    }
    servers.log_status("Stopped", &link);
    disk.state.stopped_well();
    Ok(())
}

/// Those that the agent talks with, one at a time.
struct Servers {
    /// The way to the metrics server; the orchestrator's client has its own.
    uplink: Uplink,
    metrics: MetricsServer,
    orchestrator: Option<Orchestrator>,
}

/// What an attempt at a server gets that failed twice, while the other is well.
const SHORT_PATIENCE_MS: u64 = 3_000;
/// Failures after which that is so.
const PATIENT_FAILURES: u32 = 2;

/// What to do next.
enum Step {
    Call(Duty),
    Deliver(Cursor),
    Wait(u64),
}

impl Servers {
    /// The most urgent thing that is due: results, events, heartbeat, the newest sample, the look
    /// for an instruction, one sample of the backlog.
    fn next(&mut self, link: &Link) -> Step {
        let now_ms = clock::boot_ms();
        let idle = orchestrator::Next {
            duty: None,
            until_ms: u64::MAX,
        };
        let call = self.orchestrator.as_mut();
        let call = call.map_or(idle, |server| server.next(link, now_ms));
        let outbox = &link.reactor().device.outbox;
        let sample = self.metrics.next(outbox, now_ms);
        match (call.duty, sample) {
            (Some(duty), _) if duty < Duty::Poll => Step::Call(duty),
            (_, Next::Send(cursor)) if self.metrics.is_fresh(outbox, cursor) => {
                Step::Deliver(cursor)
            }
            (Some(duty), _) => Step::Call(duty),
            (None, Next::Send(cursor)) => Step::Deliver(cursor),
            (None, Next::Wait { until_ms }) => {
                let until_ms = until_ms.min(self.metrics.look_again_ms(now_ms));
                Step::Wait(until_ms.min(call.until_ms))
            }
            (None, Next::Idle) => Step::Wait(call.until_ms),
        }
    }

    fn deliver(&mut self, link: &Arc<Link>, cursor: Cursor) {
        let other_is_well = self
            .orchestrator
            .as_ref()
            .is_some_and(Orchestrator::is_well);
        let patience_ms = patience_ms(self.metrics.failures(), other_is_well);
        self.uplink.be_patient_for(patience_ms);
        self.metrics.deliver(link, &mut self.uplink, cursor);
        status::tell(link, &self.metrics);
    }

    fn call(&mut self, link: &Link, duty: Duty) {
        let other_is_well =
            self.metrics.failures() == 0 && self.metrics.standing() == Standing::Delivering;
        if let Some(server) = &mut self.orchestrator {
            server.be_patient_for(patience_ms(server.failures(), other_is_well));
            server.run(link, duty);
        }
    }

    fn log_status(&self, msg: &str, link: &Link) {
        status::log(msg, link, &self.metrics);
        if let Some(orchestrator) = &self.orchestrator {
            orchestrator.log_status();
        }
    }
}

/// A server that does not answer is not to make the agent late for one that does.
fn patience_ms(failures: u32, other_is_well: bool) -> u64 {
    if other_is_well && failures >= PATIENT_FAILURES {
        SHORT_PATIENCE_MS
    } else {
        u64::MAX
    }
}

/// What is written to disk from the loop.
struct Disk {
    state: State,
    backlog: Backlog,
}

impl Disk {
    /// Right after a sample, when a card that takes its time makes no other late.
    fn turn(&mut self, link: &Link, server: &MetricsServer) {
        let now = Now::read();
        let away_since_ms = server.outages().current().map(|outage| outage.from_ms);
        let this = server.origin(&self.state);
        let device = &mut link.reactor().device;
        self.backlog.turn(device, &this, away_since_ms, now);
        if server.proves_the_clock() {
            self.state.note_good_time(clock::wall_ms());
        }
    }

    fn stop(&mut self, link: &Link, server: &MetricsServer) {
        let this = server.origin(&self.state);
        let device = &mut link.reactor().device;
        self.backlog.save(device, &this, Now::read());
        if server.proves_the_clock() {
            self.state.save_good_time(clock::wall_ms());
        }
    }
}

fn serve(
    sources: &Sources,
    mut settings: Settings,
    link: &Arc<Link>,
    servers: &mut Servers,
    disk: &mut Disk,
) {
    let mut clock_watch = clock::Watch::new();
    loop {
        if clock_watch.look() {
            servers.metrics.clock_was_set(clock::boot_ms());
        }
        // After a request without waiting: what is due is done, and a stop in mid-request is seen.
        let until_ms = match servers.next(link) {
            Step::Call(duty) => {
                servers.call(link, duty);
                0
            }
            Step::Deliver(cursor) => {
                servers.deliver(link, cursor);
                0
            }
            Step::Wait(until_ms) => until_ms,
        };
        // Bound first: a guard in the match's head would be held through its arms.
        let wake = link.reactor().wait(Interest::Sample, until_ms);
        if wake == Wake::Stop {
            return;
        }
        if wake == Wake::Ready {
            disk.turn(link, &servers.metrics);
        }
        let orders = link.reactor().take_orders();
        if orders.status {
            servers.log_status("Status", link);
        }
        if orders.reload {
            link.reactor().notifier.reloading(clock::monotonic_us());
            if let Some(new) = reload(sources, &settings, link, servers) {
                settings = new;
                disk.backlog.save_every_ms = settings.buffer_save_every_ms;
            }
            link.reactor().notifier.ready();
        }
    }
}

/// Reads the configuration again and goes on with it; with the old one if the new one is wrong.
fn reload(
    sources: &Sources,
    old: &Settings,
    link: &Arc<Link>,
    servers: &mut Servers,
) -> Option<Settings> {
    let read = config::load_again(sources, &process_environment).map_err(|error| error.0);
    let planned = read.and_then(|loaded| Plan::of(&loaded.settings).map(|plan| (loaded, plan)));
    let (mut loaded, plan) = match planned {
        Ok(planned) => planned,
        Err(errors) => {
            for error in &errors {
                log::error(
                    "Configuration not reloaded",
                    &[("error", Value::Str(error))],
                );
            }
            return None;
        }
    };
    introduce(&loaded, &plan, "Configuration reloaded");
    for key in loaded.settings.keep_until_restart(old) {
        log::warn("Changed by a restart only", &[("key", Value::Str(key))]);
    }
    let metrics = &mut servers.metrics;
    metrics.reconfigure(&loaded.settings, &plan, seed());
    match (&mut servers.orchestrator, &plan.orchestrator) {
        (Some(server), Some(plan)) => server.reconfigure(&loaded.settings, plan, link, seed()),
        (None, None) => {}
        _ => log::warn(
            "Changed by a restart only",
            &[("key", Value::Str("api.base_url"))],
        ),
    }
    link.reactor()
        .device
        .reconfigure(&loaded.settings, clock::boot_ms());
    servers.uplink = plan.uplink(&loaded.settings, link);
    Some(loaded.settings)
}

fn introduce(loaded: &Loaded, plan: &Plan, msg: &str) {
    let settings = &loaded.settings;
    log::configure(settings);
    if plan.uri.is_some() {
        log::set_key_hash(plan.api_key.fingerprint());
    }
    let server_url = settings.server_url.as_deref().unwrap_or_default();
    let file = loaded
        .file
        .as_ref()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    log::info(
        msg,
        &[
            ("version", Value::Str(env!("CARGO_PKG_VERSION"))),
            ("server_url", Value::Str(server_url)),
            (
                "orchestrator",
                Value::Str(
                    settings
                        .orchestrator
                        .base_url
                        .as_deref()
                        .unwrap_or_default(),
                ),
            ),
            ("interval_ms", Value::Uint(settings.interval_ms)),
            ("config", Value::Str(&file)),
        ],
    );
    for warning in &loaded.warnings {
        log::warn("Configuration", &[("warning", Value::Str(&warning.words))]);
    }
}

fn refuse(error: &config::ConfigError) -> Refusal {
    (Exit::Config, error.to_string())
}

/// Says something to the person at the terminal.
pub fn complain(words: &str) {
    for line in words.lines() {
        // Whoever closed standard error does not want to know.
        let _ = writeln!(std::io::stderr(), "mote: {line}");
    }
}

/// Prints what was asked for.
pub fn print(text: &str) -> Result<(), Refusal> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| (Exit::Failed, format!("standard output: {error}")))
}

/// The reactor of a device that begins to watch now.
pub fn start_reactor(settings: &Settings) -> Result<Reactor, Refusal> {
    let device = device(settings)?;
    Reactor::new(device).map_err(|error| (Exit::Failed, format!("signals: {error}")))
}

fn device(settings: &Settings) -> Result<Device, Refusal> {
    Device::new(settings, clock::boot_ms())
        .ok_or_else(|| (Exit::Config, "buffer.samples must be at least 1".to_owned()))
}

/// `<device>-<start>-`, in characters that a header and a log take as they are.
///
/// Many devices share a name, so the identity of the state folder is part of the device's.
pub fn key_prefix(hostname: &str, start: &Start) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let mut prefix: String = hostname
        .chars()
        .map(|c| if is_plain(&c) { c } else { '_' })
        .take(64)
        .collect();
    // Writing to a String does not fail.
    let _ = write!(prefix, ".{}-{}-", start.identity, start.number);
    prefix
}

/// Differs from device to device, so that a fleet does not retry in step.
pub fn seed() -> u64 {
    let mut random = [0; 8];
    if SystemRandom::new().fill(&mut random).is_err() {
        return clock::wall_ms() ^ (u64::from(std::process::id()) << 32);
    }
    u64::from_be_bytes(random)
}
