//! Reads a configuration file into entries: path, text of the value, line.
//!
//! The events of a YAML 1.2 parser are enough for that, so no document is ever built in memory.
//! What a configuration has no use for and an attacker has, is refused: aliases, deep nesting,
//! more than [`FILE_BYTES`], thousands of values, long keys, a key given twice.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Largest file that is read.
pub const FILE_BYTES: usize = 256 * 1024;
/// Values of a file, items of lists among them. Each key is compared with those before it, and each
/// takes memory many times its length.
const MAX_VALUES: usize = 2_048;
/// Longest key. A section's stands in the path of each value in it.
const KEY_BYTES: usize = 128;
/// Sections in sections.
const MAX_DEPTH: usize = 8;

/// One value of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Keys from the outermost section in, joined by dots.
    pub path: String,
    /// The value; the items of a list with commas between them.
    pub text: String,
    /// The items of a list, one by one; none for what is no list.
    pub items: Option<Vec<String>>,
    /// Where its key stands, counted from 1.
    pub line: usize,
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct YamlError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what would be right.
    pub words: String,
}

/// Reads the text of a file.
pub fn read(text: &str) -> Result<Vec<Entry>, YamlError> {
    if text.len() > FILE_BYTES {
        let words = format!("the file is larger than {} KiB", FILE_BYTES / 1024);
        return Err(YamlError { line: 1, words });
    }
    if text.starts_with('\u{feff}') {
        let words = "begins with a byte order mark: save it without one".into();
        return Err(YamlError { line: 1, words });
    }
    let mut reader = Reader {
        entries: Vec::new(),
        levels: Vec::new(),
        documents: 0,
        values: 0,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => reader.take(&event, span)?,
            Err(error) => {
                let words = format!("not valid YAML: {}", error.info());
                return Err(YamlError {
                    line: error.marker().line(),
                    words,
                });
            }
        }
    }
    Ok(reader.entries)
}

struct Reader {
    entries: Vec<Entry>,
    levels: Vec<Level>,
    documents: usize,
    /// Values so far.
    values: usize,
}

/// A section or a list that is open.
struct Level {
    /// Path of the section, or of the list.
    path: String,
    /// In a section: the key whose value comes next, and its line.
    key: Option<(String, usize)>,
    is_list: bool,
    items: Vec<String>,
}

