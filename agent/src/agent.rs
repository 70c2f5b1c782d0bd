//! The agent, readable aloud: take what is due, send what is due, wait, until told to stop.

mod services;

use std::fmt::Write as _;
use std::io::Write as _;
use std::rc::Rc;

use mote_core::log_line::Value;
use mote_core::text::is_steering;
use ring::rand::{SecureRandom, SystemRandom};

use crate::board::{self, About};
use crate::clock;
use crate::config::{self, Loaded, Persona, Settings, Sources, process_environment};
use crate::device::Device;
use crate::log;
use crate::notify::Notifier;
use crate::reactor::{Interest, Reactor, Wake};
use crate::service::lunasentri::MetricsServer;
use crate::service::orchestrator::Orchestrator;
use crate::setup::{Plan, Target};
use crate::state::backlog::Backlog;
use crate::state::{Now, Start, State};
use crate::sysinfo::hostname;
use crate::uplink::link::Link;
use services::{Service, Services, Step, certificate};

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
    let plan =
        Plan::of(settings).map_err(|errors| (Exit::Config, loaded.placed(errors).join("\n")))?;
    // The documented words, where somebody may wait for them.
    let is_documented = plan.target.is_some() || settings.persona == Persona::LunaSentri;
    let msg = if is_documented {
        "LunaSentri agent starting"
    } else {
        "Agent starting"
    };
    introduce(&loaded, &plan, msg);
    let base = settings.base_dir();
    let state = State::open(&base).map_err(|error| (Exit::State, error.to_string()))?;
    clock::raise_floor(state.last_good_ms());

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
    let name = Name {
        hostname: hostname(settings),
        prefix: key_prefix(&hostname(settings), &state.start),
    };
    reactor.board.about = About {
        hostname: name.hostname.clone(),
        start: state.start.number,
        started_ms: clock::boot_ms(),
    };
    let mut backlog = state.backlog(&mut reactor.device);
    backlog.save_every_ms = settings.buffer_save_every_ms;
    reactor.plugins = plan.plugins(settings, seed());
    let link = Rc::new(Link::new(reactor));
    let hostname = name.hostname.clone();
    let mut services = Services {
        orchestrator: plan
            .orchestrator
            .as_ref()
            .map(|plan| Orchestrator::new(settings, plan, &state, &link, hostname, seed())),
        metrics: plan
            .target
            .map(|target| Service::new(settings, &target, &name, &link)),
        has_sample_waited: false,
        has_poll_waited: false,
    };
    let mut disk = Disk {
        state,
        backlog,
        ask_clock_ms: 0,
    };
    look_out(settings, &services, &link);

    serve(
        sources,
        loaded.settings,
        &link,
        &mut services,
        &name,
        &mut disk,
    );

    // Samples first: what runs may take its time to end.
    if let Some(server) = services.metrics_server() {
        disk.stop(&link, server);
    }
    if let Some(orchestrator) = &mut services.orchestrator {
        orchestrator.stop(&link);
        // And those that were taken meanwhile.
        if let Some(server) = services.metrics_server() {
            disk.save(&link, server);
        }
    }
    services.log_status("Stopped", &link);
    disk.state.stopped_well();
    Ok(())
}

/// Between two questions whether the clock is right: the answer is written down once a day.
const ASK_CLOCK_EVERY_MS: u64 = 60_000;

/// What is written to disk from the loop.
struct Disk {
    state: State,
    backlog: Backlog,
    /// When the kernel is next asked whether the clock is right.
    ask_clock_ms: u64,
}

impl Disk {
    /// Right after a sample, when a card that takes its time makes no other late.
    fn turn(&mut self, link: &Link, server: &MetricsServer) {
        let now = Now::read();
        let away_since_ms = server.outages().current().map(|outage| outage.from_ms);
        let this = server.origin(&self.state);
        let device = &mut link.reactor().device;
        self.backlog.turn(device, &this, away_since_ms, now);
        if now.boot_ms >= self.ask_clock_ms && server.is_verified() {
            self.ask_clock_ms = now.boot_ms + ASK_CLOCK_EVERY_MS;
            if server.proves_the_clock() {
                self.state.note_good_time(clock::wall_ms());
            }
        }
    }

    fn save(&mut self, link: &Link, server: &MetricsServer) {
        let this = server.origin(&self.state);
        let device = &mut link.reactor().device;
        self.backlog.save(device, &this, Now::read());
    }

    fn stop(&mut self, link: &Link, server: &MetricsServer) {
        self.save(link, server);
        if server.proves_the_clock() {
            self.state.save_good_time(clock::wall_ms());
        }
    }
}

/// What the device is called, and what its keys begin with: both stay until the end.
struct Name {
    hostname: String,
    prefix: String,
}

/// Has the device and the face do what `settings` say.
fn look_out(settings: &Settings, services: &Services, link: &Link) {
    let service = services.metrics.as_ref();
    let mut reactor = link.reactor();
    reactor.device.holds = service.is_some();
    let board = &mut reactor.board;
    let server = service.map(|service| service.host_and_port.as_str());
    if board.uplink.as_ref().map(|uplink| uplink.server.as_str()) != server {
        board.uplink = server.map(|server| board::Uplink::new(server.to_owned()));
    }
    if server.is_none() && services.orchestrator.is_none() {
        log::warn(
            "Samples are delivered nowhere: set server_url and api_key to deliver them",
            &[],
        );
    }
    reactor.face.reconfigure(settings);
}

