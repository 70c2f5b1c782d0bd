//! Installing into a prepared root file system, and taking it away again.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use mote_tests::agent::{left_out, mote_binary};

use super::{Root, is_root, mote, printed, said};

const FLAGS: [&str; 4] = ["--server-url", "https://hub.example", "--interval", "30s"];

fn uninstall(root: &Root, purge: bool) -> String {
    let mut uninstall = mote(&["uninstall", "--root", root.name()]);
    if purge {
        uninstall.arg("--purge");
    }
    printed(&mut uninstall)
}

#[test]
fn what_installing_makes_uninstalling_takes_away() {
    if !is_root("what_installing_makes_uninstalling_takes_away") {
        return;
    }
    for manager in ["systemd", "procd"] {
        let root = Root::new(manager);
        let before = root.listing();
        printed(root.install(&FLAGS).env("MOTE_API_KEY", "s3cret"));
        assert!(
            root.listing().len() > before.len() + 5,
            "{:#?}",
            root.listing()
        );
        // What a run of the agent would leave.
        fs::create_dir_all(root.at("var/lib/mote/data/state")).unwrap();
        fs::write(root.at("var/lib/mote/data/state/start"), "x").unwrap();
        uninstall(&root, true);
        assert_eq!(root.listing(), before, "{manager}");
        assert_eq!(uninstall(&root, true), "mote is not installed\n");
    }
}

#[test]
fn without_purge_configuration_and_state_stay() {
    if !is_root("without_purge_configuration_and_state_stay") {
        return;
    }
    let root = Root::new("systemd");
    printed(&mut root.install(&FLAGS));
    fs::create_dir(root.at("var/lib/mote")).unwrap();
    let said = uninstall(&root, false);
    assert!(
        said.contains("keep /var/lib/mote, /etc/mote and user mote: --purge"),
        "{said}"
    );
    assert!(root.text("etc/mote/mote.yaml").contains("hub.example"));
    assert!(root.text("etc/passwd").contains("mote:"));
    assert!(!root.at("usr/bin/mote").exists());
    assert!(!root.at("etc/systemd/system/mote.service").exists());
    // Nobody is kept who is not there.
    let root = Root::new("systemd");
    fs::create_dir(root.at("etc/mote")).unwrap();
    let said = uninstall(&root, false);
    assert_eq!(said, "keep /etc/mote: --purge removes that\n");
}

#[test]
fn installing_again_changes_nothing_and_keeps_the_configuration() {
    if !is_root("installing_again_changes_nothing_and_keeps_the_configuration") {
        return;
    }
    for manager in ["systemd", "procd"] {
        let root = Root::new(manager);
        printed(&mut root.install(&FLAGS));
        let before = root.listing();
        let said = printed(&mut root.install(&["--server-url", "https://other.example"]));
        assert_eq!(root.listing(), before);
        assert!(
            said.contains("keep /etc/mote/mote.yaml, it is there"),
            "{said}"
        );
        assert!(said.lines().all(|line| line.starts_with("keep ")), "{said}");
    }
}

#[test]
fn a_newer_binary_replaces_an_older_one() {
    if left_out("that what was started is what is installed")
        || !is_root("a_newer_binary_replaces_an_older_one")
    {
        return;
    }
    let root = Root::new("systemd");
    fs::write(root.at("usr/bin/mote"), "older").unwrap();
    printed(&mut root.install(&[]));
    let (installed, own) = (root.at("usr/bin/mote"), mote_binary().unwrap());
    assert!(fs::read(&installed).unwrap() == fs::read(own).unwrap());
    let found = fs::metadata(installed).unwrap();
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o755, 0));
    assert_eq!(fs::read_dir(root.at("usr/bin")).unwrap().count(), 1);
}

