//! One line that says how the agent is doing: for the log at SIGUSR1 and when it stops, and for the
//! service manager after each attempt to deliver.

use mote_core::delivery::Standing;
use mote_core::log_line::Value;

use crate::clock;
use crate::log;
use crate::service::lunasentri::MetricsServer;
use crate::state::flash;
use crate::uplink::link::Link;

/// Writes the line into the log.
pub fn log(msg: &str, link: &Link, server: &MetricsServer) {
    let standing = match server.standing() {
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
    let outage = server.outages().current().map(|outage| {
        let seconds = (clock::boot_ms() - outage.from_ms) / 1000;
        format!("for {seconds} s: {}", outage.layers())
    });
    let outage = outage.unwrap_or_else(|| "none".to_owned());
    log::info(
        msg,
        &[
            ("server", Value::Str(standing)),
            ("failures", Value::Uint(server.failures().into())),
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

/// Tells the service manager, if one listens.
pub fn tell(link: &Link, server: &MetricsServer) {
    let mut reactor = link.reactor();
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
