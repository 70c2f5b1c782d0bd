//! Many ticks of the real agent with outages, reloads and new log files, and whether anything grows.
//!
//! `MOTE_BIN` names the binary; without it the release binary is built. Exits with 1 if something
//! grew, with 64 if it was called wrongly.

use std::process::ExitCode;
use std::time::Duration;

use lexopt::{Parser, ValueExt};
use mote_tests::bench::Failure;
use mote_tests::long_run::{self, LongRun};
use mote_tests::soak::{self, Measure, Report};

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

struct Soak(Measure);

impl LongRun for Soak {
    const NAME: &'static str = "soak";
    const HELP: &'static str = HELP;
    type Report = Report;

    fn full(seed: u64) -> Self {
        Self(Measure {
            ticks: 200_000,
            warm_ticks: 10_000,
            interval: Duration::from_millis(10),
            outbox: 8_640,
            round: 200,
            seed,
        })
    }

    fn take(&mut self, option: &str, values: &mut Parser) -> Result<Option<()>, lexopt::Error> {
        match option {
            "ticks" => self.0.ticks = values.value()?.parse()?,
            "interval" => self.0.interval = Duration::from_millis(values.value()?.parse()?),
            "quick" => {
                self.0 = Measure {
                    ticks: 500,
                    warm_ticks: 200,
                    interval: Duration::from_millis(100),
                    outbox: 40,
                    round: 20,
                    seed: self.0.seed,
                };
            }
            _ => return Ok(None),
        }
        Ok(Some(()))
    }

    fn seed(&mut self) -> &mut u64 {
        &mut self.0.seed
    }

    fn check(&self) -> Result<(), lexopt::Error> {
        if self.0.ticks < 100 || self.0.interval.is_zero() {
            return Err("--ticks must be at least 100, --interval at least 1".into());
        }
        Ok(())
    }

    fn run(&self, say: &dyn Fn(&str)) -> Result<Report, Failure> {
        soak::run(&self.0, say)
    }

    fn is_good(report: &Report) -> bool {
        report.complaints.is_empty()
    }
}

fn main() -> ExitCode {
    long_run::main::<Soak>()
}
