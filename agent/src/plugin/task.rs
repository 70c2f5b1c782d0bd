//! An action that is a process of its own: a file of a plugin without a manifest, run once.
//!
//! Of what it writes, the first and the last part become the result. It is read no faster than
//! [`READ_BYTES_PER_S`] and kept in memory: a file would take a flood as fast as the disk does, and
//! wear out flash. Its input is a file, so it may read it or not. It may take as long as its
//! instruction says, and is killed with all that it started.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::path::Path;

use mote_core::json;
use mote_core::wire::orchestrator::may_be_set;
use nix::poll::PollFlags;

use super::action::{Action, Finished, OUTPUT_BYTES, RunId, judge};
use super::error::PluginError;
use super::event::raw_output;
use super::hidden::Hidden;
use super::live::{Live, Verdict};
use super::pipe::Ends;
use super::process::{self, Launch, Process};
use super::scope::Scope;
use super::words::Words;
use crate::clock;
use crate::log::SideLog;

/// What a process may write before it is killed for it.
const MAX_WRITTEN_BYTES: u64 = 4 << 20;
/// Read each second.
const READ_BYTES_PER_S: u64 = 1 << 20;

/// One run.
#[derive(Debug)]
pub(super) struct Task {
    /// Which.
    pub run: RunId,
    /// Whose file it is.
    pub plugin: Box<str>,
    /// Its process.
    pub live: Live,
    output: Ends,
    /// When what it writes is read again, and how much of it was read until then.
    second_ms: u64,
    read_bytes: u64,
    timeout_ms: u64,
    deadline_ms: u64,
    /// On the boot clock.
    started_ms: u64,
    wall_ms: u64,
    /// When it ended, on both clocks: it may be a while until somebody takes what came of it.
    ended_ms: Option<(u64, u64)>,
}

impl Task {
    /// Starts what `action` asks for, in the plugin's folder.
    pub(super) fn start(
        run: RunId,
        action: &Action<'_>,
        folder: &Path,
        timeout_ms: u64,
        scope: &mut Scope,
        now_ms: u64,
    ) -> Result<Self, PluginError> {
        let entry = action.entrypoint.ok_or_else(|| {
            let words = format!(
                "plugin {} has no {} and the instruction no entrypoint: give one",
                action.plugin_id,
                super::manifest::FILE
            );
            PluginError::Refused(words)
        })?;
        let mut command = process::command(folder, entry, None).map_err(PluginError::File)?;
        if let Some((name, _)) = action
            .environment
            .iter()
            .find(|(name, text)| !may_be_set(name) || text.contains('\0'))
        {
            return Err(PluginError::Refused(format!(
                "an instruction may not set {name:?} in a plugin's environment"
            )));
        }
        if action
            .arguments
            .iter()
            .any(|argument| argument.contains('\0'))
        {
            return Err(PluginError::Refused(
                "an argument has a NUL byte".to_owned(),
            ));
        }
        let failed =
            |error: io::Error| PluginError::Start(format!("plugin {}: {error}", action.plugin_id));
        let work = scope.leftovers.make().map_err(failed)?;
        // The folder is the agent's own until all is in it.
        let prepared = Prepared::of(action, &work, scope).and_then(|prepared| {
            scope.give(&work)?;
            Ok(prepared)
        });
        // Python and Node get the path of their input too; a shell reads it from standard input.
        let program = Path::new(&command[0]).file_name();
        let takes_file = program.is_some_and(|name| name == "python3" || name == "node");
        let started = prepared.and_then(|prepared| {
            command.extend(action.arguments.iter().map(Into::into));
            if takes_file && prepared.has_input {
                command.push("--input".into());
                command.push(work.join(INPUT).into());
            }
            let mut environment = action.environment.to_vec();
            environment.extend(action.trace());
            let launch = Launch {
                command: &command,
                folder,
                work: &work,
                environment: &environment,
                input: Some(prepared.input),
            };
            Process::start(launch, &scope.walls)
        });
        let process = started.map_err(|error| {
            scope.leftovers.discard(&work);
            failed(error)
        })?;
        let log = SideLog::new(scope.log_path(action.plugin_id));
        Ok(Self {
            run,
            plugin: action.plugin_id.into(),
            live: Live::new(process, Words::new(log, Hidden::default(), now_ms), work),
            output: Ends::default(),
            second_ms: now_ms.saturating_add(1_000),
            read_bytes: READ_BYTES_PER_S,
            timeout_ms,
            deadline_ms: now_ms.saturating_add(timeout_ms),
            started_ms: now_ms,
            wall_ms: clock::wall_ms(),
            ended_ms: None,
        })
    }

