//! What a standing plugin is asked, and when: one request at a time, each with a deadline.
//!
//! First what gets it ready; then, most urgent first, an action that waits, the look for triggers
//! and the question for its health. Times are milliseconds, moments `CLOCK_BOOTTIME`.

use super::super::harvest::Harvest;
use super::super::live::{Live, Verdict};
use super::super::manifest::Kind;
use super::super::scope::{Scope, smaller};
use super::Standing;

/// Between two questions for its health.
pub(super) const HEALTH_EVERY_MS: u64 = 30_000;
/// For an answer to any of these: longer than an interpreter takes to load on a slow device.
const START_MS: u64 = 60_000;
const HEALTH_MS: u64 = 30_000;

/// What was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Info,
    Initialize,
    Start,
    Detect,
    Health,
    Execute,
}

impl Ask {
    /// What it is called in the request.
    pub(super) const fn action(self) -> &'static str {
        match self {
            Self::Info => "get_info",
            Self::Initialize => "initialize",
            Self::Start => "start",
            Self::Detect => "detect_triggers",
            Self::Health => "get_health",
            Self::Execute => "execute_action",
        }
    }
}

/// A request without an answer so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    /// What was asked.
    pub ask: Ask,
    /// How long it may take.
    pub allowed_ms: u64,
    /// When that is over.
    pub deadline_ms: u64,
}

impl Standing {
    /// Sends the next request, if one is due and none is outstanding.
    pub(super) fn ask_next(&mut self, now_ms: u64, scope: &Scope, harvest: &mut Harvest) {
        let can_ask = |live: &Live| !live.process.is_ending() && live.process.end.is_none();
        if self.call.is_some() || self.stop_ms.is_some() || !self.live.as_ref().is_some_and(can_ask)
        {
            return;
        }
        let call_ms = scope.call_ms(self.manifest.execution_ms);
        let (ask, allowed_ms) = match self.reached {
            None => (Ask::Info, smaller(call_ms, START_MS)),
            Some(Ask::Info) => (Ask::Initialize, smaller(call_ms, START_MS)),
            Some(Ask::Initialize) => (Ask::Start, smaller(call_ms, START_MS)),
            Some(_) if !self.waiting.is_empty() => {
                self.current = self.waiting.pop_front();
                let job = self.current.as_ref();
                let until_ms = job.map_or(0, |job| job.started_ms.saturating_add(job.timeout_ms));
                (Ask::Execute, until_ms.saturating_sub(now_ms))
            }
            Some(_)
                if self.manifest.kind == Kind::Trigger
                    && now_ms >= self.detect_ms
                    && harvest.may_detect() =>
            {
                harvest.detecting += 1;
                let interval_ms = scope.options.trigger_interval_ms.max(1);
                // Those that were missed are not made up for.
                let behind_ms = now_ms - self.detect_ms;
                self.detect_ms += (behind_ms / interval_ms + 1) * interval_ms;
                (
                    Ask::Detect,
                    smaller(call_ms, scope.options.trigger_timeout_ms),
                )
            }
            Some(_) if now_ms >= self.health_ms => {
                self.health_ms = now_ms + HEALTH_EVERY_MS;
                (Ask::Health, smaller(call_ms, HEALTH_MS))
            }
            Some(_) => return,
        };
        let line = match ask {
            Ask::Execute => self
                .current
                .as_mut()
                .map(|job| std::mem::take(&mut job.request)),
            Ask::Initialize => {
                let head = "{\"action\":\"initialize\",\"config\":";
                Some([head, &self.configuration, "}"].concat().into_bytes())
            }
            _ => Some(
                ["{\"action\":\"", ask.action(), "\"}"]
                    .concat()
                    .into_bytes(),
            ),
        };
        let allowed_ms = if allowed_ms == 0 {
            START_MS
        } else {
            allowed_ms
        };
        if matches!(ask, Ask::Detect | Ask::Execute) {
            self.tally.runs += 1;
            self.tally.last_run_ms = Some(now_ms);
        }
        self.call = Some(Call {
            ask,
            allowed_ms,
            deadline_ms: now_ms.saturating_add(allowed_ms),
        });
        let line = line.unwrap_or_default();
        if let Some(lines) = &mut self.transcript {
            lines.push(('>', line.clone()));
        }
        if let Some(live) = &mut self.live {
            self.cpu_from_ms = live.process.usage.cpu_ms;
            if !live.send(&line) {
                live.end(Verdict::Misbehaved("does not read".to_owned()), now_ms);
            }
        }
    }
}
