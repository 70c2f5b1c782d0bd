//! A place of one's own for tests that mount things, or that need a network without neighbours.
//!
//! The test program starts itself again through unshare(1), for the one test, in namespaces of its
//! own. Its mounts are seen by nobody else and go with it; its network is a loopback and nothing
//! more. Only root may do that: for others the test is skipped, and says so on standard error,
//! past the test runner's capture.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::agent::mote_binary;

/// Set to the test's name in the program that was started again.
const INSIDE: &str = "MOTE_TESTS_INSIDE";

/// What a test has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// Its mount table.
    Mounts,
    /// Its mount table and its network.
    MountsAndNetwork,
}

/// Whether the test `name` is to run here and now: `true` inside. Outside it runs the test inside
/// and says `false`, as it does when that cannot be done.
///
/// # Panics
/// If the test failed inside, or there is no test of this name.
pub fn enter(own: Own, name: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        if own == Own::MountsAndNetwork {
            run("ip", &["link", "set", "lo", "up"]);
        }
        return true;
    }
    if !is_root() {
        // Whoever closed standard error does not want to know.
        writeln!(
            io::stderr(),
            "SKIPPED {name}: only root has namespaces of its own"
        )
        .ok();
        return false;
    }
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    if own == Own::MountsAndNetwork {
        unshare.arg("--net");
    }
    let test = env::current_exe().unwrap_or_else(|error| panic!("who am I? {error}"));
    unshare.arg("--").arg(test);
    unshare.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    // There is no network inside to build it with.
    let binary = mote_binary().unwrap_or_else(|words| panic!("{words}"));
    unshare.env("MOTE_BIN", binary).env(INSIDE, name);
    let output = unshare
        .output()
        .unwrap_or_else(|error| panic!("cannot run unshare: {error}"));
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && words.contains("1 passed"),
        "inside its namespaces:\n{words}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// Mounts a file system of this many bytes, in memory, on a folder.
///
/// # Panics
/// If mount(8) fails, or this is outside.
pub fn mount_memory(folder: &Path, bytes: u64) {
    let size = format!("size={bytes}");
    let folder = folder.to_string_lossy();
    run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", &folder]);
}

/// Mounts a file system in memory on a folder, with tmpfs(5)'s options, say `nr_inodes=9`. One that
/// is there is changed with `remount,…`.
///
/// # Panics
/// If mount(8) fails, or this is outside.
pub fn mount_memory_with(folder: &Path, options: &str) {
    let folder = folder.to_string_lossy();
    run("mount", &["-t", "tmpfs", "-o", options, "tmpfs", &folder]);
}

/// Mounts an ext4 file system that is in a file, through a loop device, on a folder. Nothing is
/// written to it but what is flushed.
///
/// # Panics
/// If mount(8) fails, or this is outside.
pub fn mount_ext4(image: &Path, folder: &Path) {
    let (image, folder) = (image.to_string_lossy(), folder.to_string_lossy());
    run("mount", &["-o", "loop,commit=300", &image, &folder]);
}

/// Takes a mount away again.
///
/// # Panics
/// If umount(8) fails, or this is outside.
pub fn unmount(folder: &Path) {
    run("umount", &[&folder.to_string_lossy()]);
}

/// Lets `place`, a file, be this text.
///
/// # Panics
/// If the text cannot be written in `folder` or mounted, or this is outside.
pub fn replace_file(place: &str, text: &str, folder: &Path) {
    let name = place.trim_start_matches('/').replace('/', "-");
    let file = folder.join(name);
    fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    run("mount", &["--bind", &file.to_string_lossy(), place]);
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|myself| myself.uid() == 0)
}

/// Runs a tool that changes this program's surroundings.
fn run(tool: &str, arguments: &[&str]) {
    // A mount outside would stay on the machine.
    assert!(env::var_os(INSIDE).is_some(), "{tool} is for the inside");
    let output = Command::new(tool)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {tool}: {error}"));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool} {arguments:?}: {words}");
}
