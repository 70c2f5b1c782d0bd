//! The orchestrator: it hears that this agent lives and what happens on the device, and says what
//! is to be done.
//!
//! The loop asks [`Orchestrator::next`] what is due and when, and lets it do one thing at a time
//! ([`Orchestrator::run`]). In this order: results (an instruction that is about to run among them),
//! events, registration and heartbeat, then, after the newest sample of the metrics server, the
//! look for an instruction. `server.rs` is a call and what follows for the calls after it,
//! `desk.rs` what instructions go through, `credential.rs` what proves who this is.
//!
//! Nothing here waits: what is due later is named by its time.

mod credential;
mod desk;
pub mod plan;
mod postponed;
mod results;
mod server;
mod shown;

use std::sync::Arc;

use mote_core::json;
use mote_core::log_line::Value;
use mote_core::outage::Outages;
use mote_core::wire::orchestrator::{
    AnswerError, EventsAnswer, Heartbeat, HeartbeatStatus, Poll, Registration, ResultAnswer,
    instruction_id_in, write_events,
};
use ureq::http::Method;

pub use plan::Plan;
pub use server::Standing;

use crate::board::{Figure, Figures};
use crate::clock;
use crate::config::Settings;
use crate::config::settings::AgentType;
use crate::expiry::{Certificate, Expiry};
use crate::log;
use crate::state::journal::Kind;
use crate::state::{Now, State};
use crate::uplink::link::Link;
use desk::{Desk, Permission};
use postponed::Postponed;
use server::{Said, Server};

