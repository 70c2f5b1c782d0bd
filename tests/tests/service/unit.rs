//! The systemd unit, as the binary carries it, before systemd's own judges.

use std::fs;

use mote_tests::agent::mote_binary;

use super::{Root, command, file, is_root, printed, said};

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let dir = tempfile::TempDir::new().unwrap();
    let text = fs::read_to_string(file("agent/service/mote.service")).unwrap();
    // The judge asks whether what it would start is there.
    let binary = mote_binary().unwrap();
    let start = format!("ExecStart={} run", binary.display());
    let text = text.replace("ExecStart=/usr/bin/mote run", &start);
    assert!(text.contains(&start), "{text}");
    let unit = dir.path().join("mote.service");
    fs::write(&unit, &text).unwrap();
    let verify = || {
        let mut verify = command("systemd-analyze");
        verify.args(["verify", "--man=no"]).arg(&unit);
        verify.output().unwrap()
    };
    let output = verify();
    let silent = output.stderr.is_empty() && output.stdout.is_empty();
    assert!(output.status.success() && silent, "{}", said(&output));

    fs::write(&unit, text.replace("WatchdogSec=60", "WatchdogSecs=60")).unwrap();
    let output = verify();
    assert!(
        said(&output).contains("WatchdogSecs"),
        "the judge sleeps: {}",
        said(&output)
    );
}

#[test]
fn the_unit_exposes_no_more_than_two_of_ten() {
    let unit = file("agent/service/mote.service");
    let mut security = command("systemd-analyze");
    security
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(unit);
    let report = printed(&mut security);
    assert!(
        report.contains("Overall exposure level for mote.service"),
        "{report}"
    );
}

#[test]
fn the_unit_waits_for_no_network() {
    let text = fs::read_to_string(file("agent/service/mote.service")).unwrap();
    let settings = text.lines().filter(|line| !line.starts_with('#'));
    let settings: Vec<&str> = settings.collect();
    assert!(
        !settings.iter().any(|line| line.contains("network-online")),
        "{text}"
    );
    for wanted in [
        "Type=notify",
        "Restart=always",
        // A configuration that is refused (78) is tried again.
        "RestartPreventExitStatus=64",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
    ] {
        assert!(settings.contains(&wanted), "{wanted} is missing");
    }
}

#[test]
fn what_is_installed_is_what_was_judged() {
    if !is_root("what_is_installed_is_what_was_judged") {
        return;
    }
    for (manager, installed, source) in [
        (
            "systemd",
            "etc/systemd/system/mote.service",
            "agent/service/mote.service",
        ),
        ("procd", "etc/init.d/mote", "agent/service/mote.init"),
    ] {
        let root = Root::new(manager);
        printed(&mut root.install(&[]));
        assert_eq!(
            root.text(installed),
            fs::read_to_string(file(source)).unwrap()
        );
    }
}
