//! The command line: what was asked for, and the help.

use std::ffi::OsString;
use std::fmt::Write;

use lexopt::{Arg, Parser};

use crate::config::CommandLine;
use crate::config::keys::KEYS;

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Watch and deliver until stopped.
    Run(CommandLine),
    /// Print one sample.
    Once(CommandLine),
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// What is wrong with the command line.
#[derive(Debug)]
pub struct UsageError(pub String);

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    let mut command = None;
    let mut line = CommandLine::default();
    while let Some(argument) = parser.next().map_err(|error| usage(&error))? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version),
            Arg::Short('c') | Arg::Long("config") => {
                line.config = Some(parser.value().map_err(|error| usage(&error))?.into());
            }
            Arg::Long(name) => {
                let Some(key) = KEYS.iter().find(|key| key.flag == name) else {
                    return Err(UsageError(format!("no flag --{name}: see mote help")));
                };
                let value = parser.value().map_err(|error| usage(&error))?;
                let text = value
                    .into_string()
                    .map_err(|_| UsageError(format!("--{}: not UTF-8 text", key.flag)))?;
                line.flags.push((key, text));
            }
            Arg::Value(word) if command.is_none() => command = Some(word),
            other => return Err(usage(&other.unexpected())),
        }
    }
    match command.as_deref().map(|word| word.to_str()) {
        None | Some(Some("run")) => Ok(Command::Run(line)),
        Some(Some("once")) => Ok(Command::Once(line)),
        Some(Some("version")) => Ok(Command::Version),
        Some(Some("help")) => Ok(Command::Help),
        Some(other) => {
            let word = other.unwrap_or("that");
            Err(UsageError(format!(
                "no command {word}: there are run, once, version and help"
            )))
        }
    }
}

fn usage(error: &lexopt::Error) -> UsageError {
    UsageError(format!("{error}: see mote help"))
}

/// The help, with every flag of the table of keys.
pub fn help() -> String {
    let mut text = String::from(
        "mote: a monitoring agent for Linux devices that have little of everything\n\n\
         usage: mote [run | once | version | help] [flags]\n\n\
         \x20 run      watch this device and deliver to the server until stopped (default)\n\
         \x20 once     print one sample as it would be sent, and end\n\
         \x20 version  print the version\n\
         \x20 help     print this\n\n\
         flags (also MOTE_<KEY> in the environment, or lines in the file):\n",
    );
    text.push_str("  -c, --config FILE          default: /etc/mote/mote.yaml\n");
    for key in KEYS {
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!(" [{}]", key.default)
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "      --{:<21}{}{default}", key.flag, key.help);
    }
    text.push_str(
        "\nexit codes: 0 good, 1 failed while running, 64 usage, 73 state cannot be used,\n\
         \x20           78 configuration\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command, UsageError> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn run_is_what_is_meant_without_a_word() {
        assert!(matches!(read(&[]), Ok(Command::Run(_))));
        assert!(matches!(read(&["run"]), Ok(Command::Run(_))));
        assert!(matches!(
            read(&["--interval", "1s", "once"]),
            Ok(Command::Once(_))
        ));
        assert!(matches!(read(&["once", "--help"]), Ok(Command::Help)));
    }

    #[test]
    fn flags_take_their_value_either_way() {
        let Ok(Command::Run(line)) = read(&[
            "--interval=1s",
            "--server-url",
            "https://hub",
            "-c",
            "x.yaml",
        ]) else {
            panic!("not understood")
        };
        let flags: Vec<_> = line
            .flags
            .iter()
            .map(|(key, text)| (key.path, text.as_str()))
            .collect();
        assert_eq!(flags, [("interval", "1s"), ("server_url", "https://hub")]);
        assert_eq!(line.config.unwrap(), std::path::Path::new("x.yaml"));
    }

    #[test]
    fn what_is_not_understood_says_where_to_look() {
        for words in [
            &["fly"][..],
            &["--wings", "2"],
            &["--interval"],
            &["run", "once"],
            &["-x"],
        ] {
            let UsageError(text) = read(words).unwrap_err();
            assert!(
                text.contains("mote help") || text.contains("run, once"),
                "{words:?}: {text}"
            );
        }
    }

    #[test]
    fn the_help_names_every_flag() {
        let text = help();
        for key in KEYS {
            assert!(text.contains(&format!("--{} ", key.flag)), "{}", key.flag);
        }
    }
}
