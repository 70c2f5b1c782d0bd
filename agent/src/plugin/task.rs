//! An action that is a process of its own: a file of a plugin without a manifest, run once.
//!
//! What it writes goes to a file in its work folder that nobody has to read meanwhile; of it the
//! first and the last part become the result. Its input is a file too, so it may read it or not.
//! It may take as long as its instruction says, and is killed with all that it started.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use mote_core::json;
use nix::poll::PollFlags;

use super::action::{Action, Finished, OUTPUT_BYTES, RunId, judge};
use super::error::PluginError;
use super::event::raw_output;
use super::live::{Live, Verdict};
use super::process::{self, Launch, Process};
use super::scope::Scope;
use super::words::Words;
use crate::clock;
use crate::log::SideLog;

/// What a process may write before it is killed for it.
const MAX_WRITTEN_BYTES: u64 = 4 << 20;
/// Read of a long output from each end.
const HALF_BYTES: usize = OUTPUT_BYTES / 2;

/// One run.
#[derive(Debug)]
pub(super) struct Task {
    /// Which.
    pub run: RunId,
    /// Its process.
    pub live: Live,
    output: File,
    timeout_ms: u64,
    deadline_ms: u64,
    /// On the boot clock.
    started_ms: u64,
    wall_ms: u64,
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
            .find(|(name, text)| !process::may_be_set(name) || text.contains('\0'))
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
        let work = scope.work_folder().map_err(failed)?;
        let prepared = Prepared::of(action, &work, scope);
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
            let output = prepared.output.try_clone()?;
            let launch = Launch {
                command: &command,
                folder,
                work: &work,
                environment: &environment,
                input: Some(prepared.input),
                output: Some(output),
            };
            Ok((Process::start(launch, &scope.walls)?, prepared.output))
        });
        let (process, output) = started.map_err(|error| {
            scope.leftovers.discard(&work);
            failed(error)
        })?;
        let log = SideLog::new(scope.log_path(action.plugin_id));
        Ok(Self {
            run,
            live: Live::new(process, Words::new(log, now_ms), work),
            output,
            timeout_ms,
            deadline_ms: now_ms.saturating_add(timeout_ms),
            started_ms: now_ms,
            wall_ms: clock::wall_ms(),
        })
    }

    /// What poll(2) is to look at.
    pub(super) fn watch<'a>(&'a self, each: &mut dyn FnMut(BorrowedFd<'a>, PollFlags)) {
        self.live.watch(each);
    }

    /// Moves it on; returns when something is due next.
    pub(super) fn turn(&mut self, now_ms: u64) -> u64 {
        let due_ms = self.live.turn(now_ms);
        if now_ms < self.deadline_ms {
            return due_ms.min(self.deadline_ms);
        }
        self.live.end(Verdict::TimedOut(self.timeout_ms), now_ms);
        due_ms.min(self.live.process.turn(now_ms))
    }

    /// Ends it if it uses more than it may. Looked at each second.
    pub(super) fn hold_to_limits(&mut self, scope: &Scope, now_ms: u64) {
        let max_cpu_ms = scope.max_cpu_ms(None, self.timeout_ms);
        self.live
            .hold_to(scope.max_memory_bytes(None), max_cpu_ms, 0, now_ms);
        if self.written_bytes() > MAX_WRITTEN_BYTES {
            let words = format!("wrote more than {MAX_WRITTEN_BYTES} bytes to standard output");
            self.live.verdict.get_or_insert(Verdict::Overdrawn(words));
            self.live.process.kill(now_ms);
        }
    }

    fn written_bytes(&self) -> u64 {
        self.output.metadata().map_or(0, |found| found.len())
    }

    /// What came of it, once its process is gone.
    pub(super) fn finish(mut self, scope: &mut Scope, now_ms: u64) -> Finished {
        let (status, error) = judge(self.live.verdict.as_ref(), self.live.process.end);
        let output = self.output_json();
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
            ended_ms: clock::wall_ms(),
            duration_ms: now_ms.saturating_sub(self.started_ms),
        }
    }

    /// What it wrote: as it is if it is one JSON object that is not too long, else as text.
    fn output_json(&self) -> String {
        let length = self.written_bytes();
        let mut bytes = Vec::new();
        if length <= OUTPUT_BYTES as u64 {
            read_at(&self.output, 0, OUTPUT_BYTES, &mut bytes);
            if let Ok(object) = json::read(&bytes, OUTPUT_BYTES) {
                return object.raw().to_owned();
            }
        } else {
            read_at(&self.output, 0, HALF_BYTES, &mut bytes);
            bytes.extend_from_slice(b"\n[...]\n");
            read_at(
                &self.output,
                length - HALF_BYTES as u64,
                HALF_BYTES,
                &mut bytes,
            );
        }
        raw_output(&String::from_utf8_lossy(&bytes), OUTPUT_BYTES)
    }
}

const INPUT: &str = "input.json";

/// The files that a run begins with.
struct Prepared {
    input: File,
    has_input: bool,
    output: File,
}

impl Prepared {
    fn of(action: &Action<'_>, work: &Path, scope: &Scope) -> io::Result<Self> {
        let text = action.input();
        let path = work.join(INPUT);
        let input = match &text {
            Some(text) => {
                std::fs::write(&path, text)?;
                scope.give(&path)?;
                File::open(&path)?
            }
            None => File::open("/dev/null")?,
        };
        let output = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(work.join("output"))?;
        Ok(Self {
            input,
            has_input: text.is_some(),
            output,
        })
    }
}

/// Adds up to `count` bytes from `from` on.
fn read_at(file: &File, from: u64, count: usize, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.resize(start + count, 0);
    let mut filled = start;
    while filled < bytes.len() {
        let at = from + (filled - start) as u64;
        match file.read_at(&mut bytes[filled..], at) {
            Ok(0) | Err(_) => break,
            Ok(length) => filled += length,
        }
    }
    bytes.truncate(filled);
}
