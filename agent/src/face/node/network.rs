//! Network interfaces: their counters from `/proc/net/dev`, their state from sysfs.
//!
//! Shown are those with hardware behind them; where none has, as in a container, all but loopback.
//! The state changes seldom and takes nine files for each to be found out: of those that run it is
//! read when the kernel tells of a change, and else once a minute. A carrier that comes or goes is
//! told within a second (linkwatch); of an interface that is down it does not tell everything.

use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::proc::net_dev::{Columns, NAME_MAX_BYTES};
use mote_core::proc::sys;
use mote_core::wire::prometheus::Number;
use nix::unistd::{AccessFlags, access};

use super::choice::Choice;
use super::link_changes::LinkChanges;
use super::page::{Family, Page, Row};
use super::scratch::{SHORT_LINE_BYTES, Scratch, Source, field};
use super::sysfs;
use super::textfile::{hash, hash_on};
use crate::clock;

/// In the order of the kernel's columns.
pub(super) const COUNTERS: &[Family] = &[
    Family::counter("network_receive_bytes_total", "Bytes received."),
    Family::counter("network_receive_packets_total", "Packets received."),
    Family::counter("network_receive_errs_total", "Errors when receiving."),
    Family::counter("network_receive_drop_total", "Received packets dropped."),
    Family::counter("network_receive_fifo_total", "Overruns when receiving."),
    Family::counter(
        "network_receive_frame_total",
        "Framing errors when receiving.",
    ),
    Family::counter(
        "network_receive_compressed_total",
        "Compressed packets received.",
    ),
    Family::counter(
        "network_receive_multicast_total",
        "Multicast packets received.",
    ),
    Family::counter("network_transmit_bytes_total", "Bytes sent."),
    Family::counter("network_transmit_packets_total", "Packets sent."),
    Family::counter("network_transmit_errs_total", "Errors when sending."),
    Family::counter(
        "network_transmit_drop_total",
        "Packets dropped instead of sent.",
    ),
    Family::counter("network_transmit_fifo_total", "Overruns when sending."),
    Family::counter("network_transmit_colls_total", "Collisions when sending."),
    Family::counter(
        "network_transmit_carrier_total",
        "Losses of the carrier when sending.",
    ),
    Family::counter(
        "network_transmit_compressed_total",
        "Compressed packets sent.",
    ),
];
/// Of sysfs.
pub(super) const STATE: &[Family] = &[
    Family::gauge("network_up", "Whether the state is up."),
    Family::gauge("network_info", "What is no number: address, duplex, state."),
    Family::gauge("network_carrier", "Whether there is a carrier."),
    Family::gauge("network_mtu_bytes", "Longest packet."),
    Family::gauge(
        "network_speed_bytes",
        "Bytes a second that the link can carry.",
    ),
    Family::gauge(
        "network_device_id",
        "Which of the ports of one device it is.",
    ),
];
/// The files in an interface's folder, in the order of a record's fields behind the name.
const FILES: [&str; 9] = [
    "operstate",
    "address",
    "broadcast",
    "duplex",
    "ifalias",
    "carrier",
    "mtu",
    "speed",
    "dev_id",
];
/// Where in a record a family's number is.
const NUMBERS: [usize; STATE.len()] = [0, 0, 6, 7, 8, 9];
const OPERSTATE: usize = 1;
const CARRIER: usize = 6;
/// Interfaces of which it is remembered whether they have hardware.
const CARDS: usize = 256;

type Name = heapless::Vec<u8, NAME_MAX_BYTES>;

/// What is read, and what of it is shown.
#[derive(Debug)]
pub(super) struct Networks {
    source: Source,
    choice: Choice,
    cards: Cards,
    changes: LinkChanges,
    /// The interfaces that the last reading of the counters showed, and whether it had all.
    shown: Vec<Name>,
    is_whole: bool,
}

/// What was found in sysfs.
#[derive(Debug)]
struct Cards {
    /// `{sys}/class/net`, and what hangs below it while something is read.
    path: PathBuf,
    known: Vec<Card>,
    /// Of the names of all interfaces in their order: with another, all is looked for anew.
    names: u32,
    until_ms: u64,
}

#[derive(Debug)]
struct Card {
    name: Name,
    is_physical: bool,
    /// The record of its state.
    state: Option<Vec<u8>>,
}

impl Networks {
    /// Reads below these folders.
    pub(super) fn new(proc_root: &Path, sys_root: &Path, choice: Choice) -> Self {
        Self {
            source: Source::table(proc_root, "net/dev", SHORT_LINE_BYTES),
            choice,
            cards: Cards {
                path: sys_root.join("class/net"),
                known: Vec::new(),
                names: 0,
                until_ms: 0,
            },
            changes: LinkChanges::below(sys_root),
            shown: Vec::new(),
            is_whole: false,
        }
    }

