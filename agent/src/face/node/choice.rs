//! Which of many are shown: patterns that include, and patterns that leave out.

use mote_core::glob;

/// Two lists of patterns.
#[derive(Debug)]
pub(super) struct Choice {
    include: Vec<String>,
    exclude: Vec<String>,
}

impl Choice {
    /// As the configuration has them.
    pub(super) fn new(include: &[String], exclude: &[String]) -> Self {
        Self {
            include: include.to_vec(),
            exclude: exclude.to_vec(),
        }
    }

    /// Whether nobody said what is to be shown.
    pub(super) fn is_usual(&self) -> bool {
        self.include.is_empty()
    }

    /// Whether `name` is shown: what is left out is out; then what is included is in; with nothing
    /// included, `usual` decides.
    pub(super) fn takes(&self, name: &[u8], usual: impl FnOnce() -> bool) -> bool {
        let any = |patterns: &[String]| {
            patterns
                .iter()
                .any(|pattern| glob::matches(pattern.as_bytes(), name))
        };
        !any(&self.exclude)
            && if self.include.is_empty() {
                usual()
            } else {
                any(&self.include)
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaving_out_wins_and_including_replaces_what_is_usual() {
        let patterns = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let choice = |include: &[&str], exclude: &[&str]| {
            let (include, exclude): (Vec<_>, Vec<_>) = (patterns(include), patterns(exclude));
            Choice::new(&include, &exclude)
        };
        assert!(choice(&[], &[]).takes(b"eth0", || true));
        assert!(!choice(&[], &[]).takes(b"eth0", || false));
        assert!(!choice(&[], &["eth*"]).takes(b"eth0", || true));
        assert!(choice(&["wg*", "eth?"], &[]).takes(b"eth0", || false));
        assert!(!choice(&["wg*"], &[]).takes(b"eth0", || true));
        assert!(!choice(&["*"], &["eth0"]).takes(b"eth0", || true));
    }
}
