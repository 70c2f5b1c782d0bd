//! What is shown of plugins: one by one in the status and the metrics, together in health and ready.
//!
//! They are read where they run, each time that somebody asks.

use mote_core::Full;
use mote_core::text;
use mote_core::wire::pieces::{Json, Pieces};
use mote_core::wire::prometheus::{Lines, Number};

use super::fields::fields;
use super::orchestrator::kind_of;
use super::routes::Desk;
use super::status::wall_ms;
use crate::plugin::manifest;
use crate::plugin::{MAX_PLUGINS, PluginReport, Plugins, State};

/// How much of a plugin's words is shown.
const WORDS_BYTES: usize = 160;

/// Writes each, as `plugins`.
pub fn write(desk: &Desk<'_>, out: &mut Pieces<'_>) -> Result<(), Full> {
    out.array("plugins")?;
    for at in 0..MAX_PLUGINS {
        let report = desk.plugins.report_at(at);
        let Some(report) = &report else {
            out.place(None)?;
            continue;
        };
        let tally = &report.tally;
        let last_run_ms = tally.last_run_ms.map(|at_ms| wall_ms(desk, at_ms));
        let mut fields = fields(
            &[
                ("id", report.id),
                ("kind", report.kind.map_or("", manifest::Kind::as_str)),
                ("mode", mode(report)),
                ("state", report.state.as_str()),
                ("health", cut(report.health)),
                ("error", cut(report.error)),
            ],
            &[
                ("runs", Some(tally.runs)),
                ("failures", Some(tally.failures)),
                ("restarts", Some(tally.restarts)),
                ("events", Some(tally.events)),
                ("last_run_ms", last_run_ms),
                ("memory_kb", Some(report.rss_bytes / 1_000)),
            ],
        );
        // There is a place for it.
        let _ = fields.push(("cpu_s", Json::Decimal(report.cpu_ms.cast_signed(), 3)));
        out.place(Some(&Json::Object(&fields)))?;
    }
    out.end_array()
}

fn cut(words: Option<&str>) -> &str {
    text::cut(words.unwrap_or_default(), WORDS_BYTES)
}

fn mode(report: &PluginReport<'_>) -> &'static str {
    if report.stays { "standing" } else { "one-shot" }
}

/// Writes the part of health and ready.
pub fn write_part(plugins: &Plugins, out: &mut Pieces<'_>) -> Result<(), Full> {
    let [mut running, mut failed, mut blocked] = [0; 3];
    let mut first = None;
    for report in plugins.report() {
        match report.state {
            State::Running => running += 1,
            State::Blocked => blocked += 1,
            State::Failed => {
                failed += 1;
                first.get_or_insert(report);
            }
            _ => {}
        }
    }
    let state = match failed {
        _ if !plugins.are_run() => "not configured",
        0 => "ok",
        _ => "failing",
    };
    let (id, trouble) = first.map_or(("", None), |report| (report.id, report.error));
    let fields = fields(
        &[("state", state), ("plugin", id), ("trouble", cut(trouble))],
        &[
            ("running", Some(running)),
            ("failed", Some(failed)),
            ("blocked", Some(blocked)),
        ],
    );
    out.fields(&[("plugins", Json::Object(&fields))])
}

/// The metrics of [`figures`], in their order: name and what it is.
const SHOWN: [(&str, &str); 7] = [
    ("plugin_running", "Whether it is at work."),
    ("plugin_runs_total", "Times asked to detect or to execute."),
    ("plugin_failures_total", "Times that it failed."),
    (
        "plugin_restarts_total",
        "Processes started after its first.",
    ),
    ("plugin_events_total", "Events that it reported."),
    ("plugin_cpu_seconds_total", "CPU time of its processes."),
    (
        "plugin_resident_memory_bytes",
        "Resident memory of its processes.",
    ),
];
/// Which of them is milliseconds, to be seconds.
const CPU_MS: usize = 5;

fn figures(report: &PluginReport<'_>) -> [u64; SHOWN.len()] {
    let tally = &report.tally;
    [
        (report.state == State::Running).into(),
        tally.runs,
        tally.failures,
        tally.restarts,
        tally.events,
        report.cpu_ms,
        report.rss_bytes,
    ]
}

/// Writes the metrics, if plugins are run.
pub fn write_metrics(plugins: &Plugins, space: &str, out: &mut Lines<'_>) -> Result<(), Full> {
    if !plugins.are_run() {
        return Ok(());
    }
    for (at, (name, help)) in SHOWN.iter().enumerate() {
        out.family([space, name], kind_of(name), help)?;
        for report in plugins.report() {
            let figure = figures(&report)[at];
            let places = if at == CPU_MS { 3 } else { 0 };
            let labels = [
                ("plugin", report.id.as_bytes()),
                ("mode", mode(&report).as_bytes()),
            ];
            out.sample([space, name], &labels, Number::Decimal(figure, places))?;
        }
    }
    Ok(())
}
