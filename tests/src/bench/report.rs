//! Everything that was measured, as a table for people and as JSON for programs.

use std::fmt;

use serde_json::{Map, Value, json};

use super::machine::Machine;
use super::{Failure, Figure, Findings};

/// What was found, where and when.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    figures: Vec<Figure>,
    notes: Vec<String>,
    failures: Vec<String>,
}

impl Report {
    pub(super) fn new(machine: Machine) -> Self {
        Self {
            machine,
            figures: Vec::new(),
            notes: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Notes what is true of all figures.
    pub(super) fn note(&mut self, words: String) {
        self.notes.push(words);
    }

    /// Takes what a measurement found, or why it found nothing.
    pub(super) fn take(&mut self, name: &str, findings: Result<Findings, Failure>) {
        match findings {
            Ok(findings) => {
                self.figures.extend(findings.figures);
                self.notes.extend(findings.notes);
                let failures = findings.failures.iter();
                self.failures
                    .extend(failures.map(|words| format!("{name}: {words}")));
            }
            Err(error) => self.failures.push(format!("{name}: {error}")),
        }
    }

    /// Notes that the measurements disturbed each other, and holds against a budget only what that
    /// does not change.
    pub(super) fn beside_others(&mut self) {
        for figure in &mut self.figures {
            figure.beside_others();
        }
        let words = "--quick measures several things at once: times, wake-ups and rss_kb are rough, and have no budget";
        self.note(words.to_owned());
    }

    /// Everything was measured and nothing is over its budget.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && !self.figures.iter().any(Figure::is_over)
    }

    /// Each figure at its name, where a dot in the name opens an object.
    pub fn to_json(&self) -> Value {
        let mut all = Map::new();
        for figure in &self.figures {
            put(&mut all, &figure.key, figure.number());
        }
        let budgets = self.figures.iter();
        let budgets = budgets.filter_map(|one| Some((one.key.clone(), one.budget()?)));
        let over = self.figures.iter().filter(|figure| figure.is_over());
        for (name, value) in [
            ("machine", self.machine.to_json()),
            ("commit", json!(self.machine.commit())),
            ("date", json!(self.machine.date())),
            ("budgets", Value::Object(budgets.collect())),
            ("over", over.map(|figure| figure.key.as_str()).collect()),
            ("notes", json!(self.notes)),
            ("failures", json!(self.failures)),
        ] {
            all.insert(name.to_owned(), value);
        }
        Value::Object(all)
    }
}

/// Puts a value at a name like `late_ms.silent`.
fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((first, rest)) = name.split_once('.') else {
        object.insert(name.to_owned(), value);
        return;
    };
    let inner = object.entry(first).or_insert_with(|| json!({}));
    if let Value::Object(inner) = inner {
        put(inner, rest, value);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n", self.machine)?;
        let head = ["name", "figure", "unit", "budget", ""].map(String::from);
        let rows = self.figures.iter().map(|figure| {
            let (unit, verdict) = (figure.unit.to_owned(), figure.verdict().to_owned());
            let budget = figure.budget_text();
            [figure.key.clone(), figure.text(), unit, budget, verdict]
        });
        let rows: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let (name, figure, unit, budget) = (width(0), width(1), width(2), width(3));
        for [a, b, c, d, e] in &rows {
            let line = format!("{a:name$}  {b:>figure$}  {c:unit$}  {d:>budget$}  {e}");
            writeln!(out, "{}", line.trim_end())?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        for failure in &self.failures {
            writeln!(out, "failed: {failure}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(findings: Result<Findings, Failure>) -> Report {
        let mut report = Report::new(Machine::default());
        report.take("idle", findings);
        report
    }

    #[test]
    fn columns_stand_under_each_other() {
        let figures = vec![
            Figure::new("tick_cpu_us", 40.25, "us", 1).within(60.0),
            Figure::new("threads", 2.0, "", 0).within(1.0),
        ];
        let report = report(Ok(figures.into()));
        let table = report.to_string();
        let lines: Vec<&str> = table.lines().rev().take(3).collect();
        assert_eq!(lines[2], "name         figure  unit  budget");
        assert_eq!(lines[1], "tick_cpu_us    40.2  us      60.0  ok");
        assert_eq!(lines[0], "threads           2             1  over");
        assert!(!report.is_good());
    }

    #[test]
    fn programs_find_a_figure_at_its_name() {
        let figures = vec![
            Figure::new("late_ms.silent", 60.5, "ms", 1).within(50.0),
            Figure::new("late_ms.none", 0.4, "ms", 1).within(50.0),
            Figure::new("peers.mote.rss_kb", 1900.0, "kB", 0),
            Figure::new("threads", 1.0, "", 0).within(1.0),
        ];
        let json = report(Ok(figures.into())).to_json();
        assert_eq!(json["late_ms"], json!({"silent": 60.5, "none": 0.4}));
        assert_eq!(json["peers"]["mote"]["rss_kb"], json!(1900));
        assert_eq!(json["threads"], json!(1));
        assert_eq!(json["over"], json!(["late_ms.silent"]));
        let budgets = json!({"late_ms.silent": 50.0, "late_ms.none": 50.0, "threads": 1});
        assert_eq!(json["budgets"], budgets);
    }

    #[test]
    fn what_was_not_measured_is_no_success_and_what_was_left_out_is_no_failure() {
        let failed = report(Err("strace: not found".into()));
        assert!(!failed.is_good());
        assert!(
            failed
                .to_string()
                .contains("failed: idle: strace: not found")
        );
        let left_out = report(Ok(Findings {
            notes: vec!["no root".into()],
            ..Findings::default()
        }));
        assert!(left_out.is_good());
        assert!(left_out.to_string().contains("note: no root"));
    }
}
