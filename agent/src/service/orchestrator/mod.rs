//! The orchestrator: it hears that this agent lives and what happens on the device, and says what
//! is to be done.
//!
//! The loop asks [`Orchestrator::next`] what is due and when, and lets it do one thing at a time
//! ([`Orchestrator::run`]). In this order: results (an instruction that is about to run among them),
//! events, registration and heartbeat, then, after the newest sample of the metrics server, the
//! look for an instruction. `offers.rs` are results and events, `presence.rs` registration and
//! heartbeat, `errands.rs` the look for instructions; `server.rs` is a call and what follows for the
//! calls after it, `desk.rs` what instructions go through, `credential.rs` what proves who this is.
//!
//! Nothing here waits: what is due later is named by its time.

mod credential;
mod desk;
mod errands;
mod offers;
pub mod plan;
mod postponed;
mod presence;
mod server;
mod shown;

use std::rc::Rc;

use mote_core::log_line::Value;
use mote_core::outage::Outages;

pub use plan::Plan;
pub use server::Standing;

use crate::board::Figures;
use crate::clock;
use crate::config::Settings;
use crate::expiry::{Certificate, Expiry};
use crate::log;
use crate::plugin::Plugins;
use crate::state::State;
use crate::state::journal::Kind;
use crate::uplink::link::Link;
use desk::Desk;
use postponed::Postponed;
use server::Server;

/// What the certificate is called that is shown to the orchestrator.
const CERTIFICATE: &str = "the certificate api.auth.cert_file";

/// What is said where no action can run.
pub const UNWRITABLE: &str = "the ledger cannot be written: no action runs";

/// What is to be done, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Say that an instruction is taken up.
    Announce,
    /// Report what became of one.
    Result,
    /// Report what happened.
    Events,
    /// Say who this is.
    Register,
    /// Say that this lives.
    Heartbeat,
    /// Ask for an instruction.
    Poll,
}

/// What is due now, and when there may be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The most urgent duty that may be done now.
    pub duty: Option<Duty>,
    /// When to ask again.
    pub until_ms: u64,
}

/// The client.
#[derive(Debug)]
pub struct Orchestrator {
    settings: Settings,
    plan: Plan,
    hostname: String,
    server: Server,
    desk: Desk,
    postponed: Postponed,
    /// What failed last: everything else that is due goes first.
    stuck: Option<Duty>,
    /// Events had their turn: the next is that of what comes behind them.
    had_events: bool,
    /// None once it knows us, or wants to know nobody.
    register_ms: Option<u64>,
    heartbeat_ms: u64,
    poll_ms: u64,
    /// When the events are due that wait.
    events_ms: Option<u64>,
    batch_most: usize,
    look_ms: u64,
    certificate: Certificate,
    /// The end of the token, when that was last looked at.
    token: Option<Expiry>,
    last_heartbeat_ms: Option<u64>,
    last_poll_ms: Option<u64>,
    figures: Figures,
    warnings: Vec<String>,
}

impl Orchestrator {
    /// Begins to work for the orchestrator of `plan`, with what `state` has of it.
    pub fn new(
        settings: &Settings,
        plan: &Plan,
        state: &State,
        link: &Rc<Link>,
        hostname: String,
        seed: u64,
    ) -> Self {
        let now_ms = clock::boot_ms();
        let desk = Desk::open(settings, state, &mut link.reactor().plugins);
        let mut this = Self {
            server: Server::new(&settings.orchestrator, plan, link, seed),
            settings: settings.clone(),
            plan: plan.clone(),
            hostname,
            desk,
            postponed: Postponed::new(settings.orchestrator.retry_max_ms),
            stuck: None,
            had_events: false,
            register_ms: Some(now_ms),
            heartbeat_ms: now_ms,
            poll_ms: now_ms,
            events_ms: None,
            batch_most: usize::MAX,
            look_ms: now_ms,
            certificate: Certificate::new(CERTIFICATE, None),
            token: None,
            last_heartbeat_ms: None,
            last_poll_ms: None,
            figures: Figures::default(),
            warnings: Vec::new(),
        };
        this.begin(now_ms);
        this
    }

    /// Goes on with other settings; what is held stays.
    pub fn reconfigure(&mut self, settings: &Settings, plan: &Plan, link: &Rc<Link>, seed: u64) {
        let now_ms = clock::boot_ms();
        let is_another = plan.base != self.plan.base;
        let server = Server::new(&settings.orchestrator, plan, link, seed);
        let old = std::mem::replace(&mut self.server, server);
        if !is_another {
            self.server.go_on_from(old, &settings.orchestrator);
            // What was changed, say a proxy or an authority, may be what it took.
            self.network_is_back(now_ms);
        }
        self.desk.reconfigure(settings);
        self.settings = settings.clone();
        self.plan = plan.clone();
        if is_another {
            self.register_ms = Some(now_ms);
        }
        let agent = &settings.orchestrator;
        self.heartbeat_ms = self.heartbeat_ms.min(now_ms + agent.heartbeat_interval_ms);
        self.poll_ms = self.poll_ms.min(now_ms + agent.poll_interval_ms);
        self.begin(now_ms);
    }

    fn begin(&mut self, now_ms: u64) {
        for warning in &self.plan.warnings {
            log::warn("Configuration", &[("warning", Value::Str(warning))]);
        }
        let retry_max_ms = self.settings.orchestrator.retry_max_ms;
        self.postponed.set_first_ms(retry_max_ms);
        self.batch_most = usize::try_from(self.settings.orchestrator.batch_size).unwrap_or(1);
        let path = self.settings.orchestrator.cert_file.clone();
        self.certificate = Certificate::new(CERTIFICATE, path);
        self.look_ms = now_ms;
        if self.desk.journal.counts().events > 0 {
            self.events_ms.get_or_insert(now_ms);
        }
    }

