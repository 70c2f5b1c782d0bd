//! Environment variables: which ones a key listens to, and which one wins.

use super::keys::Key;
use super::{Environment, Given, Origin, Warning};

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
