//! Network interfaces: their counters from `/proc/net/dev`, their state from sysfs.
//!
//! Shown are those with hardware behind them; where none has, as in a container, all but loopback.

use std::ops::Range;
use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::proc::net_dev::{Columns, NAME_MAX_BYTES};
use mote_core::proc::sys;
use mote_core::wire::prometheus::Number;
use nix::unistd::{AccessFlags, access};

use super::choice::Choice;
use super::page::{Family, Page};
use super::scratch::{Record, Scratch, Source, field};
use super::sysfs;

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
/// Of the interfaces' names. The rest of the buffer is for what sysfs says.
const NAMES_BYTES: usize = 8 * 1024;

/// What is read, and what of it is shown.
#[derive(Debug)]
pub(super) struct Networks {
    source: Source,
    choice: Choice,
    /// `{sys}/class/net`, and what hangs below it while something is read.
    path: PathBuf,
}

impl Networks {
    /// Reads below these folders.
    pub(super) fn new(proc_root: &Path, sys_root: &Path, choice: Choice) -> Self {
        Self {
            source: Source::new(proc_root, "net/dev"),
            choice,
            path: sys_root.join("class/net"),
        }
    }

    /// Reads the lines of the interfaces that are shown.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
        self.read(scratch, |line| line.len())
    }

    /// Reads the lines of the interfaces that are shown, of each as many bytes as `keep` says.
    fn read(&mut self, scratch: &mut Scratch, keep: fn(&mut [u8]) -> usize) -> bool {
        let mut any_physical = false;
        let mut is_whole = self.read_those(scratch, keep, |path, name| {
            let physical = is_physical(path, name);
            any_physical |= physical;
            physical
        });
        if self.choice.is_usual() && !any_physical {
            is_whole = self.read_those(scratch, keep, |_, name| name != b"lo");
        }
        is_whole
    }

    fn read_those(
        &mut self,
        scratch: &mut Scratch,
        keep: fn(&mut [u8]) -> usize,
        mut is_usual: impl FnMut(&mut PathBuf, &[u8]) -> bool,
    ) -> bool {
        let (choice, path) = (&self.choice, &mut self.path);
        let mut is_whole = true;
        let read = scratch.add(&mut self.source, &mut |line| match Columns::parse(line) {
            Ok(Some(columns)) if choice.takes(columns.name, || is_usual(path, columns.name)) => {
                keep(line)
            }
            Ok(_) => 0,
            Err(_) => {
                is_whole = false;
                0
            }
        });
        is_whole && read.is_ok()
    }

    /// Makes records of what sysfs says of the interfaces that are shown.
    pub(super) fn load_state(&mut self, scratch: &mut Scratch) -> bool {
        scratch.hold_lines_to(NAMES_BYTES);
        let is_whole = self.read(scratch, keep_name);
        let path = &mut self.path;
        scratch.make_records(&mut |record, line| make(record, line, path));
        is_whole
    }
}

/// Leaves nothing of a line but the interface's name.
fn keep_name(line: &mut [u8]) -> usize {
    let mut name = heapless::Vec::<u8, NAME_MAX_BYTES>::new();
    if let Some(columns) = Columns::parse_kept(line) {
        // It was taken, so it is not longer.
        let _ = name.extend_from_slice(columns.name);
    }
    line[..name.len()].copy_from_slice(&name);
    name.len()
}

fn is_physical(folder: &mut PathBuf, name: &[u8]) -> bool {
    sysfs::below(folder, &[name, b"device"], |path| {
        access(path, AccessFlags::F_OK).is_ok()
    })
}

fn make(record: &mut Record<'_>, line: Range<usize>, folder: &mut PathBuf) {
    let mut name = heapless::Vec::<u8, NAME_MAX_BYTES>::new();
    if name.extend_from_slice(&record.text()[line]).is_err() {
        return;
    }
    record.field(&name);
    for file in FILES {
        sysfs::read(folder, &[&name, file.as_bytes()], |value| {
            record.field(value.unwrap_or_default());
        });
    }
}

/// Writes the counters.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        COUNTERS,
        || scratch.records(),
        &|column, record| {
            let columns = Columns::parse_kept(record)?;
            columns.column(column).map(Number::Uint)
        },
        &|page, family, record, number| {
            let name = Columns::parse_kept(record).map_or(&b""[..], |columns| columns.name);
            page.sample(family, &[("device", name)], number)
        },
    )
}

/// Writes the states.
pub(super) fn write_state(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.table(
        STATE,
        || scratch.records(),
        &|at, record| match STATE[at].0 {
            "network_up" => Some(Number::from(field(record, OPERSTATE) == b"up")),
            "network_info" => Some(Number::Uint(1)),
            "network_speed_bytes" => {
                let megabits = sys::number(field(record, NUMBERS[at]))?;
                Some(Number::Int(megabits.checked_mul(1_000_000)? / 8))
            }
            _ => sys::number(field(record, NUMBERS[at])).map(Number::Int),
        },
        &|page, family, record, number| {
            let device = ("device", field(record, 0));
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
