//! What to send next and when, for one metrics server.
//!
//! Policy only: it never sends, sleeps or reads a clock. [`Delivery::next`] says which sample is
//! due or how long to wait; [`Delivery::settle`] takes what became of an attempt, moves the
//! outbox on, and says what happened so that the caller can log it. All times are milliseconds
//! on one clock that never goes back.
//!
//! The rules:
//! - The newest sample goes first, always. While the server is away it is the only one tried.
//!   Samples of an earlier start wait for the first one of this start.
//! - Older samples follow once the newest was delivered: oldest first, one every
//!   `backfill_every_ms`, the first of them at a moment of its own within twice that. None does
//!   that the server would file at the wrong time, see [`Backfill`]; where there is no telling, they
//!   wait.
//! - The backoff belongs to the server, not to a sample. Nothing is given up; after `max_retries`
//!   the caller is told that samples are being held.
//! - A refused sample (400, 413, 422) is dropped, but five in a row look like a broken server
//!   rather than a broken sample: then it holds.
//! - A held sample that is answered with trouble while fresh ones are delivered is the trouble
//!   itself: it changes nothing for the others, and is dropped after three tries. Between two tries
//!   a fresh one must have been delivered, or a server that went down would be blamed on samples.
//!   One whose request gets no answer is taken for an outage each time, and dropped after twenty
//!   tries in a row with deliveries between them: until then the link may be the trouble.
//! - A refused key or an address that is not the server (401, 404, a redirect) says nothing about
//!   the samples: they are held, and the server is asked at the slowest pace.
//!
//! All devices of a fleet lose their server in the same moment and get it back in the same moment,
//! and each then has a connection to open and a backlog to send. [`Policy::usual`] is chosen so
//! that within any second the whole fleet asks at most half as much again as on a good day,
//! handshakes counted as requests, after any outage of a minute or more: the backlog takes two
//! fifths of a request an interval, delays are spread by half of themselves even at the cap, and
//! neither the backlogs of the fleet nor its retries when addresses appear
//! ([`Delivery::retry_within`]) begin in step.

mod policy;

use crate::backoff::Backoff;
use crate::outbox::{Cursor, Outbox};
use crate::rng::Rng;
use crate::sample::Packed;
use crate::wire::lunasentri::{Filing, Verdict};

pub use policy::{Backfill, Policy, address_spread_ms, backfill_every_ms, keep_ms};

/// With so many points a held sample, and not the server, is taken to be the trouble.
const TROUBLE_POINTS: u32 = 20;
/// For an answer with a failure: the third is enough.
const ANSWERED_POINTS: u32 = 7;
/// For no answer. A link that loses half of all requests brings one sample in a million to twenty.
const BROKEN_POINTS: u32 = 1;

/// Refused samples in a row after which the server, not the sample, is taken to be broken.
const REFUSED_LIMIT: u32 = 5;

/// Hints that are followed at once; see [`Delivery::retry_within`].
pub const HINTS: u64 = 3;
/// One more after this time.
const HINT_EVERY_MS: u64 = 60_000;

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Send this sample.
    Send(Cursor),
    /// Nothing before a moment, unless a sample is taken.
    Wait {
        /// The moment, milliseconds on the clock of `now_ms`.
        until_ms: u64,
    },
    /// Nothing until a sample is taken.
    Idle,
}

/// A held sample in trouble.
#[derive(Debug, Clone, Copy)]
struct Troubled {
    cursor: Cursor,
    tries: u32,
    points: u32,
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered, whole.
    Answer {
        /// HTTP status.
        status: u16,
        /// What `Retry-After` asked for, already kept within its limits.
        retry_after_ms: Option<u64>,
        /// What the body tells.
        filing: Filing,
    },
    /// The request left, and no whole answer came.
    Broken,
    /// The server was not reached.
    NoAnswer,
}

/// What [`Delivery::settle`] made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// Delivered.
    Delivered {
        /// It is the first after this many failures.
        after_failures: u32,
        /// The last attempt before it was not delivered, whatever the reason.
        back: bool,
        /// Older samples that were dropped because the server would file them at the wrong time.
        dropped: u32,
    },
    /// The sample was refused and dropped.
    Refused {
        /// Too many in a row: held for this long.
        hold_ms: Option<u64>,
    },
    /// A held sample was not taken, while fresh ones are.
    Troubled {
        /// Tries of this sample so far.
        tries: u32,
        /// It was the last: the sample is dropped.
        dropped: bool,
    },
    /// To be tried again.
    Retry {
        /// Failures so far.
        attempt: u32,
        /// Delay before the next attempt.
        in_ms: u64,
        /// More failures than `max_retries`: samples are being held.
        holding: bool,
    },
    /// The key was refused.
    KeyRefused {
        /// Delay before the next attempt.
        in_ms: u64,
        /// It was not refused the last time.
        first: bool,
    },
    /// What answers there is not the server.
    NotThere {
        /// Delay before the next attempt.
        in_ms: u64,
        /// It was not so the last time.
        first: bool,
    },
}

