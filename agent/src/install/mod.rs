//! `mote install` and `mote uninstall`: this binary becomes a service of the device, and goes again.
//!
//! Installed are `/usr/bin/mote`, a system user `mote`, `/etc/mote/mote.yaml` from what flags and
//! environment say (never over one that is there) and the service's file, which this binary
//! carries. Files in `/etc/mote` that the configuration names are opened for the service's group;
//! one elsewhere that it cannot read is refused. Then the service is started and the first delivery
//! waited for. Every step is a line on standard output; a dry run prints the same lines and changes
//! nothing.
//!
//! With another root it prepares a file system that is no running device, say an image: nothing is
//! started and nothing of this device is touched or looked at, its way through a proxy included. Keys
//! that the image lacks may come later, so that is a warning.
//!
//! Files are replaced by rename, so a power cut leaves the old one or the new one. Installing again
//! changes only what differs. Nothing is downloaded, and no file of somebody else's is edited but
//! the lists of users and groups.

mod account;
mod delivery;
mod place;
mod readable;
mod settings_file;
mod system;

use std::path::PathBuf;

use crate::agent::{Exit, Refusal};
use crate::config::settings::LogOutput;
use crate::config::{Persona, Sources, load, process_environment};
use crate::setup::{Plan, Target};
use mote_core::log_line::Level;
use nix::unistd::Uid;
use place::{Place, say};
use readable::Files;
pub use system::System;

const PROGRAM: &str = "/usr/bin/mote";
const CONFIG_FOLDER: &str = "/etc/mote";
const CONFIG: &str = "/etc/mote/mote.yaml";
/// What systemd hands the service while it runs (systemd.exec(5)): its key may be there.
const CREDENTIALS: &str = "/run/credentials/mote.service";
/// Where the service manager lets it write.
const STATE_FOLDER: &str = "/var/lib/mote";
/// What may stay behind: the service manager makes the first two, `systemctl edit` the last.
const LEFT: [&str; 4] = [
    STATE_FOLDER,
    "/var/log/mote",
    CONFIG_FOLDER,
    "/etc/systemd/system/mote.service.d",
];

/// How to install, or to uninstall.
#[derive(Debug)]
pub struct Options {
    /// Print what would be done, and do nothing.
    pub dry_run: bool,
    /// The file system to work on; `/` is this device.
    pub root: PathBuf,
    /// The service manager, if it is not to be looked for.
    pub system: Option<System>,
    /// Start the service and wait for its first delivery.
    pub start: bool,
    /// Remove configuration, state and user too.
    pub purge: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            root: "/".into(),
            system: None,
            start: true,
            purge: false,
        }
    }
}

/// Makes the service, and starts it.
pub fn install(sources: Sources, options: &Options) -> Result<(), Refusal> {
    let place = Place::new(&options.root, options.dry_run)?;
    must_be_root(options)?;
    let system = match options.system {
        Some(system) => system,
        None => System::find(&place)?,
    };
    let starts = options.start && place.is_this_device();
    if starts {
        system.must_run()?;
    }
    system.must_have_room(&place)?;
    let prepared = configuration(sources, &place, starts)?;
    let program = std::fs::read("/proc/self/exe")
        .map_err(|error| (Exit::Failed, format!("cannot read this program: {error}")))?;

    place.write(PROGRAM, &program, 0o755, None)?;
    let delivers = prepared.delivers;
    put(prepared, &place, system).map_err(|(exit, words)| {
        let left = "what was done so far stays: mote uninstall takes it away";
        (exit, format!("{words}\n{left}"))
    })?;
    if starts {
        system.start(&place, delivers)?;
    }
    Ok(())
}

/// Puts everything there but the program.
fn put(prepared: Prepared, place: &Place, system: System) -> Result<(), Refusal> {
    let group = account::ensure(place)?;
    place.folder(CONFIG_FOLDER, 0o750, group)?;
    match prepared.config {
        Configuration::There { passed_over: false } => say(format!("keep {CONFIG}, it is there"))?,
        Configuration::There { passed_over: true } => say(format!(
            "keep {CONFIG}, it is there: the flags given here change nothing in it"
        ))?,
        Configuration::Missing => say(format!(
            "write no {CONFIG}: neither flags nor environment say what would be in it"
        ))?,
        Configuration::New(text) => {
            // It may hold the key: for root and the agent's group alone.
            place.write(CONFIG, text.as_bytes(), 0o640, Some(group))?;
        }
    }
    prepared.files.open(place, group)?;
    system.add(place)
}

