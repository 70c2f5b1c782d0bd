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

    /// Everything was measured and nothing is over its budget.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && !self.figures.iter().any(Figure::is_over)
    }

    pub fn to_json(&self) -> Value {
        let figures = self.figures.iter();
        let figures: Map<_, _> = figures
            .map(|figure| (figure.key.clone(), figure.to_json()))
            .collect();
        json!({
            "machine": self.machine.to_json(),
            "figures": figures,
            "notes": self.notes,
            "failures": self.failures,
        })
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
        assert_eq!(report.to_json()["figures"]["threads"]["figure"], json!(2));
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
