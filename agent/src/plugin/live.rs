//! A process while it lives: its pipes, what it says, what it uses, and why it is ended.
//!
//! Common to standing plugins and to actions that run once. Whoever owns one asks it each turn;
//! limits are the owner's, since CPU and time are counted by the call and not by the life.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::poll::PollFlags;

use super::pipe::{Lines, Unsent};
use super::process::Process;
use super::tree::Usage;
use super::words::Words;

/// Processes that one plugin may have at a time.
pub(super) const MAX_PROCESSES: u32 = 128;

/// Why a process was ended by the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It took too long: this many milliseconds were allowed.
    TimedOut(u64),
    /// It used more than it may.
    Overdrawn(String),
    /// It broke the rules of the exchange.
    Misbehaved(String),
    /// The agent stops, or the plugin is not wanted any more.
    Stopped,
}

impl Verdict {
    /// For people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::TimedOut(ms) => format!("gave no answer within {ms} ms and was killed"),
            Self::Overdrawn(words) | Self::Misbehaved(words) => format!("{words} and was killed"),
            Self::Stopped => "was stopped with the agent".to_owned(),
        }
    }
}

/// A started process with what belongs to it.
#[derive(Debug)]
pub(super) struct Live {
    /// The process.
    pub process: Process,
    /// What it says on its standard error.
    pub words: Words,
    /// What it writes on its standard output, if that is a pipe.
    pub answers: Lines,
    /// The folder it may fill.
    pub work: PathBuf,
    /// Why it is ended, if the agent ends it.
    pub verdict: Option<Verdict>,
    /// Whether its standard output is read now.
    pub(super) is_read: bool,
    /// When its standard output was found closed: it may be about to end.
    pub(super) closed_ms: Option<u64>,
    unsent: Unsent,
    /// Its input is to be closed once all is written.
    is_last: bool,
}

impl Live {
    /// Goes with a process that just started.
    pub(super) fn new(process: Process, words: Words, work: PathBuf) -> Self {
        Self {
            process,
            words,
            answers: Lines::default(),
            work,
            verdict: None,
            is_read: true,
            closed_ms: None,
            unsent: Unsent::default(),
            is_last: false,
        }
    }

    /// Calls `each` with what poll(2) is to look at.
    pub(super) fn watch<'a>(&'a self, each: &mut dyn FnMut(BorrowedFd<'a>, PollFlags)) {
        if let Some(input) = &self.process.input
            && !self.unsent.is_empty()
        {
            each(input.as_fd(), PollFlags::POLLOUT);
        }
        if let Some(output) = &self.process.output
            && self.is_read
        {
            each(output.as_fd(), PollFlags::POLLIN);
        }
        if let Some(errors) = &self.process.errors
            && self.words.may_read()
        {
            each(errors.as_fd(), PollFlags::POLLIN);
        }
    }

    /// Sends a line; false if too many wait already.
    pub(super) fn send(&mut self, line: &[u8]) -> bool {
        self.unsent.push(line)
    }

    /// Closes its standard input once everything was written.
    pub(super) fn finish_input(&mut self) {
        self.is_last = true;
    }

    /// Moves bytes both ways, as far as nothing waits, and climbs the ladder; returns when there is
    /// something to do without the process doing anything.
    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
        let words_ms = self.words.turn(now_ms);
        // Whether it ended is known before the pipes are emptied: nothing comes after that.
        let has_ended = self.process.end.is_some();
        if let Some(input) = &self.process.input {
            // Whoever never reads its input does nothing wrong.
            let is_open = self.unsent.write(input);
            if !is_open || self.is_last && self.unsent.is_empty() {
                self.process.input = None;
            }
        }
        if let Some(output) = &self.process.output
            && (self.is_read || has_ended)
        {
            let (_, is_closed) = self.answers.fill(output, super::pipe::MAX_LINE_BYTES);
            if is_closed || has_ended {
                self.closed_ms = Some(now_ms);
                self.process.output = None;
            }
        }
        if let Some(errors) = &self.process.errors {
            let is_open = self.words.read(errors, now_ms);
            if !is_open || has_ended {
                self.process.errors = None;
            }
        }
        words_ms.min(self.process.turn(now_ms))
    }

    /// Begins to end it, for this reason if there is no earlier one.
    pub(super) fn end(&mut self, why: Verdict, now_ms: u64) {
        self.verdict.get_or_insert(why);
        self.process.end(now_ms);
    }

    /// Ends it if its tree uses more than it may. CPU counts from `cpu_from_ms`.
    pub(super) fn hold_to(
        &mut self,
        max_rss_bytes: u64,
        max_cpu_ms: u64,
        cpu_from_ms: u64,
        now_ms: u64,
    ) {
        let Usage {
            rss_bytes,
            cpu_ms,
            processes,
        } = self.process.usage;
        let used_ms = cpu_ms.saturating_sub(cpu_from_ms);
        let words = if max_rss_bytes > 0 && rss_bytes > max_rss_bytes {
            format!("used {rss_bytes} bytes of memory, {max_rss_bytes} are allowed,")
        } else if max_cpu_ms > 0 && used_ms > max_cpu_ms {
            format!("used {used_ms} ms of CPU in one call, {max_cpu_ms} are allowed,")
        } else if processes > MAX_PROCESSES {
            format!("started more than {MAX_PROCESSES} processes")
        } else {
            return;
        };
        self.verdict.get_or_insert(Verdict::Overdrawn(words));
        // Whoever takes too much is given no time to take more.
        self.process.kill(now_ms);
    }
}
