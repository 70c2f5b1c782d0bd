//! The face: what this device shows of itself at its own ports.
//!
//! Up to two listening sockets and sixteen guests, all non-blocking and all in the reactor's one
//! poll. What is done for them is bounded: a turn lets in a few, does one read and at most 64 KiB of
//! an answer for each that is ready, and stops when a sample is due. So neither a slow guest nor a
//! thousand quick ones make a sample late.
//!
//! When all places are taken, the guest that has been idle longest makes room. One that has an
//! answer half written does not; if all have, newcomers wait in the kernel's queue.

pub mod answer;
pub mod connection;
pub mod door;
mod fields;
pub mod health;
pub mod host;
pub mod metrics;
pub mod node;
pub mod orchestrator;
pub mod owner;
pub mod plugins;
pub mod process;
pub mod request;
pub mod routes;
pub mod status;
pub mod warnings;

use std::path::PathBuf;

use nix::poll::{PollFd, PollFlags};
use nix::sys::resource::{Resource, getrlimit};

use crate::board::Board;
use crate::clock;
use crate::config::Settings;
use crate::device::Device;
use crate::plugin::Plugins;
use connection::{Connection, Fate};
use door::{Arrival, Door};
use node::Node;
use process::Process;
use routes::{Desk, Rules, Scrapes};

pub use routes::ready_path;

/// Guests at a time.
const GUESTS: usize = 16;
/// Guests that are let in in one turn, so that none of them must make room for another at once.
const GUESTS_A_TURN: usize = GUESTS / 2;
/// Descriptors that are the agent's own: files of `/proc` and sysfs, the uplink, the log.
const OWN_DESCRIPTORS: u64 = 90;
const DOORS: usize = 2;
/// Descriptors that [`Face::watch`] adds at most.
pub const WATCHED: usize = DOORS + GUESTS;

/// The descriptors of a face that are ready: a bit each, doors first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready(u32);

impl Ready {
    /// Marks the descriptor that [`Face::watch`] named so.
    pub fn mark(&mut self, place: usize) {
        self.0 |= 1 << place;
    }

    fn has(self, place: usize) -> bool {
        self.0 & 1 << place != 0
    }
}

/// The listeners and their guests. The default listens nowhere.
#[derive(Debug, Default)]
pub struct Face {
    rules: Option<Rules>,
    proc_root: PathBuf,
    doors: heapless::Vec<Door, DOORS>,
    /// Oldest first.
    guests: Vec<Connection>,
    most_guests: usize,
    scrapes: Scrapes,
    process: Process,
    /// In a place of its own: most devices show no metrics.
    node: Option<Box<Node>>,
    /// The guest that is served first in the next turn.
    first: usize,
}

impl Face {
    /// Listens as `settings` say from now on. A port that stays the same stays open, and its
    /// guests stay.
    pub fn reconfigure(&mut self, settings: &Settings) {
        let mut before = std::mem::take(&mut self.doors);
        for (wanted, services) in Door::wanted(settings) {
            let at = before.iter().position(|door| door.is(wanted, services));
            let mut door = match at {
                Some(at) => before.swap_remove(at),
                None => Door::new(wanted, services),
            };
            door.hurry();
            // There are as many places as there can be ports.
            let _ = self.doors.push(door);
        }
        if !before.is_empty() {
            // Whoever came in at a port that is closed now goes.
            self.guests.clear();
        }
        self.rules = Some(Rules::new(settings));
        self.node = settings
            .metrics_enabled
            .then(|| Box::new(Node::new(settings)));
        self.proc_root.clone_from(&settings.proc_root);
        let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
        let spare = descriptors.saturating_sub(OWN_DESCRIPTORS);
        self.most_guests = usize::try_from(spare).unwrap_or(GUESTS).clamp(1, GUESTS);
    }

