//! The actions that a standing plugin is given: one at a time, in the order in which they came.
//!
//! Each of them ends, and is put among what finished: by its answer, by the end of the process, or
//! because its time ran out while it waited. An action's time is for the whole, waiting included.

use mote_core::json::{Object, Value};

use super::super::action::{Finished, RunId, Status};
use super::super::harvest::Harvest;
use super::Standing;
use crate::clock;

/// An action that waits for its turn, or has it.
#[derive(Debug)]
pub(in crate::plugin) struct Job {
    /// Which.
    pub run: RunId,
    /// The line that asks for it.
    pub request: Vec<u8>,
    /// For the whole, waiting included.
    pub timeout_ms: u64,
    /// On the boot clock.
    pub started_ms: u64,
    /// On the wall clock.
    pub wall_ms: u64,
}

impl Standing {
    /// Actions that it has and did not finish.
    pub(in crate::plugin) fn jobs(&self) -> usize {
        self.waiting.len() + usize::from(self.current.is_some())
    }

    /// Takes an action; it is done when those before it are.
    pub(in crate::plugin) fn take_job(&mut self, job: Job) {
        self.waiting.push_back(job);
    }

    /// Ends those that wait and have no time left.
    pub(super) fn drop_overdue(&mut self, now_ms: u64, harvest: &mut Harvest) {
        let is_over = |job: &Job| now_ms >= job.started_ms.saturating_add(job.timeout_ms);
        while let Some(at) = self.waiting.iter().position(is_over) {
            if let Some(job) = self.waiting.remove(at) {
                let words = "the plugin was busy for all of its time".to_owned();
                self.finish(
                    &job,
                    Status::TimedOut,
                    Some(words),
                    "{}".into(),
                    now_ms,
                    harvest,
                );
            }
        }
    }

    /// The action ends as its answer says. `why` is the reason of an answer that is not good.
    pub(super) fn finish_by_answer(
        &mut self,
        job: &Job,
        answer: Object<'_>,
        is_good: bool,
        why: String,
        now_ms: u64,
        harvest: &mut Harvest,
    ) {
        let data = answer.present("data").and_then(Value::as_object);
        let member = |key: &str| data.and_then(|data| data.present(key));
        let status = member("status").and_then(Value::as_str);
        let is_done = is_good && status.is_none_or(|status| status.is("completed"));
        let error = (!is_done).then(|| {
            let told = member("error").and_then(Value::as_str);
            told.map_or(why, |error| error.chars().take(2_000).collect())
        });
        let output = match (member("data"), data) {
            (Some(Value::Object(inner)), _) => inner.raw().to_owned(),
            (_, Some(data)) => data.raw().to_owned(),
            _ => "{}".to_owned(),
        };
        if !is_done {
            self.tally.failures += 1;
        }
        let status = if is_done {
            Status::Completed
        } else {
            Status::Failed
        };
        self.finish(job, status, error, output, now_ms, harvest);
    }

    /// The action ends, in this way.
    pub(super) fn finish(
        &mut self,
        job: &Job,
        status: Status,
        error: Option<String>,
        output: String,
        now_ms: u64,
        harvest: &mut Harvest,
    ) {
        let logs = self.live.as_mut().map(|live| live.words.take_recent());
        harvest.finished.push_back(Finished {
            run: job.run,
            status,
            exit_code: None,
            output,
            error,
            logs: logs.unwrap_or_default(),
            started_ms: job.wall_ms,
            ended_ms: clock::wall_ms(),
            duration_ms: now_ms.saturating_sub(job.started_ms),
        });
    }

    /// Ends all that wait.
    pub(super) fn drop_waiting(
        &mut self,
        words: &str,
        status: Status,
        now_ms: u64,
        harvest: &mut Harvest,
    ) {
        while let Some(job) = self.waiting.pop_front() {
            self.finish(
                &job,
                status,
                Some(words.to_owned()),
                "{}".into(),
                now_ms,
                harvest,
            );
        }
    }
}
