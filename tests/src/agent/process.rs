//! A running agent: its log, its signals, its end, and what the kernel says of it.
//!
//! Memory is kB as the kernel counts them, of 1024 bytes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::emulation;
use super::log::{LogLine, Output};
use crate::strace;
use crate::wait::{TimedOut, poll_until};

/// How long the streams of an agent that ended may stay open: a process of its own may hold them.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How long the agent may take to end once it is asked to.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// What a process holds in memory, kB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Resident, all of it.
    pub rss_kb: u64,
    /// Resident and backed by no file: heap, stack, written data.
    pub anonymous_kb: u64,
    /// The most that was ever resident.
    pub peak_rss_kb: u64,
}

/// An agent that was started. Dropping it kills and reaps it; in a test that fails, the last lines
/// of its log are printed.
#[derive(Debug)]
pub struct AgentUnderTest {
    child: Child,
    output: Arc<Output>,
    status: Option<ExitStatus>,
    dir: Arc<TempDir>,
    /// The file whose reads are traced, and the trace.
    trace: Option<(PathBuf, PathBuf)>,
}

impl AgentUnderTest {
    pub(super) fn watch(
        mut child: Child,
        dir: Arc<TempDir>,
        trace: Option<(PathBuf, PathBuf)>,
    ) -> io::Result<Self> {
        let output = Arc::new(Output::default());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        // From here on a failure drops, and so kills, the child.
        let agent = Self {
            child,
            output: Arc::clone(&output),
            status: None,
            dir,
            trace,
        };
        if let (Some(out), Some(err)) = (out, err) {
            let ears = (Arc::clone(&output), output);
            thread::Builder::new().spawn(move || ears.0.listen_out(out))?;
            thread::Builder::new().spawn(move || ears.1.listen_err(err))?;
        }
        Ok(agent)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it said on standard output so far.
    pub fn log(&self) -> Vec<LogLine> {
        self.output.lines()
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> Vec<String> {
        self.output.errors()
    }

    /// The first line of its log that is wanted, said already or yet to come. Fails at once if it
    /// ended without saying it.
    pub fn wait_for_log(
        &self,
        wanted: impl Fn(&LogLine) -> bool,
        timeout: Duration,
    ) -> Result<LogLine, TimedOut> {
        self.output.wait_for(0, wanted, timeout)
    }

    /// The same, without the first `from` lines: pass the length of [`log`](Self::log) taken before
    /// the deed whose echo is awaited.
    pub fn wait_for_log_from(
        &self,
        from: usize,
        wanted: impl Fn(&LogLine) -> bool,
        timeout: Duration,
    ) -> Result<LogLine, TimedOut> {
        self.output.wait_for(from, wanted, timeout)
    }

    /// Where it listens: its first port that serves `path`, once it is open.
    pub fn listens_at(&self, path: &str, timeout: Duration) -> Result<SocketAddr, TimedOut> {
        let serves = |line: &LogLine| {
            line.msg() == "Listening" && line.str("serves").split(' ').any(|each| each == path)
        };
        let line = self.wait_for_log(serves, timeout)?;
        let address = line.str("address");
        address
            .parse()
            .map_err(|_| TimedOut(format!("{address:?} is no address: {}", line.text)))
    }

    /// Sends a signal. An error if it has ended.
    pub fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.look_for_exit()?.is_some() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the agent has ended",
            ));
        }
        // A process that was not reaped still owns its number, so this reaches nobody else.
        Ok(kill(self.as_pid(), signal)?)
    }

    /// Asks it to end, as it must within a second of any moment if no plugin has to end before.
    pub fn stop(&mut self, signal: Signal) -> Result<ExitStatus, TimedOut> {
        self.signal(signal)
            .map_err(|error| self.output.missing(&error.to_string()))?;
        self.wait_exit(STOP_WITHIN)
    }

    /// Waits for its end, and for its last words.
    pub fn wait_exit(&mut self, timeout: Duration) -> Result<ExitStatus, TimedOut> {
        let found = poll_until("the agent's end", timeout, || {
            self.look_for_exit().transpose()
        });
        let status = match found {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return Err(self.output.missing(&format!("cannot wait: {error}"))),
            Err(words) => return Err(self.output.missing(&words.0)),
        };
        self.output.wait_for_end(LAST_WORDS);
        Ok(status)
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.look_for_exit(), Ok(None))
    }

    /// How many threads it has, those of an emulator not counted.
    pub fn threads(&self) -> io::Result<u64> {
        let all = field(&self.proc_file("status")?, "Threads:")?;
        let is_emulator = emulation::is_emulator(self.pid());
        Ok(all - u64::from(is_emulator) * emulation::EMULATORS_THREADS)
    }

    /// User and system time so far, in hundredths of a second (`proc_pid_stat(5)`, fields 14 and
    /// 15).
    pub fn cpu_ticks(&self) -> io::Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let times = fields.split_whitespace().skip(11).take(2);
        times
            .map(|ticks| ticks.parse::<u64>().map_err(io::Error::other))
            .sum()
    }

    /// What it holds in memory now.
    pub fn memory(&self) -> io::Result<Memory> {
        let rollup = self.proc_file("smaps_rollup")?;
        Ok(Memory {
            rss_kb: field(&rollup, "Rss:")?,
            anonymous_kb: field(&rollup, "Anonymous:")?,
            peak_rss_kb: field(&self.proc_file("status")?, "VmHWM:")?,
        })
    }

    /// When it began to read the traced file, milliseconds since the first time.
    pub fn read_times_ms(&self) -> io::Result<Vec<f64>> {
        let Some((path, trace)) = &self.trace else {
            return Err(io::Error::other(
                "this agent was started without trace_reads_of",
            ));
        };
        strace::read_times_ms(trace, path)
    }

    /// The same, of an agent that ended: waits until the last of its trace is written.
    pub fn finished_trace(&self, timeout: Duration) -> io::Result<Vec<f64>> {
        let Some((_, trace)) = &self.trace else {
            return self.read_times_ms();
        };
        let is_whole = || {
            let text = fs::read_to_string(trace).ok()?;
            strace::is_finished(&text).then_some(())
        };
        poll_until("the end of the trace", timeout, is_whole).map_err(io::Error::other)?;
        self.read_times_ms()
    }

    fn as_pid(&self) -> Pid {
        // The kernel's process numbers end far below 2^31.
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn look_for_exit(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status)
    }

    fn proc_file(&self, name: &str) -> io::Result<String> {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid()))
    }
}

/// The number behind a field's name.
fn field(text: &str, name: &str) -> io::Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other(format!("the kernel gave no {name} for the agent")))
}

impl Drop for AgentUnderTest {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "the last that agent {} said:\n{}",
                self.pid(),
                self.output.tail()
            );
        }
        if self.status.is_none() {
            // Either may fail only because it has just ended by itself.
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let rollup = "Rss:                2124 kB\nPss:   2100 kB\nAnonymous:           180 kB\n";
        assert_eq!(field(rollup, "Anonymous:").unwrap(), 180);
        assert_eq!(field(rollup, "Rss:").unwrap(), 2124);
        assert!(field(rollup, "Swap:").is_err());
    }
}
