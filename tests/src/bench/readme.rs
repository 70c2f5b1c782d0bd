//! The figures as a table for the README.
//!
//! Made from `target/bench.json`, so that a page can be written without measuring again. What was
//! not measured has no row; a figure over its budget says so.

use std::fmt::Write as _;

use serde_json::Value;

use super::Failure;

const BEGIN: &str = "<!-- bench -->\n";
const END: &str = "<!-- /bench -->";

/// How a number is written.
#[derive(Debug, Clone, Copy)]
enum Unit {
    Bytes,
    Kilobytes,
    Micros,
    Millis,
    None,
}

/// The rows, with the path to the figure.
const ROWS: [(&str, &str, Unit); 21] = [
    (
        "binary_bytes.x86_64-unknown-linux-musl",
        "binary for x86_64",
        Unit::Bytes,
    ),
    (
        "binary_bytes.aarch64-unknown-linux-musl",
        "binary for aarch64",
        Unit::Bytes,
    ),
    (
        "small_binary_bytes.x86_64-unknown-linux-musl",
        "`dist --small` for x86_64",
        Unit::Bytes,
    ),
    (
        "small_binary_bytes.aarch64-unknown-linux-musl",
        "`dist --small` for aarch64",
        Unit::Bytes,
    ),
    (
        "rss_kb",
        "resident memory, delivering over TLS",
        Unit::Kilobytes,
    ),
    (
        "anon_kb",
        "of it heap, stack and written data",
        Unit::Kilobytes,
    ),
    (
        "peak_kb",
        "most memory ever, after a lap of the full outbox and the server's return",
        Unit::Kilobytes,
    ),
    (
        "rss_orchestrator_kb",
        "resident memory, metrics, sensor and action on, two standing plugins connected",
        Unit::Kilobytes,
    ),
    (
        "peak_orchestrator_kb",
        "most memory ever so, outbox full and four actions at once with 64 KiB of output each",
        Unit::Kilobytes,
    ),
    ("tick_allocs", "allocations from read to outbox", Unit::None),
    (
        "tick_cpu_us",
        "CPU time a sample, nothing sent (budget: 3 times the bare reads at that pace)",
        Unit::Micros,
    ),
    (
        "deliver_cpu_us",
        "CPU time a sample, delivered over a kept TLS connection, on a processor awake and undisturbed",
        Unit::Micros,
    ),
    (
        "late_ms_max",
        "latest sample while server, network or name server hangs, its own port is attacked, or \
         plugins run wild",
        Unit::Millis,
    ),
    (
        "heartbeat_late_ms",
        "latest heartbeat while the metrics server is a black hole",
        Unit::Millis,
    ),
    (
        "stop_ms_max",
        "longest stop in the midst of such a fault",
        Unit::Millis,
    ),
    (
        "disk_stall_ms_max",
        "longest wait for the disk, at start and stop",
        Unit::Millis,
    ),
    (
        "first_delivery_ms",
        "start to first delivered sample",
        Unit::Millis,
    ),
    (
        "wire_bytes_per_sample",
        "TCP payload a sample, both ways",
        Unit::Bytes,
    ),
    (
        "wakeups_idle",
        "wake-ups an interval, nothing sent",
        Unit::None,
    ),
    (
        "wakeups_sending",
        "wake-ups an interval with a delivery",
        Unit::None,
    ),
    ("threads", "threads", Unit::None),
];

/// Those that are compared, and what they are called.
const PEERS: [(&str, &str); 4] = [
    ("mote", "mote"),
    ("busybox", "a busybox shell loop with wget"),
    ("collectd", "collectd with 4 plugins"),
    ("node_exporter", "Prometheus node_exporter, scraped"),
];

/// The page with the table of this report between its marks.
pub fn with_table(page: &str, report: &Value) -> Result<String, Failure> {
    let (before, rest) = page
        .split_once(BEGIN)
        .ok_or("README.md has no <!-- bench -->")?;
    let (_, after) = rest
        .split_once(END)
        .ok_or("README.md has no <!-- /bench -->")?;
    let table = table(report);
    Ok(format!("{before}{BEGIN}{table}{END}{after}"))
}

fn table(report: &Value) -> String {
    let mut text = String::from("\n| what | figure | budget |\n| --- | --- | --- |\n");
    for (key, words, unit) in ROWS {
        let path = format!("/{}", key.replace('.', "/"));
        let Some(figure) = report.pointer(&path).and_then(Value::as_f64) else {
            continue;
        };
        let over = if is_over(report, key) {
            ", **over**"
        } else {
            ""
        };
        let budget = report["budgets"][key].as_f64();
        let budget = budget.map(|it| unit.text(it)).unwrap_or_default();
        let figure = unit.text(figure);
        // Writing to a String does not fail, here and below.
        let _ = writeln!(text, "| {words} | {figure}{over} | {budget} |");
    }
    text += &peers(report);
    let _ = writeln!(text, "\n{}\n", place(report));
    text
}

