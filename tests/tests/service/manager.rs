//! A systemd of the test's own: process 1 of its own process, mount and other namespaces.
//!
//! What it and its services write to `/etc`, `/usr/bin` and `/var` goes into memory over the
//! machine's own folders and is gone with it. It sees no units but the test's and what is installed
//! under it, so it starts nothing of the machine's. The network is the machine's: the hub is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mote_tests::wait::poll_until;
use tempfile::TempDir;

use super::{LONG, command};

/// Makes the surroundings and becomes systemd. `$1` is the test's folder.
const BOOT: &str = r#"
set -eu
mount --make-rprivate /
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t tmpfs tmpfs "$1/memory"
for folder in etc usr/bin var; do
    mkdir -p "$1/memory/$folder/upper" "$1/memory/$folder/work"
    layers="lowerdir=/$folder,upperdir=$1/memory/$folder/upper,workdir=$1/memory/$folder/work"
    mount -t overlay -o "$layers" overlay "/$folder"
done
rm -rf /etc/mote /var/lib/mote /var/log/mote /etc/systemd/system/mote.service*
cp "$1/ca.pem" /etc/hub-ca.pem
chmod 0644 /etc/hub-ca.pem
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/units
for target in rest sysinit basic shutdown; do
    printf '[Unit]\nDescription=%s\nDefaultDependencies=no\n' $target >/run/units/$target.target
done
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$1/memory/generators"
# It takes what it mounts for a service, say its credentials, to be seen by everybody.
mount --make-rshared /
export container=mote-test SYSTEMD_LOG_TARGET=console
export SYSTEMD_GENERATOR_PATH="$1/memory/generators"
export SYSTEMD_UNIT_PATH=/run/units:/etc/systemd/system:/run/systemd/system
for systemd in /usr/lib/systemd/systemd /lib/systemd/systemd; do
    [ -x $systemd ] && exec $systemd --unit=rest.target --show-status=no
done
echo 'there is no systemd' >&2
exit 1
"#;

pub(super) struct Systemd {
    unshare: Child,
    pid: String,
    dir: TempDir,
}

impl Systemd {
    /// Starts it; `ca` is trusted by nobody yet, but is at `/etc/hub-ca.pem`.
    pub(super) fn start(ca: &Path) -> Self {
        let dir = TempDir::with_prefix("mote-systemd-").unwrap();
        fs::create_dir(dir.path().join("memory")).unwrap();
        fs::copy(ca, dir.path().join("ca.pem")).unwrap();
        fs::write(dir.path().join("boot"), BOOT).unwrap();
        let console = fs::File::create(dir.path().join("console")).unwrap();
        let mut unshare = command("unshare");
        unshare.args([
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--cgroup",
            "--fork",
            "--kill-child",
        ]);
        unshare
            .arg("sh")
            .arg(dir.path().join("boot"))
            .arg(dir.path());
        unshare
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console);
        let unshare = unshare.spawn().unwrap();
        let mut systemd = Self {
            unshare,
            pid: String::new(),
            dir,
        };
        systemd.pid = systemd.wait_for_process_1();
        let is_up = || {
            let state = systemd
                .run("systemctl", &["is-active", "rest.target"])
                .output()
                .unwrap();
            state.status.success().then_some(())
        };
        if let Err(words) = poll_until("systemd to be up", LONG, is_up) {
            panic!("{words}; it said:\n{}", systemd.console());
        }
        systemd
    }

    fn wait_for_process_1(&self) -> String {
        let parent = self.unshare.id();
        let children = PathBuf::from(format!("/proc/{parent}/task/{parent}/children"));
        let found = poll_until("process 1", LONG, || {
            let pid = fs::read_to_string(&children).ok()?.trim().to_owned();
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
            (name.trim() == "systemd").then_some(pid)
        });
        found.unwrap_or_else(|words| panic!("{words}; it said:\n{}", self.console()))
    }

    /// A program that is to run under it.
    pub(super) fn run(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut nsenter = command("nsenter");
        nsenter.args([
            "--target", &self.pid, "--mount", "--pid", "--uts", "--ipc", "--cgroup", "--",
        ]);
        nsenter.arg(program).args(arguments);
        nsenter
    }

    /// A file as its services see it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    pub(super) fn console(&self) -> String {
        fs::read_to_string(self.dir.path().join("console")).unwrap_or_default()
    }

    /// A property of the service.
    pub(super) fn property(&self, name: &str) -> String {
        let property = format!("--property={name}");
        let mut show = self.run("systemctl", &["show", "mote.service", "--value", &property]);
        String::from_utf8(show.output().unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    }

    /// Waits until a property is as wanted.
    pub(super) fn wait_for(&self, name: &str, wanted: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = poll_until(name, LONG, || {
            last = self.property(name);
            wanted(&last).then_some(())
        });
        if let Err(words) = found {
            panic!(
                "{words}, which is {last:?}; systemd said:\n{}",
                self.console()
            );
        }
        last
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // It takes its child with it, and process 1 takes everything of its namespace.
        self.unshare.kill().ok();
        self.unshare.wait().ok();
    }
}
