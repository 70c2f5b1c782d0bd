//! The agent's JSON as people read it.

use std::fmt::Write;

use mote_core::time::format_rfc3339;

use super::json::{elements, field, number, string};

/// States that need no word.
const QUIET: [&str; 7] = [
    "ok",
    "delivering",
    "connected",
    "unknown",
    "not configured",
    "synchronized",
    "not synchronized",
];
const PARTS: [&str; 8] = [
    "sampler",
    "configuration",
    "uplink",
    "outbox",
    "clock",
    "certificates",
    "orchestrator",
    "plugins",
];

/// A line for an answer of health or ready; `None` if it is neither.
pub(super) fn health(json: &str) -> Option<String> {
    let mut words = string(json, &["status"])?;
    for part in PARTS {
        let state = string(json, &[part, "state"])?;
        if QUIET.contains(&state.as_str()) {
            continue;
        }
        let trouble = string(json, &[part, "trouble"]);
        let trouble = trouble.map_or_else(String::new, |trouble| format!(" ({trouble})"));
        // Writing to a String does not fail.
        let _ = write!(words, ", {part} {state}{trouble}");
    }
    for warning in elements(json, &["warnings"]) {
        let _ = write!(words, ", {}", string(warning, &["text"])?);
    }
    Some(words)
}

/// The status, over some lines.
pub(super) fn status(json: &str) -> String {
    let text = |path: &[&str]| string(json, path).unwrap_or_else(|| "?".into());
    let count = |path: &[&str]| number(json, path).unwrap_or(0);
    let mut page = format!(
        "{} {} on {}",
        text(&["name"]),
        text(&["version"]),
        text(&["hostname"])
    );
    let now_ms = count(&["now_ms"]);
    let runs_ms = now_ms.saturating_sub(count(&["started_ms"]));
    let mut line = |name: &str, words: &str| {
        // Writing to a String does not fail.
        let _ = write!(page, "\n{name:<13}{words}");
    };
    line(
        "agent",
        &format!(
            "running for {}, start {}, pid {}",
            length(runs_ms),
            count(&["start"]),
            count(&["pid"])
        ),
    );
    if let Some(up_s) = number(json, &["uptime_s"]) {
        line("device", &format!("up for {}", length(up_s * 1_000)));
    }
    line("cpu", &share(json, "cpu_pct"));
    line("memory", &share(json, "memory_pct"));
    let disk = share(json, "disk_pct");
    line(
        "disk",
        &format!("{disk} of {}", text(&["sample", "disk_path"])),
    );
    let rate = |name| number(json, &["sample", name]).map(bytes);
    // It takes two samples.
    let network = match (rate("rx_bps"), rate("tx_bps")) {
        (Some(rx), Some(tx)) => format!("{rx}/s in, {tx}/s out"),
        _ => "not known yet".into(),
    };
    line("network", &network);
    if let Some(load) = known(json, &["sample", "load1"]) {
        line("load", load);
    }
    if let Some(degrees) = known(json, &["sample", "temp_c"]) {
        line("temperature", &format!("{degrees} °C"));
    }
    let age = number(json, &["sample", "age_ms"]).map_or_else(unknown, length);
    let every = length(count(&["interval_ms"]));
    line("sample", &format!("{age} ago, one every {every}"));
    line("server", &server(json, now_ms));
    line("outbox", &outbox(json));
    if known(json, &["outage"]).is_some() {
        let since = now_ms.saturating_sub(count(&["outage", "since_ms"]));
        let failures = count(&["outage", "failures"]);
        line(
            "outage",
            &format!("for {}, failures: {failures}", length(since)),
        );
    }
    if known(json, &["last_outage"]).is_some() {
        let (from_ms, to_ms) = (
            count(&["last_outage", "from_ms"]),
            count(&["last_outage", "to_ms"]),
        );
        let ago = length(now_ms.saturating_sub(to_ms));
        let lasted = length(to_ms.saturating_sub(from_ms));
        line("last outage", &format!("{lasted}, over {ago} ago"));
    }
    if let Some(server) = string(json, &["orchestrator", "server"]) {
        let state = string(json, &["orchestrator", "state"]).unwrap_or_else(unknown);
        let words = format!("{server} {state}");
        let names = ["orchestrator", "last_contact_ms", "heard"];
        line("orchestrator", &part(json, names, words, now_ms));
        let counts = |of: &str, whats: &[&str]| counts(json, of, whats);
        let whats = ["taken", "running", "reported"];
        line("instructions", &counts("instructions_", &whats));
        line("results", &counts("results_", &["held", "dropped"]));
        let whats = ["journaled", "sent", "held", "dropped"];
        line("events", &counts("events_", &whats));
    }
    for each in elements(json, &["plugins"]) {
        line("plugin", &plugin(each));
    }
    for warning in elements(json, &["warnings"]) {
        let text = string(warning, &["text"]);
        line("warning", &text.unwrap_or_else(unknown));
    }
    page.push('\n');
    page
}

