//! The name that the program was called by decides its usual paths and how it introduces itself.
//!
//! A link called `lunasentri-agent`, `sensor-agent` or `action-agent` drops in where the agent of
//! that name was: same files, same `User-Agent`, same log.

use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, Uid, access};

use super::settings::AgentType;
use super::{Environment, Settings};

/// Whose place mote takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persona {
    /// Its own.
    #[default]
    Mote,
    /// The LunaSentri agent's.
    LunaSentri,
    /// Stavily's sensor agent's.
    SensorAgent,
    /// Stavily's action agent's.
    ActionAgent,
}

impl Persona {
    /// From the name that the program was called by.
    pub fn of_program(name: Option<&OsStr>) -> Self {
        let file = name.and_then(|name| Path::new(name).file_name());
        let others = [Self::LunaSentri, Self::SensorAgent, Self::ActionAgent];
        let mut others = others.into_iter();
        let named = others.find(|other| file == Some(other.name().as_ref()));
        named.unwrap_or_default()
    }

    /// The program's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mote => "mote",
            Self::LunaSentri => "lunasentri-agent",
            Self::SensorAgent => "sensor-agent",
            Self::ActionAgent => "action-agent",
        }
    }

    /// Where a configuration file is looked for.
    pub fn usual_files(self, environment: Environment<'_>) -> Vec<PathBuf> {
        let (folder, file) = match self {
            Self::Mote => ("mote", "mote.yaml"),
            Self::LunaSentri => ("lunasentri", "agent.yaml"),
            Self::SensorAgent => return stavily_files("sensor-agent.yaml", environment),
            Self::ActionAgent => return stavily_files("action-agent.yaml", environment),
        };
        // A path that is not absolute is to be ignored (XDG Base Directory Specification).
        let home = environment("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".config")));
        let mut files = vec![Path::new("/etc").join(folder).join(file)];
        files.extend(home.map(|home| home.join(folder).join(file)));
        files
    }

    /// The folder that is written to if nobody says, by an agent that has an id or none.
    pub fn usual_base_dir(
        self,
        agent_id: Option<&str>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> PathBuf {
        if let Some(given) = environment("STATE_DIRECTORY") {
            // systemd gives several with colons between them; the first is ours.
            let given = given.into_encoded_bytes();
            let first = given.split(|byte| *byte == b':').next().unwrap_or_default();
            if !first.is_empty() {
                return PathBuf::from(String::from_utf8_lossy(first).into_owned());
            }
        }
        // Several agents live side by side on one device, each with its own id.
        let name = match (agent_id, self) {
            (Some(id), _) => format!("stavily/agent-{id}"),
            (None, Self::Mote) => "mote".to_owned(),
            (None, Self::LunaSentri) => "lunasentri".to_owned(),
            (None, Self::SensorAgent | Self::ActionAgent) => "stavily".to_owned(),
        };
        if Uid::effective().is_root() {
            return Path::new("/var/lib").join(name);
        }
        let home = || environment("HOME").map(|home| PathBuf::from(home).join(".local/state"));
        let folder = environment("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(home);
        folder.unwrap_or_else(std::env::temp_dir).join(name)
    }

    /// What requests introduce themselves with.
    pub const fn user_agent(self) -> &'static str {
        match self {
            Self::Mote | Self::SensorAgent | Self::ActionAgent => {
                concat!("mote/", env!("CARGO_PKG_VERSION"))
            }
            Self::LunaSentri => concat!("lunasentri-agent/", env!("CARGO_PKG_VERSION")),
        }
    }

    /// Defaults that the agent of that name had, where they are not mote's.
    pub(super) fn change_defaults(self, settings: &mut Settings) {
        if !matches!(self, Self::SensorAgent | Self::ActionAgent) {
            return;
        }
        settings.health_bind = Ipv4Addr::UNSPECIFIED.into();
        settings.metrics_enabled = true;
        "stavily_agent".clone_into(&mut settings.metrics_namespace);
        if self == Self::ActionAgent {
            settings.health_port = 8081;
        }
    }

    /// Fills in what depends on the name and was not given.
    pub(super) fn fill_in(self, settings: &mut Settings) {
        let folder = Path::new("/var/log/lunasentri");
        let writable = || access(folder, AccessFlags::W_OK).is_ok();
        if self == Self::LunaSentri && settings.log_file.is_none() && writable() {
            settings.log_file = Some(folder.join("agent.log"));
        }
        let orchestrator = &mut settings.orchestrator;
        match self {
            Self::SensorAgent => orchestrator.agent_type.get_or_insert(AgentType::Sensor),
            Self::ActionAgent => orchestrator.agent_type.get_or_insert(AgentType::Action),
            Self::Mote | Self::LunaSentri => return,
        };
        // Their logs are in the base directory unless a path says otherwise.
        if let Some(file) = settings.log_file.take() {
            settings.log_file = Some(settings.base_dir().join("logs").join(file));
        }
    }
}

fn stavily_files(name: &str, environment: Environment<'_>) -> Vec<PathBuf> {
    let folder = Path::new("/etc/stavily");
    let mut files = vec![folder.join(name), folder.join("agent.yaml")];
    files.extend(environment("HOME").map(|home| PathBuf::from(home).join(".stavily").join(name)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (name, persona) in [
            ("mote", Persona::Mote),
            ("/usr/bin/lunasentri-agent", Persona::LunaSentri),
            ("lunasentri-agent", Persona::LunaSentri),
            ("/opt/sensor-agent", Persona::SensorAgent),
            ("action-agent", Persona::ActionAgent),
            ("./x", Persona::Mote),
        ] {
            assert_eq!(
                Persona::of_program(Some(OsStr::new(name))),
                persona,
                "{name}"
            );
        }
        assert_eq!(Persona::of_program(None), Persona::Mote);
    }

    #[test]
    fn the_old_name_has_the_old_paths() {
        let environment = |name: &str| (name == "HOME").then(|| OsString::from("/home/u"));
        assert_eq!(
            Persona::LunaSentri.usual_files(&environment),
            [
                Path::new("/etc/lunasentri/agent.yaml"),
                Path::new("/home/u/.config/lunasentri/agent.yaml"),
            ]
        );
        assert_eq!(
            Persona::SensorAgent.usual_files(&environment),
            [
                Path::new("/etc/stavily/sensor-agent.yaml"),
                Path::new("/etc/stavily/agent.yaml"),
                Path::new("/home/u/.stavily/sensor-agent.yaml"),
            ]
        );
        assert!(
            Persona::LunaSentri
                .user_agent()
                .starts_with("lunasentri-agent/")
        );
    }

    #[test]
    fn a_folder_of_xdg_that_is_not_absolute_is_ignored() {
        for value in ["", "relative"] {
            let environment = |name: &str| match name {
                "XDG_CONFIG_HOME" | "XDG_STATE_HOME" => Some(value.into()),
                "HOME" => Some("/home/u".into()),
                _ => None,
            };
            let files = Persona::Mote.usual_files(&environment);
            assert_eq!(files[1], Path::new("/home/u/.config/mote/mote.yaml"));
            let folder = Persona::Mote.usual_base_dir(None, environment);
            let expected = if Uid::effective().is_root() {
                "/var/lib/mote"
            } else {
                "/home/u/.local/state/mote"
            };
            assert_eq!(folder, Path::new(expected));
        }
    }

    #[test]
    fn systemd_says_where_the_folder_is() {
        let environment = |name: &str| (name == "STATE_DIRECTORY").then(|| "/var/lib/a:/b".into());
        assert_eq!(
            Persona::Mote.usual_base_dir(Some("x"), environment),
            Path::new("/var/lib/a")
        );
    }
}
