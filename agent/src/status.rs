//! How the agent is doing: a line for the log at SIGUSR1 and when it stops, and after each attempt
//! to deliver a line for the service manager and the figures that the face shows.

use mote_core::delivery::{Next, Standing};
use mote_core::log_line::Value;

use crate::board::Attempt;
use crate::clock;
use crate::log;
use crate::service::lunasentri::MetricsServer;
use crate::state::flash;
use crate::uplink::link::Link;

/// Writes the line into the log.
pub fn log(msg: &str, link: &Link, server: Option<&MetricsServer>) {
    let standing = match server.map_or(Standing::Unknown, MetricsServer::standing) {
        Standing::Unknown if server.is_none() => "not configured",
        Standing::Unknown => "not asked yet",
        Standing::Delivering => "delivering",
        Standing::Away => "away",
        Standing::Refusing => "refusing samples",
        Standing::KeyRefused => "refusing the key",
        Standing::NotThere => "not there",
    };
    let (counts, held) = {
        let reactor = link.reactor();
        (reactor.device.counts, reactor.device.outbox.len() as u64)
    };
    let flash = flash::counters();
    let outage = server.and_then(|server| server.outages().current());
    let outage = outage.map(|outage| {
        let seconds = (clock::boot_ms() - outage.from_ms) / 1000;
        format!("for {seconds} s: {}", outage.layers())
    });
    let outage = outage.unwrap_or_else(|| "none".to_owned());
    log::info(
        msg,
        &[
            ("server", Value::Str(standing)),
            (
                "failures",
                Value::Uint(server.map_or(0, MetricsServer::failures).into()),
            ),
            ("collected", Value::Uint(counts.collected)),
            ("restored", Value::Uint(counts.restored)),
            ("sent", Value::Uint(counts.sent)),
            ("held", Value::Uint(held)),
            ("dropped", Value::Uint(counts.dropped())),
            ("dropped_full", Value::Uint(counts.dropped_full)),
            ("dropped_refused", Value::Uint(counts.dropped_refused)),
            ("dropped_late", Value::Uint(counts.dropped_late)),
            ("dropped_no_time", Value::Uint(counts.dropped_no_time)),
            ("dropped_unreadable", Value::Uint(counts.dropped_unreadable)),
            ("log_lines_dropped", Value::Uint(log::dropped())),
            ("state_bytes_written", Value::Uint(flash.state_bytes)),
            ("log_bytes_written", Value::Uint(flash.log_bytes)),
            ("flushes", Value::Uint(flash.flushes)),
            ("disk_stall_ms_max", Value::Uint(flash.disk_stall_ms_max)),
            ("clock", Value::Str(clock::trust())),
            ("outage", Value::Str(&outage)),
        ],
    );
}

/// Tells the face, and the service manager if one listens, of an attempt that just ended.
pub fn tell(link: &Link, server: &MetricsServer) {
    let wire_bytes = link.attempt().wire_bytes;
    let mut reactor = link.reactor();
    let now_ms = clock::boot_ms();
    let retry_at_ms = match server.next(&reactor.device.outbox, now_ms) {
        Next::Wait { until_ms } if server.standing() != Standing::Delivering => Some(until_ms),
        _ => None,
    };
    if let Some(uplink) = &mut reactor.board.uplink {
        let attempt = Attempt {
            standing: server.standing(),
            failures: server.failures(),
            trouble: server.trouble(),
            outages: server.outages(),
            retry_at_ms,
            wire_bytes,
        };
        uplink.tell(&attempt, now_ms);
    }
    if !reactor.notifier.is_heard() {
        return;
    }
    let held = reactor.device.outbox.len();
    let words = match server.standing() {
        Standing::Unknown => return,
        Standing::Delivering => format!("delivering to {}, {held} held", server.url()),
        _ => format!("holding {held} samples: {}", server.trouble()),
    };
    reactor.notifier.status(&words);
}