/// Where the server stands with us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not asked yet.
    Unknown,
    /// The last attempt was delivered.
    Delivering,
    /// The last attempt failed.
    Away,
    /// It refuses samples.
    Refusing,
    /// It refuses the key.
    KeyRefused,
    /// Something else answers there.
    NotThere,
}

/// Delivery to one server.
#[derive(Debug)]
pub struct Delivery {
    policy: Policy,
    backoff: Backoff,
    rng: Rng,
    standing: Standing,
    not_before_ms: u64,
    /// Hints that were followed count for a minute each; the last of those minutes ends here.
    hinted_until_ms: u64,
    backlog_not_before_ms: u64,
    /// Where in the backlog's period its moments lie, by which a fleet's are spread for good.
    backlog_phase: u64,
    /// Number of the newest sample that is done with; what came later is fresh.
    settled_number: u32,
    refused_in_a_row: u32,
    /// The held sample that met with trouble last.
    troubled: Option<Troubled>,
    /// What the last good answer told.
    filing: Filing,
    /// One was since a fresh sample was delivered: whether the server is still there is not known.
    is_in_doubt: bool,
}

impl Delivery {
    /// Nothing was sent yet. `seed` spreads the delays and should differ from device to device.
    pub fn new(policy: Policy, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            policy,
            backoff: Backoff::new(
                policy.retry_first_ms,
                policy.retry_cap_ms,
                policy.jitter_permille,
            ),
            backlog_phase: rng.next_u64(),
            rng,
            standing: Standing::Unknown,
            not_before_ms: 0,
            hinted_until_ms: 0,
            backlog_not_before_ms: 0,
            settled_number: 0,
            refused_in_a_row: 0,
            troubled: None,
            filing: Filing::Unknown,
            is_in_doubt: false,
        }
    }

    /// What to do at `now_ms`.
    pub fn next<S>(&self, outbox: &Outbox<S>, now_ms: u64) -> Next
    where
        S: AsRef<[Packed]> + AsMut<[Packed]>,
    {
        let Some(newest) = outbox.newest() else {
            return Next::Idle;
        };
        if now_ms < self.not_before_ms {
            return Next::Wait {
                until_ms: self.not_before_ms,
            };
        }
        let answers = matches!(self.standing, Standing::Delivering | Standing::Refusing);
        if !answers && newest.origin() > 0 {
            return Next::Idle;
        }
        if !answers || self.is_fresh(outbox, newest) {
            return Next::Send(newest);
        }
        if self.is_in_doubt || !self.files_by_time() {
            return Next::Idle;
        }
        if now_ms < self.backlog_not_before_ms {
            return Next::Wait {
                until_ms: self.backlog_not_before_ms,
            };
        }
        outbox.oldest().map_or(Next::Idle, Next::Send)
    }

    /// Takes the outcome of sending `cursor`.
    pub fn settle<S>(
        &mut self,
        outbox: &mut Outbox<S>,
        cursor: Cursor,
        outcome: Outcome,
        now_ms: u64,
    ) -> Settled
    where
        S: AsRef<[Packed]> + AsMut<[Packed]>,
    {
        let fresh = self.is_fresh(outbox, cursor);
        let (verdict, retry_after_ms, filing) = match outcome {
            Outcome::Answer {
                status,
                retry_after_ms,
                filing,
            } => (Verdict::of_status(status), retry_after_ms, filing),
            Outcome::Broken | Outcome::NoAnswer => (Verdict::Hold, None, Filing::Unknown),
        };
        if verdict != Verdict::Refused {
            self.refused_in_a_row = 0;
        }
        if let Some(settled) = self.troubled(outbox, cursor, fresh, outcome, now_ms) {
            return settled;
        }
        match verdict {
            Verdict::Delivered => self.delivered(outbox, cursor, fresh, filing, now_ms),
            Verdict::Refused => self.refused(outbox, cursor, fresh, now_ms),
            Verdict::Hold => {
                if fresh {
                    // The server takes fresh ones no more than held ones: no held one is the trouble.
                    self.troubled = None;
                }
                self.standing = Standing::Away;
                let backoff_ms = self.backoff.fail(&mut self.rng);
                let in_ms = match retry_after_ms {
                    // Later than asked, never earlier, and not all in the same moment.
                    Some(asked) => asked + self.rng.below(asked / 5 + 1),
                    None => backoff_ms,
                };
                self.not_before_ms = now_ms + in_ms;
                let attempt = self.backoff.failures();
                Settled::Retry {
                    attempt,
                    in_ms,
                    holding: attempt > self.policy.max_retries,
                }
            }
            Verdict::KeyRefused => {
                let first = self.standing != Standing::KeyRefused;
                self.standing = Standing::KeyRefused;
                Settled::KeyRefused {
                    in_ms: self.hold_long(now_ms),
                    first,
                }
            }
            Verdict::NotThere => {
                let first = self.standing != Standing::NotThere;
                self.standing = Standing::NotThere;
                Settled::NotThere {
                    in_ms: self.hold_long(now_ms),
                    first,
                }
            }
        }
    }

    /// Goes on with another policy; what is known of the server stays.
    pub fn change_policy(&mut self, policy: Policy) {
        self.backoff = self.backoff.with(
            policy.retry_first_ms,
            policy.retry_cap_ms,
            policy.jitter_permille,
        );
        self.policy = policy;
    }

    /// Asks again at once: the key was changed.
    pub fn retry_now(&mut self) {
        self.not_before_ms = 0;
    }

    /// Asks again within this time, at a moment of this device's own: something changed, and perhaps
    /// for a whole fleet. If that attempt is too early, the next ones follow as after a first failure.
    ///
    /// Of hints that come again and again, from a cable that is loose, [`HINTS`] are followed at
    /// once and then one a minute.
    pub fn retry_within(&mut self, now_ms: u64, within_ms: u64) {
        let spare_ms = HINT_EVERY_MS * (HINTS - 1);
        let earliest_ms = now_ms.max(self.hinted_until_ms.saturating_sub(spare_ms));
        let at_ms = earliest_ms + self.rng.below(within_ms + 1);
        if self.not_before_ms > now_ms + within_ms && self.not_before_ms > at_ms {
            self.not_before_ms = at_ms;
            self.backoff.restart();
            self.hinted_until_ms = self.hinted_until_ms.max(now_ms) + HINT_EVERY_MS;
        }
    }

    /// Where the server stands.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// Failures since the last delivery.
    pub fn failures(&self) -> u32 {
        self.backoff.failures()
    }

    /// Whether the sample at `cursor` is newer than all that the server had a say on.
    pub fn is_fresh<S>(&self, outbox: &Outbox<S>, cursor: Cursor) -> bool
    where
        S: AsRef<[Packed]> + AsMut<[Packed]>,
    {
        cursor.origin() == 0
            && cursor.number() > self.settled_number
            && outbox.get(cursor).is_some()
    }

    fn delivered<S>(
        &mut self,
        outbox: &mut Outbox<S>,
        cursor: Cursor,
        fresh: bool,
        filing: Filing,
        now_ms: u64,
    ) -> Settled
    where
        S: AsRef<[Packed]> + AsMut<[Packed]>,
    {
        let after_failures = self.backoff.failures();
        let is_first = self.standing == Standing::Unknown;
        let back = !is_first && self.standing != Standing::Delivering;
        self.standing = Standing::Delivering;
        self.backoff.reset();
        self.not_before_ms = 0;
        let number = outbox.remove(cursor).map_or(0, |sample| sample.number);
        let mut dropped = 0;
        self.filing = filing;
        if fresh {
            self.settled_number = number;
            self.is_in_doubt = false;
            if self.files_by_arrival() {
                dropped = outbox.drop_older_than(number);
            }
        }
        let every_ms = self.policy.backfill_every_ms;
        if back || is_first {
            // A server that just came back has enough to do. But a moment that is still to come stays,
            // unless it is of a longer period: put off by every return, it would never come where
            // one request in three fails.
            let is_to_come = now_ms + 1..now_ms + 2 * every_ms;
            if !is_to_come.contains(&self.backlog_not_before_ms) {
                self.backlog_not_before_ms = self.backlog_moment(now_ms + every_ms);
            }
        } else if !fresh {
            // One that was late does not put off those that follow.
            self.backlog_not_before_ms = self.backlog_moment(now_ms + every_ms / 2);
        }
        Settled::Delivered {
            after_failures,
            back,
            dropped,
        }
    }

    /// The first of the backlog's moments that is not before `from_ms`.
    fn backlog_moment(&self, from_ms: u64) -> u64 {
        let every_ms = self.policy.backfill_every_ms.max(1);
        let since_last_ms = (from_ms + every_ms - self.backlog_phase % every_ms) % every_ms;
        from_ms + (every_ms - since_last_ms) % every_ms
    }

    /// Whether held samples may be sent: as far as is known, the server files them at their own time.
    fn files_by_time(&self) -> bool {
        match self.policy.backfill {
            Backfill::On => true,
            Backfill::Off => false,
            Backfill::Auto => self.filing == Filing::OwnTime,
        }
    }

    /// Whether it would file them at the wrong one.
    fn files_by_arrival(&self) -> bool {
        match self.policy.backfill {
            Backfill::On => false,
            Backfill::Off => true,
            Backfill::Auto => self.filing == Filing::Arrival,
        }
    }

    /// Whether held samples wait for an answer that tells what to do with them.
    pub fn is_at_a_loss(&self) -> bool {
        !self.files_by_time() && !self.files_by_arrival() && self.standing == Standing::Delivering
    }

    fn refused<S>(
        &mut self,
        outbox: &mut Outbox<S>,
        cursor: Cursor,
        fresh: bool,
        now_ms: u64,
    ) -> Settled
    where
        S: AsRef<[Packed]> + AsMut<[Packed]>,
    {
        self.standing = Standing::Refusing;
        self.refused_in_a_row += 1;
        if let (Some(sample), true) = (outbox.remove(cursor), fresh) {
            self.settled_number = sample.number;
        }
        self.backlog_not_before_ms = now_ms + self.policy.backfill_every_ms;
        let hold_ms = (self.refused_in_a_row >= REFUSED_LIMIT).then(|| {
            let in_ms = self.backoff.fail(&mut self.rng);
            self.not_before_ms = now_ms + in_ms;
            in_ms
        });
        Settled::Refused { hold_ms }
    }

    /// Whether the trouble is one held sample's own, and what follows: it alone is answered with
    /// a failure, or not at all, while the server takes others.
    fn troubled<S>(
        &mut self,
        outbox: &mut Outbox<S>,
        cursor: Cursor,
        fresh: bool,
        outcome: Outcome,
        now_ms: u64,
    ) -> Option<Settled>
    where
        S: AsRef<[Packed]> + AsMut<[Packed]>,
    {
        let points = match outcome {
            Outcome::Answer { status, .. } if is_trouble(status) => ANSWERED_POINTS,
            Outcome::Broken => BROKEN_POINTS,
            Outcome::Answer { .. } | Outcome::NoAnswer => return None,
        };
        if fresh || self.standing != Standing::Delivering {
            return None;
        }
        outbox.get(cursor)?;
        let before = self.troubled.filter(|before| before.cursor == cursor);
        let now = Troubled {
            cursor,
            tries: before.map_or(0, |before| before.tries) + 1,
            points: before.map_or(0, |before| before.points) + points,
        };
        self.troubled = Some(now);
        let tries = now.tries;
        let dropped = now.points >= TROUBLE_POINTS;
        if outcome == Outcome::Broken && !dropped {
            // An outage, as far as is known: the next delivery tells.
            return None;
        }
        self.is_in_doubt = true;
        self.backlog_not_before_ms = now_ms + self.policy.backfill_every_ms;
        if dropped {
            outbox.remove(cursor);
        }
        Some(Settled::Troubled { tries, dropped })
    }

    fn hold_long(&mut self, now_ms: u64) -> u64 {
        let in_ms = self.backoff.capped(&mut self.rng);
        self.not_before_ms = now_ms + in_ms;
        in_ms
    }
}

/// Whether an answer to a held sample may be about that sample.
fn is_trouble(status: u16) -> bool {
    // These are about the server or the key, whatever was sent.
    let is_general = matches!(status, 401 | 403 | 408 | 429 | 503);
    match Verdict::of_status(status) {
        Verdict::Hold | Verdict::NotThere => !is_general,
        Verdict::Delivered | Verdict::Refused | Verdict::KeyRefused => false,
    }
}

#[cfg(test)]
mod tests;
