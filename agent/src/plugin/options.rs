//! A plugin's options: what its manifest declares, what the operator set, and the JSON of both.
//!
//! The operator's file is `{plugins.config_dir}/{id}.yaml`, one line an option. An option that is
//! not declared is an error that offers no guess: a plugin would ignore it in silence. A value
//! stands as it was written, checked against type and bounds (`options/value.rs`); lists hold values
//! of one type. Options of type object are written as one line of JSON.

mod value;

use std::path::Path;

use super::error::PluginError;
use super::hidden::{Hidden, is_telling};
use super::quote::quote;
use super::text_file::read_text;
use crate::config::yaml;
use value::is_number;

/// Type of an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OptionKind {
    /// Text.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Truth,
    /// A list.
    Array,
    /// A JSON object.
    Object,
}

/// One declared option.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginOption {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: OptionKind,
    /// Type of the elements, if it is a list.
    pub items: OptionKind,
    /// Its value where the operator gives none.
    pub default: Option<Given>,
    /// The least number.
    pub minimum: Option<String>,
    /// The largest number.
    pub maximum: Option<String>,
    /// Its value is not to be shown.
    pub is_secret: bool,
    /// Where it is declared.
    pub line: usize,
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    text: String,
    items: Option<Vec<String>>,
}

/// Takes a line of the manifest's `configuration` section.
pub fn take(options: &mut Vec<PluginOption>, key: &str, entry: &yaml::Entry) -> Result<(), String> {
    let Some((name, field)) = key.split_once('.') else {
        // An option without anything about it is text.
        options.push(PluginOption {
            name: key.to_owned(),
            line: entry.line,
            ..PluginOption::default()
        });
        return Ok(());
    };
    let at = options.iter().position(|option| option.name == name);
    let at = at.unwrap_or_else(|| {
        options.push(PluginOption {
            name: name.to_owned(),
            line: entry.line,
            ..PluginOption::default()
        });
        options.len() - 1
    });
    let option = &mut options[at];
    let text = &entry.text;
    match field {
        "type" => option.kind = OptionKind::named(text)?,
        "items.type" | "items" => option.items = OptionKind::named(text)?,
        "minimum" | "maximum" if !is_number(text) => return Err(format!("{text:?} is no number")),
        "secret" | "sensitive" => option.is_secret |= text == "true",
        "format" => option.is_secret |= text == "password",
        "minimum" => option.minimum = Some(text.clone()),
        "maximum" => option.maximum = Some(text.clone()),
        // Nothing there is no default; for text it is the empty one.
        "default" => {
            option.default = Some(Given {
                text: text.clone(),
                items: entry.items.clone(),
            });
        }
        _ => {}
    }
    Ok(())
}

impl OptionKind {
    fn named(text: &str) -> Result<Self, String> {
        match text {
            "string" => Ok(Self::Text),
            "integer" | "int" => Ok(Self::Integer),
            "number" | "float" => Ok(Self::Number),
            "boolean" | "bool" => Ok(Self::Truth),
            "array" | "list" => Ok(Self::Array),
            "object" => Ok(Self::Object),
            _ => Err(format!(
                "{text:?} must be string, integer, number, boolean, array or object"
            )),
        }
    }
}

impl PluginOption {
    /// Whether its default is a value that it takes.
    pub fn check(&self) -> Result<(), String> {
        match &self.default {
            Some(given) if !self.is_nothing(given) => self
                .json(given, &mut Vec::new())
                .map_err(|words| format!("default: {words}")),
            _ => Ok(()),
        }
    }

    /// Takes its value out of what is shown, if it is one that is nobody's to read.
    fn hide(&self, given: &Given, field: &str, at: usize, hidden: &mut Hidden) {
        // Of an object the names of its members tell, and of nothing less than the whole.
        let is_object = self.kind == OptionKind::Object;
        if self.is_secret || is_telling(&self.name) || is_object && is_telling(&given.text) {
            hidden.add(field, at);
            hidden.add_text(&given.text);
            for item in given.items.iter().flatten() {
                hidden.add_text(item);
            }
        }
    }

    fn is_nothing(&self, given: &Given) -> bool {
        given.text.is_empty() && given.items.is_none() && self.kind != OptionKind::Text
    }
}

