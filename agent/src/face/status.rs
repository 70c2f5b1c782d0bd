//! The two JSON texts of the page: how the agent is doing, and what the device did lately.
//!
//! Times are Unix milliseconds or lengths in the unit that their name ends with; rates are bytes a
//! second; what is not known is null. Names and their order are what the page and `mote status`
//! read, and what other programs may rely on. There is no secret in them: of the server only host
//! and port.

use mote_core::Full;
use mote_core::history::{Series, Span};
use mote_core::wire::pieces::{Json, Pieces};

use super::health::{age_ms, room, some, standing};
use super::routes::Desk;
use super::{orchestrator, plugins, warnings};
use crate::board::Outage;
use crate::clock;
use crate::vitals::Vitals;

/// Series in the order in which they are written, with their names and decimal places.
const SERIES: [(&str, Series, u8); 7] = [
    ("cpu", Series::Cpu, 1),
    ("memory", Series::Memory, 1),
    ("disk", Series::Disk, 1),
    ("load", Series::Load, 2),
    ("temp", Series::Temperature, 1),
    ("rx", Series::Received, 0),
    ("tx", Series::Sent, 0),
];

/// Writes `GET /api/status`.
pub fn write(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let about = &desk.board.about;
    out.open()?;
    out.fields(&[
        ("name", Json::Str("mote")),
        ("version", Json::Str(env!("CARGO_PKG_VERSION"))),
        ("hostname", Json::Str(&about.hostname)),
        ("start", Json::Uint(about.start)),
        ("pid", Json::Uint(std::process::id().into())),
        ("now_ms", Json::Uint(desk.wall_ms)),
        ("started_ms", Json::Uint(wall_ms(desk, about.started_ms))),
        (
            "uptime_s",
            Json::uint(
                desk.device
                    .vitals()
                    .and_then(|vitals| vitals.latest()?.sample.uptime_s)
                    .map(u64::from),
            ),
        ),
        ("interval_ms", Json::Uint(desk.device.interval_ms())),
    ])?;
    write_sample(desk, out)?;
    write_uplink(desk, out)?;
    write_outbox(desk, out)?;
    let synchronized = clock::is_synchronized().map_or(Json::Null, Json::Bool);
    out.fields(&[("clock", Json::Object(&[("synchronized", synchronized)]))])?;
    let uplink = desk.board.uplink.as_ref();
    let outage = uplink.and_then(|uplink| uplink.outage);
    let last_error = uplink.map_or("", |uplink| uplink.trouble.as_str());
    let outage = outage.map(|outage| outage_fields(desk, &outage, last_error));
    out.fields(&[(
        "outage",
        outage
            .as_ref()
            .map_or(Json::Null, |fields| Json::Object(fields)),
    )])?;
    let last = uplink.and_then(|uplink| uplink.last_outage);
    let last = last.map(|outage| last_outage_fields(desk, &outage));
    out.fields(&[(
        "last_outage",
        last.as_ref()
            .map_or(Json::Null, |fields| Json::Object(fields)),
    )])?;
    orchestrator::write(desk, out)?;
    plugins::write(desk, out)?;
    warnings::write(desk, out)?;
    out.fields(&[("alerts", Json::EmptyArray)])?;
    out.close()
}

fn last_outage_fields(desk: &Desk<'_>, outage: &Outage) -> [(&'static str, Json<'static>); 3] {
    [
        ("from_ms", Json::Uint(wall_ms(desk, outage.from_ms))),
        ("to_ms", Json::Uint(wall_ms(desk, outage.to_ms))),
        ("failures", Json::Uint(outage.failures.into())),
    ]
}

fn outage_fields<'a>(
    desk: &Desk<'_>,
    outage: &Outage,
    last_error: &'a str,
) -> [(&'static str, Json<'a>); 3] {
    [
        ("since_ms", Json::Uint(wall_ms(desk, outage.from_ms))),
        ("failures", Json::Uint(outage.failures.into())),
        ("last_error", some(last_error)),
    ]
}

