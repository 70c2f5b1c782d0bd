//! The table of keys in the README is the table of keys in the code.
//!
//! `UPDATE=1 cargo test -p mote --test readme` writes it anew.

use std::fmt::Write;
use std::path::Path;

use mote::config::keys::KEYS;

const BEGIN: &str = "--test readme` -->\n";
const END: &str = "<!-- /keys -->";

fn table() -> String {
    let mut table = String::from("\n| key | default | |\n| --- | --- | --- |\n");
    for key in KEYS.iter().filter(|key| key.in_file) {
        let default = match key.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let restart = if key.restart { " *(restart)*" } else { "" };
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "| `{}` | {default} | {}{restart} |",
            key.path, key.help
        );
    }
    table.push('\n');
    table
}

#[test]
fn the_readme_has_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).unwrap() + BEGIN.len();
    let end = text.find(END).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{}{}{}", &text[..begin], table(), &text[end..]);
        std::fs::write(&path, text).unwrap();
    } else {
        assert_eq!(
            &text[begin..end],
            table(),
            "UPDATE=1 cargo test -p mote --test readme"
        );
    }
}