fn is_over(report: &Value, key: &str) -> bool {
    let over = report["over"].as_array();
    over.is_some_and(|over| over.iter().any(|it| it == key))
}

/// The others beside mote, if they were measured.
fn peers(report: &Value) -> String {
    let mut text = String::new();
    for (key, name) in PEERS {
        let of = &report["peers"][key];
        let figures = (of["rss_kb"].as_f64(), of["cpu_us_per_sample"].as_f64());
        if let (Some(rss), Some(cpu)) = figures {
            let (rss, cpu) = (Unit::Kilobytes.text(rss), Unit::Micros.text(cpu));
            let _ = writeln!(text, "| {name} | {rss} | {cpu} |");
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\nSide by side at one sample a second, over plain HTTP:\n\n\
         | agent | resident memory, children too | CPU time a sample |\n| --- | --- | --- |\n{text}"
    )
}

/// Where, when and of what.
fn place(report: &Value) -> String {
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let machine = &report["machine"];
    let (cpu, system) = (words(&machine["cpu"]), words(&machine["system"]));
    let cores = &machine["cores"];
    // Of what uname says: system and release.
    let mut parts = system.split(' ');
    let kernel = [parts.next(), parts.next()]
        .map(Option::unwrap_or_default)
        .join(" ");
    let date = words(&report["date"]);
    let day = date.split('T').next().unwrap_or_default();
    let commit = words(&report["commit"]);
    format!("Measured on {cpu}, cores: {cores}, {kernel}, {day}, commit {commit}.")
}

impl Unit {
    fn text(self, value: f64) -> String {
        match self {
            Self::Bytes if value >= 1e6 => format!("{:.2} MB", value / 1e6),
            Self::Bytes => format!("{value:.0} bytes"),
            Self::Kilobytes if value >= 1e3 => format!("{:.2} MB", value / 1e3),
            Self::Kilobytes => format!("{value:.0} kB"),
            Self::Micros if value >= 1e3 => format!("{:.1} ms", value / 1e3),
            Self::Micros => format!("{value:.0} µs"),
            Self::Millis if value < 10.0 => format!("{value:.1} ms"),
            Self::Millis => format!("{value:.0} ms"),
            Self::None => format!("{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_table_stands_between_its_marks_and_nothing_else_changes() {
        let report = json!({
            "binary_bytes": {"x86_64-unknown-linux-musl": 1_759_504},
            "anon_kb": 254, "tick_cpu_us": 61.3, "wakeups_idle": 1.99, "threads": 2,
            "peers": {"mote": {"rss_kb": 1900, "cpu_us_per_sample": 310}},
            "budgets": {"anon_kb": 400, "tick_cpu_us": 60.0, "threads": 1},
            "over": ["tick_cpu_us", "threads"],
            "machine": {"system": "Linux 6.18 #1 SMP x86_64", "cpu": "A Pi", "cores": 2},
            "date": "2026-11-23T05:51:27Z", "commit": "abc",
        });
        let page = "# a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        let written = with_table(page, &report).unwrap();
        let table = "
| what | figure | budget |
| --- | --- | --- |
| binary for x86_64 | 1.76 MB |  |
| of it heap, stack and written data | 254 kB | 400 kB |
| CPU time a sample, nothing sent (budget: 3 times the bare reads at that pace) \
            | 61 µs, **over** | 60 µs |
| wake-ups an interval, nothing sent | 1.99 |  |
| threads | 2, **over** | 1 |

Side by side at one sample a second, over plain HTTP:

| agent | resident memory, children too | CPU time a sample |
| --- | --- | --- |
| mote | 1.90 MB | 310 µs |

Measured on A Pi, cores: 2, Linux 6.18, 2026-11-23, commit abc.

";
        let expected = format!("# a\n<!-- bench -->\n{table}<!-- /bench -->\nb\n");
        assert_eq!(written, expected);
        assert_eq!(with_table(&written, &report).unwrap(), written);
    }

    #[test]
    fn a_page_without_marks_is_refused() {
        for page in ["", "<!-- bench -->\n", "<!-- /bench -->\n"] {
            assert!(with_table(page, &json!({})).is_err(), "{page}");
        }
    }

    /// A row for a figure that no measurement gives would never be seen missing.
    #[test]
    fn every_row_is_of_a_figure_that_is_measured() {
        let keys = super::super::MEASUREMENTS.map(|one| one.keys).concat();
        for (key, _, _) in ROWS {
            let first = key.split('.').next().unwrap();
            assert!(keys.contains(&first), "{key}");
        }
    }
}
