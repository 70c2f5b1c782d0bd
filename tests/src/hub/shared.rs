//! What the hub's threads share: its settings, its mood, its memory, its open connections.
//!
//! One lock and one condition variable, which is signalled on every change. Waiting is always for
//! a change or for a bounded time.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustls::ServerConfig;

use super::HubConfig;
use super::misbehave::{Misbehaviour, Mood};
use super::orchestrator::Book;
use super::record::{Log, Stats};
use super::tls::{Authority, Certificate, TlsVersions};
use super::wire::{Line, Meter};
use crate::wait::{TimedOut, lock};

/// How long the door may take to open or shut. It takes microseconds.
const DOOR_TIMEOUT: Duration = Duration::from_secs(10);

/// Everything that changes.
#[derive(Debug)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) mood: Mood,
    /// The orchestrator's side, if there is one.
    pub(super) book: Option<Book>,
    pub(super) tls: Arc<ServerConfig>,
    pub(super) certificate: Certificate,
    pub(super) tls_versions: TlsVersions,
    /// Whether the listener is there.
    pub(super) is_open: bool,
    /// Connections that a thread is busy with, by number.
    pub(super) lines: HashMap<u64, Arc<Line>>,
}

/// The hub as its threads see it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: HubConfig,
    /// Where samples are posted.
    pub(super) path: String,
    pub(super) authority: Authority,
    pub(super) meter: Arc<Meter>,
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
    /// A byte written here wakes the thread at the door.
    wake: UnixStream,
}

impl Shared {
    pub(super) fn new(
        config: HubConfig,
        authority: Authority,
        wake: UnixStream,
    ) -> io::Result<Self> {
        let state = State {
            log: Log::new(config.keep),
            mood: Mood {
                standing: config.misbehaviour.clone(),
                script: VecDeque::new(),
            },
            book: config.orchestrator.clone().map(Book::new),
            tls: authority.server_config(
                config.certificate,
                config.tls_versions,
                config.wants_client_certificate,
            )?,
            certificate: config.certificate,
            tls_versions: config.tls_versions,
            is_open: false,
            lines: HashMap::new(),
        };
        Ok(Self {
            path: format!("{}/agent/metrics", config.prefix),
            config,
            authority,
            meter: Arc::default(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            wake,
        })
    }

    /// Does something with the state, and tells everybody who waits for a change.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut lock(&self.state));
        self.changed.notify_all();
        result
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Tells every thread to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.with(|_| ());
        self.wake_door();
    }

    fn wake_door(&self) {
        // Full means that the thread has been woken already; closed, that it has gone.
        (&self.wake).write_all(&[1]).ok();
    }

    /// Waits for `ready` to find what it looks for, after each change and at once.
    pub(super) fn wait<T>(
        &self,
        timeout: Duration,
        mut ready: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let end = Instant::now() + timeout;
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = ready(&mut state) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Waits on behalf of a connection. An error if the connection or the hub ended meanwhile.
    pub(super) fn pause(&self, ms: u64, line: &Line) -> io::Result<()> {
        let is_over = |_: &mut State| (self.is_stopping() || line.is_cut()).then_some(());
        match self.wait(Duration::from_millis(ms), is_over) {
            Some(()) => Err(io::Error::other("the connection was ended from within")),
            None => Ok(()),
        }
    }

    /// What stands from now on. Returns when the door is as it should be.
    pub(super) fn misbehave(&self, misbehaviour: Misbehaviour) {
        let wants_open = misbehaviour != Misbehaviour::RefuseConnections;
        self.with(|state| state.mood.standing = misbehaviour);
        self.wake_door();
        let moved = self.wait(DOOR_TIMEOUT, |state| {
            (state.is_open == wants_open).then_some(())
        });
        assert!(
            moved.is_some() || self.is_stopping(),
            "the hub's door did not move"
        );
    }

    /// Shows another certificate, or speaks other versions, from the next handshake on.
    pub(super) fn set_tls(
        &self,
        certificate: Option<Certificate>,
        versions: Option<TlsVersions>,
    ) -> io::Result<()> {
        self.with(|state| {
            let certificate = certificate.unwrap_or(state.certificate);
            let versions = versions.unwrap_or(state.tls_versions);
            let wants_client = self.config.wants_client_certificate;
            state.tls = self
                .authority
                .server_config(certificate, versions, wants_client)?;
            (state.certificate, state.tls_versions) = (certificate, versions);
            Ok(())
        })
    }

    /// The counters, those of the wire among them.
    pub(super) fn stats_of(&self, state: &State) -> Stats {
        Stats {
            open: state.lines.len() as u64,
            bytes_in: self.meter.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.meter.bytes_out.load(Ordering::Relaxed),
            ..state.log.stats.clone()
        }
    }

    /// Why a wait failed, with what there was instead.
    pub(super) fn timed_out(&self, what: &str, timeout: Duration) -> TimedOut {
        self.with(|state| {
            let log = &state.log;
            let mut words = format!(
                "the hub waited {timeout:?} for {what}; it has {}",
                log.summary()
            );
            for (title, list) in [
                ("violation", &log.violations),
                ("handshake", &log.handshake_errors),
            ] {
                for line in list.iter().take(3) {
                    words.extend(["; ", title, ": ", line]);
                }
            }
            TimedOut(words)
        })
    }
}

/// Unix milliseconds now.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