/// Goes round until told to stop.
fn serve(
    sources: &Sources,
    mut settings: Settings,
    link: &Rc<Link>,
    services: &mut Services,
    name: &Name,
    disk: &mut Disk,
) {
    let mut clock_watch = clock::Watch::new();
    loop {
        if clock_watch.look() {
            services.clock_was_set();
        }
        // After a request without waiting: what is due is done, and a stop in mid-request is seen.
        let until_ms = match services.next(link) {
            Step::Call(duty) => {
                services.call(link, duty);
                0
            }
            Step::Deliver(cursor) => {
                services.deliver(link, cursor);
                0
            }
            Step::Wait(until_ms) => until_ms,
        };
        // Bound first: a guard in the match's head would be held through its arms.
        let wake = link.reactor().wait(Interest::Sample, until_ms);
        if wake == Wake::Stop {
            return;
        }
        if let Some(server) = services.metrics_server().filter(|_| wake == Wake::Ready) {
            disk.turn(link, server);
        }
        let orders = link.reactor().take_orders();
        if orders.network {
            services.network_is_back();
        }
        if orders.status {
            services.log_status("Status", link);
        }
        if orders.reload {
            link.reactor().notifier.reloading(clock::monotonic_us());
            if let Some(new) = reload(sources, &settings, link, services, name) {
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
    link: &Rc<Link>,
    services: &mut Services,
    name: &Name,
) -> Option<Settings> {
    let read = config::load_again(sources, &process_environment).map_err(|error| error.0);
    let planned = read.and_then(|loaded| {
        let settings = &loaded.settings;
        let plan = Plan::of(settings).and_then(|plan| {
            if plan.target.is_none() && services.metrics.is_some() {
                // A file that is empty for a moment must not end the deliveries: that takes a restart.
                Target::of(settings)?;
            }
            Ok(plan)
        });
        let plan = plan.map_err(|errors| loaded.placed(errors))?;
        Ok((loaded, plan))
    });
    let errors = planned.as_ref().err().map_or(&[][..], Vec::as_slice);
    link.reactor().board.tell_reload(errors);
    let (mut loaded, mut plan) = match planned {
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
    // Before the log is told where its file is.
    let kept = loaded.settings.keep_until_restart(old);
    if let Some(plan) = &mut plan.orchestrator {
        plan.keep_until_restart(&loaded.settings);
    }
    introduce(&loaded, &plan, "Configuration reloaded");
    for key in kept {
        log::warn("Changed by a restart only", &[("key", Value::Str(key))]);
    }
    let settings = loaded.settings;
    match (&plan.orchestrator, &mut services.orchestrator) {
        (Some(plan), Some(server)) => server.reconfigure(&settings, plan, link, seed()),
        (None, None) => {}
        // It brings the ledger and the plugins along.
        _ => log::warn(
            "Changed by a restart only",
            &[("key", Value::Str("api.base_url"))],
        ),
    }
    match (plan.target, &mut services.metrics) {
        (Some(target), Some(service)) => {
            service.server.reconfigure(&settings, &target, seed());
            service.uplink = target.uplink(&settings, link);
            service.host_and_port = target.host_and_port();
            service.certificate = certificate(&settings);
        }
        (Some(target), None) => {
            services.metrics = Some(Service::new(&settings, &target, name, link));
        }
        (None, _) => {}
    }
    link.reactor()
        .device
        .reconfigure(&settings, clock::boot_ms());
    look_out(&settings, services, link);
    Some(settings)
}

fn introduce(loaded: &Loaded, plan: &Plan, msg: &str) {
    let settings = &loaded.settings;
    log::configure(settings);
    if let Some(target) = &plan.target {
        log::set_key_hash(target.api_key.fingerprint());
    }
    let server_url = settings.server_url.as_deref().unwrap_or_default();
    let file = loaded
        .file
        .as_ref()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let proxy = plan.target.as_ref().map_or_else(String::new, Target::proxy);
    let orchestrator = settings.orchestrator.base_url.as_deref();
    let mut fields = vec![
        ("version", Value::Str(env!("CARGO_PKG_VERSION"))),
        ("server_url", Value::Str(server_url)),
        ("interval_ms", Value::Uint(settings.interval_ms)),
        ("config", Value::Str(&file)),
        ("orchestrator", Value::Str(orchestrator.unwrap_or_default())),
        ("proxy", Value::Str(&proxy)),
    ];
    fields.retain(|(_, value)| !matches!(value, Value::Str("")));
    log::info(msg, &fields);
    for warning in &loaded.warnings {
        log::warn("Configuration", &[("warning", Value::Str(&warning.words))]);
    }
}

fn refuse(error: &config::ConfigError) -> Refusal {
    (Exit::Config, error.to_string())
}

/// The words as a terminal shows them and does not obey them; line ends stay.
pub fn tame(words: &str) -> String {
    let tamed = words.chars().map(|letter| match letter {
        '\n' => letter,
        _ if is_steering(letter) => '.',
        _ => letter,
    });
    tamed.collect()
}

/// Says something to the person at the terminal.
pub fn complain(words: &str) {
    for line in tame(words).lines() {
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