impl Reader {
    fn take(&mut self, event: &Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = span.start.line();
        let wrong = |words: &str| {
            Err(YamlError {
                line,
                words: words.into(),
            })
        };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return wrong("a second document begins here: a configuration is one document");
                }
            }
            Event::Alias(_) => {
                return wrong("aliases (*name) are not allowed: write the value out");
            }
            Event::MappingStart(..) => return self.open(false, line),
            Event::SequenceStart(..) => return self.open(true, line),
            Event::MappingEnd => {
                self.levels.pop();
            }
            Event::SequenceEnd => {
                if let Some(list) = self.levels.pop() {
                    let line = self.finish_key().unwrap_or(line);
                    return self.add(list.path, list.items.join(","), Some(list.items), line);
                }
            }
            Event::Scalar(text, style, ..) => {
                let plain = *style == ScalarStyle::Plain;
                let is_null = plain && ["~", "null", "Null", "NULL"].contains(&&**text);
                return self.scalar(if is_null { "" } else { text }, line);
            }
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, is_list: bool, line: usize) -> Result<(), YamlError> {
        let wrong = |words: &str| {
            Err(YamlError {
                line,
                words: words.into(),
            })
        };
        if self.levels.len() >= MAX_DEPTH {
            return wrong("sections are nested too deep");
        }
        let path = match self.levels.last_mut() {
            None if is_list => {
                return wrong(
                    "a configuration is made of lines like \"key: value\", not of a list",
                );
            }
            None => String::new(),
            Some(level) if level.is_list => {
                return wrong("a list may hold plain values only");
            }
            Some(level) => {
                let Some((key, _)) = &level.key else {
                    return wrong("a key must be a plain word");
                };
                let path = join(&level.path, key);
                if !is_list {
                    level.key = None;
                }
                path
            }
        };
        self.levels.push(Level {
            path,
            key: None,
            is_list,
            items: Vec::new(),
        });
        Ok(())
    }

    fn scalar(&mut self, text: &str, line: usize) -> Result<(), YamlError> {
        let Some(level) = self.levels.last_mut() else {
            // An empty file is one empty value.
            return if text.is_empty() {
                Ok(())
            } else {
                let words = "a configuration is made of lines like \"key: value\"".into();
                Err(YamlError { line, words })
            };
        };
        if level.is_list {
            level.items.push(text.to_owned());
            return self.count(line);
        }
        match level.key.take() {
            None if text.len() > KEY_BYTES => {
                let words = format!("a key is longer than {KEY_BYTES} bytes");
                Err(YamlError { line, words })
            }
            None => {
                level.key = Some((text.to_owned(), line));
                Ok(())
            }
            Some((key, line)) => {
                let path = join(&level.path, &key);
                self.add(path, text.to_owned(), None, line)
            }
        }
    }

    /// Forgets the key whose value just ended; returns its line.
    fn finish_key(&mut self) -> Option<usize> {
        self.levels.last_mut()?.key.take().map(|(_, line)| line)
    }

    fn count(&mut self, line: usize) -> Result<(), YamlError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            let words = format!("there are more than {MAX_VALUES} values: remove some");
            return Err(YamlError { line, words });
        }
        Ok(())
    }

    fn add(
        &mut self,
        path: String,
        text: String,
        items: Option<Vec<String>>,
        line: usize,
    ) -> Result<(), YamlError> {
        if let Some(first) = self.entries.iter().find(|entry| entry.path == path) {
            let words = format!(
                "{path} was given in line {} already: remove one",
                first.line
            );
            return Err(YamlError { line, words });
        }
        self.count(line)?;
        self.entries.push(Entry {
            path,
            text,
            items,
            line,
        });
        Ok(())
    }
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() {
        key.to_owned()
    } else {
        format!("{section}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let entries = read(text).unwrap();
        let found: Vec<_> = entries
            .iter()
            .map(|e| (e.path.as_str(), e.text.as_str(), e.line))
            .collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn refuse(text: &str, line: usize, words: &str) {
        let error = read(text).unwrap_err();
        assert!(error.words.contains(words), "{error:?}");
        assert_eq!(error.line, line, "{error:?}");
    }

    #[test]
    fn flat_keys_and_sections_come_with_their_lines() {
        check(
            "# a router\nserver_url: \"https://hub\"\n\ninterval: 10s\ntls:\n  ca_file: /etc/ca.pem\n\
             buffer: {samples: 5}\n",
            &[
                ("server_url", "https://hub", 2),
                ("interval", "10s", 4),
                ("tls.ca_file", "/etc/ca.pem", 6),
                ("buffer.samples", "5", 7),
            ],
        );
    }

    #[test]
    fn lists_are_joined() {
        check(
            "interfaces: [eth0, wlan0]\nb: 1\n",
            &[("interfaces", "eth0,wlan0", 1), ("b", "1", 2)],
        );
        check(
            "a:\n  interfaces:\n    - eth0\n    - eth1\n",
            &[("a.interfaces", "eth0,eth1", 2)],
        );
    }

    #[test]
    fn an_empty_file_has_no_entries() {
        check("", &[]);
        check("# nothing\n", &[]);
        check("---\n", &[]);
    }

    #[test]
    fn what_cannot_be_a_configuration_is_refused_with_its_line() {
        refuse("- a\n- b\n", 1, "not of a list");
        refuse("just words\n", 1, "key: value");
        refuse("a: 1\nb: 2\na: 3\n", 3, "line 1 already");
        refuse("a: &x 1\nb: *x\n", 2, "aliases");
        refuse("a: [[1]]\n", 1, "plain values");
        refuse("a: 1\n---\nb: 2\n", 2, "second document");
        refuse("a: \"open\nb: 2\n", 1, "not valid YAML");
        refuse("a:\n\tb: 1\n", 2, "not valid YAML");
        refuse(&format!("{}1", "a: {".repeat(9)), 1, "nested too deep");
        refuse(&"a".repeat(FILE_BYTES + 1), 1, "larger than");
    }

    #[test]
    fn a_file_of_more_values_or_longer_keys_than_any_configuration_has_is_refused() {
        let keys = |count: usize| (0..count).map(|number| format!("k{number}:\n"));
        let most: String = keys(MAX_VALUES).collect();
        assert_eq!(read(&most).unwrap().len(), MAX_VALUES);
        let more: String = keys(MAX_VALUES + 1).collect();
        refuse(&more, MAX_VALUES + 1, "more than 2048 values");
        let list = format!("a: 1\nb: [{}]\n", "x,".repeat(MAX_VALUES));
        refuse(&list, 2, "more than 2048 values");
        // Each value in it would take the room of the section's name.
        let section = format!("? {}\n: {{a: 1, b: 2}}\n", "s".repeat(60_000));
        refuse(&section, 1, "a key is longer");
    }
}
