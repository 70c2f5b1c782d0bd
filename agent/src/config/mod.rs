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
use std::path::PathBuf;

use file::Opening;

pub use credential::read_again;
pub use environment::variables;
pub(crate) use file::remedy;
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
    /// This process's own forerunner, which had it from there.
    Handed(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => write!(f, "--{flag}"),
            Self::Environment(name) => write!(f, "{name} in the environment"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Handed(origin) => f.write_str(origin),
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
    /// What is wrong with the values as a whole, with the places that they came from.
    pub fn placed(&self, errors: Vec<String>) -> Vec<String> {
        placed(errors, &self.given)
    }
}

/// Puts in front of each error that begins with a key where that was given.
fn placed(mut errors: Vec<String>, given: &[Given]) -> Vec<String> {
    for words in &mut errors {
        let is_about = |given: &&Given| {
            let rest = words.strip_prefix(given.key.path);
            rest.is_some_and(|rest| rest.starts_with([' ', ':']))
        };
        if let Some(given) = given.iter().find(is_about) {
            *words = format!("{}: {words}", given.origin);
        }
    }
    errors
}

/// Gives an environment variable's value; the process's own, but for tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The environment of this process.
pub fn process_environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Reads all sources again while the agent runs: what could make it wait is refused.
pub fn load_again(sources: &Sources, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    load_as(sources, environment, Opening::Running)
}

/// Reads all sources.
pub fn load(sources: &Sources, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    load_as(sources, environment, Opening::AtStart)
}

fn load_as(
    sources: &Sources,
    environment: Environment<'_>,
    opening: Opening,
) -> Result<Loaded, ConfigError> {
    let mut warnings: Vec<Warning> = sources
        .handed_warnings
        .iter()
        .cloned()
        .map(Warning::strict)
        .collect();
    let mut errors = Vec::new();
    let path = match &sources.line.config {
        Some(path) => Some(path.clone()),
        None => sources
            .persona
            .usual_files(environment)
            .into_iter()
            .find(|path| path.exists()),
    };
    let from_file = match &path {
        Some(path) => file::read(path, opening, &mut warnings).unwrap_or_else(|words| {
            errors.push(words);
            Vec::new()
        }),
        None => Vec::new(),
    };
    let mut settings = Settings {
        persona: sources.persona,
        ..Settings::default()
    };
    sources.persona.change_defaults(&mut settings);
    let mut given = Vec::new();
    // What other values may stand in for comes first.
    let (names, others): (Vec<_>, Vec<_>) = KEYS.iter().partition(|key| placeholder::is_name(key));
    for key in names.into_iter().chain(others) {
        let found = match from_line(&sources.line, key) {
            Some(found) => Some(found),
            None => match environment::find(key, environment, &mut warnings) {
                Ok(Some(found)) => Some(found),
                Ok(None) => from_file
                    .iter()
                    .find(|given| given.key.path == key.path)
                    .cloned(),
                Err(words) => {
                    errors.push(words);
                    None
                }
            },
        };
        let handed = sources
            .handed
            .iter()
            .find(|given| given.key.path == key.path)
            .cloned();
        let Some(mut found) = handed.or(found) else {
            continue;
        };
        if !key.secret {
            placeholder::fill(&mut found.text, &settings);
        }
        if let Err(words) = key.set(&mut settings, &found.text) {
            let words = if key.secret { "cannot be used" } else { &words };
            errors.push(found.complaint(words));
        }
        given.push(found);
    }
    credential::find(&mut settings, &given, environment, opening, &mut warnings)
        .unwrap_or_else(|words| errors.extend(words));
    sources.persona.fill_in(&mut settings);
    if errors.is_empty() {
        Ok(Loaded {
            settings,
            file: path,
            given,
            warnings,
        })
    } else {
        // Files of keys are named by their key.
        Err(ConfigError(placed(errors, &given)))
    }
}

fn from_line(line: &CommandLine, key: &Key) -> Option<Given> {
    let (key, text) = line
        .flags
        .iter()
        .rev()
        .find(|(flag, _)| flag.path == key.path)?;
    Some(Given {
        key,
        text: text.clone(),
        origin: Origin::Flag(key.flag),
    })
}

#[cfg(test)]
mod tests;
