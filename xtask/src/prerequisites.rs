//! What a command needs on the machine before it can start.
//!
//! Compiler targets are added with rustup, which needs no rights. Programs that are missing are
//! installed where that asks nobody for a password: as root, with apt-get. Everywhere else the
//! one line to type is the failure's text. What is there already is left as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use crate::failure::Failure;
use crate::shell;

/// A program to look for, and the Debian package that brings it.
pub(crate) type Tool = (&'static str, &'static str);

pub(crate) struct Needs<'a> {
    pub(crate) targets: &'a [&'a str],
    pub(crate) tools: &'a [Tool],
}

pub(crate) const BUILD_TOOLS: &[Tool] = &[("cc", "build-essential")];

/// The end-to-end tests look at the agent with these and put real programs before it.
pub(crate) const TEST_TOOLS: &[Tool] = &[
    ("cc", "build-essential"),
    ("strace", "strace"),
    ("nginx", "nginx-light"),
    ("ip", "iproute2"),
    ("free", "procps"),
    ("df", "coreutils"),
    ("mount", "util-linux"),
];

pub(crate) fn ensure(needs: &Needs<'_>) -> Result<(), Failure> {
    ensure_targets(needs.targets)?;
    let missing = || missing_packages(needs.tools, |name| shell::find_program(name).is_some());
    let packages = missing();
    if packages.is_empty() {
        return Ok(());
    }
    let has_apt = shell::find_program("apt-get").is_some();
    if !has_apt || !Uid::effective().is_root() {
        return Err(Failure::Unavailable(line_to_type(&packages, has_apt)));
    }
    install(&packages)?;
    let packages = missing();
    if packages.is_empty() {
        Ok(())
    } else {
        let packages = packages.join(", ");
        Err(Failure::Unavailable(format!(
            "installed, but their programs are not there: {packages}"
        )))
    }
}

fn ensure_targets(targets: &[&str]) -> Result<(), Failure> {
    let mut ask = Command::new("rustc");
    ask.args(["--print", "sysroot"]);
    let sysroot = PathBuf::from(shell::output_of(&mut ask)?.trim_end());
    for target in targets {
        // Asked of the compiler, not of rustup: a distribution's Rust has no rustup.
        if sysroot
            .join("lib/rustlib")
            .join(target)
            .join("lib")
            .is_dir()
        {
            continue;
        }
        let mut add = Command::new("rustup");
        add.args(["target", "add", target]);
        shell::run(&mut add).map_err(|_| {
            Failure::Unavailable(format!(
                "the Rust target {target} is missing; type: rustup target add {target}"
            ))
        })?;
    }
    Ok(())
}

fn missing_packages(tools: &[Tool], is_there: impl Fn(&str) -> bool) -> Vec<&'static str> {
    tools
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect()
}

fn line_to_type(packages: &[&str], has_apt: bool) -> String {
    let packages = packages.join(" ");
    if has_apt {
        format!("programs are missing; type: sudo apt-get install --yes {packages}")
    } else {
        format!("programs are missing; install what Debian calls: {packages}")
    }
}

fn install(packages: &[&str]) -> Result<(), Failure> {
    let log_path = shell::target_dir().join("xtask/apt.log");
    eprintln!(
        "installing {} (log: {})",
        packages.join(", "),
        log_path.display()
    );
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(packages);
    logged("apt-get", &["update"], &log_path)
        .and_then(|()| logged("apt-get", &install, &log_path))
        .map_err(|failure| failure.at("installing packages"))
}

/// Runs a talkative program with its output at the end of a log file.
fn logged(program: &str, args: &[&str], log_path: &Path) -> Result<(), Failure> {
    let open = || {
        fs::create_dir_all(log_path.parent().unwrap_or(Path::new(".")))?;
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(log_path)?;
        Ok((log.try_clone()?, log))
    };
    let (out, err) = open().map_err(|error: std::io::Error| {
        Failure::Failed(format!("cannot write {}: {error}", log_path.display()))
    })?;
    let mut command = Command::new(program);
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    shell::run(&mut command).map_err(|failure| match failure {
        Failure::Failed(text) => {
            Failure::Unavailable(format!("{text}; its output is in {}", log_path.display()))
        }
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_asked_for_in_one_line() {
        let missing = missing_packages(TEST_TOOLS, |name| name != "nginx" && name != "ip");
        assert_eq!(missing, ["nginx-light", "iproute2"]);
        let line = line_to_type(&missing, true);
        assert!(
            line.ends_with("sudo apt-get install --yes nginx-light iproute2"),
            "{line}"
        );
        assert!(!line.contains('\n'));
        assert!(!line_to_type(&missing, false).contains("apt-get"));
    }

    #[test]
    fn a_failed_installation_names_its_log() {
        let folder = std::env::temp_dir().join(format!("xtask-logged-{}", std::process::id()));
        let log_path = folder.join("apt.log");
        let ended = logged("sh", &["-c", "echo words; exit 3"], &log_path);
        let log = fs::read_to_string(&log_path).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(log, "words\n");
        let Err(Failure::Unavailable(text)) = ended else {
            panic!("{ended:?}")
        };
        assert!(
            text.contains("apt.log") && text.contains("exit status: 3"),
            "{text}"
        );
    }
}
