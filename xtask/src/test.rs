//! Runs everything that CI runs.
//!
//! Usage: cargo xtask test [--native] [FILTER...]
//!
//! First what the machine must have (installed if that is possible without asking), then format,
//! lints, core for a microcontroller, the release binaries, unit tests and house rules, then the
//! end-to-end tests: with the release binary of this machine, then with that of every target whose
//! file in `cross/` names a runner, under that runner. At last a minute each of what can go on for
//! hours: `simulate`, `chaos`, `soak` and `fuzz` with --quick, always with the same seed. With a
//! FILTER only the end-to-end tests whose names contain it. With --native nothing is built or run
//! for other machines. Stops at the first step that fails, with the line to repeat it.
//!
//! Under a runner the tests leave out what cannot hold there, like memory, and say so; without a
//! FILTER, so do whole suites that are about the kernel or other programs of this machine.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::args;
use crate::build;
use crate::chaos;
use crate::cross::Cross;
use crate::failure::Failure;
use crate::fuzz;
use crate::prerequisites::{Needs, TEST_TOOLS};
use crate::shell;
use crate::simulate;
use crate::soak;

type Run = fn(&[String]) -> Result<(), Failure>;

/// What else takes a seed and has a form of a minute.
const QUICK_FORMS: [(&str, Run); 3] = [
    ("simulate, quick", simulate::run),
    ("chaos, quick", chaos::run),
    ("soak, quick", soak::run),
];

/// What a processor can do differently: payloads, TLS, files, signals, the log, the installation.
/// The suites that are left out under a runner make faults of the kernel, or hold the agent against
/// other programs of this machine; there they take long and show the emulator. A FILTER reaches them.
const EMULATED_SUITES: [&str; 10] = [
    "delivery", "dns", "face", "faults", "logs", "once", "output", "running", "start", "tls",
];

const CORE_TRIPLE: &str = "thumbv7em-none-eabihf";

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (only_native, words) = args::switch(args, "--native");
    let filters = args::only_words(&words)?;
    let mut targets = vec![Cross::native()?];
    if !only_native {
        targets.extend(Cross::all()?.into_iter().filter(|cross| !cross.is_native()));
    }
    let mut steps = Steps { done: Vec::new() };
    let outcome = all_steps(&mut steps, &targets, filters);
    steps.print_table();
    outcome
}

fn all_steps(steps: &mut Steps, targets: &[Cross], filters: &[String]) -> Result<(), Failure> {
    steps.take("prerequisites", || {
        Needs::of_builds(targets)
            .target(CORE_TRIPLE)
            .tools(TEST_TOOLS.iter().copied())
            .tools(targets.iter().filter_map(Cross::run_tool))
            .ensure()
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
    let mut binaries = Vec::new();
    for cross in targets {
        let step = format!("release binary {}", cross.machine);
        binaries.push(steps.take(&step, || build::release(cross))?);
    }
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
    for (cross, mote) in targets.iter().zip(&binaries) {
        // A target of another kind of machine that has no runner can only be built.
        if cross.is_native() || cross.runner().is_some() {
            let step = format!("end to end {}", cross.machine);
            steps.take(&step, || end_to_end(cross, mote, filters))?;
        }
    }
    if filters.is_empty() {
        for (name, run) in QUICK_FORMS {
            let args = ["--quick", "--seed=1"].map(str::to_owned);
            steps.take(name, || run(&args))?;
        }
        // Its quick form has its seed.
        steps.take("fuzz, quick", || fuzz::run(&["--quick".to_owned()]))?;
    }
    Ok(())
}

fn end_to_end(cross: &Cross, mote: &Path, filters: &[String]) -> Result<(), Failure> {
    let script = match cross.runner() {
        Some(runner) => Some(emulated(runner, mote)?),
        None => None,
    };
    let program = script.as_deref().unwrap_or(mote);
    let tests = || end_to_end_tests(program, cross.runner(), filters);
    if !filters.is_empty() {
        let listed = shell::output_of(tests().arg("--list"))?;
        if !listed.lines().any(|line| line.ends_with(": test")) {
            let filters = filters.join(" ");
            return Err(Failure::Usage(format!(
                "no end-to-end test matches: {filters}"
            )));
        }
    }
    // The tests mostly wait. An emulated TLS handshake is work, and would make others miss ticks.
    let threads = if script.is_some() { 2 } else { 4 };
    shell::run(tests().arg(format!("--test-threads={threads}")))
}

/// Writes a script beside the binary that starts it under the runner, as whatever name the script
/// itself is started. The tests then need not know how: they link it, trace it and start it from
/// shells like a binary of this machine.
fn emulated(runner: &str, mote: &Path) -> Result<PathBuf, Failure> {
    let script = mote.with_file_name("mote-emulated");
    let binary = shell::quoted(mote.as_os_str());
    let text = format!("#!/bin/sh\nexec {runner} -0 \"$0\" {binary} \"$@\"\n");
    fs::write(&script, text)
        .and_then(|()| fs::set_permissions(&script, fs::Permissions::from_mode(0o755)))
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", script.display())))?;
    Ok(script)
}

fn end_to_end_tests(program: &Path, runner: Option<&str>, filters: &[String]) -> Command {
    let mut command = shell::cargo(&["test", "--package", "mote-tests"]);
    if runner.is_some() && filters.is_empty() {
        command.args(EMULATED_SUITES.iter().flat_map(|suite| ["--test", suite]));
    }
    command.arg("--").args(filters).env("MOTE_BIN", program);
    match runner {
        Some(runner) => command.env("MOTE_RUNNER", runner),
        None => command.env_remove("MOTE_RUNNER"),
    };
    command
}

/// What was done, and how long it took.
struct Steps {
    done: Vec<(String, Duration, bool)>,
}

impl Steps {
    fn take<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        headline(&format!("== {name}"));
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        self.done.push((name.to_owned(), took, outcome.is_ok()));
        let how = if outcome.is_ok() { "done" } else { "failed" };
        headline(&format!(
            "== {name}: {how} after {:.1} s",
            took.as_secs_f64()
        ));
        outcome.map_err(|failure| failure.at(&format!("step `{name}`")))
    }

    fn cargo(&mut self, name: &str, args: &[&str]) -> Result<(), Failure> {
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
    fn an_emulated_program_gets_its_name_and_its_words() {
        let folder = std::env::temp_dir().join(format!("xtask-emulated-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        // A runner that shows its own words, for a binary whose path has a space.
        let script = emulated("printf '%s|'", &folder.join("the mote"));
        let output = Command::new(script.unwrap()).arg("a b").arg("").output();
        fs::remove_dir_all(&folder).unwrap();
        let folder = folder.display();
        assert_eq!(
            String::from_utf8(output.unwrap().stdout).unwrap(),
            format!("-0|{folder}/mote-emulated|{folder}/the mote|a b||")
        );
    }

    #[test]
    fn runner_and_filters_reach_the_test_programs() {
        let said = |runner| {
            let command = end_to_end_tests(Path::new("/x/mote"), runner, &["outage".to_owned()]);
            shell::spoken(&command)
        };
        let rest = "cargo test --package mote-tests -- outage";
        assert_eq!(said(None), format!("MOTE_BIN=/x/mote {rest}"));
        assert_eq!(
            said(Some("qemu")),
            format!("MOTE_BIN=/x/mote MOTE_RUNNER=qemu {rest}")
        );
    }
}
