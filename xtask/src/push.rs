//! Puts the released binary on devices and installs it there.
//!
//! Usage: cargo xtask push [--dry-run] [USER@]HOST... [-- FLAGS]
//!
//! Each device is asked over ssh what kind of machine it is (`uname -m`), gets the binary that
//! `cargo xtask dist` made for it, and runs `mote install FLAGS` with it. The binary is static, so
//! the device's C library does not matter. With --dry-run the devices are only asked, and what
//! would be run is printed.
//!
//! A device needs an ssh server, a shell, mktemp and cat, and nothing else: many small ones have
//! neither scp nor sftp. The binary travels on ssh's standard input into a folder in /tmp that
//! only the user can enter, and that is removed at the end. Passwords, ports and keys are ssh's
//! own business; where several devices are named, ssh asks for nothing and connects within 10
//! seconds, so that one of them does not stop the others.
//!
//! It goes one device after the other, and each waits for its first delivery. One that fails does
//! not keep the others from their turn; the end has a line for each of those. Ends with 0 if all
//! went well.

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs::File;
use std::process::{Command, Stdio};

use crate::args;
use crate::cross::Cross;
use crate::dist;
use crate::failure::Failure;
use crate::prerequisites::Needs;
use crate::shell;

/// For ssh, where nobody is to be asked and other devices wait.
const UNATTENDED: &[&str] = &["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let at = args.iter().position(|arg| arg == "--");
    let (own, flags) = args.split_at(at.unwrap_or(args.len()));
    let flags = flags.get(1..).unwrap_or_default();
    let (dry_run, words) = args::switch(own, "--dry-run");
    let hosts = args::only_words(&words)?;
    if hosts.is_empty() {
        return Err(Failure::Usage(
            "no device is named; call it with [USER@]HOST...".to_owned(),
        ));
    }
    let targets = Cross::all()?;
    Needs::of_tools([("ssh", "openssh-client")]).ensure()?;
    let mut failures = Vec::new();
    let options = if hosts.len() > 1 { UNATTENDED } else { &[] };
    for host in hosts {
        match push(host, options, &targets, flags, dry_run) {
            Ok(()) => println!("{host}: {}", if dry_run { "asked" } else { "installed" }),
            Err(failure) => {
                eprintln!("{host}: {failure}");
                failures.push((&**host, failure));
            }
        }
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Failure::Failed(summary(&failures, hosts.len())))
    }
}

/// What failed, a line for each device.
fn summary(failures: &[(&str, Failure)], all: usize) -> String {
    let mut summary = format!("{} of {all} devices failed:", failures.len());
    for (host, failure) in failures {
        let failure = failure.to_string();
        let first = failure.lines().next().unwrap_or_default();
        // Writing to a String does not fail.
        let _ = write!(summary, "\n{host}: {first}");
    }
    summary
}

fn push(
    host: &str,
    options: &[&str],
    targets: &[Cross],
    flags: &[String],
    dry_run: bool,
) -> Result<(), Failure> {
    let mut ask = ssh(host, options, "uname -m");
    shell::announce(&ask);
    let machine = shell::output_of(ask.stdin(Stdio::null()))?;
    let machine = machine.trim();
    let Some(cross) = targets.iter().find(|cross| cross.machine == machine) else {
        let known: Vec<&str> = targets.iter().map(|cross| &*cross.machine).collect();
        let known = known.join(", ");
        return Err(Failure::Failed(format!(
            "it is a machine of the kind `{machine}`; there are files in cross/ for: {known}"
        )));
    };
    let binary = dist::binary(&cross.triple);
    let place = binary.display().to_string();
    let file = File::open(&binary).map_err(|error| {
        Failure::Failed(format!(
            "cannot read {place}: {error}; type: cargo xtask dist"
        ))
    })?;
    let mut install = ssh(host, options, &script(flags));
    if dry_run {
        println!(
            "{} <{}",
            shell::spoken(&install),
            shell::quoted(binary.as_os_str())
        );
        return Ok(());
    }
    eprintln!("{host} is {machine} and gets {place}");
    // The binary on standard input cannot be typed.
    shell::run_as(install.stdin(file), &again(host, flags))
}

/// The call that repeats it for one device.
fn again(host: &str, flags: &[String]) -> String {
    let mut command = Command::new("cargo");
    command.args(["xtask", "push", host]);
    if !flags.is_empty() {
        command.arg("--").args(flags);
    }
    shell::spoken(&command)
}

fn ssh(host: &str, options: &[&str], script: &str) -> Command {
    let mut command = Command::new("ssh");
    command.args(options).args([host, script]);
    command
}

/// What the device's shell does with the binary that comes on standard input.
fn script(flags: &[String]) -> String {
    let words = [OsStr::new("install")].into_iter();
    let words: Vec<String> = words
        .chain(flags.iter().map(OsStr::new))
        .map(shell::quoted)
        .collect();
    let words = words.join(" ");
    format!(
        "umask 077 && d=$(mktemp -d /tmp/mote.XXXXXX) && {{ cat >$d/mote && chmod 700 $d/mote && \
         $d/mote {words} </dev/null; code=$?; rm -rf $d; exit $code; }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_asks_nobody_where_other_devices_wait() {
        let typed = |options| shell::spoken(&ssh("root@gw-7", options, "uname -m"));
        assert_eq!(typed(&[]), "ssh root@gw-7 'uname -m'");
        assert_eq!(
            typed(UNATTENDED),
            "ssh -o BatchMode=yes -o ConnectTimeout=10 root@gw-7 'uname -m'"
        );
    }

    #[test]
    fn each_device_that_failed_has_a_line() {
        let failed = |words: &str| Failure::Failed(words.to_owned());
        let failures = [("gw-7", failed("no way\nthere")), ("gw-9", failed("full"))];
        assert_eq!(
            summary(&failures, 3),
            "2 of 3 devices failed:\ngw-7: no way\ngw-9: full"
        );
    }
}
