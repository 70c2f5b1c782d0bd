//! The command line as a person meets it: help, wrong calls, any folder.

#![cfg(test)]

use std::path::Path;
use std::process::{Command, Output};

#[track_caller]
fn xtask(args: &[&str], expected_code: i32) -> (String, String) {
    let deep = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let output: Output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .current_dir(deep)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert_eq!(
        output.status.code(),
        Some(expected_code),
        "{stdout}{stderr}"
    );
    (stdout, stderr)
}

#[test]
fn help_lists_every_command_with_its_line() {
    let (stdout, _) = xtask(&["--help"], 0);
    for name in ["demo", "test", "build", "dist", "size", "push", "bench"] {
        let is_listed = |line: &str| line.trim_start().starts_with(name) && line.ends_with('.');
        assert!(stdout.lines().any(is_listed), "{name}: {stdout}");
    }
    assert_eq!(xtask(&[], 0).0, stdout);
}

#[test]
fn a_commands_help_is_its_own_and_starts_nothing() {
    let (stdout, stderr) = xtask(&["demo", "--help"], 0);
    assert!(
        stdout.contains("cargo xtask demo [") && stdout.contains("--seconds N"),
        "{stdout}"
    );
    assert!(
        !stdout.contains("//!") && stderr.is_empty(),
        "{stdout}{stderr}"
    );
    for asked in [&["help", "demo"][..], &["demo", "--seconds", "5", "-h"]] {
        assert_eq!(xtask(asked, 0).0, stdout, "{asked:?}");
    }
}

#[test]
fn a_wrong_call_is_64_and_says_what_was_wrong() {
    assert!(xtask(&["dance"], 64).1.contains("no command `dance`"));
    assert!(
        xtask(&["demo", "--seconds", "soon"], 64)
            .1
            .contains("`soon`")
    );
    assert!(xtask(&["demo", "more"], 64).1.contains("`more`"));
    assert!(xtask(&["test", "--fast"], 64).1.contains("`--fast`"));
}

#[test]
fn an_unknown_target_is_refused_with_the_known_ones_from_any_folder() {
    let (_, stderr) = xtask(&["build", "--target", "pdp11-unknown-none"], 64);
    assert!(stderr.contains("cross/pdp11-unknown-none.toml"), "{stderr}");
    assert!(stderr.contains("x86_64-unknown-linux-musl"), "{stderr}");
}