    /// What poll(2) is to look at.
    pub(super) fn watch<'a>(&'a self, each: &mut dyn FnMut(BorrowedFd<'a>, PollFlags)) {
        self.live.watch(each);
    }

    /// Moves it on; returns when something is due next.
    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
        if now_ms >= self.second_ms {
            self.second_ms = now_ms.saturating_add(1_000);
            self.read_bytes = self.output.total() + READ_BYTES_PER_S;
            self.live.is_read = true;
        }
        let mut due_ms = self.live.turn(now_ms);
        self.output.add(&self.live.answers.take_rest());
        if self.output.total() > MAX_WRITTEN_BYTES {
            let words = format!("wrote more than {MAX_WRITTEN_BYTES} bytes to standard output");
            self.live.verdict.get_or_insert(Verdict::Overdrawn(words));
            self.live.process.kill(now_ms);
        } else if self.output.total() >= self.read_bytes {
            self.live.is_read = false;
            due_ms = due_ms.min(self.second_ms);
        }
        if self.live.process.end.is_some() {
            self.ended_ms.get_or_insert((now_ms, clock::wall_ms()));
            return due_ms;
        }
        if now_ms < self.deadline_ms {
            return due_ms.min(self.deadline_ms);
        }
        self.end(Verdict::TimedOut(self.timeout_ms), now_ms);
        due_ms.min(self.live.process.turn(now_ms))
    }

    /// Begins to end it. Who ended by itself is judged by that.
    pub(super) fn end(&mut self, why: Verdict, now_ms: u64) {
        if self.live.process.end.is_none() {
            self.live.end(why, now_ms);
        }
    }

    /// Ends it if it uses more than it may. Looked at each second.
    pub(super) fn hold_to_limits(&mut self, scope: &Scope, now_ms: u64) {
        let max_cpu_ms = scope.max_cpu_ms(None, self.timeout_ms);
        self.live
            .hold_to(scope.max_memory_bytes(None), max_cpu_ms, 0, now_ms);
    }

    /// What came of it, once its process is gone.
    pub(super) fn finish(mut self, scope: &mut Scope, now_ms: u64) -> Finished {
        let (status, error) = judge(self.live.verdict.as_ref(), self.live.process.end);
        let output = output_json(std::mem::take(&mut self.output));
        let (ended_ms, ended_wall_ms) = self.ended_ms.unwrap_or_else(|| (now_ms, clock::wall_ms()));
        scope.leftovers.discard(&self.live.work);
        Finished {
            run: self.run,
            status,
            exit_code: self
                .live
                .process
                .end
                .and_then(super::reaper::End::exit_code),
            output,
            error,
            logs: self.live.words.take_recent(),
            started_ms: self.wall_ms,
            ended_ms: ended_wall_ms,
            duration_ms: ended_ms.saturating_sub(self.started_ms),
        }
    }
}

/// What it wrote: as it is if it is one JSON object that is not too long, else as text.
///
/// An output is as large as all else that the agent holds: it is moved and not copied.
fn output_json(output: Ends) -> String {
    let is_whole = output.is_whole();
    let bytes = output.into_joined(b"\n[...]\n");
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        // Its replacement characters say that it was none.
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    let object = json::read(text.as_bytes(), OUTPUT_BYTES).ok();
    match object.filter(|_| is_whole).map(|object| object.raw().len()) {
        Some(length) if length == text.len() => text,
        Some(_) => text.trim_ascii().to_owned(),
        // NUL is text nowhere: databases and other readers of JSON refuse it.
        None if text.contains('\0') => raw_output(&text.replace('\0', "\u{fffd}"), OUTPUT_BYTES),
        None => raw_output(&text, OUTPUT_BYTES),
    }
}

const INPUT: &str = "input.json";

/// What a run begins with.
struct Prepared {
    input: File,
    has_input: bool,
}

impl Prepared {
    fn of(action: &Action<'_>, work: &Path, scope: &Scope) -> io::Result<Self> {
        let text = action.input();
        let path = work.join(INPUT);
        let input = match &text {
            Some(text) => {
                File::create_new(&path)?.write_all(text.as_bytes())?;
                scope.give(&path)?;
                File::open(&path)?
            }
            None => File::open("/dev/null")?,
        };
        Ok(Self {
            input,
            has_input: text.is_some(),
        })
    }
}
