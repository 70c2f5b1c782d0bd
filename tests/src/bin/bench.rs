//! What the agent costs on this machine, as a table and as `target/bench.json`.
//!
//! `MOTE_BIN` names the binary to measure; without it the release binary is built. Progress goes to
//! standard error. Exits with 1 if a figure is over its budget or could not be measured, with 64 if
//! it was called wrongly.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use lexopt::{Arg, Parser, ValueExt};
use mote_tests::bench::{self, MEASUREMENTS, Plan, Report};

const HELP: &str = "\
Measures what the agent costs on this machine.

Usage: bench [--quick] [NAME...]

Prints a table of figures with their budgets and writes target/bench.json. Run it with nothing
else beside it. Each NAME is a measurement or one of its figures; without any, all are taken,
which takes a quarter of an hour.

  --quick     a tenth of the ticks, for two minutes in all
  -h, --help  print this

Measurements:
";

const USAGE: u8 = 64;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    names: Vec<String>,
    quick: bool,
    help: bool,
}

fn main() -> ExitCode {
    let options = match parse_arguments(Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("bench: {error}; try --help");
            return ExitCode::from(USAGE);
        }
    };
    if options.help {
        say(&help());
        return ExitCode::SUCCESS;
    }
    let names = &options.names;
    let report = bench::run(&Plan::new(options.quick), |one| {
        names.is_empty() || names.iter().any(|name| one.is_called(name))
    });
    say(&report.to_string());
    match write(&report) {
        Ok(path) => eprintln!("bench: wrote {}", path.display()),
        Err(error) => {
            eprintln!("bench: cannot write target/bench.json: {error}");
            return ExitCode::FAILURE;
        }
    }
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn parse_arguments(mut parser: Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("quick") => options.quick = true,
            Arg::Long("help") | Arg::Short('h') => options.help = true,
            Arg::Value(name) => {
                let name = name.string()?;
                if !MEASUREMENTS.iter().any(|one| one.is_called(&name)) {
                    let names = MEASUREMENTS.map(|one| one.name).join(", ");
                    return Err(format!("nothing is called {name:?}; there are {names}").into());
                }
                options.names.push(name);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn help() -> String {
    let mut text = HELP.to_owned();
    for one in &MEASUREMENTS {
        let keys = one.keys.join(", ");
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "  {:8}  {}\n            {keys}\n",
            one.name, one.about
        );
    }
    text
}

/// Writes to standard output. Whoever closed it does not want to hear that it failed.
fn say(text: &str) {
    io::stdout().write_all(text.as_bytes()).ok();
}

/// Writes the report for programs; gives its path.
fn write(report: &Report) -> io::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()?;
    let folder = root.join("target");
    fs::create_dir_all(&folder)?;
    let path = folder.join("bench.json");
    fs::write(&path, format!("{:#}\n", report.to_json()))?;
    Ok(path)
}
