//! The life of the service under a real systemd: installed, started, watched, reloaded, stopped,
//! removed.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use mote_tests::agent::{left_out, mote_binary};
use mote_tests::hub::{Hub, HubConfig};

use super::manager::Systemd;
use super::{LONG, is_root, printed, said};

/// Runs it with what the test needs of it, say its log in a file.
const DROP_IN: &str = "[Service]
WatchdogSec=2s
RestartSec=100ms
StandardOutput=append:/run/mote.log
StandardError=append:/run/mote.log
";

/// A hub, and a systemd that trusts it; none where there can be none.
fn stage(test: &str) -> Option<(Hub, Systemd)> {
    if left_out("a service under systemd") || !is_root(test) {
        return None;
    }
    let hub = Hub::start(HubConfig::default()).unwrap();
    let systemd = Systemd::start(hub.ca_pem_path());
    Some((hub, systemd))
}

fn write(systemd: &Systemd, path: &str, text: &str) {
    let path = systemd.path(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// The key is root's alone, and so is its folder, until the service is to read it.
fn write_closed_key(systemd: &Systemd, key: &str) {
    write(systemd, "/etc/mote/key", key);
    for (path, mode) in [("/etc/mote/key", 0o600), ("/etc/mote", 0o700)] {
        fs::set_permissions(systemd.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A field of `/proc/PID/status`, as the service's own namespace numbers processes.
fn status(systemd: &Systemd, pid: &str, field: &str) -> String {
    let text = fs::read_to_string(systemd.path(&format!("/proc/{pid}/status"))).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().next().unwrap().to_owned()
}

/// One at which nobody else of this machine is asked.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

fn install(systemd: &Systemd, flags: &[&str]) -> Command {
    let binary = mote_binary().unwrap();
    let mut install = systemd.run(binary, &["install"]);
    install.args(flags);
    install
}

/// The walls of the unit stand, and have the doors that are needed.
fn check_walls(systemd: &Systemd, pid: &str) {
    assert_ne!(status(systemd, pid, "Uid"), "0");
    assert_eq!(status(systemd, pid, "NoNewPrivs"), "1");
    assert_eq!(status(systemd, pid, "Seccomp"), "2");
    assert_eq!(status(systemd, pid, "CapBnd"), "0000000000000000");
    assert_eq!(status(systemd, pid, "Threads"), "1");
    assert_eq!(systemd.property("OOMPolicy"), "continue");

    // They let it ask the kernel whether the clock is kept right, which much is made of.
    let shown = printed(&mut systemd.run("/usr/bin/mote", &["status", "--json"]));
    let is_known = ["true", "false"]
        .iter()
        .any(|word| shown.contains(&format!("\"clock\":{{\"synchronized\":{word}}}")));
    assert!(is_known, "{shown}");
}

#[test]
fn the_service_is_installed_started_watched_reloaded_stopped_and_removed() {
    let Some((hub, systemd)) =
        stage("the_service_is_installed_started_watched_reloaded_stopped_and_removed")
    else {
        return;
    };
    let users = fs::read_to_string(systemd.path("/etc/passwd")).unwrap();

    // A configuration that is wrong is refused before anything is changed.
    let output = install(&systemd, &["--interval", "1h"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", said(&output));
    assert!(
        said(&output).contains("server_url is missing"),
        "{}",
        said(&output)
    );
    assert!(!systemd.path("/usr/bin/mote").exists());

    // An hour between samples: the loop's own progress has to keep the watchdog quiet.
    write(
        &systemd,
        "/run/systemd/system/mote.service.d/test.conf",
        DROP_IN,
    );
    let url = hub.url();
    write_closed_key(&systemd, hub.api_key());
    let port = free_port();
    let flags = [
        "--server-url",
        &url,
        "--api-key-file",
        "/etc/mote/key",
        "--tls-ca-file",
        "/etc/hub-ca.pem",
        "--interval",
        "1h",
        "--health-port",
        &port,
    ];
    let said = printed(&mut install(&systemd, &flags));
    assert!(
        said.ends_with("delivered: mote is installed and works\n"),
        "{said}"
    );
    assert!(said.contains("make user mote"), "{said}");
    assert_eq!(hub.received().len(), 1);
    let delivering = format!("delivering to {url}, 0 held");
    systemd.wait_for("StatusText", |text| text == delivering);
    assert_eq!(systemd.property("ActiveState"), "active");
    assert_eq!(systemd.property("UnitFileState"), "enabled");

    let pid = systemd.property("MainPID");
    check_walls(&systemd, &pid);

    // A loop that stands still is started anew; one that goes on never was.
    let alive_us = "WatchdogTimestampMonotonic";
    let first_us: u64 = systemd.property(alive_us).parse().unwrap();
    let later = |text: &str| text.parse::<u64>().unwrap() > first_us + 3_000_000;
    systemd.wait_for(alive_us, later);
    assert_eq!(systemd.property("NRestarts"), "0");
    let before = hub.received().len();
    printed(&mut systemd.run("kill", &["-STOP", &pid]));
    systemd.wait_for("NRestarts", |text| text == "1");
    let new_pid = systemd.wait_for("MainPID", |text| text != pid && text != "0");
    systemd.wait_for("ActiveState", |text| text == "active");
    hub.wait_for(before as u64 + 1, LONG).unwrap();

    // A reload takes the new interval, in the same process.
    let config = fs::read_to_string(systemd.path("/etc/mote/mote.yaml")).unwrap();
    let config = config.replace("interval: \"1h\"", "interval: 100ms");
    assert!(config.contains("100ms"), "{config}");
    write(&systemd, "/etc/mote/mote.yaml", &config);
    let before = hub.received().len();
    printed(&mut systemd.run("systemctl", &["reload", "mote.service"]));
    hub.wait_for(before as u64 + 5, LONG).unwrap();
    assert_eq!(systemd.property("MainPID"), new_pid);
    systemd.wait_for("ActiveState", |text| text == "active");

    // Installing again is an update: the configuration stays, the service is started anew.
    let said = printed(&mut install(&systemd, &[]));
    assert!(
        said.contains("keep /etc/mote/mote.yaml, it is there"),
        "{said}"
    );
    assert_ne!(systemd.property("MainPID"), new_pid);

    printed(&mut systemd.run("systemctl", &["stop", "mote.service"]));
    assert_eq!(systemd.property("ActiveState"), "inactive");
    assert_eq!(systemd.property("Result"), "success");
    assert_eq!(systemd.property("ExecMainStatus"), "0");
    let log = fs::read_to_string(systemd.path("/run/mote.log")).unwrap();
    assert!(!log.contains(hub.api_key()), "{log}");
    // A configuration file of ours is nothing to warn of.
    assert!(!log.contains("others can read"), "{log}");

    printed(&mut systemd.run("/usr/bin/mote", &["uninstall", "--purge"]));
    for path in [
        "/usr/bin/mote",
        "/etc/mote",
        "/var/lib/mote",
        "/var/log/mote",
        "/etc/systemd/system/mote.service",
        "/etc/systemd/system/multi-user.target.wants/mote.service",
    ] {
        let found = systemd.path(path).symlink_metadata();
        assert!(found.is_err(), "{path} is still there");
    }
    assert_eq!(
        fs::read_to_string(systemd.path("/etc/passwd")).unwrap(),
        users
    );
    assert_eq!(hub.violations(), [""; 0]);
}

#[test]
fn a_key_that_is_a_credential_is_the_services_and_outlives_an_update() {
    let Some((hub, systemd)) =
        stage("a_key_that_is_a_credential_is_the_services_and_outlives_an_update")
    else {
        return;
    };
    let flags = [
        "--server-url",
        &hub.url(),
        "--tls-ca-file",
        "/etc/hub-ca.pem",
        "--no-start",
    ];
    printed(&mut install(&systemd, &flags));
    let drop_in = "[Service]\nLoadCredential=mote.api_key:/etc/hub.key\n";
    write(
        &systemd,
        "/etc/systemd/system/mote.service.d/override.conf",
        drop_in,
    );
    write(&systemd, "/etc/hub.key", hub.api_key());
    let key = systemd.path("/etc/hub.key");
    fs::set_permissions(key, fs::Permissions::from_mode(0o600)).unwrap();
    printed(&mut systemd.run("systemctl", &["daemon-reload"]));
    printed(&mut systemd.run("systemctl", &["start", "mote.service"]));
    hub.wait_for(1, LONG).unwrap();

    // No file that root's shell reads has the key, and yet an update finds that all is well.
    let said = printed(&mut install(&systemd, &["--interval", "1h"]));
    assert!(
        said.contains("it is there: the flags given here change nothing"),
        "{said}"
    );
    assert!(
        said.ends_with("delivered: mote is installed and works\n"),
        "{said}"
    );
    assert_eq!(hub.violations(), [""; 0]);
}

#[test]
fn an_agent_of_an_orchestrator_alone_is_installed_and_updated() {
    let Some((hub, systemd)) = stage("an_agent_of_an_orchestrator_alone_is_installed_and_updated")
    else {
        return;
    };
    let flags = [
        "--base-url",
        &hub.url(),
        "--agent-id",
        "agent-1",
        "--agent-type",
        "sensor",
        "--health-port",
        &free_port(),
    ];
    for flags in [&flags[..], &[]] {
        let mut install = install(&systemd, flags);
        let said = printed(install.env("MOTE_API_AUTH_API_KEY", "demo-token"));
        assert!(
            said.ends_with("started: there is no metrics server to deliver to\n"),
            "{said}"
        );
        assert_eq!(systemd.property("ActiveState"), "active");
    }
}

#[test]
fn an_installation_that_cannot_start_says_so() {
    if !is_root("an_installation_that_cannot_start_says_so") {
        return;
    }
    let hub = Hub::start(HubConfig::default()).unwrap();
    let systemd = Systemd::start(hub.ca_pem_path());
    let flags = [
        "--server-url",
        &hub.url(),
        "--api-key",
        "wrong",
        "--no-start",
    ];
    printed(&mut install(&systemd, &flags));
    assert_eq!(
        systemd.property("ActiveState"),
        "inactive",
        "it was not to be started"
    );
    // Where its state folder should be is something else, so it cannot be started.
    fs::write(systemd.path("/var/lib/mote"), "no folder").unwrap();
    let output = install(&systemd, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let said = said(&output);
    assert!(
        said.contains("systemctl restart") && said.contains("journalctl"),
        "{said}"
    );
    assert_eq!(hub.received().len(), 0);
}

#[test]
fn a_plugin_runs_behind_the_walls_of_the_unit_and_its_own() {
    let Some((hub, systemd)) = stage("a_plugin_runs_behind_the_walls_of_the_unit_and_its_own")
    else {
        return;
    };
    let flags = [
        "--server-url",
        &hub.url(),
        "--api-key",
        hub.api_key(),
        "--health-port",
        "0",
        "--no-start",
    ];
    printed(&mut install(&systemd, &flags));
    // The 19th field of its own is niceness (proc(5)), which it is given once it runs.
    let script = "#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10; do\n\
        read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ own _ </proc/$$/stat\n\
        [ \"$own\" = 10 ] && break\nsleep 0.1\ndone\n\
        echo \"nice $own $(grep CapEff /proc/self/status)\" >&2\necho '{}'\n";
    let path = "/etc/mote/plugins/once/run.sh";
    write(&systemd, path, script);
    fs::set_permissions(systemd.path(path), fs::Permissions::from_mode(0o755)).unwrap();
    let drop_in = format!(
        "{DROP_IN}Environment=MOTE_PLUGINS_DIR=/etc/mote/plugins\n\
         ExecStartPost=/usr/bin/mote plugin test once --entrypoint run.sh\n"
    );
    let folder = "/etc/systemd/system/mote.service.d/test.conf";
    write(&systemd, folder, &drop_in);
    printed(&mut systemd.run("systemctl", &["daemon-reload"]));
    let started = systemd
        .run("systemctl", &["start", "mote.service"])
        .output()
        .unwrap();
    let log = fs::read_to_string(systemd.path("/run/mote.log")).unwrap();
    assert!(started.status.success(), "{}\n{log}", said(&started));
    let line = log.lines().find(|line| line.contains("CapEff"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("nice 10 ") && line.ends_with("0000000000000000"),
        "{line}"
    );
}
