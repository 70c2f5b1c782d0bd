//! The agent under test: the real binary as a process of its own, driven and watched from outside.
//!
//! Its surroundings are empty but for what the test gives it: a folder of its own, no environment
//! but `PATH` and `HOME`, and a port of its own for its listener, so that agents run side by side. Its
//! log is read as it comes. It is killed and reaped when dropped.

mod binary;
mod emulation;
mod log;
mod process;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{env, fs, io};

use tempfile::TempDir;

pub use binary::{dynamic_binary, mote_binary};
pub use emulation::{is_emulated, left_out};
pub use log::LogLine;
pub use nix::sys::signal::Signal;
pub use process::{AgentUnderTest, Memory};

use crate::hub::Hub;

/// How an agent is to be started. Can be started again: the folder, and what the agent keeps in
/// it, stay until the last clone and the last agent are gone.
#[derive(Debug, Clone)]
pub struct AgentBuilder {
    dir: Arc<TempDir>,
    binary: Option<PathBuf>,
    command: String,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    traced: Option<PathBuf>,
}

impl AgentBuilder {
    /// `mote run` in a folder of its own, with nothing configured but its base directory.
    pub fn new() -> io::Result<Self> {
        let builder = Self {
            dir: Arc::new(TempDir::with_prefix("mote-agent-")?),
            binary: None,
            command: "run".into(),
            arguments: Vec::new(),
            // Any free port: what it became is in the log.
            environment: vec![("MOTE_HEALTH_PORT".into(), "0".into())],
            traced: None,
        };
        let base = builder.base_dir();
        Ok(builder.flag("base-dir", base))
    }

    /// Another command than `run`, like `check`.
    #[must_use]
    pub fn command(mut self, command: &str) -> Self {
        self.command = command.into();
        self
    }

    /// Another program than mote: its path.
    #[must_use]
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Server, key and trusted certificate of a hub.
    #[must_use]
    pub fn for_hub(self, hub: &Hub) -> Self {
        let agent = self
            .flag("server-url", hub.url())
            .flag("api-key", hub.api_key());
        if hub.is_plain() {
            agent
        } else {
            agent.flag("tls-ca-file", hub.ca_pem_path())
        }
    }

    /// Id, type, orchestrator, token and trusted certificate: works for the hub's other side, in the
    /// hurry that a test is in.
    #[must_use]
    pub fn for_orchestrator(self, hub: &Hub, agent_type: &str) -> Self {
        let agent = self
            .flag("agent-id", "agent-1")
            .flag("agent-type", agent_type)
            .flag("base-url", hub.url())
            .env("MOTE_API_AUTH_API_KEY", "demo-token")
            .env("MOTE_API_RETRY_INITIAL_INTERVAL", "50ms")
            .env("MOTE_API_RETRY_MAX_INTERVAL", "200ms")
            .env("MOTE_API_RATE_LIMIT_REQUESTS_PER_SECOND", "1000")
            .env("MOTE_API_RATE_LIMIT_BURST", "1000")
            .env("MOTE_AGENT_HEARTBEAT_INTERVAL", "1s")
            .env("MOTE_SENSOR_FLUSH_INTERVAL", "100ms");
        if hub.is_plain() {
            agent
        } else {
            agent.env("MOTE_API_AUTH_CA_FILE", hub.ca_pem_path())
        }
    }

    /// Puts a file into the folder of a plugin that runs once.
    pub fn plugin_file(&self, plugin: &str, name: &str, text: &str) -> io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.base_dir().join("data/plugins").join(plugin);
        fs::create_dir_all(&folder)?;
        // The agent makes its folders for itself alone, and trusts no other.
        fs::set_permissions(self.base_dir(), fs::Permissions::from_mode(0o700))?;
        let path = folder.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// In the hurry that a test is in: ten samples a second, retries after a twentieth of a second
    /// and at most a fifth, fifty held samples a second.
    #[must_use]
    pub fn hurried(self) -> Self {
        self.flag("interval", "100ms")
            .flag("retry-backoff", "50ms")
            .flag("retry-max", "200ms")
            .flag("backfill-rate", "50")
    }

    /// `--name value`. A flag that was given before is replaced.
    #[must_use]
    pub fn flag(mut self, name: &str, value: impl Into<OsString>) -> Self {
        let flag = OsString::from(format!("--{name}"));
        if let Some(at) = self.arguments.iter().position(|argument| *argument == flag) {
            self.arguments.drain(at..=at + 1);
        }
        self.arguments.extend([flag, value.into()]);
        self
    }

    /// Takes a flag with a value away again, say `base-dir`.
    #[must_use]
    pub fn without_flag(mut self, name: &str) -> Self {
        let flag = OsString::from(format!("--{name}"));
        if let Some(at) = self.arguments.iter().position(|argument| *argument == flag) {
            self.arguments.drain(at..=at + 1);
        }
        self
    }

    /// An argument as it is.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Takes a variable of its environment away again, say `MOTE_HEALTH_PORT`.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.environment.retain(|(given, _)| given != name);
        self
    }

    /// Writes a configuration file into its folder, for the owner only, and passes it.
    pub fn config(self, text: &str) -> io::Result<Self> {
        let path = self.write_file("mote.yaml", text)?;
        Ok(self.flag("config", path))
    }

    /// Writes a file into its folder, for the owner only; gives its path.
    pub fn write_file(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.dir().join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(path)
    }

    /// Runs it under strace, which notes each read of this file.
    #[must_use]
    pub fn trace_reads_of(mut self, path: impl Into<PathBuf>) -> Self {
        self.traced = Some(path.into());
        self
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where it keeps its state, unless that flag was taken away.
    pub fn base_dir(&self) -> PathBuf {
        self.dir().join("base")
    }

    /// Starts it. Builds the binary first if nobody said where it is.
    pub fn start(&self) -> io::Result<AgentUnderTest> {
        let binary = match &self.binary {
            Some(path) => path.clone(),
            None => mote_binary().map_err(io::Error::other)?,
        };
        let trace = self
            .traced
            .as_ref()
            .map(|path| (path.clone(), self.dir().join("trace")));
        let mut command = match &trace {
            None => Command::new(&binary),
            Some((path, file)) => {
                let mut strace = Command::new("strace");
                // With -D the process that we start is the agent, and strace its grandchild: our
                // signals and waits go to the right one.
                strace.args(["-D", "-f", "--seccomp-bpf", "-q", "-ttt", "-y", "-s", "0"]);
                strace.args(["-e", "trace=pread64", "-P"]).arg(path);
                strace.arg("-o").arg(file).arg(&binary);
                strace
            }
        };
        let mut arguments = self.arguments.clone();
        if is_emulated() {
            emulation::put_key_into_file(&mut arguments, &self.dir().join("emulated-key"))?;
        }
        command.arg(&self.command).args(arguments);
        command.env_clear().env("HOME", self.dir());
        command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.dir());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.spawn().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            io::Error::new(error.kind(), format!("cannot start {program}: {error}"))
        })?;
        AgentUnderTest::watch(child, Arc::clone(&self.dir), trace)
    }
}
