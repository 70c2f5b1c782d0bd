//! What of a plugin's configuration is for the plugin alone: passwords, tokens, keys.
//!
//! Which options are such the manifest says (`secret: true`, `sensitive: true`, `format: password`),
//! or their name does. Of text that is shown, in the log, in the plugin's own, by the face or by
//! `mote plugin test`, their values are taken out, also where the plugin itself gives them back. What
//! the plugin is sent, and what the orchestrator is reported, stays as it is.

use crate::config::Secret;

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
pub struct Hidden(Vec<(String, String)>);

impl Hidden {
    /// Hides an option: `field` is its name and value as in JSON, the value beginning at byte `at`.
    pub(super) fn add(&mut self, field: &str, at: usize) {
        let (name, value) = field.split_at(at);
        let fingerprint = Secret::new(value.to_owned()).fingerprint();
        let fingerprint = str::from_utf8(&fingerprint).unwrap_or_default();
        let beside_name = [name, "\"(set, ", fingerprint, ")\""].concat();
        self.0.push((field.to_owned(), beside_name));
        let inside = value.strip_prefix('"').unwrap_or(value);
        self.add_text(inside.strip_suffix('"').unwrap_or(inside));
    }

    /// Hides a value wherever it stands.
    pub(super) fn add_text(&mut self, text: &str) {
        if text.len() >= SHORT_BYTES {
            self.0.push((text.to_owned(), "(secret)".to_owned()));
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
        hidden.add(r#""api_key":"can\"ary-1""#, 10);
        hidden.add_text("can\"ary-1");
        hidden.add(r#""pin_token":12"#, 12);
        hidden.add_text("12");
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
