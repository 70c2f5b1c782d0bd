//! `cargo xtask push` against devices that a stand-in for ssh plays on this machine.
//!
//! The stand-in notes its words and runs the device's script here; what is "installed" is a script
//! that notes how it was called and from where.

#![cfg(test)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const SSH: &str = r#"#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
case "$1 $2" in
    "pi uname -m" | "root@pi uname -m") echo aarch64 ;;
    "vax uname -m") echo vax ;;
    "gone "*) echo "ssh: no route to gone" >&2; exit 255 ;;
    *) exec sh -c "$2" ;;
esac
"#;

const MOTE: &str = r#"#!/bin/sh
printf '%s|' "$(basename "$0")" "$(stat -c %a "$(dirname "$0")")" "$@" >"$NOTES"
dirname "$0" >>"$NOTES"
[ "$2" != --fail ]
"#;

struct Desk {
    folder: PathBuf,
}

impl Desk {
    fn set(name: &str) -> Self {
        let name = format!("xtask-push-{name}-{}", std::process::id());
        let desk = Self {
            folder: std::env::temp_dir().join(name),
        };
        desk.write("bin/ssh", SSH);
        desk
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn with_binary(self) -> Self {
        self.write("target/dist/mote-aarch64-unknown-linux-musl", MOTE);
        self
    }

    #[track_caller]
    fn push(&self, args: &[&str], expected_code: i32) -> String {
        let path = std::env::var("PATH").unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("push")
            .args(args)
            .env(
                "PATH",
                format!("{}:{path}", self.folder.join("bin").display()),
            )
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env("NOTES", self.folder.join("notes"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(output.status.code(), Some(expected_code), "{text}");
        text
    }

    fn notes(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("notes")).ok()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

#[test]
fn a_device_gets_its_binary_and_installs_it_with_the_flags() {
    let desk = Desk::set("good").with_binary();
    let said = desk.push(&["root@pi", "--", "--server-url", "it's here"], 0);
    assert!(said.contains("root@pi: installed"), "{said}");
    assert!(said.contains("$ ssh root@pi 'uname -m'"), "{said}");
    let notes = desk.notes().unwrap();
    let (call, place) = notes.rsplit_once('|').unwrap();
    assert_eq!(call, "mote|700|install|--server-url|it's here");
    assert!(place.starts_with("/tmp/mote."), "{place}");
    assert!(
        !Path::new(place.trim_end()).exists(),
        "{place} was left behind"
    );
}

#[test]
fn a_dry_run_asks_and_installs_nothing() {
    let desk = Desk::set("dry").with_binary();
    let said = desk.push(&["--dry-run", "pi"], 0);
    assert!(
        said.contains("pi: asked") && said.contains("install"),
        "{said}"
    );
    assert!(
        said.contains("dist/mote-aarch64-unknown-linux-musl"),
        "{said}"
    );
    assert_eq!(desk.notes(), None);
}

#[test]
fn a_device_that_fails_is_named_and_the_next_has_its_turn() {
    let desk = Desk::set("some").with_binary();
    let said = desk.push(&["gone", "vax", "pi"], 1);
    for words in [
        "2 of 3 devices failed:\ngone: ",
        "\nvax: it is a machine of the kind `vax`",
        // Nobody is asked anything while others wait.
        "ssh -o BatchMode=yes -o ConnectTimeout=10 gone ",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(
        said.contains("kind `vax`") && said.contains("aarch64, x86_64"),
        "{said}"
    );
    assert!(
        said.contains("pi: installed") && desk.notes().is_some(),
        "{said}"
    );
}

#[test]
fn an_installation_that_fails_is_a_failure_and_leaves_nothing_behind() {
    let desk = Desk::set("bad").with_binary();
    let said = desk.push(&["pi", "--", "--fail"], 1);
    assert!(
        said.contains("to repeat it: cargo xtask push pi -- --fail\n"),
        "{said}"
    );
    let notes = desk.notes().unwrap();
    let (_, place) = notes.rsplit_once('|').unwrap();
    assert!(
        !Path::new(place.trim_end()).exists(),
        "{place} was left behind"
    );
}

#[test]
fn without_a_released_binary_it_says_what_makes_one() {
    let desk = Desk::set("none");
    assert!(desk.push(&["pi"], 1).contains("cargo xtask dist"));
}

#[test]
fn a_call_without_devices_is_wrong() {
    let desk = Desk::set("usage");
    assert!(desk.push(&["--", "pi"], 64).contains("no device"));
    assert!(
        desk.push(&["-oProxyCommand=true"], 64)
            .contains("`-oProxyCommand=true`")
    );
}
