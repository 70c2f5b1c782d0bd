//! What is shown of the work for the orchestrator, in status, health, ready and metrics.

use mote_core::Full;
use mote_core::wire::pieces::{Json, Pieces};
use mote_core::wire::prometheus::{Kind, Lines, Number};

use super::health::some;
use super::metrics::one;
use super::routes::Desk;
use super::status::{last_outage_fields, outage_fields, wall_ms};
use crate::board::{FIGURES, Orchestrator};
use crate::service::orchestrator::Standing;

const STANDINGS: [Standing; 4] = [
    Standing::Unknown,
    Standing::Answering,
    Standing::Away,
    Standing::KeyRefused,
];

/// The figures in their order: the name of the metric, which without its `_total` is that of the
/// field, and what it is.
const SHOWN: [(&str, &str); FIGURES] = [
    ("heartbeats_total", "Heartbeats that were taken."),
    ("polls_total", "Answered looks for an instruction."),
    ("instructions_taken_total", "Instructions taken up."),
    ("instructions_reported_total", "Results acknowledged."),
    ("events_journaled_total", "Events put into the journal."),
    ("events_sent_total", "Events acknowledged."),
    ("events_dropped_total", "Events lost."),
    ("results_dropped_total", "Results given up."),
    ("instructions_running", "Instructions being carried out."),
    ("events_held", "Events not acknowledged."),
    ("results_held", "Results not acknowledged."),
];
const TOTAL: &str = "_total";

/// What is said when there is no room for a result.
const IS_FULL: &str = "results fill the journal: no instruction is taken up";

/// Server, state, failures, trouble, three moments, the next try, two outages, and the figures.
const FIELDS: usize = 10 + FIGURES;

/// Whether it is of use to wait, without anybody's help, and there is room for what comes.
pub fn is_good(other: &Orchestrator) -> bool {
    other.standing != Standing::KeyRefused && !other.is_full
}

/// Where it stands, in one word: results and events are held while it is away.
fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Unknown => "unknown",
        Standing::Answering => "connected",
        Standing::Away => "held",
        Standing::KeyRefused => "refused",
    }
}

/// Writes it for the status.
pub fn write(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let (outage, last_outage);
    let mut fields: heapless::Vec<(&str, Json<'_>), FIELDS> = heapless::Vec::new();
    // There is a place for each.
    let mut add = |name, value| {
        let _ = fields.push((name, value));
    };
    if let Some(other) = &desk.board.orchestrator {
        let is_held_up = other.is_full && other.trouble.is_empty();
        let trouble = if is_held_up { IS_FULL } else { &other.trouble };
        let state = if is_held_up {
            "full"
        } else {
            standing(other.standing)
        };
        add("state", Json::Str(state));
        add("trouble", some(trouble));
        add("server", Json::Str(&other.server));
        add("failures", Json::Uint(other.failures.into()));
        for (name, at_ms) in [
            ("last_contact_ms", other.last_contact_ms),
            ("last_heartbeat_ms", other.last_heartbeat_ms),
            ("last_poll_ms", other.last_poll_ms),
        ] {
            add(name, Json::uint(at_ms.map(|at_ms| wall_ms(desk, at_ms))));
        }
        let retry_at_ms = other.retry_at_ms;
        let retry_in_ms = retry_at_ms.map(|at_ms| at_ms.saturating_sub(desk.now_ms));
        add("retry_in_ms", Json::uint(retry_in_ms));
        for ((name, _), figure) in SHOWN.iter().zip(other.figures.0) {
            let name = name.strip_suffix(TOTAL).unwrap_or(name);
            add(name, Json::Uint(figure));
        }
        if let Some(lasting) = &other.outage {
            outage = outage_fields(desk, lasting, &other.trouble);
            add("outage", Json::Object(&outage));
        }
        if let Some(last) = &other.last_outage {
            last_outage = last_outage_fields(desk, last);
            add("last_outage", Json::Object(&last_outage));
        }
    } else {
        add("state", Json::Str("not configured"));
    }
    out.fields(&[("orchestrator", Json::Object(&fields))])
}

/// Writes the metrics, if there is one.
pub fn write_metrics(desk: &Desk<'_>, space: &str, out: &mut Lines<'_>) -> Result<(), Full> {
    let name = [space, "credential_expiry_timestamp_seconds"];
    if desk.board.expiries().iter().flatten().next().is_some() {
        let help = "When what the agent proves itself by ends.";
        out.family(name, Kind::Gauge, help)?;
    }
    for expiry in desk.board.expiries().iter().flatten() {
        let labels = [("credential", expiry.what.as_bytes())];
        out.sample(name, &labels, Number::Decimal(expiry.ends_ms, 3))?;
    }
    let Some(other) = &desk.board.orchestrator else {
        return Ok(());
    };
    let name = [space, "orchestrator_state"];
    let help = "Where the orchestrator stands: 1 for one of the states.";
    out.family(name, Kind::Gauge, help)?;
    for each in STANDINGS {
        let is_it = each == other.standing;
        out.sample(name, &[("state", standing(each).as_bytes())], is_it)?;
    }
    for ((name, help), figure) in SHOWN.iter().zip(other.figures.0) {
        let kind = if name.ends_with(TOTAL) {
            Kind::Counter
        } else {
            Kind::Gauge
        };
        one(out, [space, name], kind, help, figure)?;
    }
    let name = [space, "orchestrator_failures"];
    let help = "Failures since it last answered.";
    one(out, name, Kind::Gauge, help, u64::from(other.failures))?;
    let Some(at_ms) = other.last_contact_ms else {
        return Ok(());
    };
    let at_ms = Number::Decimal(wall_ms(desk, at_ms), 3);
    let name = [space, "orchestrator_last_contact_timestamp_seconds"];
    one(out, name, Kind::Gauge, "When it answered last.", at_ms)
}
