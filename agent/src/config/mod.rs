//! Flags, environment, file and defaults become one checked value, in that order of strength.
//!
//! A value that cannot be read is an error with the place it came from, the key and the remedy;
//! it never falls back to a weaker source. An unknown key is a warning that offers the nearest.

pub mod keys;
pub mod server_url;
pub mod settings;
pub mod value;
pub mod yaml;

use std::ffi::OsString;
use std::fmt;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub use settings::{Secret, Settings};

use self::keys::{KEYS, Key};

/// Longest key file that is read; a key is a line.
const KEY_FILE_BYTES: u64 = 16 * 1024;

/// Prefixes of environment variables. The second is that of the agent whose keys are flat.
const PREFIXES: [&str; 2] = ["MOTE_", "LUNASENTRI_"];

/// What the command line says.
#[derive(Debug, Default)]
pub struct CommandLine {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Every other flag: the key and the text given.
    pub flags: Vec<(&'static Key, String)>,
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// A configuration, and what a person should be told of it.
#[derive(Debug)]
pub struct Loaded {
    /// The values.
    pub settings: Settings,
    /// The file they came from, if any.
    pub file: Option<PathBuf>,
    /// One line each.
    pub warnings: Vec<String>,
}

/// Where an environment variable's value comes from; the process's own, but for tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Reads all sources.
pub fn load(line: &CommandLine, environment: Environment<'_>) -> Result<Loaded, ConfigError> {
    let mut warnings = Vec::new();
    let file = match &line.config {
        Some(path) => Some(path.clone()),
        None => usual_files(environment)
            .into_iter()
            .find(|path| path.exists()),
    };
    let entries = match &file {
        Some(path) => read_file(path, &mut warnings)?,
        None => Vec::new(),
    };
    let mut settings = Settings::default();
    for key in KEYS {
        let flag = line
            .flags
            .iter()
            .rev()
            .find(|(flag, _)| flag.path == key.path);
        let given = match flag {
            Some((_, text)) => Some((text.clone(), format!("--{}", key.flag))),
            None => match from_environment(key, environment, &mut warnings)? {
                Some((text, name)) => Some((text, format!("{name} in the environment"))),
                None => entries
                    .iter()
                    .find(|entry| entry.path == key.path)
                    .map(|entry| {
                        let place = file.as_deref().unwrap_or(Path::new("")).display();
                        (
                            entry.text.clone(),
                            format!("{place}:{}: {}", entry.line, key.path),
                        )
                    }),
            },
        };
        if let Some((text, place)) = given {
            (key.set)(&mut settings, &text).map_err(|words| {
                let words = if key.secret { "cannot be used" } else { &words };
                ConfigError(format!("{place}: {words}"))
            })?;
        }
    }
    read_key_file(&mut settings)?;
    Ok(Loaded {
        settings,
        file,
        warnings,
    })
}

fn usual_files(environment: Environment<'_>) -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/mote/mote.yaml")];
    let home = environment("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| environment("HOME").map(|home| PathBuf::from(home).join(".config")));
    files.extend(home.map(|home| home.join("mote/mote.yaml")));
    files
}

fn read_file(path: &Path, warnings: &mut Vec<String>) -> Result<Vec<yaml::Entry>, ConfigError> {
    let place = path.display();
    let unreadable = |error: std::io::Error| {
        ConfigError(format!(
            "{place}: {error}: give the right path with --config"
        ))
    };
    let handle = std::fs::File::open(path).map_err(unreadable)?;
    let mode = handle.metadata().map_err(unreadable)?.permissions().mode();
    let mut text = Vec::new();
    handle
        .take(yaml::FILE_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        ConfigError(format!("{place}:{line}: not UTF-8 text: save it as UTF-8"))
    })?;
    let entries = yaml::read(&text)
        .map_err(|error| ConfigError(format!("{place}:{}: {}", error.line, error.words)))?;
    for entry in &entries {
        match keys::find(&entry.path) {
            Some(key) if key.in_file => {
                if key.secret && mode & 0o044 != 0 {
                    warnings.push(format!(
                        "{place}: others can read this file, and {} is in it: chmod 600 {place}",
                        key.path
                    ));
                }
            }
            _ => {
                let hint = match keys::nearest(&entry.path) {
                    Some(near) => format!(": did you mean {near}?"),
                    None => ": mote has no such key".into(),
                };
                warnings.push(format!(
                    "{place}:{}: unknown key {}{hint}",
                    entry.line, entry.path
                ));
            }
        }
    }
    Ok(entries)
}

/// The value that the environment gives, and the variable's name.
fn from_environment(
    key: &Key,
    environment: Environment<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<(String, String)>, ConfigError> {
    let suffix = key.path.replace('.', "_").to_ascii_uppercase();
    let names = PREFIXES
        .iter()
        .map(|prefix| format!("{prefix}{suffix}"))
        .chain(key.also_env.iter().map(|name| (*name).to_owned()));
    let mut given: Option<(String, String)> = None;
    for name in names {
        let Some(value) = environment(&name) else {
            continue;
        };
        let value = value
            .into_string()
            .map_err(|_| ConfigError(format!("{name} in the environment: not UTF-8 text")))?;
        match &given {
            None => given = Some((value, name)),
            Some((first, winner)) if *first != value => warnings.push(format!(
                "{winner} and {name} in the environment disagree: {winner} is used"
            )),
            Some(_) => {}
        }
    }
    Ok(given)
}

/// The key itself wins over the file that holds it: whoever gives both means the nearer one.
fn read_key_file(settings: &mut Settings) -> Result<(), ConfigError> {
    let (None, Some(path)) = (&settings.api_key, &settings.api_key_file) else {
        return Ok(());
    };
    settings.api_key = Some(key_from_file(path)?);
    Ok(())
}

/// Reads a key from the file that holds it and nothing else.
pub fn key_from_file(path: &Path) -> Result<Secret, ConfigError> {
    let place = path.display();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES).read_to_string(&mut text))
        .map_err(|error| ConfigError(format!("api_key_file {place}: {error}")))?;
    let key = text.trim();
    if key.is_empty() {
        return Err(ConfigError(format!(
            "api_key_file {place}: the file is empty"
        )));
    }
    Ok(Secret::new(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (PathBuf, CommandLine) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mote-config-{}-{number}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let line = CommandLine {
            config: Some(path.clone()),
            flags: Vec::new(),
        };
        (path, line)
    }

    fn nothing(_: &str) -> Option<OsString> {
        None
    }

    #[test]
    fn flag_wins_over_environment_over_file_over_default() {
        let (path, mut line) = file("interval: 20s\nmax_retries: 7\ntimeout: 9s\n");
        line.flags
            .push((keys::find("interval").unwrap(), "40s".into()));
        let environment = |name: &str| match name {
            "MOTE_INTERVAL" => Some("30s".into()),
            "LUNASENTRI_TIMEOUT" => Some("8s".into()),
            _ => None,
        };
        let settings = load(&line, &environment).unwrap().settings;
        assert_eq!(settings.interval_ms, 40_000);
        assert_eq!(settings.timeout_ms, 8_000);
        assert_eq!(settings.max_retries, 7);
        assert_eq!(settings.connect_timeout_ms, 5_000);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_wrong_value_is_an_error_with_place_key_and_remedy() {
        let (path, line) = file("server_url: https://hub\ninterval: 10\n");
        let words = load(&line, &nothing).unwrap_err().to_string();
        let expected = format!(
            "{}:2: interval: \"10\" has no unit: write 10s",
            path.display()
        );
        assert!(words.starts_with(&expected), "{words}");
        std::fs::remove_file(path).unwrap();

        let line = CommandLine::default();
        let environment = |name: &str| (name == "MOTE_MAX_RETRIES").then(|| "many".into());
        let words = load(&line, &environment).unwrap_err().to_string();
        assert!(
            words.starts_with("MOTE_MAX_RETRIES in the environment: \"many\""),
            "{words}"
        );
    }

    #[test]
    fn an_unknown_key_is_a_warning_that_offers_the_nearest() {
        let (path, line) = file("sever_url: x\nproc: /p\n");
        let warnings = load(&line, &nothing).unwrap().warnings;
        assert!(warnings[0].contains(":1: unknown key sever_url: did you mean server_url?"));
        assert!(warnings[1].contains(":2: unknown key proc"), "{warnings:?}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_with_a_key_that_others_can_read_is_warned_of() {
        let (path, line) = file("api_key: s3cret\n");
        assert!(load(&line, &nothing).unwrap().warnings.is_empty());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let warnings = load(&line, &nothing).unwrap().warnings;
        assert!(warnings[0].contains("chmod 600"), "{warnings:?}");
        assert!(!warnings[0].contains("s3cret"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn two_variables_that_disagree_are_warned_of() {
        let environment = |name: &str| match name {
            "MOTE_INTERVAL" => Some("30s".into()),
            "LUNASENTRI_INTERVAL" => Some("31s".into()),
            _ => None,
        };
        let loaded = load(&CommandLine::default(), &environment).unwrap();
        assert_eq!(loaded.settings.interval_ms, 30_000);
        assert!(loaded.warnings[0].contains("disagree: MOTE_INTERVAL is used"));
    }

    #[test]
    fn a_file_that_is_not_there_or_not_text_says_so() {
        let line = CommandLine {
            config: Some("/nowhere/mote.yaml".into()),
            flags: Vec::new(),
        };
        let words = load(&line, &nothing).unwrap_err().to_string();
        assert!(words.contains("--config"), "{words}");

        let (path, line) = file("");
        std::fs::write(&path, b"a: 1\nb: \xff\n").unwrap();
        let words = load(&line, &nothing).unwrap_err().to_string();
        assert!(words.contains(":2: not UTF-8"), "{words}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_key_comes_from_its_file_without_its_line_feed() {
        let (path, _) = file("s3cret\n");
        let (config, line) = file(&format!("api_key_file: {}\n", path.display()));
        let settings = load(&line, &nothing).unwrap().settings;
        assert_eq!(settings.api_key.unwrap().expose(), "s3cret");
        std::fs::remove_file(path).unwrap();
        let words = load(&line, &nothing).unwrap_err().to_string();
        assert!(words.contains("api_key_file"), "{words}");
        std::fs::remove_file(config).unwrap();
    }
}
