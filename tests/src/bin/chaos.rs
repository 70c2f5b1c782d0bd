//! Outages, kills and restarts at random against the real agent, and whether every sample is where
//! it belongs.
//!
//! `MOTE_BIN` names the binary; without it the release binary is built. Exits with 1 if a sample is
//! not accounted for, with 64 if it was called wrongly.

use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Parser, ValueExt};
use mote_tests::bench::Failure;
use mote_tests::chaos::{self, Measure, Report};
use mote_tests::long_run::{self, LongRun};

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

struct Chaos {
    seed: u64,
    samples: u64,
    interval: Duration,
}

impl LongRun for Chaos {
    const NAME: &'static str = "chaos";
    const HELP: &'static str = HELP;
    type Report = Report;

    fn full(seed: u64) -> Self {
        Self {
            seed,
            samples: 10_000,
            interval: Duration::from_millis(20),
        }
    }

    fn take(&mut self, option: &str, values: &mut Parser) -> Result<Option<()>, lexopt::Error> {
        match option {
            "samples" => self.samples = values.value()?.parse()?,
            "interval" => self.interval = Duration::from_millis(values.value()?.parse()?),
            "quick" => (self.samples, self.interval) = (400, Duration::from_millis(100)),
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn seed(&mut self) -> &mut u64 {
        &mut self.seed
    }

    fn check(&self) -> Result<(), lexopt::Error> {
        if self.samples == 0 || self.interval.is_zero() {
            return Err("--samples and --interval must be at least 1".into());
        }
        Ok(())
    }

    fn run(&self, say: &dyn Fn(&str)) -> Result<Report, Failure> {
        let measure = Measure {
            samples: self.samples,
            interval: self.interval,
            outages: (self.samples / 50).max(1),
            kills: (self.samples / 500).max(1),
            restarts: (self.samples / 500).max(1),
            seed: self.seed,
        };
        chaos::run(&measure, say)
    }

    fn is_good(report: &Report) -> bool {
        report.complaints.is_empty()
    }
}

fn main() -> ExitCode {
    long_run::main::<Chaos>()
}
