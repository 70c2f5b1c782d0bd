//! The shell scripts: procd's under a busybox shell with a stand-in for OpenWrt's `rc.common`, and
//! `install.sh` in a folder like the one that is shipped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use mote_tests::agent::mote_binary;
use tempfile::TempDir;

use super::{Root, command, file, is_root, printed, said};

/// Reads the script as rc.common does, and notes what it asks of procd and changes outside. The
/// commands are functions here, so that the script touches nothing of this machine.
const RC_COMMON: &str = r#"
note() { echo "$@"; }
for name in procd_open_instance procd_set_param procd_close_instance procd_send_signal \
    procd_add_reload_interface_trigger mkdir chown logger; do
    eval "$name() { note $name \"\$@\"; [ $name != \"$FAILS\" ]; }"
done
. "$1"
case $2 in
start) [ "$USE_PROCD" = 1 ] && start_service ;;
reload) reload_service ;;
triggers) service_triggers ;;
esac
"#;

fn rc_common(passwd: &str, action: &str) -> Output {
    rc_common_where("", passwd, action)
}

/// The same, where the command `fails`.
fn rc_common_where(fails: &str, passwd: &str, action: &str) -> Output {
    let dir = TempDir::new().unwrap();
    let rc_common = dir.path().join("rc.common");
    fs::write(&rc_common, RC_COMMON).unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("etc/passwd"), passwd).unwrap();
    let mut busybox = command("busybox");
    busybox
        .arg("ash")
        .arg(rc_common)
        .arg(file("agent/service/mote.init"))
        .arg(action);
    busybox.env("IPKG_INSTROOT", dir.path()).env("FAILS", fails);
    busybox.output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        said(output)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

const USER: &str = "root:x:0:0::/root:/bin/ash\nmote:*:999:999::/nonexistent:/bin/false\n";

#[test]
fn shellcheck_finds_nothing_wrong_with_the_scripts() {
    for script in ["agent/service/mote.init", "install.sh"] {
        let report = printed(command("shellcheck").arg(file(script)));
        assert_eq!(report, "", "{script}");
    }
}

#[test]
fn procd_is_asked_for_an_unprivileged_service_that_comes_back() {
    let said = lines(&rc_common(USER, "start"));
    for wanted in [
        "procd_set_param command /usr/bin/mote run",
        "procd_set_param user mote",
        "procd_set_param no_new_privs 1",
        "procd_set_param respawn 3600 5 0",
        "procd_set_param file /etc/mote/mote.yaml",
        "procd_set_param stdout 1",
        "procd_set_param stderr 1",
        "procd_set_param env STATE_DIRECTORY=/var/lib/mote",
        "chown mote:mote /var/lib/mote",
    ] {
        assert!(
            said.iter().any(|line| line == wanted),
            "no {wanted:?} in {said:#?}"
        );
    }
    let at = |wanted: &str| {
        said.iter()
            .position(|line| line.trim_end() == wanted)
            .unwrap()
    };
    let (open, close) = (at("procd_open_instance"), at("procd_close_instance"));
    let is_param = |line: &String| line.starts_with("procd_set_param");
    let params = said.iter().filter(|line| is_param(line)).count();
    assert_eq!(
        params,
        close - open - 1,
        "every parameter is within the instance"
    );
    assert!(
        at("chown mote:mote /var/lib/mote") < open,
        "the folder is ready before the start"
    );
}

#[test]
fn procd_is_not_asked_to_run_it_as_root() {
    let output = rc_common("root:x:0:0::/root:/bin/ash\nmotes:x:5:5:::\n", "start");
    assert!(!output.status.success());
    let words = said(&output);
    assert!(words.contains("no user mote: run mote install"), "{words}");
    assert!(!words.contains("procd_"), "{words}");
}

#[test]
fn procd_is_not_asked_to_run_what_can_keep_nothing() {
    let output = rc_common_where("chown", USER, "start");
    assert!(!output.status.success());
    assert!(!said(&output).contains("procd_"), "{}", said(&output));
}

#[test]
fn procd_reloads_with_a_signal_when_the_network_changes() {
    assert_eq!(
        lines(&rc_common(USER, "reload")),
        ["procd_send_signal mote * HUP"]
    );
    let triggers = lines(&rc_common(USER, "triggers"));
    assert_eq!(
        triggers,
        [
            "procd_add_reload_interface_trigger wan",
            "procd_add_reload_interface_trigger lan",
        ]
    );
}

