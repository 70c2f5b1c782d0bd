//! What the kernel says of itself in single figures: load, open files, tracked connections,
//! pressure, the clock; and what device and operating system are called.

use std::path::{Path, PathBuf};

use mote_core::Full;
use mote_core::os_release;
use mote_core::proc::loadavg::LoadAvg;
use mote_core::proc::pressure::Pressure;
use mote_core::proc::sys;
use mote_core::wire::prometheus::{Lines, Number};
use nix::libc;
use nix::sys::utsname::uname;

use super::page::{Family, PREFIX, Page};
use super::scratch::{Scratch, Source};
use super::sysfs;
use crate::clock::{self, Discipline};

/// Of `/proc/loadavg`.
pub(super) const LOAD: &[Family] = &[
    Family::gauge("load1", "Load of the last minute."),
    Family::gauge("load5", "Load of the last 5 minutes."),
    Family::gauge("load15", "Load of the last 15 minutes."),
];
/// Of `/proc/sys/fs/file-nr`.
pub(super) const FILES: &[Family] = &[
    Family::gauge("filefd_allocated", "Files that are open."),
    Family::gauge("filefd_maximum", "Files that may be open."),
];
/// Of `/proc/sys/net/netfilter`.
pub(super) const CONNTRACK: &[Family] = &[
    Family::gauge("nf_conntrack_entries", "Connections that are tracked."),
    Family::gauge(
        "nf_conntrack_entries_limit",
        "Connections that can be tracked.",
    ),
];
/// Of `/proc/pressure`.
pub(super) const PRESSURE: &[Family] = &[
    Family::counter(
        "pressure_cpu_waiting_seconds_total",
        "Seconds in which a task waited for a CPU.",
    ),
    Family::counter(
        "pressure_io_waiting_seconds_total",
        "Seconds in which a task waited for a disk.",
    ),
    Family::counter(
        "pressure_io_stalled_seconds_total",
        "Seconds in which no task could go on for a disk.",
    ),
    Family::counter(
        "pressure_memory_waiting_seconds_total",
        "Seconds in which a task waited for memory.",
    ),
    Family::counter(
        "pressure_memory_stalled_seconds_total",
        "Seconds in which no task could go on for memory.",
    ),
];
/// Of the clock.
pub(super) const TIME: &[Family] = &[Family::gauge("time_seconds", "The time, in Unix time.")];
/// Of `adjtimex(2)`.
pub(super) const TIMEX: &[Family] = &[
    Family::gauge("timex_sync_status", "Whether something holds the clock."),
    Family::gauge("timex_offset_seconds", "Distance from what holds it."),
    Family::gauge(
        "timex_frequency_adjustment_ratio",
        "How much faster it is made to run.",
    ),
    Family::gauge("timex_maxerror_seconds", "Largest error."),
    Family::gauge("timex_estimated_error_seconds", "Estimated error."),
    Family::gauge("timex_status", "Bits of the status."),
    Family::gauge("timex_loop_time_constant", "Time constant of the loop."),
    Family::gauge("timex_tick_seconds", "Length of a tick."),
    Family::gauge("timex_pps_frequency_hertz", "Frequency of pulses."),
    Family::gauge("timex_pps_jitter_seconds", "Jitter of pulses."),
    Family::gauge("timex_pps_shift_seconds", "Interval of pulses."),
    Family::gauge("timex_pps_stability_hertz", "Stability of pulses."),
    Family::counter(
        "timex_pps_jitter_total",
        "Pulses beyond the limit of jitter.",
    ),
    Family::counter("timex_pps_calibration_total", "Calibrations by pulses."),
    Family::counter("timex_pps_error_total", "Errors of calibration."),
    Family::counter(
        "timex_pps_stability_exceeded_total",
        "Pulses beyond the limit of stability.",
    ),
    Family::gauge("timex_tai_offset_seconds", "Offset of atomic time."),
];
/// Of `uname(2)`.
pub(super) const UNAME: &[Family] = &[Family::gauge("uname_info", "What uname says.")];
/// Of os-release.
pub(super) const OS: &[Family] = &[
    Family::gauge("os_info", "What os-release says."),
    Family::gauge("os_version", "The beginning of the version, as a number."),
];

