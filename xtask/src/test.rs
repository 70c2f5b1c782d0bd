//! Runs everything that CI runs.
//!
//! Usage: cargo xtask test [FILTER...]
//!
//! First what the machine must have (installed if that is possible without asking), then format,
//! lints, core for a microcontroller, the release binary, unit tests and house rules, and at last
//! the end-to-end tests against that release binary. With a FILTER only the end-to-end tests
//! whose names contain it. Stops at the first step that fails, with the line to repeat it.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::args;
use crate::build::{self, DEFAULT_TRIPLE};
use crate::cross::Cross;
use crate::failure::Failure;
use crate::prerequisites::{self, Needs};
use crate::shell;

const CORE_TRIPLE: &str = "thumbv7em-none-eabihf";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let filters = args::only_words(args)?;
    let mut steps = Steps { done: Vec::new() };
    let outcome = all_steps(&mut steps, filters);
    steps.print_table();
    outcome
}

fn all_steps(steps: &mut Steps, filters: &[String]) -> Result<(), Failure> {
    steps.take("prerequisites", || {
        prerequisites::ensure(&Needs {
            targets: &[DEFAULT_TRIPLE, CORE_TRIPLE],
            tools: prerequisites::TEST_TOOLS,
        })
    })?;
    if filters.is_empty() {
        steps.cargo("format", &["fmt", "--all", "--check"])?;
        steps.cargo(
            "lints",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ],
        )?;
        steps.cargo(
            "core for a microcontroller",
            &["build", "--package", "mote-core", "--target", CORE_TRIPLE],
        )?;
    }
    let mote = steps.take("release binary", || {
        build::release(&Cross::load(DEFAULT_TRIPLE)?)
    })?;
    if filters.is_empty() {
        steps.cargo(
            "unit tests and house rules",
            &[
                "test",
                "--package",
                "mote-core",
                "--package",
                "mote",
                "--package",
                "xtask",
            ],
        )?;
    }
    steps.take("end to end", || end_to_end(&mote, filters))
}

fn end_to_end(mote: &Path, filters: &[String]) -> Result<(), Failure> {
    if !filters.is_empty() {
        let listed = shell::output_of(end_to_end_tests(mote, filters).arg("--list"))?;
        if !listed.lines().any(|line| line.ends_with(": test")) {
            let filters = filters.join(" ");
            return Err(Failure::Usage(format!(
                "no end-to-end test matches: {filters}"
            )));
        }
    }
    shell::run(end_to_end_tests(mote, filters).arg("--test-threads=4"))
}

fn end_to_end_tests(mote: &Path, filters: &[String]) -> Command {
    let mut command = shell::cargo(&["test", "--package", "mote-tests", "--"]);
    command.args(filters).env("MOTE_BIN", mote);
    command
}

/// What was done, and how long it took.
struct Steps {
    done: Vec<(&'static str, Duration, bool)>,
}

impl Steps {
    fn take<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        headline(&format!("== {name}"));
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        self.done.push((name, took, outcome.is_ok()));
        let how = if outcome.is_ok() { "done" } else { "failed" };
        headline(&format!(
            "== {name}: {how} after {:.1} s",
            took.as_secs_f64()
        ));
        outcome.map_err(|failure| failure.at(&format!("step `{name}`")))
    }

    fn cargo(&mut self, name: &'static str, args: &[&str]) -> Result<(), Failure> {
        self.take(name, || shell::run(&mut shell::cargo(args)))
    }

    fn print_table(&self) {
        println!("\n{:<28} {:>8}", "step", "seconds");
        for line in self.table() {
            println!("{line}");
        }
    }

    fn table(&self) -> Vec<String> {
        let total = self
            .done
            .iter()
            .map(|(_, took, _)| took.as_secs_f64())
            .sum::<f64>();
        self.done
            .iter()
            .map(|(name, took, is_ok)| {
                let mark = if *is_ok { "" } else { "  failed" };
                format!("{name:<28} {:>8.1}{mark}", took.as_secs_f64())
            })
            .chain([format!("{:<28} {total:>8.1}", "total")])
            .collect()
    }
}

fn headline(text: &str) {
    if io::stdout().is_terminal() {
        println!("\x1b[1m{text}\x1b[0m");
    } else {
        println!("{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_is_named_and_marked_and_the_others_count() {
        let mut steps = Steps { done: Vec::new() };
        assert_eq!(steps.take("one", || Ok(5)), Ok(5));
        let failed = steps.take("two", || Err::<(), _>(Failure::Failed("broken".to_owned())));
        assert_eq!(
            failed,
            Err(Failure::Failed("step `two`: broken".to_owned()))
        );
        let table = steps.table();
        assert!(
            table[0].starts_with("one ") && !table[0].contains("failed"),
            "{table:?}"
        );
        assert!(
            table[1].starts_with("two ") && table[1].ends_with("failed"),
            "{table:?}"
        );
        assert!(table[2].starts_with("total "), "{table:?}");
    }

    #[test]
    fn filters_reach_the_test_programs() {
        let command = end_to_end_tests(Path::new("/x/mote"), &["outage".to_owned()]);
        let line = shell::spoken(&command);
        assert_eq!(
            line,
            "MOTE_BIN=/x/mote cargo test --package mote-tests -- outage"
        );
    }
}
