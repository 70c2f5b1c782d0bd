//! Runs everything that CI runs.
//!
//! Usage: cargo xtask test [--native] [FILTER...]
//!
//! First what the machine must have (installed if that is possible without asking), then format,
//! lints, core for a microcontroller, the release binaries, unit tests and house rules, then the
//! end-to-end tests: with the release binary of this machine, then with that of every target whose
//! file in `cross/` names a runner, under that runner. At last a minute each of what can go on for
//! hours, with --quick and always the same seed: `chaos`, `soak` and `bench`, side by side; `fuzz`
//! and `simulate` run beside everything from the start, at the lowest priority.
//!
//! With a FILTER only the end-to-end tests whose names contain it. With --native nothing is built or
//! run for other machines. Stops at the first step that fails, with the line to repeat it. What each
//! test program and each step beside the others said is also in target/test/.
//!
//! Under a runner the tests leave out what cannot hold there, like memory, and say so.

mod end_to_end;
mod steps;

use std::path::PathBuf;

use crate::args;
use crate::build;
use crate::cross::Cross;
use crate::failure::Failure;
use crate::prerequisites::{Needs, TEST_TOOLS};
use steps::Steps;

const CORE_TRIPLE: &str = "thumbv7em-none-eabihf";

/// What computes, and shares no folder of cargo's with the other steps.
const COMPUTING: [(&str, &[&str]); 2] = [
    // Its quick form has its seed.
    ("fuzz, quick", &["fuzz", "--quick"]),
    ("simulate, quick", &["simulate", "--quick", "--seed=1"]),
];

/// What mostly waits, with the binary and the programs that were built before.
const WAITING: [(&str, &[&str]); 3] = [
    ("chaos, quick", &["chaos", "--quick", "--seed=1"]),
    ("soak, quick", &["soak", "--quick", "--seed=1"]),
    ("bench, quick", &["bench", "--quick"]),
];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (only_native, words) = args::switch(args, "--native");
    let filters = args::only_words(&words)?;
    let mut targets = vec![Cross::native()?];
    if !only_native {
        targets.extend(Cross::all()?.into_iter().filter(|cross| !cross.is_native()));
    }
    let mut steps = Steps::begin()?;
    let outcome = if filters.is_empty() {
        everything(&mut steps, &targets)
    } else {
        only_end_to_end(&mut steps, &targets, filters)
    };
    steps.print_table();
    outcome
}

fn everything(steps: &mut Steps, targets: &[Cross]) -> Result<(), Failure> {
    prerequisites(steps, targets)?;
    steps.cargo("format", &["fmt", "--all", "--check"])?;
    // It is a workspace of its own.
    let fuzz = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
    steps.cargo("format of fuzz", &fuzz)?;
    let computing = COMPUTING.map(|(name, args)| steps.beside(name, args));
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
    let binaries = release_binaries(steps, targets)?;
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
    end_to_end(steps, targets, &binaries, &[])?;
    let waiting = WAITING.map(|(name, args)| steps.beside(name, args));
    for beside in waiting.into_iter().chain(computing) {
        steps.join(beside?)?;
    }
    Ok(())
}

fn only_end_to_end(
    steps: &mut Steps,
    targets: &[Cross],
    filters: &[String],
) -> Result<(), Failure> {
    prerequisites(steps, targets)?;
    let binaries = release_binaries(steps, targets)?;
    end_to_end(steps, targets, &binaries, filters)
}

fn prerequisites(steps: &mut Steps, targets: &[Cross]) -> Result<(), Failure> {
    steps.take("prerequisites", || {
        Needs::of_builds(targets)
            .target(CORE_TRIPLE)
            .tools(TEST_TOOLS.iter().copied())
            .tools(targets.iter().filter_map(Cross::run_tool))
            .ensure()
    })
}

fn release_binaries(steps: &mut Steps, targets: &[Cross]) -> Result<Vec<PathBuf>, Failure> {
    let mut binaries = Vec::new();
    for cross in targets {
        let step = format!("release binary {}", cross.machine);
        binaries.push(steps.take(&step, || build::release(cross))?);
    }
    Ok(binaries)
}

fn end_to_end(
    steps: &mut Steps,
    targets: &[Cross],
    binaries: &[PathBuf],
    filters: &[String],
) -> Result<(), Failure> {
    for (cross, mote) in targets.iter().zip(binaries) {
        // A target of another kind of machine that has no runner can only be built.
        if cross.is_native() || cross.runner().is_some() {
            let step = format!("end to end {}", cross.machine);
            steps.take(&step, || end_to_end::run(cross, mote, filters))?;
        }
    }
    Ok(())
}
