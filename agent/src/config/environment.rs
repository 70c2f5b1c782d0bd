//! Environment variables: which ones a key listens to, and which one wins.

use super::keys::{self, KEYS, Key};
use super::{Environment, Given, Origin, Warning};
use crate::scrub;

/// Prefixes, strongest first. The others are those of the products that mote stands in for.
const PREFIXES: [&str; 3] = ["MOTE_", "LUNASENTRI_", "STAVILY_"];

/// The variables that `key` listens to, strongest first.
pub fn variables(key: &Key) -> Vec<String> {
    let suffixes: Vec<String> = key
        .paths()
        .map(|path| path.replace('.', "_").to_ascii_uppercase())
        .collect();
    let named = PREFIXES.iter().flat_map(|prefix| {
        suffixes
            .iter()
            .map(move |suffix| format!("{prefix}{suffix}"))
    });
    named
        .chain(key.also_env.iter().map(|name| (*name).to_owned()))
        .collect()
}

/// Whether the variable is for mote, or an agent that it stands in for. Others, like `HTTPS_PROXY`,
/// are for every program: whoever names mote's own means to differ.
pub(super) fn is_meant(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The value that the environment gives.
pub(super) fn find(
    key: &'static Key,
    environment: Environment<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Given>, String> {
    let mut winner: Option<(String, String)> = None;
    for name in variables(key) {
        let Some(value) = environment(&name) else {
            continue;
        };
        let value = value
            .into_string()
            .map_err(|_| format!("{name} in the environment: not UTF-8 text"))?;
        match &winner {
            None => winner = Some((value, name)),
            Some((first, winning)) if *first != value && is_meant(winning) == is_meant(&name) => {
                warnings.push(Warning::strict(format!(
                    "{winning} and {name} in the environment disagree: {winning} is used"
                )));
            }
            Some(_) => {}
        }
    }
    Ok(winner.map(|(text, name)| Given {
        key,
        text,
        origin: Origin::Environment(name),
    }))
}

/// Warns of variables that begin as mote's do and that no key listens to. Those of the other prefixes
/// may be for programs of these products that mote is not.
pub(super) fn find_strangers(environment: Environment<'_>, warnings: &mut Vec<Warning>) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let words = stranger(&name).filter(|_| environment(&name).is_some());
        warnings.extend(words.map(Warning::strict));
    }
}

fn stranger(name: &str) -> Option<String> {
    let rest = name.strip_prefix(PREFIXES[0])?;
    // What mote hands to itself, and to plugins, which may run it.
    let is_own = [scrub::VARIABLE, "MOTE_CORRELATION_ID"].contains(&name);
    if is_own || KEYS.iter().flat_map(variables).any(|known| known == name) {
        return None;
    }
    let rest = rest.to_ascii_lowercase();
    // Some flags are shorter than their key.
    let flag = rest.replace('_', "-");
    let near = KEYS.iter().find(|key| key.flag == flag);
    let near = near.or_else(|| keys::nearest(&rest, keys::in_file));
    let hint = keys::hint(near.map(|key| variables(key).remove(0)));
    Some(format!(
        "unknown variable {name} in the environment: {hint}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_no_key_listens_to_is_told_with_the_nearest_one() {
        for (name, hint) in [
            ("MOTE_INTERVALL", "did you mean MOTE_INTERVAL?"),
            ("MOTE_Interval", "did you mean MOTE_INTERVAL?"),
            ("MOTE_LOG_LEVEL", "did you mean MOTE_LOGGING_LEVEL?"),
            ("MOTE_TLS_CAFILE", "did you mean MOTE_TLS_CA_FILE?"),
            ("MOTE_COMPLETELY_DIFFERENT", "mote has no such key"),
        ] {
            let words = stranger(name).unwrap();
            let expected = format!("unknown variable {name} in the environment: {hint}");
            assert_eq!(words, expected);
        }
        for name in KEYS.iter().flat_map(variables) {
            assert_eq!(stranger(&name), None);
        }
        for name in ["STAVILY_TOKEN_URL", "REMOTE_X", "MOTE", "MOTE_HANDED_FD"] {
            assert_eq!(stranger(name), None);
        }
    }
}
