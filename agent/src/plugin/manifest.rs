//! `plugin.yaml`: what a plugin is, what it can be told, what it asks for.
//!
//! Memory is bytes, CPU thousandths of a core, times milliseconds. Keys that have no meaning here
//! (author, licence, tags) are passed over, as are sections that this agent does not know: a
//! manifest is written for more readers than one. What is there and wrong is an error with its
//! line. At most [`crate::config::yaml::FILE_BYTES`] are read.
//!
//! Output plugins are known to manifests, and no agent has ever run one: they are refused.

use std::path::Path;

use super::error::PluginError;
use super::options::{self, PluginOption};
use super::text_file::read_text;
use crate::config::{value, yaml};

/// The file's name.
pub const FILE: &str = "plugin.yaml";
const DAY_MS: u64 = 86_400_000;

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Looks, and reports events.
    Trigger,
    /// Does what it is asked to.
    Action,
}

impl Kind {
    /// As manifests call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Action => "action",
        }
    }
}

/// A manifest that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// `id`: 1 to 64 letters, digits, dots, dashes and underscores.
    pub id: String,
    /// `name`; the id if there is none.
    pub name: String,
    /// `version`.
    pub version: String,
    /// `type`.
    pub kind: Kind,
    /// `runtime.type`, if it is one that needs an interpreter.
    pub interpreter: Option<&'static str>,
    /// `runtime.entry_point`.
    pub entry_point: String,
    /// `runtime.requirements`: what must be installed on the device.
    pub requirements: Vec<String>,
    /// `configuration`.
    pub options: Vec<PluginOption>,
    /// `limits.memory`.
    pub memory_bytes: Option<u64>,
    /// `limits.cpu`.
    pub cpu_permille: Option<u64>,
    /// `limits.execution_time`.
    pub execution_ms: Option<u64>,
}