fn write_sample(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let latest = desk.device.vitals().and_then(|vitals| vitals.latest());
    let fields = latest.map(|latest| {
        let sample = &latest.sample;
        [
            ("age_ms", Json::uint(age_ms(desk))),
            ("cpu_pct", Json::percent(sample.cpu)),
            ("memory_pct", Json::percent(sample.memory)),
            ("disk_pct", Json::percent(sample.disk)),
            ("load1", Json::decimal(latest.load.map(i64::from), 2)),
            ("temp_c", Json::decimal(latest.temperature, 1)),
            ("rx_bps", Json::uint(latest.received)),
            ("tx_bps", Json::uint(latest.sent)),
            ("disk_path", Json::Str(&desk.rules.disk)),
        ]
    });
    out.fields(&[(
        "sample",
        fields
            .as_ref()
            .map_or(Json::Null, |fields| Json::Object(fields)),
    )])
}

fn write_uplink(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let Some(uplink) = &desk.board.uplink else {
        let fields = [
            ("configured", Json::Bool(false)),
            ("state", Json::Str("unknown")),
            ("server", Json::Null),
            ("failures", Json::Uint(0)),
            ("last_success_ms", Json::Null),
            ("retry_in_ms", Json::Null),
            ("trouble", Json::Null),
        ];
        return out.fields(&[("uplink", Json::Object(&fields))]);
    };
    let retry_in_ms = uplink
        .retry_at_ms
        .map(|at_ms| at_ms.saturating_sub(desk.now_ms));
    let last_success_ms = uplink.last_success_ms.map(|at_ms| wall_ms(desk, at_ms));
    let fields = [
        ("configured", Json::Bool(true)),
        ("state", Json::Str(standing(uplink.standing))),
        ("server", Json::Str(&uplink.server)),
        ("failures", Json::Uint(uplink.failures.into())),
        ("last_success_ms", Json::uint(last_success_ms)),
        ("retry_in_ms", Json::uint(retry_in_ms)),
        ("trouble", some(&uplink.trouble)),
    ];
    out.fields(&[("uplink", Json::Object(&fields))])
}

fn write_outbox(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    let (outbox, counts) = (&desk.device.outbox, &desk.device.counts);
    let oldest = outbox.oldest().and_then(|cursor| outbox.get(cursor));
    let oldest_ms = oldest.map(|sample| {
        sample
            .wall_ms
            .unwrap_or_else(|| wall_ms(desk, sample.boot_ms))
    });
    let dropped = [
        ("full", Json::Uint(counts.dropped_full)),
        ("refused", Json::Uint(counts.dropped_refused)),
        ("late", Json::Uint(counts.dropped_late)),
        ("no_time", Json::Uint(counts.dropped_no_time)),
        ("unreadable", Json::Uint(counts.dropped_unreadable)),
    ];
    let fields = [
        ("held", Json::Uint(outbox.len() as u64)),
        ("room", Json::Uint(room(desk))),
        ("oldest_ms", Json::uint(oldest_ms)),
        ("collected", Json::Uint(counts.collected)),
        ("sent", Json::Uint(counts.sent)),
        ("dropped", Json::Object(&dropped)),
    ];
    out.fields(&[("outbox", Json::Object(&fields))])
}

/// Writes `GET /api/history`: oldest point first, `newest` last.
pub fn write_history(
    desk: &Desk<'_>,
    span: Span,
    newest: u64,
    end_ms: u64,
    out: &mut Pieces<'_>,
) -> Result<(), Full> {
    let history = desk.device.vitals().map(Vitals::history);
    out.open()?;
    out.fields(&[
        ("step_ms", Json::Uint(span.step_ms())),
        ("end_ms", Json::Uint(end_ms)),
    ])?;
    for (name, series, places) in SERIES {
        out.array(name)?;
        for back in (0..span.points()).rev() {
            // A device that runs for less than the span has no points before its start.
            let figure = newest
                .checked_sub(back)
                .and_then(|point| history?.get(span, point, series));
            out.item(&Json::decimal(figure, places))?;
        }
        out.end_array()?;
    }
    out.close()
}

/// The wall time of a moment since the kernel started, as the clock says now.
pub(super) fn wall_ms(desk: &Desk<'_>, boot_ms: u64) -> u64 {
    desk.wall_ms
        .saturating_sub(desk.now_ms.saturating_sub(boot_ms))
}
