//! Many ticks of the real agent with outages, reloads and new log files, and whether anything grows.
//!
//! `MOTE_BIN` names the binary; without it the release binary is built. Exits with 1 if something
//! grew, with 64 if it was called wrongly.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::{Arg, Parser, ValueExt};
use mote_tests::soak::{self, Measure};

const HELP: &str = "\
Lets the agent run for many ticks with outages, reloads and new log files, and holds its memory and
its descriptors against what they were when it was warm and its outbox had been full once.

Usage: soak [--ticks N] [--interval MS] [--seed N] [--quick]

  --ticks N      ticks in all (default: 200000)
  --interval MS  milliseconds between two (default: 10, for which the agent must have been built
                 with the feature short-interval)
  --seed N       what happens when (default: drawn)
  --quick        a minute with the agent as it ships: 500 ticks, 100 ms, and a small outbox
  -h, --help     print this
";

const USAGE: u8 = 64;

struct Options {
    measure: Measure,
    help: bool,
}

fn main() -> ExitCode {
    let Options { measure, help } = match parse_arguments(Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("soak: {error}; try --help");
            return ExitCode::from(USAGE);
        }
    };
    if help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    let say = |words: &str| eprintln!("soak: {:5} s  {words}", begun.elapsed().as_secs());
    say(&format!("seed {}", measure.seed));
    match soak::run(&measure, &say) {
        Ok(report) => {
            print!("{report}");
            if report.complaints.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("soak: seed {}: {error}", measure.seed);
            ExitCode::FAILURE
        }
    }
}

fn parse_arguments(mut parser: Parser) -> Result<Options, lexopt::Error> {
    let mut measure = Measure {
        ticks: 200_000,
        warm_ticks: 10_000,
        interval: Duration::from_millis(10),
        outbox: 8_640,
        round: 200,
        seed: mote_tests::drawn_seed(),
    };
    let mut help = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("ticks") => measure.ticks = parser.value()?.parse()?,
            Arg::Long("interval") => {
                measure.interval = Duration::from_millis(parser.value()?.parse()?);
            }
            Arg::Long("seed") => measure.seed = parser.value()?.parse()?,
            Arg::Long("quick") => {
                measure = Measure {
                    ticks: 500,
                    warm_ticks: 200,
                    interval: Duration::from_millis(100),
                    outbox: 40,
                    round: 20,
                    ..measure
                };
            }
            Arg::Long("help") | Arg::Short('h') => help = true,
            other => return Err(other.unexpected()),
        }
    }
    if measure.ticks < 100 || measure.interval.is_zero() {
        return Err("--ticks must be at least 100, --interval at least 1".into());
    }
    Ok(Options { measure, help })
}
