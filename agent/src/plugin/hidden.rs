//! What of a plugin's configuration is for the plugin alone: passwords, tokens, keys.
//!
//! Which options are such the manifest says (`secret: true`, `sensitive: true`, `format: password`),
//! or their name does. Of text that is shown, in the log, by the face or by `mote plugin test`, their
//! values are taken out, also where the plugin itself gives them back. What the plugin is sent, and
//! what the orchestrator is reported, stays as it is.

use crate::config::Secret;

use super::quote::quote;

/// Parts of names that tell what is behind them.
const TELLING: [&str; 6] = [
    "passw",
    "passphrase",
    "secret",
    "token",
    "key",
    "credential",
];
/// A value that is shorter stands in too many words by chance; beside its name it is hidden still.
const SHORT_BYTES: usize = 4;

/// The values that are not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hidden(Vec<(String, String)>);

impl Hidden {
    /// Hides the option `name`, whose JSON is `value` and was made of `texts`.
    pub(super) fn add(&mut self, name: &str, value: &str, texts: &[&str]) {
        let mut field = Vec::new();
        quote(&mut field, name);
        field.push(b':');
        let name = String::from_utf8(field).unwrap_or_default();
        let fingerprint = Secret::new(texts.concat()).fingerprint();
        let fingerprint = str::from_utf8(&fingerprint).unwrap_or_default();
        let mask = ["(set, ", fingerprint, ")"].concat();
        self.0
            .push(([&name, value].concat(), [&name, "\"", &mask, "\""].concat()));
        for text in texts.iter().filter(|text| text.len() >= SHORT_BYTES) {
            let mut quoted = Vec::new();
            quote(&mut quoted, text);
            let quoted = String::from_utf8(quoted).unwrap_or_default();
            // As it is in JSON, which is often the same as the text itself.
            let inside = quoted.get(1..quoted.len() - 1).unwrap_or_default();
            self.0.push((inside.to_owned(), mask.clone()));
            self.0.push(((*text).to_owned(), mask.clone()));
        }
    }

    /// `text` without them.
    pub(super) fn mask(&self, text: &str) -> String {
        let mut shown = text.to_owned();
        for (value, mask) in &self.0 {
            if shown.contains(value.as_str()) {
                shown = shown.replace(value.as_str(), mask);
            }
        }
        shown
    }
}

/// Whether an option of this name, or a member of an object, is not to be shown.
pub(super) fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    TELLING.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_hidden_beside_its_name_and_wherever_it_comes_back() {
        let mut hidden = Hidden::default();
        hidden.add("api_key", "\"can\\\"ary-1\"", &["can\"ary-1"]);
        hidden.add("pin_token", "12", &["12"]);
        let line = r#"{"config":{"api_key":"can\"ary-1","pin_token":12,"port":12}} can"ary-1"#;
        let shown = hidden.mask(line);
        assert!(!shown.contains("ary-1"), "{shown}");
        assert!(shown.contains(r#""api_key":"(set, "#), "{shown}");
        assert!(shown.contains(r#""pin_token":"(set, "#), "{shown}");
        assert!(shown.contains(r#""port":12"#), "{shown}");
        assert_eq!(Hidden::default().mask("as it is"), "as it is");
    }

    #[test]
    fn names_tell() {
        for name in [
            "password",
            "SMTP_PASSWD",
            "apiKey",
            "db-credentials",
            "Token",
        ] {
            assert!(is_telling(name), "{name}");
        }
        for name in ["threshold", "path", "user", "interval"] {
            assert!(!is_telling(name), "{name}");
        }
    }
}
