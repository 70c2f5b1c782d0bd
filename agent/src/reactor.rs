//! The one wait: everything that the agent waits for, it waits for in [`Reactor::wait`].
//!
//! One `poll(2)` looks at the signals, at the plugins' pipes, at the DNS socket while a look-up is under way, at the
//! uplink's socket while a request is, at the local listener with its guests, and at changes of the
//! network while no server is reached. Before it sleeps and whenever it wakes it does what is due:
//! takes the sample, moves a look-up on, compresses a piece of an old log. What is due never blocks
//! and never sends; it puts things where the loop finds them. So the sample is on time while a
//! handshake hangs, with one thread. The guests of the listener are served after a wait, each by a
//! bounded piece that does not block either.
//!
//! The re-entrancy rule: [`Reactor::turn`] is the only place that touches the device's state
//! while a request is under way, and the uplink holds no borrow of it. The uplink reaches the
//! reactor through [`crate::uplink::link::Link`], which is borrowed for the time of a wait only.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use mote_core::log_line::Value;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

use crate::board::{Board, Stalls};
use crate::clock;
use crate::device::Device;
use crate::face::{self, Face};
use crate::log;
use crate::notify::{Notifier, PAUSING_EVERY_MS};
use crate::plugin::{MAX_WATCHED, Plugins};
use crate::uplink::dns::{MAX_ADDRESSES, Stub};
use crate::uplink::network::NetworkWatch;

/// How long plugins may take to end: five seconds until they are killed, and a little for that.
const PLUGINS_END_MS: u64 = 7_000;

/// What a caller of [`Reactor::wait`] waits for, besides what is always looked at.
#[derive(Debug, Clone, Copy)]
pub enum Interest<'a> {
    /// A socket that is to become readable or writable.
    Socket(BorrowedFd<'a>, PollFlags),
    /// Connections that are being made: that one of them came about, or did not.
    Connecting(&'a [BorrowedFd<'a>]),
    /// The look-up under way in [`Reactor::stub`].
    Name,
    /// A new sample in the outbox, an event or a result of a plugin, or an order.
    Sample,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// What was waited for is there.
    Ready,
    /// The given moment came first.
    TimedOut,
    /// The agent is to stop.
    Stop,
}

/// What signals and the network ask for, besides to stop. The loop carries it out between two requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orders {
    /// SIGHUP: read the configuration again.
    pub reload: bool,
    /// SIGUSR1: write a status line.
    pub status: bool,
    /// The network came back, perhaps: an address, a route or a cable appeared.
    pub network: bool,
}

/// Owns all that is looked at and done while waiting.
#[derive(Debug)]
pub struct Reactor {
    signals: SignalDelivery<UnixStream, SignalOnly>,
    stop: bool,
    orders: Orders,
    /// Samples and holds them.
    pub device: Device,
    /// Looks names up.
    pub stub: Stub,
    /// Runs plugins; none, until a caller says otherwise.
    pub plugins: Plugins,
    /// Hears when the network comes back.
    pub network: NetworkWatch,
    /// Tells the service manager; nobody, until a caller says otherwise.
    pub notifier: Notifier,
    /// Shows the device at its own ports; nowhere, until a caller says otherwise.
    pub face: Face,
    /// What the loop knows and the face shows.
    pub board: Board,
    /// When the last wait ended.
    woke_ms: u64,
}

/// Holds back what would end a process that does not listen yet and is no order to: SIGHUP and
/// SIGUSR1. What comes meanwhile, and over an exec, is there for [`Reactor::new`].
pub fn hold_orders() {
    // If it cannot be done, they end the agent as long as it starts.
    let _ = orders().thread_block();
}

fn orders() -> SigSet {
    SigSet::from_iter([Signal::SIGHUP, Signal::SIGUSR1])
}