/// The status in one line, for a log of it.
pub(super) fn line(json: &str) -> String {
    let when = format_rfc3339(number(json, &["now_ms"]).unwrap_or(0));
    let when = str::from_utf8(&when).unwrap_or_default();
    format!(
        "{when} cpu {} memory {} disk {} held {} server {}\n",
        share(json, "cpu_pct"),
        share(json, "memory_pct"),
        share(json, "disk_pct"),
        number(json, &["outbox", "held"]).unwrap_or(0),
        string(json, &["uplink", "state"]).unwrap_or_else(unknown),
    )
}

fn server(json: &str, now_ms: u64) -> String {
    let Some(server) = string(json, &["uplink", "server"]) else {
        return "none: samples are delivered nowhere".into();
    };
    let state = string(json, &["uplink", "state"]).unwrap_or_else(unknown);
    let words = format!("{server} {}", state.replace('_', " "));
    part(
        json,
        ["uplink", "last_success_ms", "delivered"],
        words,
        now_ms,
    )
}

/// Adds when the part last went well, what is the trouble, and when the next try is. The names are
/// the part's, that of when it was, and what it was.
fn part(json: &str, names: [&str; 3], mut words: String, now_ms: u64) -> String {
    let [part, last_ms, what] = names;
    if let Some(at_ms) = number(json, &[part, last_ms]) {
        let ago = length(now_ms.saturating_sub(at_ms));
        let _ = write!(words, ", {what} {ago} ago");
    }
    if let Some(trouble) = string(json, &[part, "trouble"]) {
        let _ = write!(words, ": {trouble}");
    }
    if let Some(in_ms) = number(json, &[part, "retry_in_ms"]) {
        let _ = write!(words, ", next try in {}", length(in_ms));
    }
    words
}

/// How many there are of each, as `4 taken, 1 running`.
fn counts(json: &str, of: &str, whats: &[&str]) -> String {
    let mut words = String::new();
    for what in whats {
        let comma = if words.is_empty() { "" } else { ", " };
        let name = [of, what].concat();
        let count = number(json, &["orchestrator", &name]).unwrap_or(0);
        let _ = write!(words, "{comma}{count} {what}");
    }
    words
}

fn plugin(json: &str) -> String {
    let mut words = String::new();
    for name in ["id", "kind", "mode", "state", "health"] {
        if let Some(word) = string(json, &[name]) {
            words += &word;
            words.push(' ');
        }
    }
    words.pop();
    for (name, unit) in [
        ("runs", " runs"),
        ("failures", " failures"),
        ("restarts", " restarts"),
        ("cpu_s", " s of CPU"),
        ("memory_kb", " kB"),
    ] {
        let figure = field(json, &[name]).filter(|text| text.is_ascii());
        let _ = write!(words, ", {}{unit}", figure.unwrap_or("?"));
    }
    if let Some(error) = string(json, &["error"]) {
        let _ = write!(words, ": {error}");
    }
    words
}

fn outbox(json: &str) -> String {
    let count = |path: &[&str]| number(json, path).unwrap_or(0);
    let dropped: u64 = ["full", "refused", "late", "no_time", "unreadable"]
        .iter()
        .map(|reason| count(&["outbox", "dropped", reason]))
        .sum();
    format!(
        "{} held, room for {}; {} taken, {} sent, {dropped} dropped",
        count(&["outbox", "held"]),
        count(&["outbox", "room"]),
        count(&["outbox", "collected"]),
        count(&["outbox", "sent"]),
    )
}

fn unknown() -> String {
    "?".into()
}

/// A value that is there.
fn known<'j>(json: &'j str, path: &[&str]) -> Option<&'j str> {
    let value = field(json, path)?;
    let is_plain = !value.starts_with('"') && value.is_ascii() && !value.contains('\x1b');
    (is_plain && value != "null").then_some(value)
}

fn share(json: &str, name: &str) -> String {
    match known(json, &["sample", name]) {
        Some(percent) => format!("{percent} %"),
        None => unknown(),
    }
}