    /// Adds what is waited for, each with the place that [`Ready::mark`] takes.
    pub fn watch<'f, const N: usize>(
        &'f self,
        watched: &mut heapless::Vec<PollFd<'f>, N>,
        places: &mut heapless::Vec<usize, N>,
        now_ms: u64,
    ) {
        let mut add = |fd, events, place| {
            if watched.push(PollFd::new(fd, events)).is_ok() {
                // Both are as long.
                let _ = places.push(place);
            }
        };
        if self.has_room() {
            for (at, door) in self.doors.iter().enumerate() {
                if let Some(fd) = door.interest(now_ms) {
                    add(fd, PollFlags::POLLIN, at);
                }
            }
        }
        for (at, guest) in self.guests.iter().enumerate() {
            let (fd, events) = guest.interest();
            add(fd, events, DOORS + at);
        }
    }

    /// Does what is due, and says when something is next. Nothing here is sent but the end of what
    /// a guest began.
    pub fn turn(&mut self, now_ms: u64) -> u64 {
        let Some(rules) = &self.rules else {
            return u64::MAX;
        };
        let mut due_ms = u64::MAX;
        for door in &mut self.doors {
            due_ms = due_ms.min(door.turn(now_ms, rules, &self.proc_root));
        }
        for guest in &self.guests {
            let guest_ms = if guest.is_pending() {
                now_ms
            } else {
                guest.deadline_ms()
            };
            due_ms = due_ms.min(guest_ms);
        }
        due_ms
    }

    /// Serves those who are ready, until `until_ms`: who is left is still ready the next time.
    pub fn serve(
        &mut self,
        ready: Ready,
        device: &Device,
        board: &Board,
        plugins: &Plugins,
        until_ms: u64,
    ) {
        let Self {
            rules: Some(rules),
            doors,
            guests,
            most_guests,
            scrapes,
            process,
            node,
            first,
            ..
        } = self
        else {
            return;
        };
        if guests.is_empty() && ready == Ready::default() {
            return;
        }
        let mut desk = Desk {
            rules,
            device,
            board,
            plugins,
            scrapes,
            process,
            node: node.as_deref_mut(),
            now_ms: clock::boot_ms(),
            until_ms,
            wall_ms: clock::wall_ms(),
        };
        let count = guests.len();
        let mut gone = Ready::default();
        for at in 0..count {
            let at = (*first + at) % count;
            let guest = &mut guests[at];
            let fate = if ready.has(DOORS + at) || guest.is_pending() {
                guest.step(&mut desk)
            } else if guest.deadline_ms() <= desk.now_ms {
                guest.expire(&mut desk)
            } else {
                continue;
            };
            if fate == Fate::Close {
                gone.mark(at);
            }
            desk.now_ms = clock::boot_ms();
            if desk.now_ms >= until_ms {
                *first = at + 1;
                break;
            }
        }
        let mut at = 0;
        guests.retain(|_| {
            at += 1;
            !gone.has(at - 1)
        });
        for (at, door) in doors.iter_mut().enumerate() {
            if ready.has(at) {
                let_in(door, guests, *most_guests, &mut desk, until_ms);
            }
        }
    }

    fn has_room(&self) -> bool {
        self.guests.len() < self.most_guests || self.guests.iter().any(Connection::is_idle)
    }
}

/// The ports that `settings` ask for and somebody has, each with its holder where `/proc` tells.
pub fn taken_ports(settings: &Settings) -> impl Iterator<Item = (u16, String)> {
    Door::wanted(settings).filter_map(|(address, _)| {
        let holder = owner::of_port(&settings.proc_root, address.port())?;
        Some((address.port(), holder))
    })
}

/// Lets guests in, and hears them at once: what they ask for is mostly there already.
fn let_in(
    door: &mut Door,
    guests: &mut Vec<Connection>,
    most_guests: usize,
    desk: &mut Desk<'_>,
    until_ms: u64,
) {
    for _ in 0..GUESTS_A_TURN.min(most_guests) {
        if desk.now_ms >= until_ms {
            return;
        }
        if guests.len() >= most_guests && !make_room(guests) {
            return;
        }
        let newcomer = match door.accept(desk.now_ms) {
            Arrival::Guest(newcomer) => newcomer,
            Arrival::Nobody => return,
            Arrival::Refused => {
                make_room(guests);
                return;
            }
        };
        let mut guest = Connection::new(newcomer, door.services(), desk.now_ms);
        if guest.step(desk) == Fate::Keep {
            guests.push(guest);
        }
        desk.now_ms = clock::boot_ms();
    }
}

/// Closes the guest that has been here longest and is idle. False if none is.
fn make_room(guests: &mut Vec<Connection>) -> bool {
    let idle = guests.iter().position(Connection::is_idle);
    if let Some(at) = idle {
        guests.remove(at);
    }
    idle.is_some()
}
