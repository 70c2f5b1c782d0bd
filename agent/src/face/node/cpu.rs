//! Processors: where their time went, and what the kernel counts beside it.

use mote_core::Full;
use mote_core::proc::stat::{self, Cpu, Line};
use mote_core::wire::prometheus::Number;

use super::page::{Family, Page};
use super::scratch::{Scratch, Source};

/// Of `/proc/stat`, by processor and mode.
pub(super) const TIMES: &[Family] = &[
    Family::counter(
        "cpu_guest_seconds_total",
        "Seconds that the CPUs ran guests, by the guests' mode.",
    ),
    Family::counter(
        "cpu_seconds_total",
        "Seconds that the CPUs spent in each mode.",
    ),
];
/// The rest of it.
pub(super) const FIGURES: &[Family] = &[
    Family::counter("intr_total", "Interrupts serviced."),
    Family::counter("context_switches_total", "Context switches."),
    Family::counter("forks_total", "Forks."),
    Family::gauge(
        "boot_time_seconds",
        "When the kernel started, in Unix time.",
    ),
    Family::gauge("procs_running", "Processes that run or could."),
    Family::gauge("procs_blocked", "Processes that wait for a disk."),
];
/// In the order of [`FIGURES`].
const NAMES: [&[u8]; FIGURES.len()] = [
    b"intr",
    b"ctxt",
    b"processes",
    b"btime",
    b"procs_running",
    b"procs_blocked",
];
/// The first column of each family of [`TIMES`], and what it and those behind it are called.
const MODES: [(usize, &[&str]); TIMES.len()] = [
    (8, &["user", "nice"]),
    (
        0,
        &[
            "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
        ],
    ),
];

/// The figures, in the order of [`FIGURES`].
pub(super) type Figures = [Option<Number>; FIGURES.len()];

/// Reads the processors' lines into `scratch`, and the figures: the kernel works long on this file,
/// so it is read once for both.
pub(super) fn load(scratch: &mut Scratch, source: &mut Source) -> (bool, Figures) {
    let mut figures = Figures::default();
    let mut is_whole = true;
    let read = scratch.add(source, &mut |line| match stat::parse_line(line) {
        Ok(Some(Line::Cpu(_))) => line.len(),
        Ok(Some(Line::Figure(name, value))) => {
            if let Some(at) = NAMES.iter().position(|known| *known == name) {
                figures[at] = Some(Number::Uint(value));
            }
            0
        }
        Ok(None) => 0,
        Err(_) => {
            is_whole = false;
            0
        }
    });
    (is_whole && read.is_ok(), figures)
}

/// Writes the processors' times.
pub(super) fn write(page: &mut Page<'_, '_>, scratch: &Scratch) -> Result<(), Full> {
    page.families(TIMES.len(), &mut |page, at| {
        page.head(&TIMES[at])?;
        for record in scratch.records() {
            let Ok(Some(Line::Cpu(cpu))) = stat::parse_line(record) else {
                continue;
            };
            write_cpu(page, &TIMES[at], &cpu, MODES[at])?;
        }
        Ok(())
    })
}

fn write_cpu(
    page: &mut Page<'_, '_>,
    family: &Family,
    cpu: &Cpu<'_>,
    (first, modes): (usize, &[&str]),
) -> Result<(), Full> {
    for (mode, ticks) in modes.iter().zip(cpu.ticks().skip(first)) {
        // A tick is a hundredth of a second.
        let seconds = Number::Decimal(ticks, 2);
        let labels = [("cpu", cpu.number), ("mode", mode.as_bytes())];
        page.sample(family, &labels, seconds)?;
    }
    Ok(())
}
