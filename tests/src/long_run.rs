//! The command line of what goes on for long: `chaos` and `soak`.
//!
//! Such a program has a seed that repeats it, says on standard error how far it is, prints what it
//! found, and ends with 0 if that is well, with 1 if not, with 64 if it was called wrongly.

use std::fmt::Display;
use std::process::ExitCode;
use std::time::Instant;

use lexopt::{Arg, Parser, ValueExt};

use crate::bench::Failure;

const USAGE: u8 = 64;

/// What is run, as the command line describes it.
pub trait LongRun: Sized {
    /// The program's name.
    const NAME: &'static str;
    /// What `--help` prints.
    const HELP: &'static str;
    /// What a run finds.
    type Report: Display;

    /// Its full form, which options change.
    fn full(seed: u64) -> Self;

    /// Takes an option that only this program has, with its value if it has one. `None` if it has
    /// no such option.
    ///
    /// # Errors
    /// If the value cannot be read.
    fn take(&mut self, option: &str, values: &mut Parser) -> Result<Option<()>, lexopt::Error>;

    /// Where its seed is.
    fn seed(&mut self) -> &mut u64;

    /// Whether it can be run like that.
    ///
    /// # Errors
    /// What is wrong.
    fn check(&self) -> Result<(), lexopt::Error>;

    /// Runs it.
    ///
    /// # Errors
    /// If it could not be brought to its end.
    fn run(&self, say: &dyn Fn(&str)) -> Result<Self::Report, Failure>;

    /// Whether what was found is as it must be.
    fn is_good(report: &Self::Report) -> bool;
}

/// Does what the command line says.
pub fn main<R: LongRun>() -> ExitCode {
    let name = R::NAME;
    let mut run = match read::<R>(Parser::from_env()) {
        Ok(Some(run)) => run,
        Ok(None) => {
            print!("{}", R::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{name}: {error}; try --help");
            return ExitCode::from(USAGE);
        }
    };
    let seed = *run.seed();
    let begun = Instant::now();
    let say = |words: &str| eprintln!("{name}: {:5} s  {words}", begun.elapsed().as_secs());
    say(&format!("seed {seed}"));
    match run.run(&say) {
        Ok(report) => {
            print!("{report}");
            if R::is_good(&report) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("{name}: seed {seed}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` if it is asked for help.
fn read<R: LongRun>(mut parser: Parser) -> Result<Option<R>, lexopt::Error> {
    let mut run = R::full(crate::drawn_seed());
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("help") | Arg::Short('h') => return Ok(None),
            Arg::Long("seed") => *run.seed() = parser.value()?.parse()?,
            Arg::Long(option) => {
                let option = option.to_owned();
                let taken = run.take(&option, &mut parser)?;
                taken.ok_or_else(|| Arg::Long(&option).unexpected())?;
            }
            other => return Err(other.unexpected()),
        }
    }
    run.check()?;
    Ok(Some(run))
}
