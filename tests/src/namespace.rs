//! A place of one's own for tests that mount things, or that need a network without neighbours, or
//! with one that can be cut off.
//!
//! The test program starts itself again through unshare(1), for the one test, in namespaces of its
//! own. Its mounts are seen by nobody else and go with it; its network is a loopback and nothing
//! more. Only root may do that: for others the test is skipped, and says so on standard error,
//! past the test runner's capture.

use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use tempfile::TempDir;

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
    // What is mounted in a folder keeps it from being removed as long as the program runs inside.
    let place = place_inside().unwrap_or_else(|error| panic!("no folder for {name}: {error}"));
    unshare.env("TMPDIR", place.path());
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

/// Shows this network below `/sys`, where the one outside is still seen.
///
/// # Panics
/// Outside the namespaces, or if it cannot be mounted.
pub fn mount_sysfs() {
    run("mount", &["-t", "sysfs", "sysfs", "/sys"]);
}

/// Lets ip(8) change this network.
///
/// # Panics
/// Outside the namespaces, or if it cannot be done.
pub fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

/// Where the folders of the program inside are; it goes with all of them when that has ended.
fn place_inside() -> io::Result<TempDir> {
    let place = TempDir::with_prefix("mote-inside-")?;
    // Some of what runs there is another user.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755))?;
    Ok(place)
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

/// The network next door, joined to this one by a cable (veth(4)): it is where an agent is put that
/// is to be cut off from what runs here. It goes with the value.
#[derive(Debug)]
pub struct Neighbour {
    holder: Child,
}

impl Neighbour {
    /// This side of the cable.
    pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
    /// The cable's name on this side.
    pub const CABLE: &str = "here";

    /// Makes the network and the cable, and gives both sides their addresses.
    ///
    /// # Panics
    /// If unshare(1) or ip(8) fails, or this is outside.
    #[must_use]
    pub fn join() -> Self {
        // It holds the namespace for as long as its standard input is open.
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo there; exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run unshare: {error}"));
        let mut word = String::new();
        let said = holder.stdout.take().map(BufReader::new);
        let read = said.map(|mut said| said.read_line(&mut word));
        assert!(matches!(read, Some(Ok(6))), "unshare said {word:?}");
        let neighbour = Self { holder };
        let pid = neighbour.holder.id().to_string();
        let cable = [
            "link", "add", "here", "type", "veth", "peer", "name", "there",
        ];
        run("ip", &[&cable[..], &["netns", &pid]].concat());
        run("ip", &["addr", "add", "10.77.0.1/24", "dev", "here"]);
        run("ip", &["link", "set", "here", "up"]);
        for command in [
            "addr add 10.77.0.2/24 dev there",
            "link set there up",
            "link set lo up",
        ] {
            neighbour.ip(command);
        }
        neighbour
    }

    /// Runs ip(8) over there; its words are given with spaces between.
    ///
    /// # Panics
    /// If it fails.
    pub fn ip(&self, command: &str) {
        let enter = self.enter();
        let words = enter.split(' ').skip(1).chain(["ip"]);
        let words: Vec<&str> = words.chain(command.split(' ')).collect();
        run("nsenter", &words);
    }

    /// What to put in front of a command that is to run over there.
    #[must_use]
    pub fn enter(&self) -> String {
        format!("nsenter --net=/proc/{}/ns/net --", self.holder.id())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // It may have ended by itself only if something is wrong, which was told then.
        self.holder.kill().ok();
        self.holder.wait().ok();
    }
}

/// Lets nft(8) do what `rules` say, one command a line.
///
/// # Panics
/// If it fails, or this is outside.
pub fn nft(rules: &str) {
    run("nft", &[rules]);
}

/// Runs ip(8) or tc(8) here; its words are given with spaces between.
///
/// # Panics
/// If it fails, or this is outside.
pub fn configure(command: &str) {
    let mut words = command.split(' ');
    let tool = words.next().unwrap_or_default();
    run(tool, &words.collect::<Vec<&str>>());
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