    /// Where the orchestrator stands.
    pub fn standing(&self) -> Standing {
        self.server.standing()
    }

    /// Whether it answers, and did last time.
    pub fn is_well(&self) -> bool {
        self.standing() == Standing::Answering && self.failures() == 0
    }

    /// Whether the last call did not even reach it.
    pub fn is_cut_off(&self) -> bool {
        self.server.is_cut_off()
    }

    /// The network came back, perhaps. A fleet's agents do not come back in one moment.
    pub fn network_is_back(&mut self, now_ms: u64) {
        if self.is_cut_off() {
            let within_ms = self.settings.orchestrator.poll_interval_ms;
            self.server.retry_within(now_ms, within_ms);
        }
    }

    /// In how long the next heartbeat is due.
    pub fn heartbeat_in_ms(&self, now_ms: u64) -> u64 {
        self.heartbeat_ms.saturating_sub(now_ms)
    }

    /// Failures since it last answered.
    pub fn failures(&self) -> u32 {
        self.server.failures()
    }

    /// What its outages were like, this one and the last.
    pub fn outages(&self) -> &Outages {
        self.server.outages()
    }

    /// Why the last call that failed did.
    pub fn trouble(&self) -> &str {
        self.server.trouble()
    }

    /// What a person should look at; the heartbeat says it too.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// How long calls may take from now on, at most.
    pub fn be_patient_for(&mut self, patience_ms: u64) {
        self.server.be_patient_for(patience_ms);
    }

    /// Takes in what plugins gave, starts what may run, and says what is due.
    pub fn next(&mut self, link: &Link, now_ms: u64) -> Next {
        let desk_ms = {
            let plugins = &mut link.reactor().plugins;
            self.take_events(plugins, now_ms);
            let held = self.desk.journal.counts().events;
            plugins.hold_events(held >= self.settings.plugins.event_buffer_size);
            self.desk.turn(plugins, now_ms)
        };
        // A newer token is no longer warned of.
        if now_ms >= self.look_ms || self.server.expiry() != self.token {
            self.look(now_ms);
        }
        self.tell(&mut link.reactor().board);
        let ready_ms = self.server.ready_ms(now_ms);
        let until_ms = desk_ms.min(self.look_ms);
        let mut next_ms = u64::MAX;
        let mut duty = None;
        for (each, due_ms) in self.due(now_ms) {
            let due_ms = due_ms.max(ready_ms);
            if due_ms <= now_ms {
                let waits = |duty: Duty| {
                    self.stuck == Some(duty) || self.had_events && duty == Duty::Events
                };
                let rank = |duty: Duty| (waits(duty), duty);
                let first = duty.filter(|first| rank(*first) < rank(each));
                duty = first.or(Some(each));
            } else {
                next_ms = next_ms.min(due_ms);
            }
        }
        Next {
            duty,
            until_ms: until_ms.min(next_ms),
        }
    }

    fn take_events(&mut self, plugins: &mut Plugins, now_ms: u64) {
        while let Some(event) = plugins.take_event() {
            self.take_event(&event, now_ms);
        }
    }

    /// Every duty, and when it is due.
    fn due(&self, now_ms: u64) -> [(Duty, u64); 6] {
        let now_if = |is_due: bool| if is_due { now_ms } else { u64::MAX };
        let result_ms = match self.next_of(Kind::Result, now_ms) {
            Some(_) => now_ms,
            None => self.postponed.next_ms(now_ms),
        };
        let has_room = self.desk.has_room();
        [
            (Duty::Announce, now_if(self.desk.has_announcement())),
            (Duty::Result, result_ms),
            (Duty::Events, self.events_due_ms(now_ms)),
            (Duty::Register, self.register_ms.unwrap_or(u64::MAX)),
            (Duty::Heartbeat, self.heartbeat_ms),
            (Duty::Poll, if has_room { self.poll_ms } else { u64::MAX }),
        ]
    }

    /// Does one thing.
    ///
    /// What the server does not answer to waits until everything else had its turn: one result
    /// that it trips over must not keep it from hearing that the agent lives, and neither must a
    /// plugin that has more events than can be sent.
    pub fn run(&mut self, link: &Link, duty: Duty) {
        let failures = self.failures();
        match duty {
            Duty::Announce => self.announce(),
            Duty::Result => self.report_result(),
            Duty::Events => self.report_events(),
            Duty::Register => self.register(),
            Duty::Heartbeat => self.heartbeat(),
            Duty::Poll => self.poll(),
        }
        if self.failures() > failures {
            self.stuck = Some(duty);
        } else if self.stuck == Some(duty) {
            self.stuck = None;
        }
        if duty >= Duty::Events {
            self.had_events = duty == Duty::Events;
        }
        // An action that may run now is started before the next request is waited for.
        let plugins = &mut link.reactor().plugins;
        self.desk.turn(plugins, clock::boot_ms());
    }

    /// How it stands, for the log.
    pub fn log_status(&self) {
        let counts = self.desk.journal.counts();
        log::info(
            "Orchestrator status",
            &[
                ("server", Value::Str(self.standing().as_str())),
                ("failures", Value::Uint(self.failures().into())),
                ("registered", Value::Bool(self.register_ms.is_none())),
                ("instructions", Value::Uint(self.desk.tasks() as u64)),
                ("results_held", Value::Uint(counts.results)),
                ("events_held", Value::Uint(counts.events)),
                ("events_dropped", Value::Uint(counts.events_dropped)),
                ("results_dropped", Value::Uint(counts.results_dropped)),
            ],
        );
    }
}