/// The configuration that a plugin is given: its options, as the operator set them in the file at
/// `path` or as they are by default. With it what of it is not to be shown.
pub fn configuration(
    options: &[PluginOption],
    path: &Path,
) -> Result<(String, Hidden), PluginError> {
    let mut hidden = Hidden::default();
    let text = read_text(path)?.unwrap_or_default();
    let wrong =
        |line: usize, words: &str| PluginError::File(format!("{}:{line}: {words}", path.display()));
    let entries = yaml::read(&text).map_err(|error| wrong(error.line, &error.words))?;
    for entry in &entries {
        if !options.iter().any(|option| option.name == entry.path) {
            let words = format!("{}: the plugin has no such option: remove it", entry.path);
            return Err(wrong(entry.line, &words));
        }
    }
    let mut out = vec![b'{'];
    for option in options {
        let entry = entries.iter().find(|entry| entry.path == option.name);
        let set = entry.map(|entry| Given {
            text: entry.text.clone(),
            items: entry.items.clone(),
        });
        let Some(given) = set.as_ref().or(option.default.as_ref()) else {
            continue;
        };
        if option.is_nothing(given) {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        let from = out.len();
        quote(&mut out, &option.name);
        out.push(b':');
        let at = out.len() - from;
        option.json(given, &mut out).map_err(|words| {
            let line = entry.map_or(option.line, |entry| entry.line);
            wrong(line, &format!("{}: {words}", option.name))
        })?;
        let field = str::from_utf8(&out[from..]).unwrap_or_default();
        option.hide(given, field, at, &mut hidden);
    }
    out.push(b'}');
    // Only text went into it.
    Ok((String::from_utf8(out).unwrap_or_default(), hidden))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, kind: OptionKind, default: Option<&str>) -> PluginOption {
        PluginOption {
            name: name.to_owned(),
            kind,
            default: default.map(|text| Given {
                text: text.to_owned(),
                items: None,
            }),
            ..PluginOption::default()
        }
    }

    fn given(text: &str) -> Result<String, String> {
        let path = std::env::temp_dir().join(format!(
            "mote-options-{}-{:?}",
            std::process::id(),
            text.len()
        ));
        std::fs::write(&path, text).unwrap();
        let options = [
            option("name", OptionKind::Text, Some("x")),
            option("count", OptionKind::Integer, None),
            PluginOption {
                minimum: Some("0.5".to_owned()),
                maximum: Some("100".to_owned()),
                ..option("share", OptionKind::Number, Some("80"))
            },
            option("on", OptionKind::Truth, None),
            PluginOption {
                items: OptionKind::Integer,
                ..option("list", OptionKind::Array, None)
            },
            option("map", OptionKind::Object, None),
        ];
        let result = configuration(&options, &path).map_err(|error| error.to_string());
        std::fs::remove_file(path).unwrap();
        result.map(|(json, _)| json)
    }

    #[test]
    fn defaults_are_given_where_nothing_is_set() {
        assert_eq!(given("").unwrap(), r#"{"name":"x","share":80}"#);
    }

    #[test]
    fn values_go_to_the_plugin_as_they_were_written() {
        let text = "name: \"a \\\"b\\\"\"\ncount: -5\nshare: 0.5\non: true\nlist: [1, 2]\n\
                    map: '{\"a\": [1]}'\n";
        let expected =
            r#"{"name":"a \"b\"","count":-5,"share":0.5,"on":true,"list":[1,2],"map":{"a": [1]}}"#;
        assert_eq!(given(text).unwrap(), expected);
        assert_eq!(
            given("list: []\n").unwrap(),
            r#"{"name":"x","share":80,"list":[]}"#
        );
    }

    #[test]
    fn what_is_secret_by_declaration_or_by_name_is_hidden() {
        let declared = |name: &str, field: &str, text: &str| {
            let mut options = Vec::new();
            let entry = yaml::Entry {
                text: text.to_owned(),
                ..yaml::read("x: 1\n").unwrap().remove(0)
            };
            take(&mut options, &format!("{name}.{field}"), &entry).unwrap();
            options.remove(0)
        };
        let with = |option: PluginOption, kind: OptionKind, default: &str| PluginOption {
            kind,
            default: Some(Given {
                text: default.to_owned(),
                items: None,
            }),
            ..option
        };
        let text = OptionKind::Text;
        let options = [
            with(declared("pin", "secret", "true"), text, "canary-a"),
            with(declared("phrase", "sensitive", "true"), text, "canary-b"),
            with(declared("login", "format", "password"), text, "canary-c"),
            option("smtp_password", text, Some("canary-d")),
            option("number_key", OptionKind::Integer, Some("77")),
            option("mail", OptionKind::Object, Some("{\"Token\":\"canary-e\"}")),
            with(declared("open", "secret", "false"), text, "seen"),
        ];
        let (json, hidden) = configuration(&options, Path::new("/nonexistent")).unwrap();
        let shown = hidden.mask(&json);
        assert!(json.contains("canary-e"));
        assert!(
            !shown.contains("canary") && !shown.contains(":77"),
            "{shown}"
        );
        assert!(shown.contains("\"open\":\"seen\""), "{shown}");
        assert_eq!(shown.matches("(set, ").count(), 6, "{shown}");
    }

    #[test]
    fn what_an_option_does_not_take_is_told_with_its_line() {
        for (text, words) in [
            (
                "\nshare: 101\n",
                ":2: share: 101 is above the maximum of 100",
            ),
            ("share: 0.4\n", "below the minimum of 0.5"),
            ("share: .nan\n", "is no number"),
            ("share: 1e999\n", "is no number"),
            ("share: 0x10\n", "is no number"),
            ("count: 1.5\n", "is no whole number"),
            ("count: [1]\n", "not a list"),
            ("list: 1\n", "takes a list"),
            ("list: [a]\n", "is no number"),
            ("on: yes\n", "must be true or false"),
            ("map: '[1]'\n", "must be a JSON object"),
            ("other: 1\n", "no such option"),
            ("name: *x\n", "not valid YAML"),
        ] {
            let error = given(text).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
