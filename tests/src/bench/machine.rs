//! Where, when and of what revision something was measured.

use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::available_parallelism;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::project_root;

/// Words that make figures comparable. What could not be found out is empty.
#[derive(Debug, Default)]
pub(super) struct Machine {
    /// Like uname: system, release, build, architecture.
    system: String,
    cpu: String,
    cores: usize,
    /// RFC 3339, UTC.
    date: String,
    /// With `-dirty` if files differ from it.
    commit: String,
}

/// Looks around.
pub(super) fn look() -> Machine {
    let kernel = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        text.unwrap_or_default().trim_end().to_owned()
    };
    let names = ["ostype", "osrelease", "version"].map(kernel).join(" ");
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let now = OffsetDateTime::now_utc().replace_nanosecond(0);
    Machine {
        system: format!("{names} {}", std::env::consts::ARCH),
        cpu: cpu_model(&cpus).to_owned(),
        cores: available_parallelism().map_or(0, usize::from),
        date: now
            .ok()
            .and_then(|now| now.format(&Rfc3339).ok())
            .unwrap_or_default(),
        commit: commit().unwrap_or_default(),
    }
}

/// x86 says `model name` for each core; ARM boards say `Model` or `Hardware` once, at the end.
fn cpu_model(cpuinfo: &str) -> &str {
    let value = |name: &str| {
        let lines = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        let mut values = lines.filter(|(key, _)| key.trim_end() == name);
        Some(values.next()?.1.trim())
    };
    let names = ["model name", "Model", "Hardware"];
    names.into_iter().find_map(value).unwrap_or_default()
}

/// What to say of a machine that has more to do than this. Its load is that of the last minute, so
/// a build just before counts.
pub(super) fn busy_note() -> Option<String> {
    let text = fs::read_to_string("/proc/loadavg").ok()?;
    let load = text.split(' ').next()?;
    is_busy(load).then(|| {
        format!(
            "the load was {load} at the start: what takes time may have taken longer than alone"
        )
    })
}

fn is_busy(load: &str) -> bool {
    load.parse::<f64>().is_ok_and(|load| load > 1.0)
}

fn commit() -> Option<String> {
    // Without git, or outside of a checkout, there is nothing to say.
    let output = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--exclude=*",
            "--abbrev=12",
        ])
        .current_dir(project_root())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim_end().to_owned())
}

impl Machine {
    /// What it is; when it was looked at stands for itself.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "system": self.system,
            "cpu": self.cpu,
            "cores": self.cores,
        })
    }

    pub(super) fn date(&self) -> &str {
        &self.date
    }

    pub(super) fn commit(&self) -> &str {
        &self.commit
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |text: &'static str, value: &str| match value {
            "" => format!("{text}unknown"),
            value => format!("{text}{value}"),
        };
        writeln!(out, "{}", known("system  ", &self.system))?;
        writeln!(
            out,
            "{}, cores: {}",
            known("cpu     ", &self.cpu),
            self.cores
        )?;
        writeln!(out, "{}", known("date    ", &self.date))?;
        write!(out, "{}", known("commit  ", &self.commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_named_on_servers_and_on_boards() {
        let server = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(cpu_model(server), "Some CPU @ 2 GHz");
        let board = "processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t: A Pi\n";
        assert_eq!(cpu_model(board), "A Pi");
        assert_eq!(cpu_model(""), "");
    }

    #[test]
    fn more_than_one_that_runs_is_busy() {
        assert!(is_busy("1.01"));
        assert!(!is_busy("1.00"));
        assert!(!is_busy(""));
    }

    #[test]
    fn this_machine_is_known() {
        let machine = look();
        assert!(machine.cores > 0);
        assert!(machine.system.starts_with("Linux "), "{machine}");
        assert!(machine.date.ends_with('Z'), "{machine}");
    }
}