/// A folder as it is shipped for this machine.
fn shipped() -> (TempDir, String) {
    let dir = TempDir::with_prefix("mote-dist-").unwrap();
    let name = format!("mote-{}-unknown-linux-musl", std::env::consts::ARCH);
    let binary = dir.path().join(&name);
    fs::copy(mote_binary().unwrap(), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(file("install.sh"), dir.path().join("install.sh")).unwrap();
    let sums = printed(command("sha256sum").arg(&name).current_dir(dir.path()));
    fs::write(dir.path().join("SHA256SUMS"), sums).unwrap();
    (dir, name)
}

fn install_sh(shell: &[&str], dir: &Path, root: &Root) -> Command {
    let mut sh = command(shell[0]);
    sh.args(&shell[1..]).arg(dir.join("install.sh"));
    sh.args(["--dry-run", "--root", root.name()]);
    sh
}

#[test]
fn the_installer_hands_on_to_the_binary_for_this_machine() {
    let (dir, name) = shipped();
    let root = Root::new("systemd");
    for shell in [&["sh"][..], &["busybox", "ash"]] {
        let report = printed(&mut install_sh(shell, dir.path(), &root));
        assert!(report.contains("write /usr/bin/mote (0755)"), "{report}");
    }
    // From a stick that lost the permission.
    let binary = dir.path().join(name);
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o644)).unwrap();
    let report = printed(&mut install_sh(&["sh"], dir.path(), &root));
    assert!(report.contains("write /usr/bin/mote (0755)"), "{report}");
}

#[test]
fn the_installer_reads_sums_as_they_are_written() {
    let (dir, name) = shipped();
    let sums = dir.path().join("SHA256SUMS");
    let good = fs::read_to_string(&sums).unwrap();
    let (digits, other) = (&good[..64], "0".repeat(64));
    let root = Root::new("systemd");
    for text in [
        format!("{other}  ./other\n{digits}  ./{name}\n"),
        format!("{digits} *{name}\n{other} *other\n"),
        format!("{digits} *./{name}"),
        format!("{other}  other\r\n{digits}  {name}\r\n"),
    ] {
        fs::write(&sums, &text).unwrap();
        for shell in [&["sh"][..], &["busybox", "ash"]] {
            let report = printed(&mut install_sh(shell, dir.path(), &root));
            assert!(report.contains("write /usr/bin/mote"), "{text}: {report}");
        }
    }
}

#[test]
fn the_installer_refuses_what_the_sums_do_not_name() {
    let (dir, name) = shipped();
    let sums = dir.path().join("SHA256SUMS");
    let good = fs::read_to_string(&sums).unwrap();
    let root = Root::new("systemd");
    let flipped = if good.starts_with('0') { "1" } else { "0" };
    for (text, words) in [
        (
            format!("{flipped}{}", &good[1..]),
            "is not the file that SHA256SUMS names",
        ),
        (good.replace(&name, "mote-other"), "has not one good line"),
        (good[1..].to_owned(), "has not one good line"),
        (format!("{good}{good}"), "has not one good line"),
        (String::new(), "has not one good line"),
    ] {
        fs::write(&sums, &text).unwrap();
        let output = install_sh(&["sh"], dir.path(), &root).output().unwrap();
        assert!(!output.status.success(), "{text}");
        assert!(said(&output).contains(words), "{text}: {}", said(&output));
        assert!(output.stdout.is_empty(), "nothing was run");
    }
    fs::remove_file(&sums).unwrap();
    let output = install_sh(&["sh"], dir.path(), &root).output().unwrap();
    assert!(
        said(&output).contains("SHA256SUMS is missing"),
        "{}",
        said(&output)
    );
}

#[test]
fn the_installer_passes_on_how_it_ended() {
    let (dir, _) = shipped();
    let mut sh = command("sh");
    sh.arg(dir.path().join("install.sh"))
        .args(["--root", "/no/such/folder"]);
    assert_eq!(sh.output().unwrap().status.code(), Some(64));
    if is_root("the_installer_passes_on_how_it_ended") {
        let root = Root::new("procd");
        let mut sh = command("sh");
        sh.arg(dir.path().join("install.sh"))
            .args(["--root", root.name()]);
        printed(&mut sh);
        assert!(root.at("etc/init.d/mote").exists());
    }
}