/// Stops the service and removes what installing made.
pub fn uninstall(options: &Options) -> Result<(), Refusal> {
    let place = Place::new(&options.root, options.dry_run)?;
    must_be_root(options)?;
    let mut was_there = place.has(PROGRAM)?;
    for system in [System::Systemd, System::Procd] {
        was_there |= system.remove(&place)?;
    }
    place.remove(PROGRAM)?;
    let mut left = Vec::new();
    for folder in LEFT {
        if place.has(folder)? {
            left.push(folder);
        }
    }
    was_there |= !left.is_empty();
    if options.purge {
        for folder in left {
            place.remove(folder)?;
        }
        was_there |= account::remove(&place)?;
    } else if !left.is_empty() {
        let user = if account::is_ours(&place)? {
            " and user mote"
        } else {
            ""
        };
        say(format!(
            "keep {}{user}: --purge removes that",
            left.join(", ")
        ))?;
    }
    if was_there {
        Ok(())
    } else {
        say("mote is not installed")
    }
}

/// What is known before anything is changed.
struct Prepared {
    config: Configuration,
    files: Files,
    delivers: Delivers,
}

/// What there is to wait for once the service was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Delivers {
    /// A delivery that the service logs where its manager hears it.
    Logged,
    /// One that it does not.
    Unlogged,
    /// None: it is the agent of an orchestrator alone.
    Nothing,
}

enum Configuration {
    /// `passed_over`: flags were given, which are for a new one.
    There {
        passed_over: bool,
    },
    Missing,
    New(String),
}

/// What the file is to hold; everything that would keep the service from starting is an error.
fn configuration(mut sources: Sources, place: &Place, starts: bool) -> Result<Prepared, Refusal> {
    let there = place.has(CONFIG)?;
    let is_here = place.is_this_device();
    // As the service will see things, whatever this program was called.
    sources.persona = Persona::Mote;
    sources.service_folder = Some(STATE_FOLDER.into());
    sources.elsewhere = !is_here;
    sources
        .handed
        .retain(|given| is_here || !is_of_this_device(&given.origin.to_string()));
    let passed_over = !sources.line.flags.is_empty() || !sources.handed.is_empty();
    // The usual places are those of this device and user, which the service does not look at.
    let nothing = || PathBuf::from("/dev/null");
    if there {
        sources.line.config = Some(place.at(CONFIG)?);
        sources.line.flags.clear();
        sources.handed.clear();
    } else {
        sources.line.config.get_or_insert_with(nothing);
    }
    let environment = |name: &str| {
        if !there {
            process_environment(name).filter(|_| is_here || !is_of_this_device(name))
        } else if name == "CREDENTIALS_DIRECTORY" && starts {
            Some(CREDENTIALS.into())
        } else {
            None
        }
    };
    let refuse = |lines: &[String]| (Exit::Config, lines.join("\n"));
    let loaded = load(&sources, &environment).map_err(|error| refuse(&error.0))?;
    for warning in &loaded.warnings {
        say(format!("warning: {}", warning.words))?;
    }
    let settings = &loaded.settings;
    let is_heard = !matches!(settings.log_output, LogOutput::File | LogOutput::None);
    let mut delivers = if settings.log_level <= Level::Info && is_heard {
        Delivers::Logged
    } else {
        Delivers::Unlogged
    };
    if starts {
        let plan = Plan::of(settings).map_err(|errors| refuse(&loaded.placed(errors)))?;
        if plan.target.is_none() && plan.orchestrator.is_some() {
            delivers = Delivers::Nothing;
        } else {
            // Whoever names no server at all has most likely forgotten it.
            Target::of(settings).map_err(|errors| refuse(&loaded.placed(errors)))?;
        }
    }
    let (config, folder) = if there {
        // Where the service runs.
        (Configuration::There { passed_over }, PathBuf::from("/"))
    } else {
        let folder = std::env::current_dir().unwrap_or_default();
        let config = match settings_file::text(&loaded.given, &folder) {
            Some(text) => Configuration::New(text),
            None => Configuration::Missing,
        };
        (config, folder)
    };
    Ok(Prepared {
        config,
        files: Files::find(place, settings, &folder)?,
        delivers,
    })
}

/// Whether a variable, or the source that begins with its name, is what this device has for all
/// programs.
fn is_of_this_device(name: &str) -> bool {
    let own = ["HTTPS_PROXY", "NO_PROXY", "CREDENTIALS_DIRECTORY"];
    let name = name.to_ascii_uppercase();
    own.iter().any(|own| name.starts_with(own))
}

fn must_be_root(options: &Options) -> Result<(), Refusal> {
    if options.dry_run || Uid::effective().is_root() {
        return Ok(());
    }
    let words = "only root can do that: run it with sudo, or see what it would do with --dry-run";
    Err((Exit::Permission, words.into()))
}