#[test]
fn the_configuration_is_for_root_and_the_agent_alone() {
    if !is_root("the_configuration_is_for_root_and_the_agent_alone") {
        return;
    }
    let root = Root::new("procd");
    let flags = ["--api-key", "s3cret", "--tls-ca-file", "ca.pem"];
    let said = printed(root.install(&FLAGS).args(flags).current_dir("/usr"));
    assert!(!said.contains("s3cret"), "{said}");
    let text = root.text("etc/mote/mote.yaml");
    for line in [
        "api_key: \"s3cret\"",
        "interval: \"30s\"",
        "server_url: \"https://hub.example\"",
        "tls:",
        "  ca_file: \"/usr/ca.pem\"",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no {line} in {text}"
        );
    }
    let passwd = root.text("etc/passwd");
    // 999 is a group's number already.
    assert!(passwd.contains("\nmote:*:998:998:"), "{passwd}");
    assert!(root.text("etc/group").contains("\nmote:x:998:\n"));
    for (path, mode) in [("etc/mote", 0o750), ("etc/mote/mote.yaml", 0o640)] {
        let found = fs::metadata(root.at(path)).unwrap();
        let found = (found.mode() & 0o7777, found.uid(), found.gid());
        assert_eq!(found, (mode, 0, 998), "{path}");
    }
}

#[test]
fn what_the_device_cannot_do_without_outlives_a_new_firmware() {
    if !is_root("what_the_device_cannot_do_without_outlives_a_new_firmware") {
        return;
    }
    let root = Root::new("procd");
    let list = "lib/upgrade/keep.d/mote";
    printed(&mut root.install(&FLAGS));
    let text = root.text(list);
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    // The list too, or the firmware after the next one would lose the configuration.
    assert_eq!(kept, ["/etc/mote/", "/lib/upgrade/keep.d/mote"]);
    for path in kept {
        assert!(root.at(path.trim_start_matches('/')).exists(), "{path}");
    }
    // sysupgrade reads the list as root.
    assert_eq!(fs::metadata(root.at(list)).unwrap().mode() & 0o7777, 0o644);
    uninstall(&root, false);
    assert!(!root.at(list).exists());
    // A system without sysupgrade gets no list.
    fs::remove_dir(root.at("lib/upgrade/keep.d")).unwrap();
    printed(&mut root.install(&[]));
    assert!(!root.at("lib/upgrade/keep.d").exists());
}

