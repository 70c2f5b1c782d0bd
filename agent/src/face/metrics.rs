//! The page for Prometheus: the agent's own metrics, then the device's, which are [`Node`]'s.
//!
//! The agent's say what became of samples, how delivery goes, what its process costs, and what is
//! done for the orchestrator.
//! Names begin with the configured namespace, but for those of the process.
//! Units are Prometheus's own: seconds and bytes.

use mote_core::Full;
use mote_core::delivery::Standing;
use mote_core::wire::prometheus::{Kind, Lines, Number};

use super::health::{Question, is_good, standing};
use super::node::Node;
use super::process::Times;
use super::routes::Desk;
use super::{orchestrator, plugins};
use crate::clock::{self, Discipline};
use crate::device::Device;
use crate::log;
use crate::state::flash;

/// How many parts the page has: what the agent says of itself, then the device.
pub const PARTS: usize = OWN_PARTS + Node::PARTS;
const OWN_PARTS: usize = 2;

const STANDINGS: [Standing; 6] = [
    Standing::Unknown,
    Standing::Delivering,
    Standing::Away,
    Standing::Refusing,
    Standing::KeyRefused,
    Standing::NotThere,
];

/// Writes a part of the page, from its first line.
pub fn write(desk: &mut Desk<'_>, part: usize, out: &mut Lines<'_>) -> Result<(), Full> {
    debug_assert!(part < PARTS);
    match (part.checked_sub(OWN_PARTS), &mut desk.node) {
        (None, _) if part > 0 => {
            let space = desk.rules.namespace.as_str();
            orchestrator::write_metrics(desk, space, out)?;
            plugins::write_metrics(desk.plugins, space, out)
        }
        (None, _) => {
            let discipline = clock::discipline();
            write_agent(desk, discipline.as_ref(), out)?;
            if let Some(node) = &mut desk.node {
                node.know(discipline);
            }
            let times = Times {
                started_ms: desk.board.about.started_ms,
                now_ms: desk.now_ms,
                wall_ms: desk.wall_ms,
            };
            desk.process.write(&times, out)
        }
        (Some(part), Some(node)) => node.write(part, out),
        // The port is about to close.
        (Some(_), None) => Ok(()),
    }
}

/// Notes that a part, or a piece of it, took so long.
pub fn took(desk: &mut Desk<'_>, part: usize, us: u64) {
    if let (Some(part), Some(node)) = (part.checked_sub(OWN_PARTS), &mut desk.node) {
        node.took(part, us);
    }
}

/// A family with one number.
pub(super) fn one(
    out: &mut Lines<'_>,
    name: [&str; 2],
    kind: Kind,
    help: &str,
    number: impl Into<Number>,
) -> Result<(), Full> {
    out.single(name, kind, help, number)
}

fn write_agent(
    desk: &Desk<'_>,
    discipline: Option<&Discipline>,
    out: &mut Lines<'_>,
) -> Result<(), Full> {
    let space = desk.rules.namespace.as_str();
    let own = |name| [space, name];
    let (device, board) = (desk.device, desk.board);

    let name = own("build_info");
    out.family(name, Kind::Gauge, "The agent that runs.")?;
    let labels = [
        ("version", env!("CARGO_PKG_VERSION").as_bytes()),
        ("target", env!("MOTE_TARGET").as_bytes()),
        // Builds of one version are told apart by it: the time of the commit, Unix seconds.
        ("made", env!("MOTE_BUILD_TIME_S").as_bytes()),
    ];
    out.sample(name, &labels, 1_u64)?;
    one(
        out,
        own("ready"),
        Kind::Gauge,
        "Whether ready says yes.",
        is_good(desk, Question::Ready),
    )?;
    write_samples(device, space, out)?;
    let help = "Samples that were not taken because the device was too busy or asleep.";
    one(
        out,
        own("ticks_missed_total"),
        Kind::Counter,
        help,
        device.missed(),
    )?;
    let name = own("stalls_total");
    out.family(
        name,
        Kind::Counter,
        "Times that the loop was kept for more than 50 ms, by what kept it.",
    )?;
    let stalls = &board.stalls;
    for (cause, count) in [
        ("sample", stalls.sample),
        ("listener", stalls.face),
        ("upkeep", stalls.upkeep),
        ("work", stalls.work),
    ] {
        out.sample(name, &[("cause", cause.as_bytes())], count)?;
    }
    one(
        out,
        own("log_lines_dropped_total"),
        Kind::Counter,
        "Log lines that could not be written.",
        log::dropped(),
    )?;
    write_flash(space, out)?;
    if let Some(discipline) = discipline {
        let help = "Whether the kernel is told the time by somebody who knows it.";
        one(
            out,
            own("clock_synchronized"),
            Kind::Gauge,
            help,
            discipline.is_synchronized,
        )?;
    }
    write_uplink(desk, space, out)
}

