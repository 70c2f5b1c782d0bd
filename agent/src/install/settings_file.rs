//! The configuration file that an installation writes: what was given, and nothing else.
//!
//! Defaults are left out, so that a later version's own apply. Keys are in the order of the
//! alphabet, sections in sections; every value is in double quotes (YAML 1.2, section 7.3.1), in
//! which all of them are text. A path that is seen from where the agent runs is written from the
//! root: the service runs elsewhere. Those of plugins, of the orchestrator's files and of the audit
//! log are seen from the base folder, and stay as they are: the service sees them from its own.

use std::fmt::Write;
use std::path::Path;

use crate::config::Given;

/// The keys whose relative paths are seen from where the agent runs.
const SEEN_FROM_HERE: [&str; 8] = [
    "agent.base_dir",
    "api_key_file",
    "disk",
    "logging.file",
    "metrics.textfile_dir",
    "tls.ca_file",
    "tls.cert_file",
    "tls.key_file",
];

/// The text, with relative paths taken from `folder`. `None` if nothing was given.
pub(super) fn text(given: &[Given], folder: &Path) -> Option<String> {
    let mut given: Vec<&Given> = given.iter().filter(|given| given.key.in_file).collect();
    if given.is_empty() {
        return None;
    }
    given.sort_by_key(|given| given.key.path);
    let mut text = String::from(
        "# Written when mote was installed; yours to change. mote check prints all keys and what is\n\
         # wrong. Then reload the service.\n",
    );
    let mut open: Vec<&str> = Vec::new();
    for given in given {
        let mut sections: Vec<&str> = given.key.path.split('.').collect();
        let name = sections.pop().unwrap_or_default();
        let same = sections
            .iter()
            .zip(&open)
            .take_while(|(one, other)| one == other)
            .count();
        for (depth, section) in sections.iter().enumerate().skip(same) {
            line(&mut text, depth, section, "");
        }
        let value = quoted(&from_root(given, folder));
        line(&mut text, sections.len(), name, &format!(" {value}"));
        open = sections;
    }
    Some(text)
}

fn line(text: &mut String, depth: usize, name: &str, rest: &str) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{:indent$}{name}:{rest}", "", indent = depth * 2);
}

fn from_root(given: &Given, folder: &Path) -> String {
    if SEEN_FROM_HERE.contains(&given.key.path) {
        folder.join(&given.text).display().to_string()
    } else {
        given.text.clone()
    }
}

fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(text, "\\U{:08x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Settings, keys, yaml};

    fn given(values: &[(&str, &str)]) -> Vec<Given> {
        let one = |&(path, text): &(&str, &str)| Given {
            key: keys::find(path).unwrap(),
            text: text.to_owned(),
            origin: Origin::Flag("x"),
        };
        values.iter().map(one).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let values = [
            ("agent.base_dir", "/data/mote"),
            ("api_key", "a\"b\\c: #\u{e4}\n'"),
            ("interfaces", "eth0,wlan0"),
            ("interval", "30s"),
            ("logging.level", "debug"),
            ("server_url", "https://hub.example.org:8443/x"),
            ("tls.ca_file", "/etc/ca.pem"),
            ("tls.min_version", "1.3"),
        ];
        let text = text(&given(&values), Path::new("/elsewhere")).unwrap();
        let read = yaml::read(&text).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|e| (e.path.as_str(), e.text.as_str()))
            .collect();
        assert_eq!(read, values, "{text}");
    }

    #[test]
    fn a_relative_path_is_written_from_the_root() {
        let text = text(&given(&[("tls.ca_file", "ca.pem")]), Path::new("/root/x")).unwrap();
        assert!(
            text.ends_with("tls:\n  ca_file: \"/root/x/ca.pem\"\n"),
            "{text}"
        );
    }

    #[test]
    fn every_path_is_written_so_that_the_service_finds_the_same() {
        for key in keys::KEYS.iter().filter(|key| key.in_file) {
            let mut settings = Settings::default();
            let is_path = key.set(&mut settings, "a\0b") == Err("has a NUL byte".into());
            let text = text(&given(&[(key.path, "x/y")]), Path::new("/here")).unwrap();
            let is_moved = text.ends_with(": \"/here/x/y\"\n");
            let is_in_base = ["api.", "plugins.", "security."]
                .iter()
                .any(|section| key.path.starts_with(section));
            assert_eq!(is_moved, is_path && !is_in_base, "{}: {text}", key.path);
        }
    }

    #[test]
    fn nothing_given_is_no_file_and_this_run_is_nobody_elses() {
        assert_eq!(text(&[], Path::new("/")), None);
        assert_eq!(text(&given(&[("proc", "/p")]), Path::new("/")), None);
    }
}