    /// Reads the lines of the interfaces that are shown.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
        self.cards.forget_at(clock::boot_ms());
        let mut any_physical = false;
        let mut is_whole = self.read_those(scratch, |cards, name| {
            let physical = cards.is_physical(name);
            any_physical |= physical;
            physical
        });
        if self.choice.is_usual() && !any_physical {
            is_whole = self.read_those(scratch, |_, name| name != b"lo");
        }
        self.shown.clear();
        for record in scratch.records() {
            let columns = Columns::parse_kept(record);
            // It was taken, so its name is not longer.
            let name = columns.and_then(|columns| Name::from_slice(columns.name).ok());
            self.shown.extend(name);
        }
        self.is_whole = is_whole && !scratch.is_cut();
        is_whole
    }

    fn read_those(
        &mut self,
        scratch: &mut Scratch,
        mut is_usual: impl FnMut(&mut Cards, &[u8]) -> bool,
    ) -> bool {
        let (choice, cards) = (&self.choice, &mut self.cards);
        let (mut is_whole, mut names) = (true, hash(&[]));
        let read = scratch.add(&mut self.source, &mut |line| match Columns::parse(line) {
            Ok(Some(columns)) => {
                names = hash_on(hash_on(names, columns.name), b"/");
                let takes = choice.takes(columns.name, || is_usual(cards, columns.name));
                if takes { line.len() } else { 0 }
            }
            Ok(None) => 0,
            Err(_) => {
                is_whole = false;
                0
            }
        });
        if cards.names != names {
            cards.known.clear();
            cards.names = names;
        }
        is_whole && read.is_ok()
    }

    /// Makes records of what sysfs says of the interfaces that the counters were of.
    pub(super) fn load_state(&mut self, scratch: &mut Scratch) -> bool {
        if self.changes.are_there() {
            self.cards.forget_states();
        }
        for name in &self.shown {
            self.cards.add_state(scratch, name);
        }
        self.is_whole
    }
}

impl Cards {
    fn forget_at(&mut self, now_ms: u64) {
        if now_ms >= self.until_ms {
            self.known.clear();
            self.until_ms = now_ms + sysfs::HELD_MS;
        }
    }

    fn forget_states(&mut self) {
        for card in &mut self.known {
            card.state = None;
        }
    }

    fn is_physical(&mut self, name: &[u8]) -> bool {
        if let Some(card) = self.known.iter().find(|card| card.name == name) {
            return card.is_physical;
        }
        let is_physical = sysfs::below(&mut self.path, &[name, b"device"], |path| {
            access(path, AccessFlags::F_OK).is_ok()
        });
        self.learn(name, is_physical);
        is_physical
    }

    fn learn(&mut self, name: &[u8], is_physical: bool) {
        if self.known.len() < CARDS
            && let Ok(name) = Name::from_slice(name)
        {
            self.known.push(Card {
                name,
                is_physical,
                state: None,
            });
        }
    }

    /// Adds a record of what sysfs says of one.
    fn add_state(&mut self, scratch: &mut Scratch, name: &[u8]) {
        let mut card = self.known.iter_mut().find(|card| card.name == name);
        if let Some(Card {
            state: Some(record),
            ..
        }) = &card
        {
            scratch.add_record(record);
            return;
        }
        let before = scratch.text().len();
        scratch.push(&mut |record| {
            record.field(name);
            for file in FILES {
                sysfs::read(&mut self.path, &[name, file.as_bytes()], |value| {
                    record.field(value.unwrap_or_default());
                });
            }
        });
        let record = &scratch.text()[before..];
        // One that is down has no carrier, not even none.
        if let (Some(card), false) = (&mut card, field(record, CARRIER).is_empty()) {
            card.state = Some(record.to_vec());
        }
    }
}

/// Writes the counters.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        COUNTERS,
        scratch,
        &|record| {
            let columns = Columns::parse_kept(record)?;
            let numbers = columns.numbers().map(|count| Some(Number::Uint(count)));
            Some(Row::new(record, columns.name, numbers))
        },
        &|page, family, row, number| page.sample(family, &[("device", row.name)], number),
    )
}

/// Writes the states.
pub(super) fn write_state(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        STATE,
        scratch,
        &|record| {
            let numbers = STATE
                .iter()
                .zip(NUMBERS)
                .map(|(family, at)| match family.0 {
                    "network_up" => Some(Number::from(field(record, OPERSTATE) == b"up")),
                    "network_info" => Some(Number::Uint(1)),
                    "network_speed_bytes" => {
                        let megabits = sys::number(field(record, at))?;
                        Some(Number::Int(megabits.checked_mul(1_000_000)? / 8))
                    }
                    _ => sys::number(field(record, at)).map(Number::Int),
                });
            Some(Row::new(record, field(record, 0), numbers))
        },
        &|page, family, row, number| {
            let (record, device) = (row.record, ("device", row.name));
            if family.0 != "network_info" {
                return page.sample(family, &[device], number);
            }
            let labels = [
                ("address", field(record, 2)),
                ("broadcast", field(record, 3)),
                device,
                ("duplex", field(record, 4)),
                ("ifalias", field(record, 5)),
                ("operstate", field(record, OPERSTATE)),
            ];
            page.sample(family, &labels, number)
        },
    )
}
