//! The process of a standing plugin: its start, and what follows from its end.
//!
//! Who failed is started again after a delay that grows with each failure, and what waits for it
//! does not wait that long. Delays are milliseconds.

use mote_core::{log_line, text};

use super::super::action::{Status, judge};
use super::super::harvest::Harvest;
use super::super::live::{Live, Verdict};
use super::super::process::{Launch, Process};
use super::super::reaper::End;
use super::super::scope::Scope;
use super::super::words::Words;
use super::Standing;
use crate::log::{self, SideLog};

/// Delay after the first failure, and the longest.
pub(super) const AGAIN_MS: (u64, u64) = (1_000, 300_000);
/// Who lived as long as this does not fail at its start.
const WELL_MS: u64 = 60_000;
/// What is told of the last line that it said.
const LAST_BYTES: usize = 500;

impl Standing {
    /// Starts its process.
    pub(super) fn start(&mut self, now_ms: u64, scope: &mut Scope, harvest: &mut Harvest) {
        let started = scope.work_folder().and_then(|work| {
            let launch = Launch {
                command: &self.command,
                folder: &self.folder,
                work: &work,
                environment: &[],
                input: None,
            };
            match Process::start(launch, &scope.walls) {
                Ok(process) => Ok((process, work)),
                Err(error) => {
                    scope.leftovers.discard(&work);
                    Err(error)
                }
            }
        });
        match started {
            Ok((process, work)) => {
                let path = scope.log_path(&self.id);
                let log = self.log.take().unwrap_or_else(|| SideLog::new(path));
                self.live = Some(Live::new(
                    process,
                    Words::new(log, self.hidden.clone(), now_ms),
                    work,
                ));
                (self.reached, self.call) = (None, None);
                self.tally.restarts += u64::from(self.started_ms > 0);
                (self.started_ms, self.cpu_from_ms) = (now_ms, 0);
            }
            Err(error) => {
                let words = format!("cannot be started: {error}");
                self.fail(&words, words.clone(), now_ms, harvest);
            }
        }
    }

    /// The process is gone.
    pub(super) fn bury(&mut self, now_ms: u64, scope: &mut Scope, harvest: &mut Harvest) {
        let Some(mut live) = self.live.take() else {
            return;
        };
        scope.leftovers.discard(&live.work);
        self.tally.cpu_ms += live.process.usage.cpu_ms;
        self.call = None;
        let is_quiet = live.verdict == Some(Verdict::Stopped);
        let mut words = match &live.verdict {
            Some(verdict) => verdict.words(),
            None => live
                .process
                .end
                .map_or_else(|| "is gone".to_owned(), End::words),
        };
        let mut shown = self.hidden.mask(&words);
        if let Some(last) = live.words.last() {
            // Cut after that: of what is secret, no half is shown either.
            let masked = self.hidden.mask(last);
            words.extend([": ", text::cut(last, LAST_BYTES)]);
            shown.extend([": ", text::cut(&masked, LAST_BYTES)]);
        }
        if self.reached.is_none() && !self.manifest.requirements.is_empty() {
            let requirements = self.manifest.requirements.join(", ");
            for words in [&mut words, &mut shown] {
                words.extend(["; it requires ", &requirements]);
            }
        }
        if let Some(job) = self.current.take() {
            let (status, error) = judge(live.verdict.as_ref(), live.process.end);
            let status = if status == Status::Completed {
                Status::Failed
            } else {
                status
            };
            let logs = live.words.take_recent();
            self.finish(
                &job,
                status,
                error.or(Some(words.clone())),
                "{}".into(),
                now_ms,
                harvest,
            );
            if let Some(finished) = harvest.finished.back_mut() {
                finished.logs = logs;
            }
        }
        self.log = Some(live.words.into_log());
        if now_ms.saturating_sub(self.started_ms) >= WELL_MS {
            self.backoff.reset();
        }
        if self.stop_ms.is_some() || is_quiet {
            self.drop_waiting(
                "interrupted: it did not run",
                Status::Interrupted,
                now_ms,
                harvest,
            );
        } else {
            self.tally.crashes += 1;
            self.fail(&words, shown, now_ms, harvest);
        }
    }

    /// It will be tried again later; what waits for it does not wait that long. The `words` are for
    /// results, those without what is secret are `shown`.
    fn fail(&mut self, words: &str, shown: String, now_ms: u64, harvest: &mut Harvest) {
        let delay_ms = self.backoff.fail(&mut harvest.rng);
        self.start_ms = now_ms.saturating_add(delay_ms);
        self.tally.failures += 1;
        self.fault = shown;
        let fields = [
            ("plugin", log_line::Value::Str(&self.id)),
            ("error", log_line::Value::Str(&self.fault)),
            ("again_ms", log_line::Value::Uint(delay_ms)),
        ];
        log::warn("Plugin failed", &fields);
        self.drop_waiting(words, Status::Failed, now_ms, harvest);
    }
}
