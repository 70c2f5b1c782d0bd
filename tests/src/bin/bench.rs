//! What the agent costs on this machine, as a table and as `target/bench.json`, and from there in
//! the README.
//!
//! `MOTE_BIN` names the binary to measure; without it the release binary is built. Progress goes to
//! standard error. Exits with 1 if a figure is over its budget or could not be measured, with 64 if
//! it was called wrongly.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::{Arg, Parser, ValueExt};
use mote_tests::bench::{self, Failure, MEASUREMENTS, Plan, Report};
use mote_tests::project_root;
use serde_json::Value;

const HELP: &str = "\
Measures what the agent costs on this machine.

Usage: bench [--quick] [NAME...]
       bench --readme

Prints a table of figures with their budgets and writes target/bench.json. Run it with nothing
else beside it. Each NAME is a measurement or one of its figures; without any, all are taken,
which takes a quarter of an hour; the figures of some go into target/bench-part.json instead.
Exits with 1 if a figure is over its budget.

  --quick     a minute, for a tenth of the ticks and several at once: budgets of memory, sizes and
              counts only, and target/bench-quick.json
  --readme    measures nothing and writes the table from target/bench.json into README.md
  -h, --help  print this

Measurements:
";

const USAGE: u8 = 64;

/// What the command line asks for.
#[derive(Default)]
struct Options {
    names: Vec<String>,
    quick: bool,
    readme: bool,
    help: bool,
}

/// The report that the README is made of.
const WHOLE: &str = "bench";

impl Options {
    /// A quick look, or at a part, does not take the place of what took a quarter of an hour.
    fn report_name(&self) -> &'static str {
        match (self.quick, self.names.is_empty()) {
            (true, _) => "bench-quick",
            (false, false) => "bench-part",
            (false, true) => WHOLE,
        }
    }
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
    if options.readme {
        return match write_readme() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let path = json_path(options.report_name());
    let report = bench::run(&Plan::new(options.quick, options.names));
    say(&report.to_string());
    match write(&report, &path) {
        Ok(()) => {}
        Err(error) => {
            eprintln!("bench: cannot write what was measured: {error}");
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
            Arg::Long("readme") => options.readme = true,
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
    if options.readme && (options.quick || !options.names.is_empty()) {
        return Err("--readme measures nothing and stands alone".into());
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
            "  {:12}  {}\n                {keys}\n",
            one.name, one.about
        );
    }
    text
}

/// Writes to standard output. Whoever closed it does not want to hear that it failed.
fn say(text: &str) {
    io::stdout().write_all(text.as_bytes()).ok();
}

/// Where the report for programs is.
fn json_path(name: &str) -> PathBuf {
    project_root().join(format!("target/{name}.json"))
}

/// Writes the report for programs.
fn write(report: &Report, path: &Path) -> io::Result<()> {
    fs::create_dir_all(path.with_file_name(""))?;
    fs::write(path, format!("{:#}\n", report.to_json()))?;
    eprintln!("bench: wrote {}", path.display());
    Ok(())
}

/// Writes the table into the README, and says what to know before it is published.
fn write_readme() -> Result<(), Failure> {
    let from = fs::read_to_string(json_path(WHOLE))
        .map_err(|error| format!("cannot read target/bench.json, measure first: {error}"))?;
    let report: Value = serde_json::from_str(&from)?;
    let path = project_root().join("README.md");
    let page = fs::read_to_string(&path)?;
    fs::write(&path, bench::with_table(&page, &report)?)?;
    for words in ["notes", "failures"].map(|name| report[name].as_array()) {
        for words in words.into_iter().flatten().filter_map(Value::as_str) {
            eprintln!("bench: {words}");
        }
    }
    eprintln!("bench: wrote {}", path.display());
    Ok(())
}
