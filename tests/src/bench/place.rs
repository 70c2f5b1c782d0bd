//! What the project is built for.

use std::fs;
use std::io;

use crate::project_root;

/// The targets that mote is built for: each has a file in `cross/`.
pub(super) fn targets() -> io::Result<Vec<String>> {
    let files = fs::read_dir(project_root().join("cross"))?;
    let mut triples: Vec<String> = files
        .filter_map(|file| {
            let path = file.ok()?.path();
            let is_target = path.extension().is_some_and(|it| it == "toml");
            is_target.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        })
        .collect();
    triples.sort_unstable();
    Ok(triples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_and_its_targets_are_found() {
        assert!(project_root().join("Cargo.lock").is_file());
        let triples = targets().unwrap();
        assert!(triples.is_sorted());
        for triple in ["aarch64-unknown-linux-musl", "x86_64-unknown-linux-musl"] {
            assert!(triples.iter().any(|it| it == triple), "{triples:?}");
        }
    }
}
