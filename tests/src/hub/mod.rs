//! The hub: a LunaSentri server that is strict about what it takes and can misbehave on command.
//!
//! With an [`OrchestratorConfig`] it is an orchestrator as well, or instead.
//!
//! It listens on a loopback address with TLS by an authority of its own making, or with plain HTTP,
//! takes samples at `{prefix}/agent/metrics` and remembers them. Everything it refuses that a good
//! agent would never send is a *violation*. [`Misbehaviour`] and [`Certificate`] say how it can be
//! bad; each can be switched while it runs, for all requests or for the next ones.
//!
//! Not in scope: storing anything, more than one device's key, any other path.

mod answer;
mod conduct;
mod connection;
mod control;
mod door;
mod figures;
mod http;
pub(crate) mod json;
mod misbehave;
mod orchestrator;
mod reception;
mod record;
mod shared;
mod strict;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

pub use figures::Form;
pub(crate) use figures::timestamp_ms;
pub use misbehave::{Misbehaviour, NAMES as MISBEHAVIOUR_NAMES};
pub use orchestrator::{Message, OrchestratorConfig, Route};
pub use record::{Received, Stats};
pub use tls::{Certificate, TlsVersions};

use crate::wait::TimedOut;
use control::Control;
use door::Door;
use shared::Shared;

/// How the hub waits for what a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// The client's bytes wake it, which the kernel charges to the client.
    Asleep,
    /// It looks again and again, as if it were on another machine for what it costs the client. Each
    /// connection takes a whole processor meanwhile.
    Awake,
}

/// What the hub says to a sample it takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answered {
    /// 202 with `{"status":"accepted"}`, as documented.
    #[default]
    Accepted,
    /// 202 with nothing, as the published server does.
    Empty,
}

/// How a hub is to be.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Port 0 is any free port.
    pub listen: SocketAddr,
    /// Plain HTTP instead of TLS.
    pub plain: bool,
    pub api_key: String,
    /// Comes before `/agent/metrics`: empty, or like `/api`.
    pub prefix: String,
    /// Where `ca.pem` is written; none is a folder that goes with the hub.
    pub dir: Option<PathBuf>,
    /// Names for the certificate, besides `localhost` and the loopback addresses.
    pub extra_names: Vec<String>,
    pub certificate: Certificate,
    pub tls_versions: TlsVersions,
    pub answer: Answered,
    /// Which names a body must have.
    pub form: Form,
    /// A device that cannot read a figure may leave it out.
    pub absent_figures_allowed: bool,
    /// How it is from the start.
    pub misbehaviour: Misbehaviour,
    /// The orchestrator's side; none is a metrics server alone.
    pub orchestrator: Option<OrchestratorConfig>,
    /// Let nobody in without a certificate of the hub's authority.
    pub wants_client_certificate: bool,
    /// A loopback address for the side door.
    pub control: Option<SocketAddr>,
    /// How many samples, violations and keys are remembered.
    pub keep: usize,
    pub waits: Waits,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            plain: false,
            api_key: "demo-key".into(),
            prefix: String::new(),
            dir: None,
            extra_names: Vec::new(),
            certificate: Certificate::Good,
            tls_versions: TlsVersions::Both,
            answer: Answered::Accepted,
            form: Form::Any,
            absent_figures_allowed: false,
            misbehaviour: Misbehaviour::Normal,
            orchestrator: None,
            wants_client_certificate: false,
            control: None,
            keep: 10_000,
            waits: Waits::Asleep,
        }
    }
}

/// A running hub. Dropping it closes the listener, ends every connection and joins every thread.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    address: SocketAddr,
    reception: Option<JoinHandle<()>>,
    control: Option<Control>,
    ca_pem_path: PathBuf,
    _own_dir: Option<TempDir>,
}