/// As many as the longest table has.
pub(super) type Figures = [Option<Number>; TIMEX.len()];
/// The files here have a line or two.
const BYTES: usize = 512;
/// The longest value of os-release that is shown.
const VALUE_BYTES: usize = 128;
/// All of them, each letter escaped, and what stands around them.
const OS_LINE_BYTES: usize = (2 * VALUE_BYTES + 24) * KEYS.len();
/// The labels of `os_info`, and the keys they are made of.
const KEYS: [(&str, &str); 12] = [
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

/// The files of single figures.
#[derive(Debug)]
pub(super) struct Sources {
    loadavg: Source,
    file_nr: Source,
    conntrack: [Source; 2],
    pressure: [Source; 3],
}

impl Sources {
    /// Below `/proc`, wherever it is.
    pub(super) fn new(proc_root: &Path) -> Self {
        let source = |name| Source::new(proc_root, name);
        Self {
            loadavg: source("loadavg"),
            file_nr: source("sys/fs/file-nr"),
            conntrack: [
                source("sys/net/netfilter/nf_conntrack_count"),
                source("sys/net/netfilter/nf_conntrack_max"),
            ],
            pressure: [
                source("pressure/cpu"),
                source("pressure/io"),
                source("pressure/memory"),
            ],
        }
    }

    /// Fills in what [`LOAD`] is of.
    pub(super) fn load(&mut self, figures: &mut Figures) -> bool {
        let mut buffer = [0; BYTES];
        let load = self.loadavg.read(&mut buffer).ok();
        let Some(Ok(load)) = load.map(LoadAvg::parse) else {
            return false;
        };
        for (figure, hundredths) in figures.iter_mut().zip(load.hundredths) {
            *figure = Some(Number::Decimal(hundredths.into(), 2));
        }
        true
    }

    /// Fills in what [`FILES`] is of.
    pub(super) fn files(&mut self, figures: &mut Figures) -> bool {
        let mut buffer = [0; BYTES];
        let text = self.file_nr.read(&mut buffer).ok();
        let Some((allocated, maximum)) = text.and_then(sys::file_nr) else {
            return false;
        };
        figures[0] = Some(Number::Uint(allocated));
        figures[1] = Some(Number::Uint(maximum));
        true
    }

    /// Fills in what [`CONNTRACK`] is of. Where nothing is tracked there are no such files.
    pub(super) fn conntrack(&mut self, figures: &mut Figures) -> bool {
        let mut is_whole = true;
        for (source, figure) in self.conntrack.iter_mut().zip(figures) {
            let mut buffer = [0; BYTES];
            let text = source.read(&mut buffer).ok();
            *figure = text.and_then(sys::number).map(Number::Int);
            is_whole &= figure.is_some();
        }
        is_whole
    }

    /// Fills in what [`PRESSURE`] is of.
    pub(super) fn pressure(&mut self, figures: &mut Figures) -> bool {
        let mut is_whole = true;
        let mut pressure = self.pressure.iter_mut().map(|source| {
            let mut buffer = [0; BYTES];
            let text = source.read(&mut buffer).ok();
            let pressure = text.and_then(|text| Pressure::parse(text).ok());
            is_whole &= pressure.is_some();
            pressure.unwrap_or_default()
        });
        let (cpu, disk, memory) = (pressure.next(), pressure.next(), pressure.next());
        drop(pressure);
        let some = |pressure: Option<Pressure>| pressure?.some_us.map(seconds_of_us);
        let full = |pressure: Option<Pressure>| pressure?.full_us.map(seconds_of_us);
        figures[0] = some(cpu);
        (figures[1], figures[2]) = (some(disk), full(disk));
        (figures[3], figures[4]) = (some(memory), full(memory));
        is_whole
    }
}

/// Microseconds as the doubles that others make of them, in two steps.
#[expect(clippy::cast_precision_loss, reason = "it is theirs as well")]
fn seconds_of_us(us: u64) -> Number {
    Number::Float(us as f64 / 1000.0 / 1000.0)
}

/// Fills in what [`TIME`] is of.
pub(super) fn time(figures: &mut Figures) -> bool {
    figures[0] = Some(Number::Decimal(clock::wall_ms(), 3));
    true
}

/// Fills in what [`TIMEX`] is of.
#[expect(
    clippy::cast_precision_loss,
    clippy::unnecessary_cast,
    reason = "readers compute with doubles; the kernel's words differ in size between machines"
)]
pub(super) fn timex(figures: &mut Figures, known: Option<Discipline>) -> bool {
    /// Units of 2^-16 parts per million, see `adjtimex(2)`.
    const FREQUENCY: f64 = 65_536.0 * 1_000_000.0;
    const MICROSECONDS: f64 = 1_000_000.0;
    const NANOSECONDS: f64 = 1_000_000_000.0;
    let Some(discipline) = known.or_else(clock::discipline) else {
        return false;
    };
    let timex = &discipline.timex;
    let is_nano = timex.status & libc::STA_NANO != 0;
    let unit = if is_nano { NANOSECONDS } else { MICROSECONDS };
    let whole = |count: i64| Number::Int(count);
    let all = [
        Number::from(discipline.is_synchronized),
        Number::Float(timex.offset as f64 / unit),
        Number::Float(1.0 + timex.freq as f64 / FREQUENCY),
        Number::Float(timex.maxerror as f64 / MICROSECONDS),
        Number::Float(timex.esterror as f64 / MICROSECONDS),
        whole(timex.status.into()),
        whole(timex.constant as i64),
        Number::Float(timex.tick as f64 / MICROSECONDS),
        Number::Float(timex.ppsfreq as f64 / FREQUENCY),
        Number::Float(timex.jitter as f64 / unit),
        whole(timex.shift.into()),
        Number::Float(timex.stabil as f64 / FREQUENCY),
        whole(timex.jitcnt as i64),
        whole(timex.calcnt as i64),
        whole(timex.errcnt as i64),
        whole(timex.stbcnt as i64),
        whole(timex.tai.into()),
    ];
    *figures = all.map(Some);
    true
}

