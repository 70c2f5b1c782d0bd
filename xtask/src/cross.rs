//! The files of `cross/`: one target each, with what it takes to build for it.
//!
//! A file is lines of `key = "value"`, blank lines and `#` comments; that is a part of TOML, so
//! editors know it. Keys: `triple` (as in the file's name) and `cc` (the C compiler) must be
//! there, `linker` and `runner` (what starts the target's binaries on this machine) may be.
//! No escapes, no tables, no unknown or repeated keys: each is refused with file and line.

use std::fs;

use crate::failure::Failure;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cross {
    pub(crate) triple: String,
    pub(crate) cc: String,
    pub(crate) linker: Option<String>,
    pub(crate) runner: Option<String>,
}

impl Cross {
    /// Reads `cross/TRIPLE.toml`. The project's folder is the current one.
    pub(crate) fn load(triple: &str) -> Result<Self, Failure> {
        let known = known_triples()?;
        if !known.iter().any(|name| name == triple) {
            let known = known.join(", ");
            return Err(Failure::Usage(format!(
                "no file cross/{triple}.toml; there are files for: {known}"
            )));
        }
        let path = format!("cross/{triple}.toml");
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::Failed(format!("cannot read {path}: {error}")))?;
        Self::parse(triple, &text)
            .map_err(|(line, what)| Failure::Failed(format!("{path}:{line}: {what}")))
    }

    /// The variables that tell cargo and the `cc` crate about this target.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let lower = self.triple.replace(['-', '.'], "_");
        let upper = lower.to_uppercase();
        let mut variables = vec![(format!("CC_{lower}"), self.cc.clone())];
        for (what, value) in [("LINKER", &self.linker), ("RUNNER", &self.runner)] {
            if let Some(value) = value {
                variables.push((format!("CARGO_TARGET_{upper}_{what}"), value.clone()));
            }
        }
        variables
    }

    /// An error is the line it is in (from 1) and what is wrong there.
    fn parse(expected_triple: &str, text: &str) -> Result<Self, (usize, String)> {
        let (mut triple, mut cc, mut linker, mut runner) = (None, None, None, None);
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let Some((key, value)) = pair(line).map_err(|what| (number, what))? else {
                continue;
            };
            let place = match key {
                "triple" if value != expected_triple => {
                    return Err((
                        number,
                        format!("triple must be \"{expected_triple}\", as the file is named"),
                    ));
                }
                "triple" => &mut triple,
                "cc" => &mut cc,
                "linker" => &mut linker,
                "runner" => &mut runner,
                other => {
                    return Err((
                        number,
                        format!("unknown key `{other}`; known are triple, cc, linker, runner"),
                    ));
                }
            };
            if place.replace(value.to_owned()).is_some() {
                return Err((number, format!("the key `{key}` is there twice")));
            }
        }
        let end = text.lines().count().max(1);
        let missing = |key: &str| (end, format!("the key `{key}` is missing"));
        Ok(Self {
            triple: triple.ok_or_else(|| missing("triple"))?,
            cc: cc.ok_or_else(|| missing("cc"))?,
            linker,
            runner,
        })
    }
}

fn known_triples() -> Result<Vec<String>, Failure> {
    let folder = fs::read_dir("cross")
        .map_err(|error| Failure::Failed(format!("cannot read the folder cross: {error}")))?;
    let mut names: Vec<String> = folder
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Key and value of a line; `None` for a blank or a comment.
fn pair(line: &str) -> Result<Option<(&str, &str)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, rest) = line.split_once('=').ok_or("expected key = \"value\"")?;
    let rest = rest
        .trim_start()
        .strip_prefix('"')
        .ok_or("the value must be in double quotes")?;
    let (value, after) = rest.split_once('"').ok_or("the closing quote is missing")?;
    if value.is_empty() || value.contains('\\') {
        return Err("the value must be neither empty nor have a backslash".to_owned());
    }
    let after = after.trim_start();
    if !after.is_empty() && !after.starts_with('#') {
        return Err(format!(
            "nothing but a comment may follow the value, not `{after}`"
        ));
    }
    Ok(Some((key.trim_end(), value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, line: usize, words: &str) {
        let (found_line, what) = Cross::parse("a-b", text).unwrap_err();
        assert_eq!(found_line, line, "{what}");
        assert!(what.contains(words), "{what}");
    }

    #[test]
    fn every_key_is_read_and_reaches_the_environment() {
        let text =
            "# a board\n\ntriple = \"a-b1.2\"\ncc=\"x y\" # why\nlinker = \"l\"\nrunner = \"r\"\n";
        let cross = Cross::parse("a-b1.2", text).unwrap();
        let expected = [
            ("CC_a_b1_2", "x y"),
            ("CARGO_TARGET_A_B1_2_LINKER", "l"),
            ("CARGO_TARGET_A_B1_2_RUNNER", "r"),
        ];
        assert_eq!(
            cross.environment(),
            expected.map(|(name, value)| (name.into(), value.into()))
        );
    }

    #[test]
    fn linker_and_runner_may_be_left_out() {
        let cross = Cross::parse("a-b", "triple = \"a-b\"\ncc = \"cc\"").unwrap();
        assert_eq!(
            cross.environment(),
            [("CC_a_b".to_owned(), "cc".to_owned())]
        );
    }

    #[test]
    fn a_damaged_file_is_refused_at_its_line() {
        refused("", 1, "`triple` is missing");
        refused("triple = \"a-b\"\n", 1, "`cc` is missing");
        refused("\ntriple = \"other\"\n", 2, "as the file is named");
        refused("cc = \"a\"\ncc = \"b\"\n", 2, "twice");
        refused("# x\nstrip = \"a\"\n", 2, "unknown key `strip`");
        refused("cc\n", 1, "expected key");
        refused("cc = gcc\n", 1, "double quotes");
        refused("cc = \"gcc\n", 1, "closing quote");
        refused("cc = \"\"\n", 1, "neither empty");
        refused("cc = \"a\\tb\"\n", 1, "backslash");
        refused("cc = \"a\" \"b\"\n", 1, "`\"b\"`");
    }
}
