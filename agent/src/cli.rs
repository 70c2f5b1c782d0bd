//! The command line: what was asked for, and the help.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use lexopt::{Arg, Parser};

use crate::config::keys::{KEYS, Key, nearest};
use crate::config::{CommandLine, Persona, process_environment, variables};
use crate::install::{Options, System};
use crate::plugin::by_hand::Trial;

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Watch and deliver until stopped.
    Run(CommandLine),
    /// Print one sample, or send it.
    Once {
        /// The flags.
        line: CommandLine,
        /// `--send`.
        send: bool,
    },
    /// Print the configuration and what is wrong with it.
    Check {
        /// The flags.
        line: CommandLine,
        /// `--strict`.
        strict: bool,
    },
    /// Ask the agent that runs how it is doing.
    Status {
        /// The flags.
        line: CommandLine,
        /// `--json`.
        json: bool,
        /// `--watch`.
        watch: bool,
    },
    /// Ask the agent that runs whether it is well.
    Health {
        /// The flags.
        line: CommandLine,
        /// `--ready`.
        ready: bool,
    },
    /// Make it a service of this device.
    Install {
        /// The flags.
        line: CommandLine,
        /// How.
        options: Options,
    },
    /// Take the service away.
    Uninstall(Options),
    /// Print the plugins that are installed.
    PluginList(CommandLine),
    /// Run a plugin by hand.
    PluginTest {
        /// The flags.
        line: CommandLine,
        /// Which, and how.
        trial: Trial,
    },
    /// Print the version.
    Version {
        /// `--json`.
        json: bool,
    },
    /// Print the help.
    Help,
}

/// What is wrong with the command line.
#[derive(Debug)]
pub struct UsageError(pub String);

/// The key whose flag this is.
fn key_of(flag: &str) -> Result<&'static Key, UsageError> {
    let named = KEYS.iter().find(|key| key.flag == flag);
    named.filter(|_| !flag.is_empty()).ok_or_else(|| {
        let is_it = |key: &&Key| key.path.replace(['.', '_'], "-") == flag;
        let near = KEYS.iter().find(is_it);
        let near = near.or_else(|| nearest(flag, |key| key.flag));
        let hint = match near {
            Some(key) if key.flag.is_empty() => {
                let variable = variables(key).remove(0);
                format!("set {} in the file, or {variable}", key.path)
            }
            Some(key) => format!("did you mean --{}?", key.flag),
            None => "see mote help".into(),
        };
        UsageError(format!("no flag --{flag}: {hint}"))
    })
}

fn no_command(word: &OsStr) -> UsageError {
    let commands = COMMANDS.join(", ");
    UsageError(format!(
        "no command {}: there are {commands}",
        word.display()
    ))
}

fn check_switches(switches: &[String], word: &str) -> Result<(), UsageError> {
    let is_strange = |switch: &&String| !SWITCHES.contains(&(switch, word));
    match switches.iter().find(is_strange) {
        Some(switch) => Err(UsageError(format!(
            "--{switch} does not go with {word}: see mote help"
        ))),
        None => Ok(()),
    }
}

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = Parser::from_args(arguments);
    let mut command = None;
    let mut line = CommandLine::default();
    let mut switches = Vec::new();
    let mut options = Options::default();
    let mut trial = Trial::default();
    let mut words = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| usage(&error))? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Short('V') | Arg::Long("version") => return Ok(Command::Version { json: false }),
            Arg::Short('c') | Arg::Long("config") => {
                line.config = Some(parser.value().map_err(|error| usage(&error))?.into());
            }
            Arg::Long("root") => {
                switches.push("root".to_owned());
                options.root = parser.value().map_err(|error| usage(&error))?.into();
            }
            Arg::Long("system") => {
                switches.push("system".to_owned());
                let name = parser.value().map_err(|error| usage(&error))?;
                let system = name.to_str().and_then(System::named);
                options.system = Some(system.ok_or_else(|| {
                    UsageError("--system takes systemd or procd: see mote help".into())
                })?);
            }
            Arg::Long("input") => {
                switches.push("input".to_owned());
                trial.input = Some(text(parser.value(), "input")?);
            }
            Arg::Long("entrypoint") => {
                switches.push("entrypoint".to_owned());
                trial.entrypoint = Some(text(parser.value(), "entrypoint")?);
            }
            Arg::Long(name) if SWITCHES.iter().any(|(switch, _)| *switch == name) => {
                switches.push(name.to_owned());
            }
            Arg::Long(name) => {
                let key = key_of(name)?;
                let is_truth = key.default == "true" || key.default == "false";
                let value = match parser.optional_value() {
                    Some(value) => Ok(value),
                    None if is_truth => Ok("true".into()),
                    None => parser.value(),
                };
                line.flags.push((key, text(value, key.flag)?));
            }
            // `help run` means what `run --help` means: there is one help.
            Arg::Value(word) if word == "help" && command.is_none() => {
                return match parser.next() {
                    Ok(Some(Arg::Value(word))) if !COMMANDS.iter().any(|it| word == **it) => {
                        Err(no_command(&word))
                    }
                    _ => Ok(Command::Help),
                };
            }
            Arg::Value(word) if command.is_none() => command = Some(word),
            Arg::Value(word) if command.as_ref().is_some_and(|word| word == "plugin") => {
                words.push(word.to_string_lossy().into_owned());
            }
            other => return Err(usage(&other.unexpected())),
        }
    }
    let word = command
        .as_deref()
        .map_or(Some("run"), |word| word.to_str())
        .unwrap_or("that");
    check_switches(&switches, word)?;
    let has = |switch: &str| switches.iter().any(|given| given == switch);
    options.dry_run = has("dry-run");
    options.start = !has("no-start");
    options.purge = has("purge");
    match word {
        "run" => Ok(Command::Run(line)),
        "once" => Ok(Command::Once {
            line,
            send: has("send"),
        }),
        "check" => Ok(Command::Check {
            line,
            strict: has("strict"),
        }),
        "status" => Ok(Command::Status {
            line,
            json: has("json"),
            watch: has("watch"),
        }),
        "health" => Ok(Command::Health {
            line,
            ready: has("ready"),
        }),
        "install" => Ok(Command::Install { line, options }),
        "uninstall" => Ok(Command::Uninstall(options)),
        "plugin" => plugin(&words, line, trial),
        "version" => Ok(Command::Version { json: has("json") }),
        other => Err(no_command(other.as_ref())),
    }
}

