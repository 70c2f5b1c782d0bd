//! The figures of an earlier `cargo xtask size --save`, in target/size.tsv.
//!
//! A line is a figure: triple, kind, name and bytes, with tabs between them. The file is a
//! by-product of this machine: it may be missing, and a damaged line is refused with its number.

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use crate::failure::Failure;
use crate::shell;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) triple: String,
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Saved(Vec<Figure>);

impl Saved {
    /// What was saved; nothing if nothing ever was.
    pub(super) fn load() -> Result<Self, Failure> {
        let place = place();
        let text = match fs::read_to_string(&place) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                let place = place.display();
                return Err(Failure::Failed(format!("cannot read {place}: {error}")));
            }
        };
        Self::parse(&text).map_err(|line| {
            let place = place.display();
            Failure::Failed(format!("{place}:{line}: not a figure; remove the file"))
        })
    }

    pub(super) fn store(figures: &[Figure]) -> Result<PathBuf, Failure> {
        let place = place();
        fs::write(&place, print(figures)).map_err(|error| {
            Failure::Failed(format!("cannot write {}: {error}", place.display()))
        })?;
        Ok(place)
    }

    /// What the same figure was then.
    pub(super) fn bytes(&self, figure: &Figure) -> Option<u64> {
        let is_same = |then: &&Figure| {
            (&then.triple, &then.kind, &then.name) == (&figure.triple, &figure.kind, &figure.name)
        };
        self.0.iter().find(is_same).map(|then| then.bytes)
    }

    /// An error is the number of the damaged line, from 1.
    fn parse(text: &str) -> Result<Self, usize> {
        let figures = text.lines().enumerate().map(|(index, line)| {
            let mut words = line.split('\t');
            let figure = (|| {
                Some(Figure {
                    triple: words.next()?.to_owned(),
                    kind: words.next()?.to_owned(),
                    name: words.next()?.to_owned(),
                    bytes: words.next()?.parse().ok()?,
                })
            })();
            figure.ok_or(index + 1)
        });
        figures.collect::<Result<_, _>>().map(Self)
    }
}

fn print(figures: &[Figure]) -> String {
    let lines = figures.iter().map(|figure| {
        let bytes = figure.bytes.to_string();
        [&*figure.triple, &figure.kind, &figure.name, &bytes].join("\t") + "\n"
    });
    lines.collect()
}

fn place() -> PathBuf {
    shell::target_dir().join("size.tsv")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_found_again() {
        let figure = Figure {
            triple: "a-b".to_owned(),
            kind: "crate".to_owned(),
            name: "(C library)".to_owned(),
            bytes: 7,
        };
        let saved = Saved::parse(&print(std::slice::from_ref(&figure))).unwrap();
        let now = Figure {
            bytes: 9,
            ..figure.clone()
        };
        assert_eq!(saved.bytes(&now), Some(7));
        let other = Figure {
            kind: "section".to_owned(),
            ..figure
        };
        assert_eq!(saved.bytes(&other), None);
    }

    #[test]
    fn a_damaged_line_is_refused_with_its_number() {
        assert_eq!(Saved::parse("a\tb\tc\t1\na\tb\tc\n").unwrap_err(), 2);
        assert_eq!(Saved::parse("a\tb\tc\tmany\n").unwrap_err(), 1);
        assert!(Saved::parse("").is_ok());
    }
}