/// Writes what `uname(2)` says.
pub(super) fn write_uname(page: &mut Page<'_, '_>) -> Result<(), Full> {
    let Ok(name) = uname() else {
        return Ok(());
    };
    let labels = [
        ("domainname", name.domainname().as_encoded_bytes()),
        ("machine", name.machine().as_encoded_bytes()),
        ("nodename", name.nodename().as_encoded_bytes()),
        ("release", name.release().as_encoded_bytes()),
        ("sysname", name.sysname().as_encoded_bytes()),
        ("version", name.version().as_encoded_bytes()),
    ];
    page.families(UNAME.len(), &mut |page, at| {
        page.head(&UNAME[at])?;
        page.sample(&UNAME[at], &labels, Number::Uint(1))
    })
}

/// os-release, and the lines of the page that are made of it. What an operating system is called
/// changes with an upgrade: it is looked at once a minute.
#[derive(Debug)]
pub(super) struct Os {
    /// Where it is, and where it is on other systems.
    paths: [PathBuf; 2],
    /// A line for each family, or nothing.
    lines: [Vec<u8>; OS.len()],
    until_ms: u64,
}

impl Os {
    /// Below `/etc`, or where the system keeps it.
    pub(super) fn new(etc: PathBuf, rootfs: &Path) -> Self {
        Self {
            paths: [etc, rootfs.join("usr/lib")],
            lines: [const { Vec::new() }; OS.len()],
            until_ms: 0,
        }
    }

    /// Reads it, if that is due.
    pub(super) fn load(&mut self, scratch: &mut Scratch) -> bool {
        let now_ms = clock::boot_ms();
        if now_ms < self.until_ms {
            return true;
        }
        let is_read = self.paths.iter().any(|path| {
            let mut source = Source::new(path, "os-release");
            scratch.add(&mut source, &mut |line| line.len()).is_ok()
        });
        self.lines = lines_of_os(scratch.text());
        if is_read {
            self.until_ms = now_ms + sysfs::HELD_MS;
        }
        is_read
    }

    /// Writes what it says.
    pub(super) fn write(&self, page: &mut Page<'_, '_>) -> Result<(), Full> {
        page.families(OS.len(), &mut |page, at| {
            if self.lines[at].is_empty() {
                return Ok(());
            }
            page.head(&OS[at])?;
            page.out.ready_sample(&self.lines[at])
        })
    }
}

/// The lines of [`OS`]; empty ones for what is not told.
fn lines_of_os(text: &[u8]) -> [Vec<u8>; OS.len()] {
    let mut values = [[0; VALUE_BYTES]; KEYS.len()];
    let mut labels: [(&str, &[u8]); KEYS.len()] = [("", b""); KEYS.len()];
    for ((label, (name, key)), value) in labels.iter_mut().zip(KEYS).zip(&mut values) {
        let value = os_release::value(text, key.as_bytes(), value);
        *label = (name, value.unwrap_or_default());
    }
    let version = os_release::major_minor(labels[11].1);
    let version = decimal(version).filter(|_| !version.is_empty());
    let line = |at: usize, labels: &[(&str, &[u8])], number: Option<Number>| {
        let mut buffer = [0; OS_LINE_BYTES];
        let mut out = Lines::new(&mut buffer, 0);
        let Some(Ok(())) = number.map(|number| out.sample([PREFIX, OS[at].0], labels, number))
        else {
            return Vec::new();
        };
        // Without its newline.
        let bytes = out.len() - 1;
        buffer[..bytes].to_vec()
    };
    let is_known = (!text.is_empty()).then_some(Number::Uint(1));
    [
        line(0, &labels, is_known),
        line(1, &[labels[1], labels[2], labels[5]], version),
    ]
}

/// `12` or `22.04` as a number; none for zero.
fn decimal(text: &[u8]) -> Option<Number> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    let number = whole.parse::<u64>().ok()?;
    let unit = 10_u64.checked_pow(places.len().try_into().ok()?)?;
    let fraction = if places.is_empty() {
        0
    } else {
        places.parse().ok()?
    };
    let number = number.checked_mul(unit)?.checked_add(fraction)?;
    (number > 0).then_some(Number::Decimal(number, places.len() as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_a_number_or_none() {
        assert_eq!(decimal(b"12"), Some(Number::Decimal(12, 0)));
        assert_eq!(decimal(b"22.04"), Some(Number::Decimal(2204, 2)));
        for none in [
            "",
            "0",
            "0.0",
            "99999999999999999999",
            "1.99999999999999999999",
        ] {
            assert_eq!(decimal(none.as_bytes()), None, "{none}");
        }
    }
}