/// What became of samples.
fn write_samples(device: &Device, space: &str, out: &mut Lines<'_>) -> Result<(), Full> {
    let own = |name| [space, name];
    let counts = &device.counts;
    one(
        out,
        own("samples_collected_total"),
        Kind::Counter,
        "Samples taken.",
        counts.collected,
    )?;
    one(
        out,
        own("samples_restored_total"),
        Kind::Counter,
        "Samples of earlier starts that were found on disk.",
        counts.restored,
    )?;
    one(
        out,
        own("samples_sent_total"),
        Kind::Counter,
        "Samples delivered.",
        counts.sent,
    )?;
    let name = own("samples_dropped_total");
    out.family(name, Kind::Counter, "Samples lost, by reason.")?;
    for (reason, count) in [
        ("full", counts.dropped_full),
        ("refused", counts.dropped_refused),
        ("late", counts.dropped_late),
        ("no_time", counts.dropped_no_time),
        ("unreadable", counts.dropped_unreadable),
    ] {
        out.sample(name, &[("reason", reason.as_bytes())], count)?;
    }
    let waiting = device.outbox.len() as u64;
    one(
        out,
        own("samples_held"),
        Kind::Gauge,
        "Samples that wait to be delivered.",
        waiting,
    )?;
    let most = device.outbox.capacity() as u64;
    one(
        out,
        own("samples_held_max"),
        Kind::Gauge,
        "Samples that can wait at most.",
        most,
    )
}

/// What goes to the device's storage.
fn write_flash(space: &str, out: &mut Lines<'_>) -> Result<(), Full> {
    let own = |name| [space, name];
    let flash = flash::counters();
    let name = own("flash_written_bytes_total");
    out.family(name, Kind::Counter, "Bytes written to storage.")?;
    for (what, bytes) in [("state", flash.state_bytes), ("log", flash.log_bytes)] {
        out.sample(name, &[("what", what.as_bytes())], bytes)?;
    }
    one(
        out,
        own("flash_flushes_total"),
        Kind::Counter,
        "Times that something written was flushed.",
        flash.flushes,
    )?;
    one(
        out,
        own("disk_stall_max_seconds"),
        Kind::Gauge,
        "The longest wait for a write or a flush of the state.",
        Number::Decimal(flash.disk_stall_ms_max, 3),
    )?;
    one(
        out,
        own("state_files_in_trouble"),
        Kind::Gauge,
        "State files that cannot be written now.",
        flash.files_in_trouble,
    )?;
    one(
        out,
        own("state_files_damaged_total"),
        Kind::Counter,
        "State files that held something else than what was written to them.",
        flash.damaged_files,
    )
}

fn write_uplink(desk: &Desk<'_>, space: &str, out: &mut Lines<'_>) -> Result<(), Full> {
    let own = |name| [space, name];
    let Some(uplink) = &desk.board.uplink else {
        return Ok(());
    };
    let name = own("uplink_state");
    out.family(
        name,
        Kind::Gauge,
        "Where the server stands: 1 for one of the states.",
    )?;
    for each in STANDINGS {
        let is_it = each == uplink.standing;
        out.sample(name, &[("state", standing(each).as_bytes())], is_it)?;
    }
    let help = "Failures since the last delivery.";
    one(
        out,
        own("uplink_failures"),
        Kind::Gauge,
        help,
        u64::from(uplink.failures),
    )?;
    let retry_in_ms = uplink
        .retry_at_ms
        .map_or(0, |at_ms| at_ms.saturating_sub(desk.now_ms));
    let help = "Time until the next attempt may be made, 0 if now.";
    one(
        out,
        own("uplink_retry_seconds"),
        Kind::Gauge,
        help,
        Number::Decimal(retry_in_ms, 3),
    )?;
    let help = "Bytes written to and read from sockets of the uplink, TLS included.";
    one(
        out,
        own("wire_bytes_total"),
        Kind::Counter,
        help,
        uplink.wire_bytes,
    )?;
    let name = own("last_success_timestamp_seconds");
    out.family(name, Kind::Gauge, "When a sample was delivered last.")?;
    match uplink.last_success_ms {
        Some(at_ms) => {
            let age_ms = desk.now_ms.saturating_sub(at_ms);
            let wall_ms = desk.wall_ms.saturating_sub(age_ms);
            out.sample(name, &[], Number::Decimal(wall_ms, 3))
        }
        None => Ok(()),
    }
}
