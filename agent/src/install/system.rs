//! The two service managers that mote installs itself under: systemd, and OpenWrt's procd.
//!
//! Each takes a file, which this binary carries, and links that make it start with the device. The
//! links are the ones that `systemctl enable` and `/etc/init.d/mote enable` would make, so an image
//! gets them too. Under procd the configuration is named to sysupgrade as well. Programs of the
//! manager are run on a running device only.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Delivers;
use super::delivery::{Watch, wait};
use super::place::{Place, say};
use crate::agent::{Exit, Refusal};

const UNIT: &str = "/etc/systemd/system/mote.service";
const WANTS: &str = "/etc/systemd/system/multi-user.target.wants";
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/mote.service";
const SCRIPT: &str = "/etc/init.d/mote";
/// Links to [`SCRIPT`], under the numbers that the script itself names.
const RUNLEVELS: [&str; 2] = ["/etc/rc.d/S95mote", "/etc/rc.d/K10mote"];
/// Where OpenWrt's sysupgrade finds what a new firmware is not to take away: without the
/// configuration, and the key in it, an upgraded device would deliver nothing any more.
const KEEP_FOLDER: &str = "/lib/upgrade/keep.d";
const KEEP: &str = "/lib/upgrade/keep.d/mote";

/// A service manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// systemd.
    Systemd,
    /// procd, OpenWrt's.
    Procd,
}

impl System {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "systemd" => Some(Self::Systemd),
            "procd" => Some(Self::Procd),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Procd => "procd",
        }
    }

    /// The one that runs here, or that the other root has.
    pub(super) fn find(place: &Place) -> Result<Self, Refusal> {
        if place.is_this_device() && Self::Systemd.runs() {
            return Ok(Self::Systemd);
        }
        if place.has("/sbin/procd")? {
            return Ok(Self::Procd);
        }
        let has_systemd =
            place.has("/usr/lib/systemd/systemd")? || place.has("/lib/systemd/systemd")?;
        if has_systemd && !place.is_this_device() {
            return Ok(Self::Systemd);
        }
        Err((
            Exit::Usage,
            "neither systemd nor procd is here: name the one to install for with --system".into(),
        ))
    }

    fn runs(self) -> bool {
        // The folder is what sd_booted(3) looks at.
        let sign = match self {
            Self::Systemd => "/run/systemd/system",
            Self::Procd => "/sbin/procd",
        };
        Path::new(sign).exists()
    }

    pub(super) fn must_run(self) -> Result<(), Refusal> {
        if self.runs() {
            return Ok(());
        }
        let name = self.name();
        let words = format!("{name} does not run here: add --no-start, or --root for an image");
        Err((Exit::Usage, words))
    }

    /// Refuses a file system without the folder of the service's file, before anything is changed.
    pub(super) fn must_have_room(self, place: &Place) -> Result<(), Refusal> {
        let folder = match self {
            Self::Systemd => "/etc/systemd/system",
            Self::Procd => "/etc/init.d",
        };
        if place.has(folder)? {
            return Ok(());
        }
        let name = self.name();
        let words = format!("{folder} is missing: is this a system with {name}?");
        Err((Exit::State, words))
    }

    /// Puts the service's file there and lets it start with the device.
    pub(super) fn add(self, place: &Place) -> Result<(), Refusal> {
        match self {
            Self::Systemd => {
                let unit = include_bytes!("../../service/mote.service");
                place.write(UNIT, unit, 0o644, None)?;
                place.link(WANTED, UNIT)?;
                self.read_files_again(place)
            }
            Self::Procd => {
                let script = include_bytes!("../../service/mote.init");
                place.write(SCRIPT, script, 0o755, None)?;
                for link in RUNLEVELS {
                    place.link(link, "../init.d/mote")?;
                }
                if place.has(KEEP_FOLDER)? {
                    let list = include_bytes!("../../service/mote.keep");
                    place.write(KEEP, list, 0o644, None)?;
                }
                Ok(())
            }
        }
    }

    /// Starts the service, anew if it runs, and waits for its first delivery.
    pub(super) fn start(self, place: &Place, delivers: Delivers) -> Result<(), Refusal> {
        let watch = Watch::begin(self, delivers);
        say("start mote")?;
        if place.is_dry_run() {
            return wait(&watch, true);
        }
        let started = match self {
            Self::Systemd => run("systemctl", &["restart", "mote.service"]),
            Self::Procd => run(SCRIPT, &["restart"]),
        };
        if let Err((exit, words)) = started {
            return Err((exit, format!("{words}\n{}", watch.last_words())));
        }
        wait(&watch, false)
    }

    /// Stops the service and takes away what [`System::add`] put there. Returns whether it was there.
    pub(super) fn remove(self, place: &Place) -> Result<bool, Refusal> {
        let (file, others): (_, &[&str]) = match self {
            Self::Systemd => (UNIT, &[WANTED]),
            Self::Procd => (SCRIPT, &[RUNLEVELS[0], RUNLEVELS[1], KEEP]),
        };
        if place.has(file)? && place.is_this_device() && self.runs() {
            say("stop mote")?;
            if !place.is_dry_run() {
                match self {
                    Self::Systemd => run("systemctl", &["stop", "mote.service"])?,
                    Self::Procd => run(SCRIPT, &["stop"])?,
                };
            }
        }
        let was_there = place.has(file)?;
        for other in others {
            place.remove(other)?;
        }
        place.remove(file)?;
        if was_there && self == Self::Systemd {
            place.remove_if_empty(WANTS)?;
            self.read_files_again(place)?;
        }
        Ok(was_there)
    }

    fn read_files_again(self, place: &Place) -> Result<(), Refusal> {
        if !place.is_this_device() || !self.runs() {
            return Ok(());
        }
        if !place.is_dry_run() {
            run("systemctl", &["daemon-reload"])?;
        }
        say("let systemd read its files again")
    }
}

/// Runs a program of the device; returns what it printed.
pub(super) fn run(program: &str, arguments: &[&str]) -> Result<String, Refusal> {
    let failed = |words: String| {
        (
            Exit::Failed,
            format!("{program} {}: {words}", arguments.join(" ")),
        )
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!("{}: {}", output.status, words.trim())))
}

/// Whether the device has this program, where root's programs are.
pub(super) fn has_program(name: &str) -> bool {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    folders
        .iter()
        .any(|folder| Path::new(folder).join(name).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_managers_own() {
        for system in [System::Systemd, System::Procd] {
            assert_eq!(System::named(system.name()), Some(system));
        }
        assert_eq!(System::named("upstart"), None);
    }

    #[test]
    fn links_have_the_numbers_that_the_script_names() {
        let script = include_str!("../../service/mote.init");
        let number = |name: &str| {
            let line = script.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name} in the script"))
                .to_owned()
        };
        assert_eq!(RUNLEVELS[0], format!("/etc/rc.d/S{}mote", number("START=")));
        assert_eq!(RUNLEVELS[1], format!("/etc/rc.d/K{}mote", number("STOP=")));
    }

    #[test]
    fn a_program_that_fails_is_named_with_its_words() {
        let (exit, words) = run("sh", &["-c", "echo no such unit >&2; exit 5"]).unwrap_err();
        assert_eq!(exit, Exit::Failed);
        assert!(
            words.starts_with("sh -c") && words.ends_with("no such unit"),
            "{words}"
        );
        assert!(
            run("/no/such/program", &[])
                .unwrap_err()
                .1
                .starts_with("/no/such/program")
        );
        assert_eq!(run("echo", &["a"]).unwrap(), "a\n");
    }
}
