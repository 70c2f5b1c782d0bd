//! Wiring: reads the command line, runs the command, turns its outcome into an exit code.

use std::process::ExitCode;

use mote::agent::{self, Exit};
use mote::check::check;
use mote::cli::{self, Command, UsageError};
use mote::config::{CommandLine, Persona, Sources};
use mote::install::{install, uninstall};
use mote::log;
use mote::look;
use mote::once::once;
use mote::plugin::by_hand;
use mote::reactor::hold_orders;
use mote::scrub;
use mote::version::version;

fn main() -> ExitCode {
    log::prepare();
    let mut arguments = std::env::args_os();
    let persona = Persona::of_program(arguments.next().as_deref());
    let sources = |line: CommandLine| {
        let mut sources = Sources {
            persona,
            line,
            ..Sources::default()
        };
        scrub::hide_secrets(&mut sources);
        sources
    };
    let done = match cli::parse(arguments) {
        Ok(Command::Run(line)) => {
            hold_orders();
            agent::run(&sources(line))
        }
        Ok(Command::Once { line, send }) => once(&sources(line), send),
        Ok(Command::Check { line, strict }) => check(&sources(line), strict),
        Ok(Command::Status { line, json, watch }) => look::status(&sources(line), json, watch),
        Ok(Command::Health { line, ready }) => look::health(&sources(line), ready),
        Ok(Command::Install { line, options }) => install(sources(line), &options),
        Ok(Command::Uninstall(options)) => uninstall(&options),
        Ok(Command::PluginList(line)) => by_hand::list(&sources(line)),
        Ok(Command::PluginTest { line, trial }) => by_hand::test(&sources(line), &trial),
        Ok(Command::Version { json }) => agent::print(&version(json)),
        Ok(Command::Help) => agent::print(&cli::help(persona)),
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