/// A length of time in its two largest units.
fn length(ms: u64) -> String {
    let seconds = ms / 1_000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        _ if ms < 1_000 => format!("{ms} ms"),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// Bytes with one decimal of the largest unit, if it is not 0.
pub fn bytes(count: u64) -> String {
    for (unit, name) in [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")] {
        if count >= unit {
            return match count % unit / (unit / 10) {
                0 => format!("{} {name}", count / unit),
                tenths => format!("{}.{tenths} {name}", count / unit),
            };
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = r#"{"name":"mote","version":"0.1.0","hostname":"gw-7\u001b[2J","start":7,
        "pid":41,"now_ms":1795419345432,"started_ms":1795419045432,"uptime_s":93784,
        "interval_ms":10000,"sample":{"age_ms":4321,"cpu_pct":12.3,"memory_pct":60.6,
        "disk_pct":null,"load1":0.12,"temp_c":-4.5,"rx_bps":1234567,"tx_bps":99,"disk_path":"/"},
        "uplink":{"configured":true,"state":"key_refused","server":"hub.example.com:443",
        "failures":3,"last_success_ms":1795419335432,"retry_in_ms":61000,
        "trouble":"the server answered 401"},"outbox":{"held":5,"room":8635,"oldest_ms":1,
        "collected":30,"sent":22,"dropped":{"full":1,"refused":2,"late":0,"no_time":4,"unreadable":8}},
        "outage":{"since_ms":1795419325432,"failures":3,"last_error":"x"},
        "last_outage":null,"orchestrator":{"state":"held","trouble":"it answered 503",
        "server":"or.example.com","last_contact_ms":1795419340432,"retry_in_ms":2000,
        "instructions_taken":4,"instructions_running":1,"instructions_reported":2,
        "events_journaled":9,"events_sent":7,"events_held":2,"events_dropped":0,
        "results_held":1,"results_dropped":0},"plugins":[{"id":"disk","kind":"trigger",
        "mode":"standing","state":"running","health":"healthy","runs":12,"failures":1,
        "restarts":0,"last_run_ms":null,"cpu_s":0.31,"memory_kb":3400,"error":"tired\u001b[2J"},
        {"id":"bad","kind":null,"mode":"one-shot","state":"blocked","health":null,"runs":0,
        "failures":0,"restarts":0,"cpu_s":0,"memory_kb":0,"error":null}],"warnings":[{"text":
        "the orchestrator's token ends in 9 days: renew it","days_left":9}],"alerts":[]}"#;

    #[test]
    fn the_status_is_said_in_words() {
        assert_eq!(
            status(STATUS),
            "mote 0.1.0 on gw-7.[2J\n\
             agent        running for 5 min 0 s, start 7, pid 41\n\
             device       up for 1 d 2 h\n\
             cpu          12.3 %\n\
             memory       60.6 %\n\
             disk         ? of /\n\
             network      1.2 MB/s in, 99 B/s out\n\
             load         0.12\n\
             temperature  -4.5 °C\n\
             sample       4 s ago, one every 10 s\n\
             server       hub.example.com:443 key refused, delivered 10 s ago: the server answered \
             401, next try in 1 min 1 s\n\
             outbox       5 held, room for 8635; 30 taken, 22 sent, 15 dropped\n\
             outage       for 20 s, failures: 3\n\
             orchestrator or.example.com held, heard 5 s ago: it answered 503, next try in 2 s\n\
             instructions 4 taken, 1 running, 2 reported\n\
             results      1 held, 0 dropped\n\
             events       9 journaled, 7 sent, 2 held, 0 dropped\n\
             plugin       disk trigger standing running healthy, 12 runs, 1 failures, 0 restarts, \
             0.31 s of CPU, 3400 kB: tired.[2J\n\
             plugin       bad one-shot blocked, 0 runs, 0 failures, 0 restarts, 0 s of CPU, 0 kB\n\
             warning      the orchestrator's token ends in 9 days: renew it\n"
        );
        let first = STATUS.replace("\"rx_bps\":1234567", "\"rx_bps\":null");
        assert!(status(&first).contains("\nnetwork      not known yet\n"));
        assert_eq!(
            line(STATUS),
            "2026-11-23T07:35:45.432Z cpu 12.3 % memory 60.6 % disk ? held 5 server key_refused\n"
        );
    }

    #[test]
    fn health_names_what_is_not_as_it_should_be() {
        let parts = |uplink: &str| {
            format!(
                r#"{{"status":"failing","sampler":{{"state":"ok"}},"configuration":{{"state":"ok"}},
                "uplink":{uplink},"outbox":{{"state":"ok"}},"clock":{{"state":"not set"}},
                "certificates":{{"state":"ok"}},"orchestrator":{{"state":"connected"}},
                "plugins":{{"state":"failing","trouble":"ended with code 3"}},
                "warnings":[{{"text":"x ends in 3 days"}}]}}"#
            )
        };
        let refused = parts(r#"{"state":"key_refused","trouble":"the server answered 401"}"#);
        assert_eq!(
            health(&refused).unwrap(),
            "failing, uplink key_refused (the server answered 401), clock not set, \
             plugins failing (ended with code 3), x ends in 3 days"
        );
        let good = parts(r#"{"state":"delivering","trouble":null}"#);
        let others = ", plugins failing (ended with code 3), x ends in 3 days";
        assert_eq!(
            health(&good).unwrap(),
            format!("failing, clock not set{others}")
        );
        assert_eq!(health("<html>"), None);
    }
}
