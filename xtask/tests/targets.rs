//! A cargo that is typed by hand builds for a target just as `cargo xtask build` does.

#![cfg(test)]

use std::fs;
use std::path::Path;

/// The value of `key = "value"` in a file or a part of one.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?.strip_prefix(" = \"")?;
        rest.strip_suffix('"')
    })
}

#[test]
fn cargos_configuration_agrees_with_each_file_of_cross() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let config = fs::read_to_string(root.join(".cargo/config.toml")).unwrap();
    let mut targets = 0;
    for entry in fs::read_dir(root.join("cross")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let triple = value(&text, "triple").unwrap();
        let compiler = format!("CC_{}", triple.replace('-', "_"));
        assert_eq!(value(&config, &compiler), value(&text, "cc"), "{triple}");
        let section = config.split_once(&format!("[target.{triple}]\n"));
        let section = section.map_or("", |(_, rest)| rest.split("\n[").next().unwrap());
        for key in ["linker", "runner"] {
            assert_eq!(value(section, key), value(&text, key), "{triple}: {key}");
        }
        targets += 1;
    }
    assert!(targets > 1, "found {targets} files in cross");
}
