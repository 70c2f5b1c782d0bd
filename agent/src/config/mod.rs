//! Flags, environment, file and defaults become one checked value, in that order of strength.
//!
//! A value that cannot be read is an error with the place it came from, the key and the remedy;
//! it never falls back to a weaker source. All errors are told at once. An unknown key is a
//! warning that offers the nearest.

mod credential;
mod environment;
mod file;
pub mod keys;
pub mod persona;
mod placeholder;
pub mod proxy;
pub mod server_url;
pub mod settings;
pub mod value;
pub mod yaml;

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use file::Opening;

pub use credential::read_again;
pub use environment::variables;
pub(crate) use file::{WITHOUT_EFFECT, remedy};
pub use persona::Persona;
pub use settings::{KeyOrigin, Secret, Settings};

use self::keys::{KEYS, Key};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag(&'static str),
    /// The environment.
    Environment(String),
    /// A line of the file.
    File(PathBuf, usize),
}

impl Origin {
    /// Whose value counts: the least's.
    fn rank(&self) -> u8 {
        match self {
            Self::Flag(_) => 0,
            Self::Environment(name) if environment::is_meant(name) => 1,
            Self::File(..) => 2,
            Self::Environment(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => write!(f, "{name} in the environment"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
}

/// A value that somebody gave.
#[derive(Debug, Clone)]
pub struct Given {
    /// The key.
    pub key: &'static Key,
    /// The value as it was written.
    pub text: String,
    /// Where.
    pub origin: Origin,
}

impl Given {
    /// What is wrong with it, behind the place that it came from.
    pub fn complaint(&self, words: &str) -> String {
        match &self.origin {
            Origin::File(..) => format!("{}: {}: {words}", self.origin, self.key.path),
            _ => format!("{}: {words}", self.origin),
        }
    }
}

/// What the command line says.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Every other flag: the key and the text given.
    pub flags: Vec<(&'static Key, String)>,
}

/// All that a configuration is read from, kept so that it can be read again.
#[derive(Debug, Default)]
pub struct Sources {
    /// The name that the program was called by.
    pub persona: Persona,
    /// The command line.
    pub line: CommandLine,
    /// Secrets that were taken out of the command line and the environment.
    pub handed: Vec<Given>,
    /// What was to be said when they were.
    pub handed_warnings: Vec<String>,
    /// Set when a service is installed: the folder that it writes to if nothing else is said.
    pub service_folder: Option<PathBuf>,
    /// Whether that is on another device, whose keys are not here.
    pub elsewhere: bool,
}

/// Why there is no configuration: one line for each thing that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub Vec<String>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Something that a person should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// One line.
    pub words: String,
    /// Whether `check --strict` fails for it.
    pub strict: bool,
}

impl Warning {
    /// One that points to a mistake.
    pub fn strict(words: String) -> Self {
        Self {
            words,
            strict: true,
        }
    }
}

/// A configuration, and what a person should be told of it.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// The file they came from, if any.
    pub file: Option<PathBuf>,
    /// What was given, and where; what is not in it has its default.
    pub given: Vec<Given>,
    /// What a person should be told.
    pub warnings: Vec<Warning>,
}

impl Loaded {
    /// Puts in front of each error that begins with a key where that was given.
    pub fn placed(&self, mut errors: Vec<String>) -> Vec<String> {
        for words in &mut errors {
            let is_about = |given: &&Given| {
                let rest = words.strip_prefix(given.key.path);
                rest.is_some_and(|rest| rest.starts_with([' ', ':']))
            };
            if let Some(given) = self.given.iter().find(is_about) {
                *words = format!("{}: {words}", given.origin);
            }
        }
        errors
    }
}

/// Gives an environment variable's value; the process's own, but for tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The environment of this process.
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads all sources again while the agent runs: what could make it wait is refused.
pub fn load_again(sources: &Sources, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    whole(load_as(sources, environment, Opening::Running))
}

/// Reads all sources.
pub fn load(sources: &Sources, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    whole(load_in_part(sources, environment))
}

/// Reads all sources, as far as they can be read; what is wrong comes beside.
pub fn load_in_part(sources: &Sources, environment: Environment<'_>) -> (Loaded, Vec<String>) {
    load_as(sources, environment, Opening::AtStart)
}

fn whole((loaded, errors): (Loaded, Vec<String>)) -> Result<Loaded, ConfigError> {
    if errors.is_empty() {
        Ok(loaded)
    } else {
        Err(ConfigError(errors))
    }
}

fn load_as(
    sources: &Sources,
    environment: Environment<'_>,
    opening: Opening,
) -> (Loaded, Vec<String>) {
    let mut warnings: Vec<Warning> = sources
        .handed_warnings
        .iter()
        .cloned()
        .map(Warning::strict)
        .collect();
    let mut errors = Vec::new();
    environment::find_strangers(environment, &mut warnings);
    let path = match &sources.line.config {
        Some(path) => Some(path.clone()),
        None => sources
            .persona
            .usual_files(environment)
            .into_iter()
            .find(|path| may_be_there(path)),
    };
    let from_file = match &path {
        Some(path) => {
            let read = file::read(path, opening, &mut warnings, &mut errors);
            read.unwrap_or_else(|words| {
                errors.push(words);
                Vec::new()
            })
        }
        None => Vec::new(),
    };
    let mut settings = Settings {
        persona: sources.persona,
        base_dir: sources.service_folder.clone(),
        ..Settings::default()
    };
    sources.persona.change_defaults(&mut settings);
    let mut given = Vec::new();
    // What other values may stand in for comes first.
    let (names, others): (Vec<&Key>, Vec<&Key>) =
        KEYS.iter().partition(|key| placeholder::is_name(key));
    for key in names.into_iter().chain(others) {
        let is_it = |given: &&Given| given.key.path == key.path;
        let near = match sources.handed.iter().find(is_it) {
            Some(handed) => Some(handed.clone()),
            None => near(&sources.line, key, environment, &mut warnings)
                .map_err(|words| errors.push(words))
                .unwrap_or_default(),
        };
        let written = from_file.iter().find(is_it).cloned();
        let found = near.into_iter().chain(written);
        let Some(mut found) = found.min_by_key(|given| given.origin.rank()) else {
            continue;
        };
        let mut text = found.text.clone();
        if !key.secret {
            placeholder::fill(&mut text, &settings);
        }
        if let Err(words) = key.set(&mut settings, &text) {
            let is_shown = !key.secret || text.is_empty();
            let words = if is_shown { &*words } else { "cannot be used" };
            errors.push(found.complaint(words));
        }
        // What is installed may get another name than this device has.
        if sources.service_folder.is_none() {
            found.text = text;
        }
        given.push(found);
    }
    if sources.elsewhere {
        credential::complete(&mut settings, environment);
    } else {
        credential::find(&mut settings, &given, environment, opening, &mut warnings)
            .unwrap_or_else(|words| errors.extend(words));
    }
    sources.persona.fill_in(&mut settings);
    let loaded = Loaded {
        settings,
        file: path,
        given,
        warnings,
    };
    // Files of keys are named by their key.
    let errors = loaded.placed(errors);
    (loaded, errors)
}

/// Whether there is something, or nobody lets us know: that is told when it is opened.
fn may_be_there(path: &Path) -> bool {
    let error = path.symlink_metadata().err().map(|error| error.kind());
    !matches!(error, Some(ErrorKind::NotFound | ErrorKind::NotADirectory))
}

/// What the command line says of `key`, else what the environment does: others may see both.
pub fn near(
    line: &CommandLine,
    key: &'static Key,
    environment: Environment<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Given>, String> {
    let mut flags = line.flags.iter().rev();
    match flags.find(|(flag, _)| flag.path == key.path) {
        Some((key, text)) => Ok(Some(Given {
            key,
            text: text.clone(),
            origin: Origin::Flag(key.flag),
        })),
        None => environment::find(key, environment, warnings),
    }
}

#[cfg(test)]
mod tests;
