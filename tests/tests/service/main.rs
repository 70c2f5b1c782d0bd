//! mote as a service: its files for systemd and procd, how they are installed and taken away, what
//! the service manager is told, and all of it once under a systemd of the test's own.
//!
//! Some of this only root may do. For others such a test is skipped, and says so on standard error,
//! past the test runner's capture; in CI (`CI=true`) it fails instead.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod installing;
mod manager;
mod notify;
mod scripts;
mod systemd;
mod unit;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, io};

use mote_tests::agent::mote_binary;
use mote_tests::suite::LONG;
use tempfile::TempDir;

/// Of the project.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(path)
        .canonicalize()
        .unwrap()
}

/// Whether the test may go on, because root runs it.
fn is_root(test: &str) -> bool {
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        assert!(
            env::var_os("CI").is_none(),
            "{test} needs root, and CI must not skip it"
        );
        writeln!(
            io::stderr(),
            "SKIPPED {test}: only root may install a service"
        )
        .ok();
    }
    is_root
}

/// Runs a program without anything of this one's environment but where programs are.
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

fn mote(arguments: &[&str]) -> Command {
    let mut command = command(mote_binary().unwrap());
    command.args(arguments);
    command
}

/// What a program that must succeed printed.
#[track_caller]
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// A root file system as a small device has it, with one service manager or the other.
struct Root(TempDir);

impl Root {
    fn new(manager: &str) -> Self {
        let dir = TempDir::with_prefix("mote-root-").unwrap();
        let path = dir.path();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let folders: &[&str] = match manager {
            "systemd" => &[
                "usr/bin",
                "usr/lib/systemd",
                "etc/systemd/system",
                "var/lib",
            ],
            "procd" => &[
                "usr/bin",
                "sbin",
                "etc/init.d",
                "etc/rc.d",
                "lib/upgrade/keep.d",
                "tmp/lib",
            ],
            other => panic!("no root for {other}"),
        };
        for folder in folders {
            fs::create_dir_all(path.join(folder)).unwrap();
        }
        if manager == "procd" {
            // As OpenWrt has it.
            symlink("tmp", path.join("var")).unwrap();
            fs::write(path.join("sbin/procd"), "").unwrap();
        } else {
            fs::write(path.join("usr/lib/systemd/systemd"), "").unwrap();
        }
        fs::write(path.join("etc/passwd"), "root:x:0:0:root:/root:/bin/ash\n").unwrap();
        fs::write(path.join("etc/group"), "root:x:0:\nstaff:x:999:\n").unwrap();
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn name(&self) -> &str {
        self.path().to_str().unwrap()
    }

    fn at(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// `mote install --root` with these flags.
    fn install(&self, flags: &[&str]) -> Command {
        let mut install = mote(&["install", "--root", self.name()]);
        install.args(flags);
        install
    }

    /// Everything in it: kind and mode, owner, and what a file holds or a link points to.
    fn listing(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = path.symlink_metadata().unwrap();
                let content = if meta.is_symlink() {
                    fs::read_link(&path).unwrap().display().to_string()
                } else if meta.is_dir() {
                    folders.push(path.clone());
                    String::new()
                } else {
                    String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
                };
                let words = format!("{:o} {}:{} {content}", meta.mode(), meta.uid(), meta.gid());
                found.insert(path, words);
            }
        }
        found
    }
}
