//! Patterns as shells know them, of names: `*` stands for any bytes or none, `?` for one byte.
//!
//! Everything else stands for itself; there are no sets, no escapes. The whole name must match.
//! Matching goes back to the last `*` only, so that its time is at most the product of the two
//! lengths, whatever the pattern.

/// Whether all of `name` is what `pattern` describes.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    // Behind the last star, and how much of the name it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, in_name));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[in_name] => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((behind, from)) = star else {
                    return false;
                };
                star = Some((behind, from + 1));
                (at, in_name) = (behind, from + 1);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The obvious way, for short texts.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, _) => name.is_empty(),
            (Some((b'*', rest)), _) => {
                slowly(rest, name) || (!name.is_empty() && slowly(pattern, &name[1..]))
            }
            (Some((b'?', rest)), Some((_, others))) => slowly(rest, others),
            (Some((byte, rest)), Some((other, others))) => byte == other && slowly(rest, others),
            (Some(_), None) => false,
        }
    }

    #[test]
    fn stars_and_question_marks_stand_for_bytes() {
        for (pattern, name, expected) in [
            ("eth0", "eth0", true),
            ("eth?", "eth0", true),
            ("eth?", "eth", false),
            ("eth*", "eth", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("br-*", "br0", false),
            ("*a*b", "xaxbxab", true),
            ("/var/*/x", "/var/lib/docker/x", true),
        ] {
            assert_eq!(
                matches(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern:?} and {name:?}"
            );
        }
    }

    #[test]
    fn it_agrees_with_the_obvious_way() {
        let mut rng = crate::rng::Rng::new(7);
        for _ in 0..20_000 {
            let mut pick = |letters: &[u8], most: u64| -> Vec<u8> {
                (0..rng.below(most))
                    .map(|_| letters[rng.below(letters.len() as u64) as usize])
                    .collect()
            };
            let (pattern, name) = (pick(b"ab*?", 7), pick(b"ab", 9));
            assert_eq!(
                matches(&pattern, &name),
                slowly(&pattern, &name),
                "{pattern:?} {name:?}"
            );
        }
    }
}
