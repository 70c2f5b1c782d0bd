//! What is shown of the work for the orchestrator, in status, health, ready and metrics.

use mote_core::Full;
use mote_core::wire::pieces::{Json, Pieces};
use mote_core::wire::prometheus::{Kind, Lines, Number};

use super::fields::fields;
use super::metrics::one;
use super::routes::Desk;
use super::status::wall_ms;
use crate::board::{FIGURES, Orchestrator};
use crate::service::orchestrator::Standing;

/// The figures in their order: the name of the metric, whose middle is that of the field in the
/// status, and what it is.
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
    ("orchestrator_failures", "Failures since it last answered."),
    ("orchestrator_connected", "Whether it answers."),
];
const TOTAL: &str = "_total";

/// What is said when there is no room for a result.
const IS_FULL: &str = "results fill the journal: no instruction is taken up";

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

/// Writes it for status, health and ready.
pub fn write(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let Some(other) = &desk.board.orchestrator else {
        let fields = [("state", Json::Str("not configured"))];
        return out.fields(&[("orchestrator", Json::Object(&fields))]);
    };
    let is_held_up = other.is_full && other.trouble.is_empty();
    let (state, trouble) = if is_held_up {
        ("full", IS_FULL)
    } else {
        (standing(other.standing), other.trouble.as_str())
    };
    let wall = |at_ms: Option<u64>| at_ms.map(|at_ms| wall_ms(desk, at_ms));
    let retry_in_ms = |at_ms: u64| at_ms.saturating_sub(desk.now_ms);
    let mut fields = fields(
        &[
            ("state", state),
            ("trouble", trouble),
            ("server", &other.server),
        ],
        &[
            ("last_contact_ms", wall(other.last_contact_ms)),
            ("last_heartbeat_ms", wall(other.last_heartbeat_ms)),
            ("last_poll_ms", wall(other.last_poll_ms)),
            ("retry_in_ms", other.retry_at_ms.map(retry_in_ms)),
        ],
    );
    for ((name, _), figure) in SHOWN.iter().zip(other.figures.0) {
        let name = name.strip_suffix(TOTAL).unwrap_or(name);
        let name = name.strip_prefix("orchestrator_").unwrap_or(name);
        // There is a place for each.
        let _ = fields.push((name, Json::Uint(figure)));
    }
    out.fields(&[("orchestrator", Json::Object(&fields))])
}

/// Writes the metrics, if there is one, and when what the agent proves itself by ends.
pub fn write_metrics(desk: &Desk<'_>, space: &str, out: &mut Lines<'_>) -> Result<(), Full> {
    let ends = desk.board.expiries();
    for (at, expiry) in ends.iter().flatten().enumerate() {
        let name = [space, "credential_expiry_timestamp_seconds"];
        if at == 0 {
            out.family(name, Kind::Gauge, "When a credential ends.")?;
        }
        let labels = [("credential", expiry.what.as_bytes())];
        out.sample(name, &labels, Number::Decimal(expiry.ends_ms, 3))?;
    }
    let Some(other) = &desk.board.orchestrator else {
        return Ok(());
    };
    for ((name, help), figure) in SHOWN.iter().zip(other.figures.0) {
        one(out, [space, name], kind_of(name), help, figure)?;
    }
    Ok(())
}

/// What a family of this name is.
pub fn kind_of(name: &str) -> Kind {
    if name.ends_with(TOTAL) {
        Kind::Counter
    } else {
        Kind::Gauge
    }
}