/// The value of a flag.
fn text(value: Result<OsString, lexopt::Error>, flag: &str) -> Result<String, UsageError> {
    value
        .map_err(|error| usage(&error))?
        .into_string()
        .map_err(|_| UsageError(format!("--{flag}: not UTF-8 text")))
}

fn plugin(words: &[String], line: CommandLine, mut trial: Trial) -> Result<Command, UsageError> {
    match words {
        [verb] if verb == "list" => Ok(Command::PluginList(line)),
        [verb, id] if verb == "test" => {
            trial.id.clone_from(id);
            Ok(Command::PluginTest { line, trial })
        }
        _ => Err(UsageError(
            "there are mote plugin list and mote plugin test ID: see mote help".into(),
        )),
    }
}

const COMMANDS: [&str; 10] = [
    "run",
    "once",
    "check",
    "status",
    "health",
    "plugin",
    "install",
    "uninstall",
    "version",
    "help",
];

/// Flags that are no keys, and the command that each goes with.
const SWITCHES: &[(&str, &str)] = &[
    ("send", "once"),
    ("strict", "check"),
    ("json", "version"),
    ("json", "status"),
    ("watch", "status"),
    ("ready", "health"),
    ("dry-run", "install"),
    ("dry-run", "uninstall"),
    ("root", "install"),
    ("root", "uninstall"),
    ("system", "install"),
    ("no-start", "install"),
    ("purge", "uninstall"),
    ("input", "plugin"),
    ("entrypoint", "plugin"),
];

fn usage(error: &lexopt::Error) -> UsageError {
    UsageError(format!("{error}: see mote help"))
}