impl Manifest {
    /// Reads the one in `folder`; `None` if the plugin has none.
    pub fn load(folder: &Path) -> Result<Option<Self>, PluginError> {
        let path = folder.join(FILE);
        match read_text(&path)? {
            Some(text) => Self::parse(&path, &text).map(Some),
            None => Ok(None),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, PluginError> {
        let wrong = |line: usize, words: String| {
            PluginError::File(format!("{}:{line}: {words}", path.display()))
        };
        let entries = yaml::read(text).map_err(|error| wrong(error.line, error.words))?;
        let mut found = Found::default();
        for entry in &entries {
            let Some(key) = entry.path.strip_prefix("plugin.") else {
                continue;
            };
            found
                .take(key, entry)
                .map_err(|words| wrong(entry.line, format!("{key}: {words}")))?;
        }
        let missing = |key: &str| wrong(1, format!("plugin.{key} is missing: add it"));
        let id = found.id.ok_or_else(|| missing("id"))?;
        for option in &found.options {
            option.check().map_err(|words| {
                wrong(
                    option.line,
                    format!("configuration.{}: {words}", option.name),
                )
            })?;
        }
        Ok(Self {
            name: found.name.unwrap_or_else(|| id.clone()),
            id,
            version: found.version.unwrap_or_default(),
            kind: found.kind.ok_or_else(|| missing("type"))?,
            interpreter: found.interpreter,
            entry_point: found
                .entry_point
                .ok_or_else(|| missing("runtime.entry_point"))?,
            requirements: found.requirements,
            options: found.options,
            memory_bytes: found.memory_bytes,
            cpu_permille: found.cpu_permille,
            execution_ms: found.execution_ms,
        })
    }
}

/// What was read so far.
#[derive(Default)]
struct Found {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
    kind: Option<Kind>,
    interpreter: Option<&'static str>,
    entry_point: Option<String>,
    requirements: Vec<String>,
    options: Vec<PluginOption>,
    memory_bytes: Option<u64>,
    cpu_permille: Option<u64>,
    execution_ms: Option<u64>,
}

impl Found {
    fn take(&mut self, key: &str, entry: &yaml::Entry) -> Result<(), String> {
        let text = entry.text.as_str();
        if let Some(key) = key.strip_prefix("configuration.") {
            return options::take(&mut self.options, key, entry);
        }
        match key {
            "id" => self.id = Some(id(text)?),
            "name" => self.name = Some(text.to_owned()),
            "version" => self.version = Some(text.to_owned()),
            "type" => self.kind = Some(kind(text)?),
            "runtime.type" => self.interpreter = runtime(text)?,
            "runtime.entry_point" => self.entry_point = Some(value::words(text)?),
            "runtime.requirements" => {
                self.requirements = entry.items.clone().unwrap_or_default();
            }
            "limits.memory" => {
                self.memory_bytes = Some(value::bytes(text, (1 << 20, 1 << 40), false)?);
            }
            "limits.cpu" => self.cpu_permille = Some(value::permille(text, (1, 1_024_000))?),
            "limits.execution_time" => {
                self.execution_ms = Some(value::duration_ms(text, (100, DAY_MS))?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether this can be the id of a plugin: a part of paths, so no character in it means anything.
pub fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(is_plain)
}

fn id(text: &str) -> Result<String, String> {
    if is_id(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} must be 1 to 64 letters, digits, dots, dashes and underscores, and begin \
             with no dot"
        ))
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    match text {
        "trigger" => Ok(Kind::Trigger),
        "action" => Ok(Kind::Action),
        "output" => Err("output plugins are not supported: remove it".to_owned()),
        _ => Err(format!("{text:?} must be trigger or action")),
    }
}

fn runtime(text: &str) -> Result<Option<&'static str>, String> {
    match text {
        "python" | "python3" => Ok(Some("python3")),
        "node" | "nodejs" => Ok(Some("node")),
        "shell" | "sh" => Ok(Some("sh")),
        "executable" | "binary" | "" => Ok(None),
        _ => Err(format!(
            "{text:?} must be python, node, shell or executable"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::OptionKind;
    use super::*;

    const WHOLE: &str = r#"
plugin:
  id: cpu-monitor
  name: "CPU Monitor"
  version: "1.0.0"
  author: somebody
  type: trigger
  runtime:
    type: python
    version: ">=3.8"
    entry_point: main.py
    requirements:
      - "psutil>=5.9,<7"
  configuration:
    threshold:
      type: number
      description: "percent, of all cores"
      default: 80
      minimum: 1
      maximum: 100
    cores:
      type: array
      items:
        type: integer
      default: [0, 1]
  limits:
    memory: "64MB"
    cpu: "0.1"
    execution_time: "60s"
  permissions:
    network: false
    filesystem:
      read: [/proc]
  tags: [cpu]
"#;

    #[test]
    fn a_published_form_is_read_whole() {
        let manifest = Manifest::parse(Path::new("plugin.yaml"), WHOLE).unwrap();
        assert_eq!(manifest.id, "cpu-monitor");
        assert_eq!(manifest.name, "CPU Monitor");
        assert_eq!(manifest.kind, Kind::Trigger);
        assert_eq!(manifest.interpreter, Some("python3"));
        assert_eq!(manifest.entry_point, "main.py");
        assert_eq!(manifest.requirements, ["psutil>=5.9,<7"]);
        assert_eq!(manifest.memory_bytes, Some(64_000_000));
        assert_eq!(manifest.cpu_permille, Some(100));
        assert_eq!(manifest.execution_ms, Some(60_000));
        let names: Vec<_> = manifest
            .options
            .iter()
            .map(|option| option.name.as_str())
            .collect();
        assert_eq!(names, ["threshold", "cores"]);
        assert_eq!(manifest.options[1].kind, OptionKind::Array);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_remedy() {
        for (from, to, words) in [
            (
                "type: trigger",
                "type: output",
                "7: type: output plugins are not supported",
            ),
            ("id: cpu-monitor", "id: ../x", "3: id: \"../x\" must be"),
            ("  id: cpu-monitor\n", "", "1: plugin.id is missing"),
            ("\"64MB\"", "64", "limits.memory: \"64\" is not a size"),
            ("\"60s\"", "60", "has no unit: write 60s"),
            ("type: python", "type: ruby", "must be python, node"),
            (
                "    entry_point: main.py\n",
                "",
                "plugin.runtime.entry_point is missing",
            ),
            (
                "default: 80",
                "default: 800",
                "configuration.threshold: default: 800 is above",
            ),
            ("type: number", "type: colour", "must be string, integer"),
            ("version: \"1.0.0\"", "version: *x", "not valid YAML"),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            assert_ne!(text, WHOLE, "{from}");
            let error = Manifest::parse(Path::new("p.yaml"), &text).unwrap_err();
            let error = error.to_string();
            assert!(
                error.starts_with("p.yaml:") && error.contains(words),
                "{error}"
            );
        }
    }

    #[test]
    fn an_id_is_no_path() {
        for id in [
            "",
            ".",
            "..",
            "a/b",
            "../x",
            "a b",
            "ä",
            ".hidden",
            &"a".repeat(65),
        ] {
            assert!(!is_id(id), "{id:?}");
        }
        for id in ["a", "e56434ca-9756-446e-92cd-f7545cb5b7b2", "disk.check_1"] {
            assert!(is_id(id), "{id:?}");
        }
    }
}
