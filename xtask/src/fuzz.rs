//! Feeds every parser of foreign bytes whatever a fuzzer thinks of.
//!
//! Usage: cargo xtask fuzz [--seconds N] [--prove | --quick] [TARGET...]
//!
//! Builds `fuzz/` with coverage counters and the address sanitizer, with the compiler that builds
//! everything else (`RUSTC_BOOTSTRAP` lets it), and runs each TARGET, or all of them, for N seconds
//! (60 if nothing is said). What they learn is kept in target/fuzz/corpus and used the next time;
//! what they find is left in target/fuzz/found, with the line to repeat it. A finding becomes a
//! unit test and is mended.
//!
//! --prove plants a bug in each target, and fails if one of them is not found within a number of
//! inputs, the same inputs each time: so a target that never gets anywhere is found out. They run
//! side by side, each for N seconds at most (300 if nothing is said). --quick is a minute for all of
//! them together, the same numbers of a seed each time.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::args;
use crate::failure::Failure;
use crate::prerequisites::Needs;
use crate::shell;

/// What `cargo fuzz` asks of the compiler too: counters at every branch, and what is compared.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Ccodegen-units=1 -Zsanitizer=address";

/// The longest input: what a parser reads at once is smaller, but for a configuration.
const LONGEST_BYTES: &str = "-max_len=8192";

/// Of a run that is to be the same each time.
const SEED: &str = "-seed=1";

/// A planted bug is a few changes away from a seed: most are found in some thousand inputs.
const PROVE_INPUTS: &str = "-runs=1000000";
/// Longer than every seed, and short enough to be quick.
const PROVE_LONGEST_BYTES: &str = "-max_len=2048";
const PROVE_SECONDS: u64 = 300;

/// What a planted bug says.
const PLANTED_WORDS: &str = "the planted bug";

/// How a target is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    seconds: u64,
    prove: bool,
    quick: bool,
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (prove, rest) = args::switch(args, "--prove");
    let (quick, rest) = args::switch(&rest, "--quick");
    let (seconds, rest) = args::option(&rest, "--seconds")?;
    let names = args::only_words(&rest)?;
    if prove && quick {
        let words = "--prove and --quick are two things: give one of them";
        return Err(Failure::Usage(words.to_owned()));
    }
    let all = targets()?;
    for name in names {
        if !all.contains(name) {
            let words = format!("no target `{name}`; there are {}", all.join(", "));
            return Err(Failure::Usage(words));
        }
    }
    let chosen = if names.is_empty() { &all[..] } else { names };
    let seconds = match seconds {
        Some(text) => text
            .parse()
            .map_err(|_| Failure::Usage(format!("--seconds takes a whole number, not `{text}`")))?,
        None if quick => (60 / chosen.len() as u64).max(1),
        None if prove => PROVE_SECONDS,
        None => 60,
    };
    let plan = Plan {
        seconds,
        prove,
        quick,
    };
    let program = build()?;
    let bad = run_all(&program, chosen, plan)?;
    match (bad.is_empty(), prove) {
        (true, _) => Ok(()),
        (false, false) => Err(Failure::Failed(format!("found: {}", bad.join(", ")))),
        (false, true) => Err(Failure::Failed(format!(
            "planted bugs that were not found: {}",
            bad.join(", ")
        ))),
    }
}

/// Runs the targets; gives those that did not do as they should. Where they are to be found out,
/// one for each processor at a time.
fn run_all<'a>(program: &Path, chosen: &'a [String], plan: Plan) -> Result<Vec<&'a str>, Failure> {
    let at_once = if plan.prove {
        thread::available_parallelism().map_or(1, NonZero::get)
    } else {
        1
    };
    let queue = Mutex::new(chosen.iter());
    let work = || -> Result<Vec<&'a str>, Failure> {
        let mut bad = Vec::new();
        loop {
            // The lock is not held while the target runs.
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(name) = next else {
                return Ok(bad);
            };
            let found = run_one(program, name, plan)?;
            if !tell(program, name, plan, found.as_deref()) {
                bad.push(name);
            }
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        let mut bad = Vec::new();
        for worker in workers {
            let panicked = |_| Failure::Failed("a worker panicked".to_owned());
            bad.extend(worker.join().map_err(panicked)??);
        }
        bad.sort_unstable();
        Ok(bad)
    })
}

