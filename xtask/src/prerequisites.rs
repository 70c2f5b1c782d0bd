//! What a command needs on the machine before it can start.
//!
//! Compiler targets, and std's own source, are added with rustup, which needs no rights. Programs
//! that are missing are installed where that asks nobody for a password: as root, with apt-get.
//! Everywhere else the one line to type is the failure's text. What is there already is left as
//! it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::Uid;

use crate::cross::Cross;
use crate::failure::Failure;
use crate::shell;

/// A program to look for, and the Debian package that brings it.
pub(crate) type Tool<'a> = (&'a str, &'a str);

/// Build scripts are linked with it, whatever the target is.
const HOST_COMPILER: Tool<'_> = ("cc", "build-essential");

/// The end-to-end tests look at the agent with these and put real programs before it.
pub(crate) const TEST_TOOLS: &[Tool<'_>] = &[
    ("strace", "strace"),
    ("nginx", "nginx-light"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("nft", "nftables"),
    ("faketime", "faketime"),
    ("qemu-x86_64", "qemu-user"),
    ("setpriv", "util-linux"),
    ("free", "procps"),
    ("df", "coreutils"),
    ("mount", "util-linux"),
    ("mkfs.ext4", "e2fsprogs"),
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("script", "bsdutils"),
    ("gzip", "gzip"),
    ("openssl", "openssl"),
    ("shellcheck", "shellcheck"),
    ("busybox", "busybox"),
    ("systemd-analyze", "systemd"),
    ("prometheus-node-exporter", "prometheus-node-exporter"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("acorn", "node-acorn"),
    ("node", "nodejs"),
    ("python3", "python3"),
    ("prlimit", "util-linux"),
];

#[derive(Debug)]
pub(crate) struct Needs<'a> {
    targets: Vec<&'a str>,
    tools: Vec<Tool<'a>>,
    std_source: bool,
}

impl<'a> Needs<'a> {
    /// What it takes to build the agent for these targets.
    pub(crate) fn of_builds(crosses: &'a [Cross]) -> Self {
        let tools = crosses.iter().map(Cross::build_tool);
        Self {
            targets: crosses.iter().map(|cross| &*cross.triple).collect(),
            tools: [HOST_COMPILER].into_iter().chain(tools).collect(),
            std_source: false,
        }
    }

    pub(crate) fn of_tools(tools: impl IntoIterator<Item = Tool<'a>>) -> Self {
        Self {
            targets: Vec::new(),
            tools: tools.into_iter().collect(),
            std_source: false,
        }
    }

    /// And another target of the compiler.
    pub(crate) fn target(mut self, triple: &'a str) -> Self {
        self.targets.push(triple);
        self
    }

    pub(crate) fn tools(mut self, tools: impl IntoIterator<Item = Tool<'a>>) -> Self {
        self.tools.extend(tools);
        self
    }

    /// And the source of std, to build it anew.
    pub(crate) fn std_source(mut self) -> Self {
        self.std_source = true;
        self
    }

    pub(crate) fn ensure(&self) -> Result<(), Failure> {
        self.ensure_compiler()?;
        let is_there = |name: &str| shell::find_program(name).is_some();
        let packages = missing_packages(&self.tools, is_there);
        if packages.is_empty() {
            return Ok(());
        }
        let has_apt = shell::find_program("apt-get").is_some();
        if !has_apt || !Uid::effective().is_root() {
            return Err(Failure::Unavailable(line_to_type(&packages, has_apt)));
        }
        install(&packages)?;
        let packages = missing_packages(&self.tools, is_there);
        if packages.is_empty() {
            Ok(())
        } else {
            let packages = packages.join(", ");
            Err(Failure::Unavailable(format!(
                "installed, but their programs are not there: {packages}"
            )))
        }
    }

    /// Looks where the compiler looks and not at what rustup says: a distribution's Rust has no
    /// rustup.
    fn ensure_compiler(&self) -> Result<(), Failure> {
        if self.targets.is_empty() && !self.std_source {
            return Ok(());
        }
        let mut ask = Command::new("rustc");
        ask.args(["--print", "sysroot"]);
        let sysroot = PathBuf::from(shell::output_of(&mut ask)?.trim_end());
        let brought = sysroot.join("lib/rustlib");
        for target in &self.targets {
            if !brought.join(target).join("lib").is_dir() {
                add_with_rustup(&["target", "add", target])?;
            }
        }
        if self.std_source && !brought.join("src/rust/library/Cargo.lock").is_file() {
            add_with_rustup(&["component", "add", "rust-src"])?;
        }
        Ok(())
    }
}

fn add_with_rustup(args: &[&str]) -> Result<(), Failure> {
    shell::run(Command::new("rustup").args(args)).map_err(|_| {
        let args = args.join(" ");
        Failure::Unavailable(format!(
            "a part of the compiler is missing; type: rustup {args}"
        ))
    })
}

fn missing_packages<'a>(tools: &[Tool<'a>], is_there: impl Fn(&str) -> bool) -> Vec<&'a str> {
    let mut packages = Vec::new();
    for (program, package) in tools {
        if !is_there(program) && !packages.contains(package) {
            packages.push(*package);
        }
    }
    packages
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
        let tools = [TEST_TOOLS, &[("nginx-again", "nginx-light")]].concat();
        let is_there = |name: &str| !name.starts_with("nginx") && name != "ip";
        let missing = missing_packages(&tools, is_there);
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
    fn no_tool_is_listed_twice() {
        for (at, (name, _)) in TEST_TOOLS.iter().enumerate() {
            assert!(
                TEST_TOOLS[..at].iter().all(|(other, _)| other != name),
                "{name}"
            );
        }
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