#[test]
fn files_of_root_are_opened_for_the_service_or_refused() {
    if !is_root("files_of_root_are_opened_for_the_service_or_refused") {
        return;
    }
    let root = Root::new("systemd");
    let put = |path: &str, mode: u32| {
        fs::write(root.at(path), "x").unwrap();
        fs::set_permissions(root.at(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    let found = |path: &str| {
        let found = fs::metadata(root.at(path)).unwrap();
        (found.mode() & 0o7777, found.uid(), found.gid())
    };
    let closed = fs::Permissions::from_mode(0o700);
    for folder in ["etc/mote", "etc/mote/tls", "etc/ssl"] {
        fs::create_dir(root.at(folder)).unwrap();
        fs::set_permissions(root.at(folder), closed.clone()).unwrap();
    }
    put("etc/mote/tls/key", 0o600);
    put("etc/mote/jwt", 0o600);
    put("etc/mote/cert", 0o644);
    put("etc/ca.pem", 0o644);
    let flags = [
        "--tls-key-file=/etc/mote/tls/key",
        "--tls-cert-file=/etc/mote/cert",
        "--tls-ca-file=/etc/ca.pem",
    ];
    // The orchestrator's have no flags. Another kind of proof is told, so this one is not read here.
    let install = || {
        let mut install = root.install(&flags);
        install.env("MOTE_API_AUTH_TYPE", "certificate");
        install.env("MOTE_API_AUTH_TOKEN_FILE", "/etc/mote/jwt");
        install
    };
    let before = root.listing();
    let dry = printed(install().arg("--dry-run"));
    assert_eq!(root.listing(), before);
    assert_eq!(dry, printed(&mut install()));
    for said in [
        "let group mote read /etc/mote (0750)",
        "let group mote read /etc/mote/tls (0750)",
        "let group mote read /etc/mote/tls/key (0640)",
        "let group mote read /etc/mote/jwt (0640)",
    ] {
        assert!(dry.lines().any(|line| line == said), "no {said} in {dry}");
    }
    assert_eq!(found("etc/mote"), (0o750, 0, 998));
    assert_eq!(found("etc/mote/tls"), (0o750, 0, 998));
    assert_eq!(found("etc/mote/tls/key"), (0o640, 0, 998));
    // What could be read already is left as it was.
    assert_eq!(found("etc/mote/cert"), (0o644, 0, 0));
    assert_eq!(found("etc/ca.pem"), (0o644, 0, 0));

    // Elsewhere nothing is changed: neither a file that is closed, nor one in a closed folder.
    printed(&mut mote(&["uninstall", "--purge", "--root", root.name()]));
    put("etc/key", 0o600);
    put("etc/ssl/key", 0o644);
    let before = root.listing();
    for (flag, closed) in [
        ("--tls-key-file=/etc/key", "/etc/key"),
        ("--tls-key-file=/etc/ssl/key", "/etc/ssl"),
    ] {
        let output = root.install(&[flag]).output().unwrap();
        assert_eq!(output.status.code(), Some(77), "{}", said(&output));
        let words = format!(
            "cannot read {}: move the file",
            root.name().to_owned() + closed
        );
        assert!(said(&output).contains(&words), "{}", said(&output));
    }
    assert_eq!(root.listing(), before);
}

#[test]
fn files_of_the_orchestrators_client_are_opened_too() {
    if !is_root("files_of_the_orchestrators_client_are_opened_too") {
        return;
    }
    let root = Root::new("procd");
    fs::create_dir(root.at("etc/mote")).unwrap();
    let names = ["CERT", "KEY", "CA"];
    let mut install = root.install(&FLAGS);
    for name in names {
        let path = format!("etc/mote/{name}");
        fs::write(root.at(&path), "x").unwrap();
        fs::set_permissions(root.at(&path), fs::Permissions::from_mode(0o600)).unwrap();
        install.env(format!("MOTE_API_AUTH_{name}_FILE"), format!("/{path}"));
    }
    printed(&mut install);
    for name in names {
        let found = fs::metadata(root.at(&format!("etc/mote/{name}"))).unwrap();
        assert_eq!((found.mode() & 0o7777, found.gid()), (0o640, 998), "{name}");
    }
}

#[test]
fn a_dry_run_says_the_same_and_does_nothing() {
    if !is_root("a_dry_run_says_the_same_and_does_nothing") {
        return;
    }
    for manager in ["systemd", "procd"] {
        let root = Root::new(manager);
        let before = root.listing();
        let dry = printed(root.install(&FLAGS).arg("--dry-run"));
        assert_eq!(root.listing(), before);
        assert_eq!(dry, printed(&mut root.install(&FLAGS)), "{manager}");
        let installed = root.listing();
        let purge = ["uninstall", "--purge", "--root", root.name()];
        let dry = printed(mote(&purge).arg("--dry-run"));
        assert_eq!(root.listing(), installed);
        // Only a folder that becomes empty on the way cannot be foreseen.
        let done = uninstall(&root, true);
        let foreseen: Vec<&str> = done
            .lines()
            .filter(|line| !line.ends_with("empty"))
            .collect();
        assert_eq!(dry.lines().collect::<Vec<_>>(), foreseen, "{manager}");
    }
}

#[test]
fn somebody_who_is_called_mote_stays() {
    if !is_root("somebody_who_is_called_mote_stays") {
        return;
    }
    let passwd = "root:x:0:0::/root:/bin/sh\nmote:x:1000:999:Mote:/home/mote:/bin/sh\n";
    // Without a group of that name nobody could start the service; and 999 is that of others, too.
    for (group, number) in [("", 998), ("mote:x:300:\n", 300)] {
        let root = Root::new("systemd");
        fs::write(root.at("etc/passwd"), passwd).unwrap();
        fs::write(root.at("etc/group"), format!("staff:x:999:\n{group}")).unwrap();
        let before = root.listing();
        for _ in 0..2 {
            printed(&mut root.install(&FLAGS));
            let found = fs::metadata(root.at("etc/mote/mote.yaml")).unwrap();
            assert_eq!(found.gid(), number);
        }
        let groups = root.text("etc/group");
        let found = groups.lines().find(|line| line.starts_with("mote:"));
        assert!(found.unwrap().ends_with(&format!(":{number}:")), "{groups}");
        uninstall(&root, true);
        assert_eq!(root.listing(), before);
    }
}

#[test]
fn every_device_of_an_image_fills_in_its_own_name() {
    if !is_root("every_device_of_an_image_fills_in_its_own_name") {
        return;
    }
    let fleet = "agent: {id: 'id-{HOSTNAME}', type: sensor}\napi: {base_url: https://o.example}\n";
    let flags = ["--agent-id=id-{HOSTNAME}", "--agent-type=sensor"];
    let url = ["--base-url", "https://o.example"];
    for from_file in [false, true] {
        let root = Root::new("procd");
        fs::write(root.at("fleet.yaml"), fleet).unwrap();
        let mut install = root.install(&[]);
        if from_file {
            install.arg("--config").arg(root.at("fleet.yaml"));
        } else {
            install.args(flags).args(url);
        }
        printed(&mut install);
        let text = root.text("etc/mote/mote.yaml");
        assert!(text.contains("  id: \"id-{HOSTNAME}\"\n"), "{text}");
    }
}

#[test]
fn keys_of_an_image_are_looked_for_in_it_and_may_come_later() {
    if !is_root("keys_of_an_image_are_looked_for_in_it_and_may_come_later") {
        return;
    }
    let root = Root::new("systemd");
    let key = "/etc/mote/no-such-key-on-this-device";
    let flags = [&FLAGS[..], &["--api-key-file", key]].concat();
    // Where the service will look: neither where this test's base directory is, nor an agent's own.
    let install = || {
        let mut install = root.install(&flags);
        install.env("STATE_DIRECTORY", "/elsewhere");
        install.env("CREDENTIALS_DIRECTORY", "/elsewhere");
        install.env("MOTE_AGENT_ID", "a1");
        install.env("MOTE_API_AUTH_TYPE", "jwt");
        install.env("MOTE_API_AUTH_TOKEN_FILE", "agent.jwt");
        install
    };
    let token = "var/lib/mote/config/certificates/agent.jwt";
    let missing = [
        format!("warning: api_key_file {key}: there is no such file, and the service needs it"),
        format!("warning: api.auth.token_file /{token}: there is no such file"),
    ];
    // At first and as an update.
    for _ in 0..2 {
        let report = printed(&mut install());
        for words in &missing {
            assert!(report.contains(words), "no {words} in {report}");
        }
    }
    fs::write(root.at(&key[1..]), "s3cret").unwrap();
    fs::set_permissions(root.at(&key[1..]), fs::Permissions::from_mode(0o600)).unwrap();
    let report = printed(&mut install());
    assert!(!report.contains(&missing[0]), "{report}");
    let found = fs::metadata(root.at(&key[1..])).unwrap();
    assert_eq!((found.mode() & 0o7777, found.gid()), (0o640, 998));

    fs::create_dir_all(root.at(token).parent().unwrap()).unwrap();
    fs::write(root.at(token), "a.b.c").unwrap();
    fs::set_permissions(root.at(token), fs::Permissions::from_mode(0o600)).unwrap();
    let output = install().output().unwrap();
    assert_eq!(output.status.code(), Some(77), "{}", said(&output));
    let words = format!("cannot read {}/{token}: move the file", root.name());
    assert!(said(&output).contains(&words), "{}", said(&output));
}

#[test]
fn a_key_that_is_written_wrong_is_told() {
    if !is_root("a_key_that_is_written_wrong_is_told") {
        return;
    }
    let root = Root::new("systemd");
    fs::write(
        root.at("fleet.yaml"),
        "server_url: https://h\nintervall: 5s\n",
    )
    .unwrap();
    let mut install = root.install(&["--api-key", "s3cret"]);
    let report = printed(install.arg("--config").arg(root.at("fleet.yaml")));
    let words = "fleet.yaml:2: unknown key intervall: did you mean interval?";
    let is_told = |line: &str| line.starts_with("warning: ") && line.ends_with(words);
    assert!(report.lines().any(is_told), "{report}");
}

#[test]
fn the_way_of_this_device_through_a_proxy_is_not_the_images() {
    if !is_root("the_way_of_this_device_through_a_proxy_is_not_the_images") {
        return;
    }
    for (name, is_kept) in [("HTTPS_PROXY", false), ("MOTE_PROXY", true)] {
        let root = Root::new("systemd");
        let mut install = root.install(&FLAGS);
        install.env(name, "http://u:s3cret@proxy.example:3128");
        install.env("no_proxy", "build.example");
        printed(&mut install);
        let text = root.text("etc/mote/mote.yaml");
        assert_eq!(text.contains("proxy.example"), is_kept, "{text}");
        assert!(!text.contains("build.example"), "{text}");
    }
}

#[test]
fn what_systemctl_edit_made_goes_with_purge_alone() {
    if !is_root("what_systemctl_edit_made_goes_with_purge_alone") {
        return;
    }
    let root = Root::new("systemd");
    let before = root.listing();
    printed(&mut root.install(&FLAGS));
    let folder = "etc/systemd/system/mote.service.d";
    fs::create_dir(root.at(folder)).unwrap();
    fs::write(root.at(folder).join("override.conf"), "[Service]\n").unwrap();
    let report = uninstall(&root, false);
    assert!(
        report.contains("/mote.service.d and user mote: --purge"),
        "{report}"
    );
    assert!(root.at(folder).exists());
    uninstall(&root, true);
    assert_eq!(root.listing(), before);
}

#[test]
fn a_root_without_a_place_for_the_service_is_left_alone() {
    if !is_root("a_root_without_a_place_for_the_service_is_left_alone") {
        return;
    }
    for (manager, folder) in [("systemd", "etc/systemd/system"), ("procd", "etc/init.d")] {
        let root = Root::new(manager);
        fs::remove_dir(root.at(folder)).unwrap();
        let before = root.listing();
        let output = root.install(&FLAGS).output().unwrap();
        assert_eq!(output.status.code(), Some(73), "{}", said(&output));
        let words = format!("/{folder} is missing: is this a system with {manager}?");
        assert!(said(&output).contains(&words), "{}", said(&output));
        assert_eq!(root.listing(), before);
    }
    // What is found out later says how to take away what was done.
    let root = Root::new("systemd");
    for list in ["etc/passwd", "etc/group"] {
        fs::remove_file(root.at(list)).unwrap();
    }
    let before = root.listing();
    let output = root.install(&FLAGS).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    let words = "what was done so far stays: mote uninstall takes it away";
    assert!(said(&output).contains(words), "{}", said(&output));
    uninstall(&root, true);
    assert_eq!(root.listing(), before);
}

#[test]
fn what_cannot_be_done_is_refused_with_its_code_before_anything_is_changed() {
    let (systemd, bare) = (Root::new("systemd"), Root::new("procd"));
    fs::remove_file(bare.at("sbin/procd")).unwrap();
    let before = systemd.listing();
    let refused = |arguments: &[&str], code: i32, words: &str| {
        let output = mote(arguments).output().unwrap();
        let said = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    let dry = ["install", "--dry-run", "--root"];
    let with = |root: &'static str| [&dry[..], &[root]].concat();
    refused(&with("/no/such/folder"), 64, "there is no such folder");
    refused(
        &["install", "--dry-run", "--system", "upstart"],
        64,
        "systemd or procd",
    );
    refused(
        &["uninstall", "--no-start"],
        64,
        "does not go with uninstall",
    );
    refused(&["run", "--dry-run"], 64, "does not go with run");
    refused(
        &[&dry[..], &[bare.name()]].concat(),
        64,
        "neither systemd nor procd",
    );
    let wrong = ["--interval", "10"];
    refused(
        &[&dry[..], &[systemd.name()], &wrong].concat(),
        78,
        "write 10s",
    );
    assert_eq!(systemd.listing(), before);
}

#[test]
fn others_than_root_are_told_so() {
    if !is_root("others_than_root_are_told_so") {
        return;
    }
    let root = Root::new("systemd");
    for command in ["install", "uninstall"] {
        let mut other = mote(&[command, "--root", root.name()]);
        let output = other.uid(65_534).gid(65_534).output().unwrap();
        assert_eq!(output.status.code(), Some(77), "{}", said(&output));
        assert!(said(&output).contains("sudo"), "{}", said(&output));
    }
}

#[test]
fn a_root_that_is_none_is_refused_with_the_file_that_could_not_be_written() {
    if !is_root("a_root_that_is_none_is_refused_with_the_file_that_could_not_be_written") {
        return;
    }
    let root = Root::new("systemd");
    fs::remove_dir(root.at("usr/bin")).unwrap();
    let output = root.install(&FLAGS).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    assert!(
        said(&output).contains("cannot write /usr/bin/mote"),
        "{}",
        said(&output)
    );
    // A folder of somebody else may not hold what root trusts; here it leads out of the root.
    let root = Root::new("systemd");
    fs::remove_dir(root.at("usr/bin")).unwrap();
    std::os::unix::fs::symlink("/tmp", root.at("usr/bin")).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let output = root.install(&FLAGS).output().unwrap();
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    assert!(said(&output).contains("out of --root"), "{}", said(&output));
}