impl Hub {
    /// Starts. When it returns, connections are taken (or, if the configuration says so, refused).
    pub fn start(config: HubConfig) -> io::Result<Self> {
        let authority = tls::Authority::new(config.listen.ip(), &config.extra_names)?;
        let (dir, own_dir) = if let Some(dir) = &config.dir {
            (dir.clone(), None)
        } else {
            let own = TempDir::with_prefix("mote-hub-")?;
            (own.path().to_owned(), Some(own))
        };
        fs::create_dir_all(&dir)?;
        let ca_pem_path = dir.canonicalize()?.join("ca.pem");
        fs::write(&ca_pem_path, authority.pem())?;

        let door = Door::reserve(config.listen)?;
        let address = door.address();
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (control_at, misbehaviour) = (config.control, config.misbehaviour.clone());
        let shared = Arc::new(Shared::new(config, authority, wake)?);
        let mut hub = Self {
            shared: Arc::clone(&shared),
            address,
            reception: None,
            control: None,
            ca_pem_path,
            _own_dir: own_dir,
        };
        if let Some(at) = control_at {
            hub.control = Some(Control::start(at, Arc::clone(&shared))?);
        }
        let run = move || reception::run(&shared, &door, woken);
        hub.reception = Some(
            thread::Builder::new()
                .name("hub reception".into())
                .spawn(run)?,
        );
        hub.misbehave(misbehaviour);
        Ok(hub)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the agent's `server_url` should be.
    pub fn url(&self) -> String {
        let scheme = if self.shared.config.plain {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://{}{}", self.address, self.shared.config.prefix)
    }

    pub fn api_key(&self) -> &str {
        &self.shared.config.api_key
    }

    pub fn is_plain(&self) -> bool {
        self.shared.config.plain
    }

    /// The certificate of the hub's authority. It is there for a plain hub too.
    pub fn ca_pem_path(&self) -> &Path {
        &self.ca_pem_path
    }

    /// The side door's URL, if there is one.
    pub fn control_url(&self) -> Option<String> {
        self.control
            .as_ref()
            .map(|control| format!("http://{}", control.address()))
    }

    /// How every request (or connection) is met from now on. `Normal` is good again.
    ///
    /// # Panics
    /// If the listener cannot be closed or opened again; its address is reserved, so it can.
    pub fn misbehave(&self, misbehaviour: Misbehaviour) {
        self.shared.misbehave(misbehaviour);
    }

    /// How the next requests are met, one each; then what stands applies again.
    pub fn script(&self, conducts: impl IntoIterator<Item = Misbehaviour>) {
        self.shared.with(|state| state.mood.script.extend(conducts));
    }

    /// How much of the script has not been played.
    pub fn script_left(&self) -> usize {
        self.shared.with(|state| state.mood.script.len())
    }

    /// Shows another certificate from the next handshake on.
    pub fn set_certificate(&self, certificate: Certificate) -> io::Result<()> {
        self.shared.set_tls(Some(certificate), None)
    }

    /// Speaks these versions from the next handshake on.
    pub fn set_tls_versions(&self, versions: TlsVersions) -> io::Result<()> {
        self.shared.set_tls(None, Some(versions))
    }

    /// Resets every open connection.
    pub fn drop_connections(&self) {
        self.shared
            .with(|state| state.lines.values().for_each(|line| line.cut_with_reset()));
    }

    /// The samples that were delivered: those that got a whole 2xx.
    pub fn received(&self) -> Vec<Received> {
        self.shared
            .with(|state| state.log.delivered().cloned().collect())
    }

    /// Every sample that passed the checks, delivered or not.
    pub fn attempts(&self) -> Vec<Received> {
        self.shared
            .with(|state| state.log.attempts.iter().cloned().collect())
    }

    /// Each attempt from now on, as it is answered. Ends with the hub.
    pub fn subscribe(&self) -> Receiver<Received> {
        let (sender, receiver) = mpsc::channel();
        self.shared.with(|state| state.log.subscribe(sender));
        receiver
    }

    pub fn stats(&self) -> Stats {
        self.shared.with(|state| self.shared.stats_of(state))
    }

    /// TCP connections so far.
    pub fn connections(&self) -> u64 {
        self.stats().connections
    }

    /// What no agent should do, in words.
    pub fn violations(&self) -> Vec<String> {
        self.shared
            .with(|state| state.log.violations.iter().cloned().collect())
    }

    /// One line of counters for people.
    pub fn summary(&self) -> String {
        self.shared.with(|state| state.log.summary())
    }

    /// Waits until `n` samples were delivered since the start, and gives those it remembers.
    pub fn wait_for(&self, n: u64, timeout: Duration) -> Result<Vec<Received>, TimedOut> {
        let ready = |state: &mut shared::State| {
            let log = &state.log;
            (log.stats.delivered >= n).then(|| log.delivered().cloned().collect())
        };
        self.shared.wait(timeout, ready).ok_or_else(|| {
            self.shared
                .timed_out(&format!("{n} delivered samples"), timeout)
        })
    }

    /// A certificate of the hub's authority for a client and its key, as PEM, good for so many days.
    pub fn client_certificate(&self, name: &str, days: i64) -> io::Result<(String, String)> {
        self.shared.authority.client(name, days)
    }

    /// Hands this instruction out after those that wait.
    pub fn give(&self, instruction: serde_json::Value) {
        self.with_book(|book| book.give(instruction));
    }

    /// Instructions that nobody took up yet.
    pub fn instructions_waiting(&self) -> usize {
        self.with_book(|book| book.waiting())
    }

    /// How requests of one kind are met from now on.
    pub fn misbehave_at(&self, route: Route, misbehaviour: Misbehaviour) {
        self.with_book(|book| {
            book.standing.insert(route, misbehaviour);
        });
    }

    /// How the next requests of one kind are met, one each.
    pub fn script_at(&self, route: Route, conducts: impl IntoIterator<Item = Misbehaviour>) {
        self.with_book(|book| book.scripts.entry(route).or_default().extend(conducts));
    }

    /// Asks for another token from now on.
    pub fn set_token(&self, token: &str) {
        self.with_book(|book| book.config.token = Some(token.to_owned()));
    }

    /// Says that this event failed, so many times.
    pub fn fail_event(&self, id: &str, times: u32) {
        self.with_book(|book| {
            book.failing.insert(id.to_owned(), times);
        });
    }

    /// Each message of an agent from now on. Ends with the hub; at once if it is no orchestrator.
    pub fn subscribe_to_messages(&self) -> Receiver<Message> {
        let (sender, receiver) = mpsc::channel();
        self.shared.with(|state| {
            if let Some(book) = &mut state.book {
                book.subscribers.push(sender);
            }
        });
        receiver
    }

    /// Forgets that agents ever registered.
    pub fn forget_agents(&self) {
        self.with_book(orchestrator::Book::forget_agents);
    }

    /// What agents said, oldest first, as far as it passed the checks.
    pub fn messages(&self, route: Route) -> Vec<Message> {
        self.with_book(|book| {
            let of_route = book.messages.iter().filter(|one| one.route == route);
            of_route.cloned().collect()
        })
    }

    /// Waits until the messages of a kind are as `ready` wants them; gives them.
    pub fn wait_for_messages(
        &self,
        route: Route,
        what: &str,
        timeout: Duration,
        ready: impl Fn(&[Message]) -> bool,
    ) -> Result<Vec<Message>, TimedOut> {
        let mut seen = None;
        let look = |state: &mut shared::State| {
            let book = state.book.as_ref()?;
            // Much changes that is no message.
            if seen.replace(book.messages.len()) == Some(book.messages.len()) {
                return None;
            }
            let of_route = book.messages.iter().filter(|one| one.route == route);
            let messages: Vec<Message> = of_route.cloned().collect();
            ready(&messages).then_some(messages)
        };
        self.shared
            .wait(timeout, look)
            .ok_or_else(|| self.shared.timed_out(what, timeout))
    }

    fn with_book<T>(&self, change: impl FnOnce(&mut orchestrator::Book) -> T) -> T {
        self.shared.with(|state| {
            // Whoever asks has configured it.
            let book = state.book.as_mut();
            change(book.unwrap_or_else(|| unreachable!("this hub is no orchestrator")))
        })
    }

    /// Waits until the counters and the attempts are as `ready` wants them; gives the attempts.
    pub fn wait_until(
        &self,
        what: &str,
        timeout: Duration,
        ready: impl Fn(&Stats, &[Received]) -> bool,
    ) -> Result<Vec<Received>, TimedOut> {
        let look = |state: &mut shared::State| {
            let stats = self.shared.stats_of(state);
            let attempts = state.log.attempts.make_contiguous();
            ready(&stats, attempts).then(|| attempts.to_vec())
        };
        self.shared
            .wait(timeout, look)
            .ok_or_else(|| self.shared.timed_out(what, timeout))
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(reception) = self.reception.take() {
            reception.join().ok();
        }
        if let Some(control) = &mut self.control {
            control.join();
        }
        // The threads are gone, but subscribers hear of the end only when the log goes.
        self.shared.with(|state| {
            state.log.forget_subscribers();
            state.book = None;
        });
    }
}
