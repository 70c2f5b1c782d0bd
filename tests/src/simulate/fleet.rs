//! A fleet of agents and one server in virtual time.
//!
//! Each agent runs core's own schedule, outbox, delivery and backoff against a clock that is a
//! number. The server is there or not; it answers at once and never says that it is too busy, so
//! no agent changes what another meets, and each is lived through by itself from beginning to end.
//! What a second brings is then added up. Times are milliseconds since the fleet began; equal plans
//! give equal counts.
//!
//! A connection is kept as the agent keeps it: until it was idle for [`keep_ms`], or the fault
//! ended it. Opening one counts as a handshake, besides the request that it was opened for.

use std::panic;
use std::thread;

use mote_core::delivery::{Delivery, Next, Outcome, Policy, address_spread_ms, keep_ms};
use mote_core::outbox::Outbox;
use mote_core::rng::Rng;
use mote_core::sample::{Packed, Sample, Tenths};
use mote_core::schedule::Schedule;
use mote_core::wire::lunasentri::Filing;

use super::counts::{Counts, Permille};

/// The agent's default for connecting.
const CONNECT_TIMEOUT_MS: u64 = 5_000;
/// The agent's default for a whole request.
const TIMEOUT_MS: u64 = 15_000;
/// The agent's default outbox.
const HELD_SAMPLES: usize = 8_640;

/// How the server, or the way to it, is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nobody listens: connections are refused at once, kept ones are reset.
    Refused,
    /// Nothing answers, be it the server or the name server: each attempt takes its deadline, and
    /// kept connections are dead.
    Silent,
    /// The server answers 503 and keeps connections.
    Errors,
    /// The devices themselves have no address, and hear at the end that they have one again.
    NoAddress,
}

impl Fault {
    /// All of them, with their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("refused", Self::Refused),
        ("silent", Self::Silent),
        ("errors", Self::Errors),
        ("no-address", Self::NoAddress),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, fault)| *fault == self);
        known.map_or("", |(name, _)| name)
    }
}

/// What is to be lived through.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub agents: u32,
    pub interval_ms: u64,
    pub seed: u64,
    pub fault: Fault,
    /// When the fault begins.
    pub down_ms: u64,
    /// When it is over.
    pub back_ms: u64,
    /// When the simulation is over.
    pub end_ms: u64,
    /// How the agents treat the server.
    pub policy: Policy,
}

impl Plan {
    /// An outage amid a steady time, until each agent had the time to send its whole backlog.
    pub fn new(agents: u32, interval_ms: u64, fault: Fault, outage_ms: u64, seed: u64) -> Self {
        let policy = Policy::usual(interval_ms);
        let down_ms = (8 * interval_ms).max(60_000);
        let back_ms = down_ms + outage_ms;
        // The cap at its widest. By then the backlog has grown on.
        let longest_wait_ms = policy.retry_cap_ms * 3 / 2;
        let held = (outage_ms + longest_wait_ms) / interval_ms + 1;
        Self {
            agents,
            interval_ms,
            seed,
            fault,
            down_ms,
            back_ms,
            end_ms: back_ms + longest_wait_ms + (held + 2) * policy.backfill_every_ms,
            policy,
        }
    }

    /// The same without any spread of the delays after a failure.
    #[must_use]
    pub fn without_jitter(mut self) -> Self {
        self.policy.jitter_permille = 0;
        self
    }

    /// What `window_s` seconds brought, held against a good day.
    pub fn of_steady(&self, load: u64, window_s: u64) -> Permille {
        Permille(load * self.interval_ms / (u64::from(self.agents) * window_s))
    }

    /// Lives it through.
    pub fn run(&self) -> Counts {
        let threads = thread::available_parallelism().map_or(1, |n| n.get() as u32);
        let run_part = |part| {
            let mut counts = Counts::new(self.end_ms);
            let mut outbox = Outbox::new(vec![[0; 6]; HELD_SAMPLES])?;
            for agent in (part..self.agents).step_by(threads as usize) {
                Agent::begin(self, agent, &mut outbox).live(&mut counts);
                outbox.drop_older_than(u32::MAX);
            }
            Some(counts)
        };
        thread::scope(|scope| {
            let parts: Vec<_> = (0..threads)
                .map(|part| scope.spawn(move || run_part(part)))
                .collect();
            let mut all = Counts::new(self.end_ms);
            for part in parts {
                match part.join() {
                    Ok(counts) => counts.iter().for_each(|counts| all.add(counts)),
                    Err(words) => panic::resume_unwind(words),
                }
            }
            all
        })
    }
}

