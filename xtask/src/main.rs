//! Everything that is done to mote and that cargo alone cannot say.
//!
//! Usage: cargo xtask COMMAND [ARGUMENTS]
//!
//! One file a command; the head of each file is its help text. Every command works from any
//! folder of the project, prints the commands it runs to standard error, and ends with 0 if all
//! is well, 1 if not, 64 if it was called wrongly and 69 if the machine lacks something.
//!
//! Depends on no crate of the project: it drives their binaries as anybody else would.

mod args;
mod bench;
mod build;
mod chaos;
mod children;
mod cross;
mod demo;
mod dist;
mod elf;
mod failure;
mod fuzz;
mod layout;
mod memory;
mod prerequisites;
mod push;
mod shell;
mod simulate;
mod size;
mod soak;
mod test;

use std::env;
use std::process::ExitCode;

use failure::Failure;

struct Command {
    name: &'static str,
    /// The command's own file, whose head is its help text.
    source: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

const COMMANDS: [Command; 12] = [
    Command {
        name: "demo",
        source: include_str!("demo.rs"),
        run: demo::run,
    },
    Command {
        name: "test",
        source: include_str!("test.rs"),
        run: test::run,
    },
    Command {
        name: "build",
        source: include_str!("build.rs"),
        run: build::run,
    },
    Command {
        name: "dist",
        source: include_str!("dist.rs"),
        run: dist::run,
    },
    Command {
        name: "size",
        source: include_str!("size.rs"),
        run: size::run,
    },
    Command {
        name: "push",
        source: include_str!("push.rs"),
        run: push::run,
    },
    Command {
        name: "bench",
        source: include_str!("bench.rs"),
        run: bench::run,
    },
    Command {
        name: "simulate",
        source: include_str!("simulate.rs"),
        run: simulate::run,
    },
    Command {
        name: "chaos",
        source: include_str!("chaos.rs"),
        run: chaos::run,
    },
    Command {
        name: "soak",
        source: include_str!("soak.rs"),
        run: soak::run,
    },
    Command {
        name: "fuzz",
        source: include_str!("fuzz.rs"),
        run: fuzz::run,
    },
    Command {
        name: "layout",
        source: include_str!("layout.rs"),
        run: layout::run,
    },
];

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn dispatch() -> Result<(), Failure> {
    let args = args::from_environment()?;
    let Some((name, rest)) = args.split_first() else {
        print!("{}", overview());
        return Ok(());
    };
    let (name, rest) = match (name.as_str(), rest) {
        ("help", [name, ..]) => (name, &["--help".to_owned()][..]),
        ("--help" | "-h" | "help", _) => {
            print!("{}", overview());
            return Ok(());
        }
        _ => (name, rest),
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == *name) else {
        return Err(Failure::Usage(format!(
            "no command `{name}`\n\n{}",
            overview().trim_end()
        )));
    };
    // What is behind `--` goes on to another program.
    let mut own = rest.iter().take_while(|arg| *arg != "--");
    if own.any(|arg| arg == "--help" || arg == "-h") {
        print!("{}", head(command.source));
        return Ok(());
    }
    env::set_current_dir(shell::project_root())
        .map_err(|error| Failure::Failed(format!("cannot enter the project's folder: {error}")))?;
    (command.run)(rest)
}

fn overview() -> String {
    let commands = COMMANDS.map(|command| {
        let summary = head(command.source);
        format!(
            "  {:<10}{}",
            command.name,
            summary.lines().next().unwrap_or_default()
        )
    });
    format!(
        "Usage: cargo xtask COMMAND [ARGUMENTS]\n\n{}\n\n\
         `cargo xtask COMMAND --help` says more.\n",
        commands.join("\n")
    )
}

/// The module head of a source file, without its comment marks.
fn head(source: &str) -> String {
    let mut text = String::new();
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_the_code_starts() {
        assert_eq!(
            head("//! One.\n//!\n//!   two\n\nuse a;\n//! no\n"),
            "One.\n\n  two\n"
        );
    }

    #[test]
    fn every_command_says_in_its_head_how_it_is_called() {
        for command in &COMMANDS {
            let usage = format!("\nUsage: cargo xtask {}", command.name);
            assert!(head(command.source).contains(&usage), "{}", command.name);
        }
    }
}