impl Reactor {
    /// Takes over the signals of the process. Those that were held back come first; a plugin's
    /// process would inherit that they are.
    pub fn new(device: Device) -> std::io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        let wanted = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD];
        let signals = SignalDelivery::with_pipe(read, write, SignalOnly, wanted)?;
        orders().thread_unblock()?;
        Ok(Self {
            signals,
            stop: false,
            orders: Orders::default(),
            device,
            stub: Stub::default(),
            plugins: Plugins::default(),
            network: NetworkWatch::default(),
            notifier: Notifier::default(),
            face: Face::default(),
            board: Board::default(),
            woke_ms: u64::MAX,
        })
    }

    /// Whether a signal asked the agent to stop.
    pub fn stopping(&self) -> bool {
        self.stop
    }

    /// What was asked for since this was last asked.
    pub fn take_orders(&mut self) -> Orders {
        std::mem::take(&mut self.orders)
    }

    /// Waits for `interest` until `until_ms`, doing what is due meanwhile.
    pub fn wait(&mut self, interest: Interest<'_>, until_ms: u64) -> Wake {
        if Stalls::is_stall(self.woke_ms, clock::boot_ms()) {
            self.board.stalls.work += 1;
        }
        let wake = self.wait_for(interest, until_ms);
        self.woke_ms = clock::boot_ms();
        wake
    }

    fn wait_for(&mut self, interest: Interest<'_>, until_ms: u64) -> Wake {
        loop {
            let due_ms = self.turn(clock::boot_ms());
            if self.stop {
                return Wake::Stop;
            }
            match interest {
                Interest::Name if !self.stub.is_busy() => return Wake::Ready,
                Interest::Sample
                    if self.device.take_news()
                        || self.plugins.has_news()
                        || self.orders != Orders::default() =>
                {
                    return Wake::Ready;
                }
                _ => {}
            }
            let now_ms = clock::boot_ms();
            if now_ms >= until_ms {
                return Wake::TimedOut;
            }
            let ready = self.sleep(interest, due_ms.min(until_ms), now_ms);
            self.hear(ready);
            if !self.stop {
                self.serve(ready.face);
            }
            if ready.socket && !self.stop {
                self.turn(clock::boot_ms());
                return Wake::Ready;
            }
        }
    }

    /// Waits until `until_ms` and does nothing meanwhile but hear signals, and keep the service
    /// manager from taking the wait for a start that hangs.
    pub fn pause(&mut self, until_ms: u64) -> Wake {
        while !self.stop {
            let now_ms = clock::boot_ms();
            if now_ms >= until_ms {
                return Wake::TimedOut;
            }
            self.notifier.pausing();
            let until_ms = until_ms.min(now_ms + PAUSING_EVERY_MS);
            if self.sleep(Interest::Sample, until_ms, now_ms).signals {
                self.take_signals();
            }
        }
        Wake::Stop
    }

    /// Ends all plugins and waits for that, at most [`PLUGINS_END_MS`]. Samples go on, and guests are
    /// served: one who is ready and not heard would keep the wait from waiting.
    pub fn end_plugins(&mut self) {
        let begun_ms = clock::boot_ms();
        let until_ms = begun_ms + PLUGINS_END_MS;
        self.plugins.begin_stop(begun_ms);
        loop {
            let now_ms = clock::boot_ms();
            let due_ms = self.turn(now_ms).min(until_ms);
            if self.plugins.is_stopped() || now_ms >= until_ms {
                return;
            }
            let ready = self.sleep(Interest::Sample, due_ms, now_ms);
            self.hear(ready);
            self.serve(ready.face);
        }
    }

    /// Lets one more request run although the agent stops; another signal ends that too.
    pub fn begin_farewell(&mut self) {
        self.stop = false;
    }

    /// Does what is due at `now_ms`; returns when something is due next.
    fn turn(&mut self, now_ms: u64) -> u64 {
        let before = self.device.counts.collected;
        let sample_ms = self.device.turn(now_ms);
        let is_after_sample = self.device.counts.collected != before;
        let after_ms = clock::boot_ms();
        let is_on_time = self.device.counts.collected > 0 && now_ms < sample_ms;
        let notify_ms = self.notifier.turn(now_ms, is_on_time);
        let log_ms = log::turn(now_ms, is_after_sample);
        let wait_ms = sample_ms.min(self.stub.turn(now_ms));
        let face_ms = self.face.turn(now_ms);
        let stalls = &mut self.board.stalls;
        stalls.sample += u64::from(Stalls::is_stall(now_ms, after_ms));
        stalls.upkeep += u64::from(Stalls::is_stall(after_ms, clock::boot_ms()));
        let interval_ms = self.device.interval_ms();
        self.plugins.keep_clear_of(sample_ms, interval_ms);
        let plugins_ms = self.plugins.turn(now_ms);
        wait_ms
            .min(notify_ms)
            .min(log_ms)
            .min(face_ms)
            .min(plugins_ms)
    }

    /// Serves the guests of the listener until the next sample is due.
    fn serve(&mut self, ready: face::Ready) {
        let from_ms = clock::boot_ms();
        let until_ms = self.device.next_ms();
        let plugins = &self.plugins;
        self.face
            .serve(ready, &self.device, &self.board, plugins, until_ms);
        if Stalls::is_stall(from_ms, clock::boot_ms()) {
            self.board.stalls.face += 1;
        }
    }

    /// Takes in what signals and the network said.
    fn hear(&mut self, ready: Ready) {
        if ready.signals {
            self.take_signals();
        }
        if ready.network && self.network.is_back() {
            self.orders.network = true;
        }
    }

    fn take_signals(&mut self) {
        for signal in self.signals.pending() {
            let name = match signal {
                SIGTERM => "SIGTERM",
                SIGINT => "SIGINT",
                SIGHUP => {
                    self.orders.reload = true;
                    continue;
                }
                SIGUSR1 => {
                    self.orders.status = true;
                    continue;
                }
                SIGCHLD => {
                    self.plugins.child_ended();
                    continue;
                }
                _ => continue,
            };
            if !self.stop {
                log::info("Stopping", &[("signal", Value::Str(name))]);
                self.notifier.stopping();
            }
            self.stop = true;
        }
    }

    /// Sleeps until `until_ms`, or until a descriptor is ready.
    fn sleep(&self, interest: Interest<'_>, until_ms: u64, now_ms: u64) -> Ready {
        let for_ms = until_ms.saturating_sub(now_ms).min(60_000);
        let timeout = PollTimeout::try_from(for_ms).unwrap_or(PollTimeout::ZERO);
        // No push is refused: there are no more descriptors than places.
        let mut watched: heapless::Vec<PollFd<'_>, WATCHED> = heapless::Vec::new();
        let mut places = heapless::Vec::new();
        self.face.watch(&mut watched, &mut places, now_ms);
        let signals_at = watched.len();
        let _ = watched.push(PollFd::new(
            self.signals.get_read().as_fd(),
            PollFlags::POLLIN,
        ));
        match interest {
            Interest::Socket(fd, events) => {
                let _ = watched.push(PollFd::new(fd, events));
            }
            Interest::Connecting(sockets) => {
                for fd in sockets {
                    let _ = watched.push(PollFd::new(*fd, PollFlags::POLLOUT));
                }
            }
            Interest::Name | Interest::Sample => {}
        }
        let sockets = signals_at + 1..watched.len();
        if let Some((fd, events)) = self.stub.socket() {
            let _ = watched.push(PollFd::new(fd, events));
        }
        let network_at = self.network.socket().map(|fd| {
            let _ = watched.push(PollFd::new(fd, PollFlags::POLLIN));
            watched.len() - 1
        });
        // The next turn reads all of their pipes: which of them is ready is of no matter.
        self.plugins.watch(&mut |fd, events| {
            let _ = watched.push(PollFd::new(fd, events));
        });
        match poll(&mut watched, timeout) {
            // A closed or broken descriptor is ready too: reading it tells what happened.
            Ok(1..) => {
                let is_ready = |at: usize| watched[at].any().unwrap_or(true);
                let mut face = face::Ready::default();
                for (at, place) in places.iter().enumerate() {
                    if is_ready(at) {
                        face.mark(*place);
                    }
                }
                Ready {
                    signals: is_ready(signals_at),
                    socket: sockets.into_iter().any(is_ready),
                    network: network_at.is_some_and(is_ready),
                    face,
                }
            }
            Ok(_) | Err(Errno::EINTR) => Ready::default(),
            Err(error) => {
                // Only a kernel out of memory gets here (ENOMEM); the next turn tries again.
                log::error("Waiting failed", &[("error", Value::Str(error.desc()))]);
                Ready::default()
            }
        }
    }
}

/// Descriptors that are looked at: the signals, those of a request, the stub's, the network's, the
/// face's and the plugins'.
const WATCHED: usize = MAX_ADDRESSES + 3 + face::WATCHED + MAX_WATCHED;

/// What a sleep ended with.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    signals: bool,
    socket: bool,
    face: face::Ready,
    network: bool,
}