/// The life of one agent.
struct Agent<'p> {
    plan: &'p Plan,
    now_ms: u64,
    schedule: Schedule,
    outbox: &'p mut Outbox<Vec<Packed>>,
    delivery: Delivery,
    taken: u32,
    /// When the connection was last used, if there is one.
    kept_since_ms: Option<u64>,
}

impl<'p> Agent<'p> {
    fn begin(plan: &'p Plan, agent: u32, outbox: &'p mut Outbox<Vec<Packed>>) -> Self {
        let mut chance = Rng::new(plan.seed ^ (u64::from(agent) << 32));
        // Each was started at a moment of its own.
        let phase_ms = chance.below(plan.interval_ms);
        Self {
            plan,
            now_ms: 0,
            schedule: Schedule::new(phase_ms, plan.interval_ms),
            outbox,
            delivery: Delivery::new(plan.policy, chance.next_u64()),
            taken: 0,
            kept_since_ms: None,
        }
    }

    fn live(mut self, counts: &mut Counts) {
        let mut has_heard = self.plan.fault != Fault::NoAddress;
        while self.now_ms < self.plan.end_ms {
            if self.now_ms >= self.plan.back_ms && !has_heard {
                has_heard = true;
                let spread_ms = address_spread_ms(self.plan.interval_ms);
                self.delivery.retry_within(self.now_ms, spread_ms);
            }
            self.take_samples();
            let next_ms = match self.delivery.next(self.outbox, self.now_ms) {
                Next::Send(cursor) => {
                    let (took_ms, outcome) = self.exchange(counts);
                    self.now_ms += took_ms;
                    self.take_samples();
                    self.delivery
                        .settle(self.outbox, cursor, outcome, self.now_ms);
                    continue;
                }
                Next::Wait { until_ms } => until_ms.min(self.schedule.next_ms()),
                Next::Idle => self.schedule.next_ms(),
            };
            self.now_ms = if has_heard {
                next_ms
            } else {
                next_ms.min(self.plan.back_ms.max(self.now_ms))
            };
        }
    }

    /// Takes the samples that came due by now.
    fn take_samples(&mut self) {
        while self.schedule.next_ms() <= self.now_ms {
            let due_ms = self.schedule.next_ms();
            self.schedule.due(due_ms);
            self.taken += 1;
            self.outbox.overwrite(&Sample {
                number: self.taken,
                boot_ms: due_ms,
                wall_ms: None,
                with_info: false,
                cpu: Tenths::ABSENT,
                memory: Tenths::ABSENT,
                disk: Tenths::ABSENT,
                network: None,
                uptime_s: None,
            });
        }
    }

    /// Sends a request now; gives how long it took and what came of it.
    fn exchange(&mut self, counts: &mut Counts) -> (u64, Outcome) {
        let is_down = (self.plan.down_ms..self.plan.back_ms).contains(&self.now_ms);
        let is_kept = self
            .kept_since_ms
            .is_some_and(|since| self.now_ms - since <= keep_ms(self.plan.interval_ms));
        if is_down && self.plan.fault != Fault::Errors {
            counts.in_vain(self.now_ms);
            self.kept_since_ms = None;
            let took_ms = match self.plan.fault {
                Fault::Silent if is_kept => TIMEOUT_MS,
                Fault::Silent => CONNECT_TIMEOUT_MS,
                _ => 0,
            };
            return (took_ms, Outcome::NoAnswer);
        }
        if !is_kept {
            counts.handshake(self.now_ms);
        }
        counts.request(self.now_ms);
        self.kept_since_ms = Some(self.now_ms);
        let outcome = Outcome::Answer {
            status: if is_down { 503 } else { 202 },
            retry_after_ms: None,
            filing: if is_down {
                Filing::Unknown
            } else {
                Filing::OwnTime
            },
        };
        (0, outcome)
    }
}
