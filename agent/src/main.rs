//! Wiring: reads the command line, runs the command, turns its outcome into an exit code.

use std::io::Write;
use std::process::ExitCode;

use mote::agent::{self, Exit, Refusal};
use mote::cli::{self, Command, UsageError};
use mote::config::{self, CommandLine, Loaded};

fn main() -> ExitCode {
    let done = match cli::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(line)) => load(&line).and_then(agent::run),
        Ok(Command::Once(line)) => load(&line).and_then(agent::once),
        Ok(Command::Version) => print(concat!("mote ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Command::Help) => print(&cli::help()),
        Err(UsageError(words)) => Err((Exit::Usage, words)),
    };
    match done {
        Ok(()) => ExitCode::from(Exit::Good as u8),
        Err((exit, words)) => {
            agent::complain(&words);
            ExitCode::from(exit as u8)
        }
    }
}

fn load(line: &CommandLine) -> Result<Loaded, Refusal> {
    config::load(line, &|name| std::env::var_os(name))
        .map_err(|error| (Exit::Config, error.to_string()))
}

fn print(text: &str) -> Result<(), Refusal> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|error| (Exit::Failed, format!("standard output: {error}")))
}