/// Says what came of a target; whether it did as it should.
fn tell(program: &Path, name: &str, plan: Plan, found: Option<&Path>) -> bool {
    let seconds = plan.seconds;
    match (found, plan.prove) {
        (None, false) => println!("{name}: nothing found in {seconds} s"),
        (Some(_), true) => println!("{name}: found its planted bug"),
        (Some(input), false) => {
            println!("{name}: FOUND {}", input.display());
            println!("  to repeat it: {}", repeat(program, name, input));
        }
        (None, true) => println!("{name}: did NOT find its planted bug"),
    }
    found.is_some() == plan.prove
}

/// The targets are those that have seeds.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = shell::project_root().join("fuzz/seeds");
    let entries = fs::read_dir(&folder)
        .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", folder.display())))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    Ok(names)
}

fn build() -> Result<PathBuf, Failure> {
    Needs::of_tools([("c++", "build-essential")]).ensure()?;
    let mut rustc = Command::new("rustc");
    let told = shell::output_of(rustc.arg("-vV"))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or_else(|| Failure::Failed("rustc does not say its host".to_owned()))?;
    let mut command = shell::cargo(&["build", "--release", "--target", host]);
    command
        .args(["--manifest-path", "fuzz/Cargo.toml"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", shell::target_dir().join("fuzz/build"));
    shell::build_binary(&mut command)
}

/// Runs a target; gives the input that it failed at.
fn run_one(program: &Path, name: &str, plan: Plan) -> Result<Option<PathBuf>, Failure> {
    let work = shell::target_dir().join("fuzz");
    // What is learned with a planted bug, or in a run that is to be the same each time, is not kept.
    let is_kept = !plan.prove && !plan.quick;
    let corpus = work
        .join(if is_kept { "corpus" } else { "passing" })
        .join(name);
    let found = work.join("found").join(name);
    if !is_kept && corpus.exists() {
        fs::remove_dir_all(&corpus).map_err(|error| cannot("empty", &corpus, &error))?;
    }
    for folder in [&corpus, &found] {
        fs::create_dir_all(folder).map_err(|error| cannot("make", folder, &error))?;
    }
    let before = inputs(&found)?;
    let mut command = Command::new(program);
    command
        .arg(&corpus)
        .arg(shell::project_root().join("fuzz/seeds").join(name))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .arg(format!("-max_total_time={}", plan.seconds))
        .args(["-timeout=5", "-rss_limit_mb=1024"])
        .args(["-detect_leaks=0", "-print_final_stats=1", "-verbosity=0"])
        .env("MOTE_FUZZ_TARGET", name)
        .stdout(Stdio::null());
    if plan.quick || plan.prove {
        command.arg(SEED);
    }
    if plan.prove {
        command.args([PROVE_LONGEST_BYTES, PROVE_INPUTS]);
        command.env("MOTE_FUZZ_PLANTED", "1").stderr(Stdio::piped());
    } else {
        command.arg(LONGEST_BYTES);
    }
    shell::announce(&command);
    let ended = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|error| cannot("run", program, &error))?;
    let status = ended.status;
    let said = String::from_utf8_lossy(&ended.stderr);
    if plan.prove && !status.success() && !said.contains(PLANTED_WORDS) {
        return Err(Failure::Failed(format!(
            "{name}: found something else than its planted bug:\n{said}"
        )));
    }
    let mut after = inputs(&found)?;
    after.retain(|input| !before.contains(input));
    let input = after.pop();
    if plan.prove {
        // The planted ones are no findings.
        for input in input.iter().chain(&after) {
            fs::remove_file(input).map_err(|error| cannot("remove", input, &error))?;
        }
    }
    match (status.success(), &input) {
        (true, _) => Ok(None),
        (false, Some(_)) => Ok(input),
        // The same input as in an earlier run, or the program itself is at fault.
        (false, None) if plan.prove => Ok(Some(found)),
        (false, None) => Err(Failure::Failed(format!("{name}: ended with {status}"))),
    }
}

fn inputs(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| cannot("read", folder, &error))?;
    let mut inputs: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    inputs.sort_unstable();
    Ok(inputs)
}

fn repeat(program: &Path, name: &str, input: &Path) -> String {
    let mut command = Command::new(program);
    command.arg(input).env("MOTE_FUZZ_TARGET", name);
    shell::spoken(&command)
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot {what} {}: {error}", path.display()))
}
