//! Outages, kills and restarts at random against the real agent, and whether every sample is where
//! it belongs.
//!
//! `MOTE_BIN` names the binary; without it the release binary is built. Exits with 1 if a sample is
//! not accounted for, with 64 if it was called wrongly.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use lexopt::{Arg, Parser, ValueExt};
use mote_tests::chaos::{self, Measure};

const HELP: &str = "\
Lets the server fail at random and kills and restarts the agent, and holds what the server has
against what the kernel saw the agent take.

Usage: chaos [--seed N] [--samples N] [--interval MS] [--quick]

  --seed N       what happens when (default: drawn)
  --samples N    samples, about, with an outage for each 50 of them, and a kill and a restart for
                 each 500 (default: 10000)
  --interval MS  milliseconds between two samples (default: 20, for which the agent must have been
                 built with the feature short-interval)
  --quick        a minute with the agent as it ships: 400 samples, 100 ms
  -h, --help     print this
";

const USAGE: u8 = 64;

struct Options {
    seed: Option<u64>,
    samples: u64,
    interval_ms: u64,
    help: bool,
}

fn main() -> ExitCode {
    let options = match parse_arguments(Parser::from_env()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("chaos: {error}; try --help");
            return ExitCode::from(USAGE);
        }
    };
    if options.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let measure = Measure {
        samples: options.samples,
        interval: Duration::from_millis(options.interval_ms),
        outages: (options.samples / 50).max(1),
        kills: (options.samples / 500).max(1),
        restarts: (options.samples / 500).max(1),
        seed: options.seed.unwrap_or_else(mote_tests::drawn_seed),
    };
    let begun = Instant::now();
    let say = |words: &str| eprintln!("chaos: {:4} s  {words}", begun.elapsed().as_secs());
    say(&format!("seed {}", measure.seed));
    match chaos::run(&measure, &say) {
        Ok(report) => {
            print!("{report}");
            if report.complaints.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("chaos: seed {}: {error}", measure.seed);
            ExitCode::FAILURE
        }
    }
}

fn parse_arguments(mut parser: Parser) -> Result<Options, lexopt::Error> {
    let mut options = Options {
        seed: None,
        samples: 10_000,
        interval_ms: 20,
        help: false,
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("seed") => options.seed = Some(parser.value()?.parse()?),
            Arg::Long("samples") => options.samples = parser.value()?.parse()?,
            Arg::Long("interval") => options.interval_ms = parser.value()?.parse()?,
            Arg::Long("quick") => (options.samples, options.interval_ms) = (400, 100),
            Arg::Long("help") | Arg::Short('h') => options.help = true,
            other => return Err(other.unexpected()),
        }
    }
    if options.samples == 0 || options.interval_ms == 0 {
        return Err("--samples and --interval must be at least 1".into());
    }
    Ok(options)
}