/// The help for the program of that name, with every flag of the table of keys.
pub fn help(persona: Persona) -> String {
    let text = String::from(
        "mote: a monitoring agent for Linux devices that have little of everything\n\n\
         usage: mote [run | once | check | status | health | plugin | install | uninstall | version | \
         help] [flags]\n\n\
         \x20 run      watch this device and deliver to the server until stopped (default)\n\
         \x20 once     print one sample as it would be sent; with --send, send it\n\
         \x20 check    print the configuration with its sources, and what is wrong with it;\n\
         \x20          with --strict, a warning is an error\n\
         \x20 status   print how the agent that runs here is doing; with --json, for programs,\n\
         \x20          with --watch, every 2 seconds\n\
         \x20 health   ask the agent that runs here whether it is well; with --ready, whether it\n\
         \x20          delivers or has room; exits with 0 or 1\n\
         \x20 plugin list      print the plugins that are installed, and what is wrong with them\n\
         \x20 plugin test ID   run one by hand and print the exchange and its walls; an action is\n\
         \x20          carried out if it is given --input JSON; --entrypoint FILE names the file of\n\
         \x20          a plugin without a manifest\n\
         \x20 install  make it a service of this device (systemd or procd), with the flags as its\n\
         \x20          configuration if it has none, and wait for the first delivery;\n\
         \x20          --dry-run, --no-start, --system NAME, --root DIR (an image)\n\
         \x20 uninstall  take the service away; with --purge, its configuration and state too;\n\
         \x20          --dry-run, --root DIR\n\
         \x20 version  print the version; with --json, for programs\n\
         \x20 help     print this\n\n\
         flags (these and all other keys may be in the file, or in the environment: mote check\n\
         prints them, and interval is MOTE_INTERVAL, logging.level is MOTE_LOGGING_LEVEL):\n",
    );
    // What it is, and how it is used; the rest is about any of them.
    let mut text = text.replacen("mote", persona.name(), 2);
    let files = persona.usual_files(&process_environment);
    // Writing to a String does not fail.
    let _ = writeln!(
        text,
        "  -c, --config FILE                 default: {}",
        files[0].display()
    );
    for key in KEYS.iter().filter(|key| !key.flag.is_empty()) {
        let default = if key.default.is_empty() {
            String::new()
        } else {
            format!(" [{}]", key.default)
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "      --{:<27} {}{default}", key.flag, key.help);
    }
    text.push_str(
        "\nexit codes: 0 good, 1 failed while running, 64 usage, 69 server or agent not reached,\n\
         \x20           73 state or files cannot be written, 77 permission, 78 configuration\n\
         signals: TERM and INT stop, HUP reads the configuration again, USR1 logs a status line\n",
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
            Ok(Command::Once { send: false, .. })
        ));
        for words in [
            &["once", "--help"][..],
            &["help"],
            &["help", "plugin", "test"],
        ] {
            assert!(matches!(read(words), Ok(Command::Help)), "{words:?}");
        }
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
    fn installing_takes_flags_of_its_own_and_those_of_the_configuration() {
        let words = [
            "install",
            "--root=/image",
            "--system",
            "procd",
            "--interval",
            "1s",
        ];
        let Ok(Command::Install { line, options }) = read(&words) else {
            panic!("not understood")
        };
        assert_eq!(line.flags.len(), 1);
        assert_eq!(options.root, std::path::Path::new("/image"));
        assert_eq!(options.system, Some(System::Procd));
        assert!(options.start && !options.dry_run && !options.purge);
        let Ok(Command::Uninstall(options)) = read(&["uninstall", "--purge", "--dry-run"]) else {
            panic!("not understood")
        };
        assert!(options.purge && options.dry_run);
    }

    #[test]
    fn a_switch_goes_with_its_command() {
        assert!(matches!(
            read(&["once", "--send"]),
            Ok(Command::Once { send: true, .. })
        ));
        assert!(matches!(
            read(&["check", "--strict"]),
            Ok(Command::Check { strict: true, .. })
        ));
        assert!(matches!(
            read(&["version", "--json"]),
            Ok(Command::Version { json: true })
        ));
        assert!(
            read(&["run", "--send"])
                .unwrap_err()
                .0
                .contains("does not go with run")
        );
    }

    #[test]
    fn a_plugin_is_named_and_may_be_given_an_input() {
        assert!(matches!(
            read(&["plugin", "list", "--base-dir", "/b"]),
            Ok(Command::PluginList(_))
        ));
        let Ok(Command::PluginTest { trial, .. }) = read(&[
            "plugin",
            "test",
            "cpu",
            "--input={}",
            "--entrypoint",
            "run.sh",
        ]) else {
            panic!("not understood")
        };
        assert_eq!(trial.id, "cpu");
        assert_eq!(trial.input.as_deref(), Some("{}"));
        assert_eq!(trial.entrypoint.as_deref(), Some("run.sh"));
        for words in [
            &["plugin"][..],
            &["plugin", "test"],
            &["plugin", "new", "x"],
        ] {
            assert!(read(words).unwrap_err().0.contains("mote plugin test ID"));
        }
        let error = read(&["run", "--input", "{}"]).unwrap_err();
        assert!(error.0.contains("does not go with run"));
    }

    #[test]
    fn a_flag_that_is_true_or_false_needs_no_value() {
        let Ok(Command::Run(line)) = read(&["--allow-http", "--log-compress=false"]) else {
            panic!("not understood")
        };
        let texts: Vec<_> = line.flags.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["true", "false"]);
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
                text.contains("mote help") || text.contains("there are run, once"),
                "{words:?}: {text}"
            );
        }
    }

    #[test]
    fn a_flag_that_is_none_is_told_with_what_was_meant() {
        for (flag, hint) in [
            ("--intervall", "did you mean --interval?"),
            ("--logging-level", "did you mean --log-level?"),
            (
                "--plugins-dir",
                "set plugins.dir in the file, or MOTE_PLUGINS_DIR",
            ),
            ("--wings", "see mote help"),
        ] {
            let error = read(&["plugin", "list", flag, "x"]).unwrap_err();
            assert_eq!(error.0, format!("no flag {flag}: {hint}"));
        }
        let error = read(&["help", "nosuch"]).unwrap_err();
        assert!(error.0.starts_with("no command nosuch: there are run, "));
    }

    #[test]
    fn the_help_is_that_of_the_program_that_was_called() {
        let text = help(Persona::LunaSentri);
        assert!(
            text.starts_with("lunasentri-agent: a monitoring agent"),
            "{text}"
        );
        for words in [
            "usage: lunasentri-agent [run",
            "default: /etc/lunasentri/agent.yaml\n",
        ] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn the_help_names_every_flag() {
        let text = help(Persona::Mote);
        for key in KEYS.iter().filter(|key| !key.flag.is_empty()) {
            assert!(text.contains(&format!("--{} ", key.flag)), "{}", key.flag);
        }
    }
}
