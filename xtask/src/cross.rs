//! The files of `cross/`: one target each, with what it takes to build for it.
//!
//! A file is lines of `key = "value"`, blank lines and `#` comments; that is a part of TOML, so
//! editors know it. No escapes, no tables, no unknown or repeated keys: each is refused with file
//! and line. These keys must be there:
//! - `triple`: as in the file's name.
//! - `machine`: what `uname -m` says on such a device.
//! - `cc`: the C compiler, and `cc_package`: the Debian package that brings it.
//!
//! And these may be:
//! - `linker`: when it is not the C compiler.
//! - `runner`: what starts the target's binaries on a machine of another kind, and
//!   `runner_package`.
//!
//! `.cargo/config.toml` says the same to a cargo that is typed by hand; a test holds them together.

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs;

use crate::failure::Failure;
use crate::prerequisites::Tool;

const KEYS: [&str; 7] = [
    "triple",
    "machine",
    "cc",
    "cc_package",
    "linker",
    "runner",
    "runner_package",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cross {
    pub(crate) triple: String,
    pub(crate) machine: String,
    pub(crate) cc: String,
    cc_package: String,
    linker: Option<String>,
    runner: Option<(String, String)>,
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

    /// All targets, in the order of their names.
    pub(crate) fn all() -> Result<Vec<Self>, Failure> {
        known_triples()?
            .iter()
            .map(|triple| Self::load(triple))
            .collect()
    }

    /// The target of this machine itself.
    pub(crate) fn native() -> Result<Self, Failure> {
        let mut all = Self::all()?.into_iter();
        all.find(Self::is_native).ok_or_else(|| {
            Failure::Unavailable(format!(
                "no file of cross/ is for a machine like this one, {ARCH}"
            ))
        })
    }

    pub(crate) fn is_native(&self) -> bool {
        self.machine == ARCH
    }

    /// What starts the target's binaries here; `None` if nothing is needed or known.
    pub(crate) fn runner(&self) -> Option<&str> {
        let (runner, _) = self.runner.as_ref()?;
        (!self.is_native()).then_some(runner)
    }

    /// What a build for the target needs here.
    pub(crate) fn build_tool(&self) -> Tool<'_> {
        (&self.cc, &self.cc_package)
    }

    /// What it takes to start the target's binaries here.
    pub(crate) fn run_tool(&self) -> Option<Tool<'_>> {
        let (runner, package) = self.runner.as_ref()?;
        (!self.is_native()).then_some((runner, package))
    }

    /// The variables that tell cargo and the `cc` crate about this target.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let lower = self.triple.replace(['-', '.'], "_");
        let upper = lower.to_uppercase();
        let mut variables = vec![(format!("CC_{lower}"), self.cc.clone())];
        if let Some(linker) = &self.linker {
            variables.push((format!("CARGO_TARGET_{upper}_LINKER"), linker.clone()));
        }
        variables
    }

    /// An error is the line it is in (from 1) and what is wrong there.
    fn parse(expected_triple: &str, text: &str) -> Result<Self, (usize, String)> {
        let mut values = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let Some((key, value)) = pair(line).map_err(|what| (number, what))? else {
                continue;
            };
            if !KEYS.contains(&key) {
                let known = KEYS.join(", ");
                return Err((number, format!("unknown key `{key}`; known are {known}")));
            }
            if key == "triple" && value != expected_triple {
                return Err((
                    number,
                    format!("triple must be \"{expected_triple}\", as the file is named"),
                ));
            }
            if values.insert(key, value.to_owned()).is_some() {
                return Err((number, format!("the key `{key}` is there twice")));
            }
        }
        let end = text.lines().count().max(1);
        let mut must = |key: &str| {
            values
                .remove(key)
                .ok_or_else(|| (end, format!("the key `{key}` is missing")))
        };
        let (triple, machine) = (must("triple")?, must("machine")?);
        let (cc, cc_package) = (must("cc")?, must("cc_package")?);
        let runner = match values.remove("runner") {
            Some(runner) => {
                let package = values.remove("runner_package");
                let package =
                    package.ok_or((end, "a runner needs its `runner_package`".to_owned()))?;
                Some((runner, package))
            }
            None => None,
        };
        Ok(Self {
            triple,
            machine,
            cc,
            cc_package,
            linker: values.remove("linker"),
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

    /// The lines that every file must have, for the triple `a-b1.2`.
    const LEAST: &str =
        "triple = \"a-b1.2\"\nmachine = \"a\"\ncc=\"x y\" # why\ncc_package = \"c\"\n";

    #[test]
    fn every_key_is_read_and_reaches_the_environment() {
        let more = "\nlinker = \"l\"\nrunner = \"r\"\nrunner_package = \"p\"\n";
        let cross = Cross::parse("a-b1.2", &format!("# a board\n\n{LEAST}{more}")).unwrap();
        let expected = [("CC_a_b1_2", "x y"), ("CARGO_TARGET_A_B1_2_LINKER", "l")];
        assert_eq!(
            cross.environment(),
            expected.map(|(name, value)| (name.into(), value.into()))
        );
        assert_eq!(cross.build_tool(), ("x y", "c"));
        assert_eq!(cross.run_tool(), Some(("r", "p")));
        assert_eq!(cross.machine, "a");
    }

    #[test]
    fn linker_and_runner_may_be_left_out() {
        let cross = Cross::parse("a-b1.2", LEAST).unwrap();
        assert_eq!(
            cross.environment(),
            [("CC_a_b1_2".to_owned(), "x y".to_owned())]
        );
        assert_eq!(cross.runner(), None);
    }

    #[test]
    fn a_machine_runs_its_own_binaries_without_a_runner() {
        let text = LEAST.replace("machine = \"a\"", &format!("machine = \"{ARCH}\""));
        let more = "runner = \"r\"\nrunner_package = \"p\"\n";
        let cross = Cross::parse("a-b1.2", &(text + more)).unwrap();
        assert!(cross.is_native());
        assert_eq!((cross.runner(), cross.run_tool()), (None, None));
    }

    #[test]
    fn a_damaged_file_is_refused_at_its_line() {
        refused("", 1, "`triple` is missing");
        refused("triple = \"a-b\"\n", 1, "`machine` is missing");
        refused("\ntriple = \"other\"\n", 2, "as the file is named");
        refused("cc = \"a\"\ncc = \"b\"\n", 2, "twice");
        refused("# x\nstrip = \"a\"\n", 2, "unknown key `strip`");
        refused("cc\n", 1, "expected key");
        refused("cc = gcc\n", 1, "double quotes");
        refused("cc = \"gcc\n", 1, "closing quote");
        refused("cc = \"\"\n", 1, "neither empty");
        refused("cc = \"a\\tb\"\n", 1, "backslash");
        refused("cc = \"a\" \"b\"\n", 1, "`\"b\"`");
        let no_package = format!("{}runner = \"r\"\n", LEAST.replace("-b1.2", "-b"));
        refused(&no_package, 5, "`runner_package`");
    }
}