/// Events in one request, in bytes; one that is longer goes alone.
const BATCH_BYTES: usize = 48 * 1024;
/// An event of a plugin is a line of at most so many bytes.
const EVENT_BYTES: usize = 64 * 1024;
/// How often a message is offered that the orchestrator refuses for what it says.
const TRIES_BAD: u32 = 3;
/// And one that it refuses for reasons that may pass.
const TRIES: u32 = 20;
/// Between two looks at what is about to end.
const LOOK_MS: u64 = 3_600_000;
/// What the certificate is called that is shown to the orchestrator.
const CERTIFICATE: &str = "the certificate api.auth.cert_file";
/// For the farewell at a stop.
const FAREWELL_MS: u64 = 1_000;

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
        link: &Arc<Link>,
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
    pub fn reconfigure(&mut self, settings: &Settings, plan: &Plan, link: &Arc<Link>, seed: u64) {
        let now_ms = clock::boot_ms();
        let is_another = plan.base != self.plan.base;
        self.server = Server::new(&settings.orchestrator, plan, link, seed);
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
            while let Some(event) = plugins.take_event() {
                self.take_event(&event, now_ms);
            }
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
                let rank = |duty: Duty| (self.stuck == Some(duty), duty);
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

    /// The oldest entry that may go.
    fn next_of(&self, kind: Kind, now_ms: u64) -> Option<u64> {
        let mut entries = self.desk.journal.unacknowledged(kind);
        entries
            .find(|(id, _)| self.postponed.may_go(*id, now_ms))
            .map(|(id, _)| id)
    }

    fn events_due_ms(&self, now_ms: u64) -> u64 {
        let held = self.desk.journal.counts().events;
        if held == 0 || self.next_of(Kind::Event, now_ms).is_none() {
            return self.postponed.next_ms(now_ms);
        }
        let is_full = held >= self.settings.orchestrator.batch_size;
        match self.events_ms {
            Some(due_ms) if !is_full => due_ms,
            _ => now_ms,
        }
    }

    fn take_event(&mut self, event: &[u8], now_ms: u64) {
        if let Err(error) = self.desk.journal.push(Kind::Event, event, Now::read()) {
            let words = error.to_string();
            log::error("Event dropped", &[("error", Value::Str(&words))]);
            return;
        }
        self.figures.add(Figure::EventsJournaled, 1);
        let wait_ms = self.settings.orchestrator.flush_interval_ms;
        self.events_ms.get_or_insert(now_ms + wait_ms);
    }

    /// Does one thing.
    ///
    /// What the server does not answer to waits until everything else had its turn: one result
    /// that it trips over must not keep it from hearing that the agent lives.
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
        // An action that may run now is started before the next request is waited for.
        let plugins = &mut link.reactor().plugins;
        self.desk.turn(plugins, clock::boot_ms());
    }

    fn announce(&mut self) {
        let Some((id, body)) = self.desk.announcement() else {
            return;
        };
        let path = format!("/instructions/{id}");
        let permission = match self.server.call(Method::PUT, &path, &body) {
            Said::Refused(404 | 409) => Permission::Withdrawn,
            Said::Good | Said::Nothing | Said::Refused(_) => Permission::Run,
            // Not a word about the instruction: it waits for a key that is taken.
            Said::KeyRefused | Said::Stopped => return,
        };
        self.desk.announced(&id, permission, clock::boot_ms());
    }

    fn report_result(&mut self) {
        let now_ms = clock::boot_ms();
        let Some(entry) = self.next_of(Kind::Result, now_ms) else {
            return;
        };
        let mut buffer = Vec::new();
        let record = self.desk.journal.read(entry, &mut buffer);
        let Some((id, body)) = record.and_then(desk::split) else {
            self.desk.journal.acknowledge(entry);
            return;
        };
        let path = format!("/instructions/{id}/result");
        match self.server.call(Method::POST, &path, body) {
            Said::Good => {
                let answer = ResultAnswer::read(self.server.answer());
                if answer.as_ref().is_ok_and(|answer| !answer.acknowledged) {
                    let id = id.to_owned();
                    return self.put_off(entry, Figure::ResultsDropped, TRIES, &id, 200);
                }
                log::info("Result delivered", &[("instruction", Value::Str(id))]);
                self.figures.add(Figure::InstructionsReported, 1);
                self.desk.journal.acknowledge(entry);
                self.postponed.forget(entry);
                match answer.map(|answer| answer.next_instruction) {
                    Ok(Some(next)) => self.desk.take_up(next),
                    Ok(None) => {}
                    Err(error) => self.not_understood(error),
                }
            }
            Said::Refused(409) => {
                self.figures.add(Figure::InstructionsReported, 1);
                self.settle(entry);
            }
            Said::Refused(status) => {
                let most = match status {
                    400 | 413 | 415 | 422 => TRIES_BAD,
                    _ => TRIES,
                };
                let id = id.to_owned();
                self.put_off(entry, Figure::ResultsDropped, most, &id, status);
            }
            Said::KeyRefused | Said::Nothing | Said::Stopped => {}
        }
    }

    /// The entry is the orchestrator's now.
    fn settle(&mut self, entry: u64) {
        self.desk.journal.acknowledge(entry);
        self.postponed.forget(entry);
    }

    /// Offers the entry again later, or drops it if that was done often enough; `lost` counts that.
    fn put_off(&mut self, entry: u64, lost: Figure, most: u32, id: &str, status: u16) {
        let good_answers = self.server.good_answers();
        let tries = self
            .postponed
            .put_off(entry, good_answers, clock::boot_ms());
        let dropped = tries >= most;
        if dropped {
            self.settle(entry);
        }
        let words = self.server.words();
        log::error(
            "Orchestrator did not take it",
            &[
                ("id", Value::Str(id)),
                ("status_code", Value::Uint(status.into())),
                ("answer", Value::Str(&words)),
                ("tries", Value::Uint(tries.into())),
                ("dropped", Value::Bool(dropped)),
            ],
        );
        self.figures.add(lost, dropped.into());
    }

    fn report_events(&mut self) {
        let now_ms = clock::boot_ms();
        let batch = self.batch(now_ms);
        if batch.is_empty() {
            self.events_ms = None;
            return;
        }
        let mut body = Vec::new();
        let texts = batch.iter().map(|(_, text)| text.as_str());
        let Ok(()) = write_events(&mut body, &self.plan.agent_id, texts);
        match self.server.call(Method::POST, "/events", &body) {
            Said::Good => self.events_taken(&batch),
            Said::Refused(status) => {
                let is_bad = matches!(status, 400 | 413 | 415 | 422);
                if is_bad && batch.len() > 1 {
                    // One of them is at fault, or they are too many: which, smaller batches tell.
                    self.batch_most = batch.len() / 2;
                    return;
                }
                let most = if is_bad { TRIES_BAD } else { u32::MAX };
                for (entry, text) in &batch {
                    let id = event_id(text);
                    self.put_off(*entry, Figure::EventsDropped, most, &id, status);
                }
            }
            Said::KeyRefused | Said::Nothing | Said::Stopped => {}
        }
    }

    /// The oldest events that may go, as many as fit into a request.
    fn batch(&mut self, now_ms: u64) -> Vec<(u64, String)> {
        let size = usize::try_from(self.settings.orchestrator.batch_size).unwrap_or(1);
        let size = size.min(self.batch_most).max(1);
        let mut bytes = 0;
        let journal = &mut self.desk.journal;
        let ids: Vec<u64> = journal
            .unacknowledged(Kind::Event)
            .filter(|(id, _)| self.postponed.may_go(*id, now_ms))
            .take(size)
            .take_while(|(_, length)| {
                let is_first = bytes == 0;
                bytes += length;
                is_first || bytes <= BATCH_BYTES
            })
            .map(|(id, _)| id)
            .collect();
        let mut batch = Vec::with_capacity(ids.len());
        for id in ids {
            let mut buffer = Vec::new();
            let event = journal.read(id, &mut buffer);
            match event.and_then(|event| str::from_utf8(event).ok()) {
                Some(text) => batch.push((id, text.to_owned())),
                None => drop(journal.acknowledge(id)),
            }
        }
        batch
    }

    fn events_taken(&mut self, batch: &[(u64, String)]) {
        let answer = self.server.answer().to_vec();
        let failed = match EventsAnswer::read(&answer) {
            Ok(answer) => {
                let has_failed = |text: &str| answer.has_failed(&event_id(text));
                let failed: Vec<bool> = batch.iter().map(|(_, text)| has_failed(text)).collect();
                failed
            }
            // A 2xx is a yes, whatever else it says.
            Err(_) => vec![false; batch.len()],
        };
        let mut taken = 0_u64;
        for ((entry, text), failed) in batch.iter().zip(failed) {
            if failed {
                let id = event_id(text);
                self.put_off(*entry, Figure::EventsDropped, TRIES, &id, 200);
            } else {
                self.settle(*entry);
                taken += 1;
            }
        }
        self.figures.add(Figure::EventsSent, taken);
        log::info("Events delivered", &[("events", Value::Uint(taken))]);
        self.batch_most = usize::MAX;
        let left = self.desk.journal.counts().events;
        self.events_ms = (left > 0).then(clock::boot_ms);
    }

    fn register(&mut self) {
        let agent = &self.settings.orchestrator;
        let tags: Vec<&str> = agent.tags.iter().map(String::as_str).collect();
        let registration = Registration {
            agent_id: &self.plan.agent_id,
            name: agent.name(),
            agent_type: self.plan.agent_type.as_str(),
            organization_id: agent.organization_id.as_deref(),
            environment: agent.environment.as_deref(),
            region: agent.region.as_deref(),
            version: agent
                .version
                .as_deref()
                .unwrap_or(env!("CARGO_PKG_VERSION")),
            tags: &tags,
            hostname: &self.hostname,
            arch: std::env::consts::ARCH,
            capabilities: capabilities(self.plan.agent_type),
        };
        let mut body = Vec::new();
        let Ok(()) = registration.write(&mut body);
        let said = self.server.call(Method::POST, "/register", &body);
        self.register_ms = match said {
            Said::Good | Said::Refused(404 | 409) => {
                let words = match said {
                    Said::Good => "registered",
                    Said::Refused(409) => "known already",
                    _ => "it registers nobody",
                };
                log::info(
                    "Orchestrator reached",
                    &[("registration", Value::Str(words))],
                );
                None
            }
            Said::KeyRefused | Said::Stopped => return,
            Said::Refused(_) | Said::Nothing => {
                Some(clock::boot_ms() + agent.registration_retry_ms)
            }
        };
    }

    fn heartbeat(&mut self) {
        let status = if self.warnings.is_empty() {
            HeartbeatStatus::Online
        } else {
            HeartbeatStatus::Degraded
        };
        let interval_ms = self.settings.orchestrator.heartbeat_interval_ms;
        let due_ms = self.heartbeat_ms;
        match self.send_heartbeat(status) {
            Said::Nothing | Said::KeyRefused | Said::Stopped => {
                // As soon as the server may be called again: it is late already.
            }
            said @ (Said::Good | Said::Refused(_)) => {
                let now_ms = clock::boot_ms();
                if said == Said::Good {
                    self.figures.add(Figure::Heartbeats, 1);
                    self.last_heartbeat_ms = Some(now_ms);
                }
                if said == Said::Refused(404) && self.register_ms.is_none() {
                    // It forgot us.
                    let retry_ms = self.settings.orchestrator.registration_retry_ms;
                    self.register_ms = Some(now_ms + retry_ms);
                }
                // In step, unless that would mean several at once.
                self.heartbeat_ms = (due_ms + interval_ms).max(now_ms + interval_ms / 2);
            }
        }
    }

    fn send_heartbeat(&mut self, status: HeartbeatStatus) -> Said {
        let warnings: Vec<&str> = self.warnings.iter().map(String::as_str).collect();
        let heartbeat = Heartbeat {
            wall_ms: clock::wall_ms(),
            status,
            audit_head: None,
            warnings: &warnings,
        };
        let mut body = Vec::new();
        let Ok(()) = heartbeat.write(&mut body);
        self.server.call(Method::POST, "/heartbeat", &body)
    }

    fn poll(&mut self) {
        let interval_ms = self.settings.orchestrator.poll_interval_ms;
        let said = self.server.call(Method::GET, "/instructions", &[]);
        let now_ms = clock::boot_ms();
        if said == Said::Good {
            self.figures.add(Figure::Polls, 1);
            self.last_poll_ms = Some(now_ms);
        }
        match said {
            Said::Good => match Poll::read(self.server.answer()) {
                Ok(poll) => {
                    self.poll_ms = now_ms + poll.next_poll_ms.unwrap_or(interval_ms);
                    if let Some(instruction) = poll.instruction {
                        self.desk.take_up(instruction);
                    }
                }
                Err(error) => {
                    self.poll_ms = now_ms + interval_ms;
                    self.not_understood(error);
                }
            },
            Said::Refused(_) => self.poll_ms = now_ms + interval_ms,
            Said::Nothing | Said::KeyRefused | Said::Stopped => {}
        }
    }

    /// What an answer brings that cannot be read is reported as failed, if it has a name: it would
    /// be handed out for ever.
    fn not_understood(&mut self, error: AnswerError) {
        let words = self.server.why_unread(error);
        if let Some(id) = instruction_id_in(self.server.answer()) {
            return self.desk.refuse(id, &words);
        }
        log::error(
            "Orchestrator's answer is not understood",
            &[("error", Value::Str(&words))],
        );
    }

    /// Looks what a person should know of.
    fn look(&mut self, now_ms: u64) {
        let wall_ms = clock::trusted_ms();
        self.certificate.look(now_ms, wall_ms);
        self.token = self.server.expiry();
        let ends = [self.token, self.certificate.expiry()];
        let ends = ends.into_iter().flatten();
        let mut warnings: Vec<String> = ends.filter_map(|end| end.words(wall_ms)).collect();
        if self.cannot_act() {
            warnings.push(UNWRITABLE.into());
        }
        for warning in &warnings {
            if !self.warnings.contains(warning) {
                log::warn("Orchestrator", &[("warning", Value::Str(warning))]);
            }
        }
        self.warnings = warnings;
        self.look_ms = now_ms + LOOK_MS;
    }

    /// Whether actions cannot run because their ledger cannot be written.
    fn cannot_act(&self) -> bool {
        self.plan.agent_type.has_actions() && !self.desk.is_writable()
    }

    /// Ends what runs, keeps what came of it, and says goodbye. The agent was asked to stop.
    pub fn stop(&mut self, link: &Link) {
        link.reactor().end_plugins();
        self.desk.stop(&mut link.reactor().plugins);
        if self.server.standing() != Standing::Answering {
            return;
        }
        link.reactor().begin_farewell();
        self.server.be_patient_for(FAREWELL_MS);
        let said = self.send_heartbeat(HeartbeatStatus::Offline);
        let is_heard = said == Said::Good;
        log::info("Orchestrator told", &[("heard", Value::Bool(is_heard))]);
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

/// The id of an event; empty if it has none.
fn event_id(text: &str) -> String {
    let event = json::read(text.as_bytes(), EVENT_BYTES).ok();
    let id = event.and_then(|event| event.present("id")?.as_str());
    id.map(|id| id.chars().collect()).unwrap_or_default()
}

const fn capabilities(agent_type: AgentType) -> &'static [&'static str] {
    match agent_type {
        AgentType::Sensor => &["triggers"],
        AgentType::Action => &["execute"],
        AgentType::Both => &["triggers", "execute"],
    }
}
