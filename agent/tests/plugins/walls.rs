//! What a plugin's process has, seen from inside it.

use mote::plugin::sandbox::Account;
use mote::plugin::{Action, Status};
use nix::unistd::Uid;

use crate::bench::Bench;

fn status_lines(bench: &mut Bench) -> String {
    let script = "cat /proc/self/status /proc/self/limits\nps -o pid=,pgid=,sid= -p $$ 2>/dev/null\n\
                  cat /proc/self/oom_score_adj\nid -u\nid -G\n";
    bench.put("look", None, "run.sh", script);
    bench.begin();
    let action = Action {
        plugin_id: "look",
        entrypoint: Some("run.sh"),
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(finished.status, Status::Completed, "{finished:?}");
    finished.output.replace("\\n", "\n").replace("\\t", " ")
}

#[test]
fn it_has_no_privileges_and_gets_none() {
    let mut bench = Bench::new();
    bench.walls.max_file_bytes = 1_000_000;
    let text = status_lines(&mut bench);
    for line in [
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapInh: 0000000000000000",
        "CapAmb: 0000000000000000",
        "NoNewPrivs: 1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    if Uid::effective().is_root() {
        assert!(text.contains("CapBnd: 0000000000000000"), "{text}");
    }
    let limit = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .take(2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    assert_eq!(limit("Max file size"), ["1000000", "1000000"]);
    assert!(text.contains("\n500\n"), "{text}");
    bench.end();
}

#[test]
fn as_another_user_it_can_fill_its_work_folder_and_little_else() {
    if !Uid::effective().is_root() {
        // Only root can become somebody else.
        assert!(Account::named("nobody").unwrap_err().contains("only root"));
        return;
    }
    assert!(
        Account::named("no-such-user")
            .unwrap_err()
            .contains("no such user")
    );
    assert!(Account::named("root").unwrap_err().contains("that is root"));
    let mut bench = Bench::new();
    bench.walls.account = Some(Account::named("nobody").unwrap());
    let text = status_lines(&mut bench);
    assert!(text.contains("\n65534\n65534\n"), "{text}");
    assert!(
        text.contains("Max processes             256                  256"),
        "{text}"
    );
    assert!(text.contains("CapEff: 0000000000000000"), "{text}");
    bench.end();

    let mut bench = Bench::new();
    bench.walls.account = Some(Account::named("nobody").unwrap());
    let secret = bench.file("secret");
    std::fs::write(&secret, "x").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let script = "cat >/dev/null\necho x > \"$TMPDIR/file\" && echo wrote\n\
                  cat \"$1\" || echo refused\ntouch \"$PWD/here\" || echo kept\nkill -0 $PPID || echo alone\n";
    bench.put("try", None, "run.sh", script);
    bench.begin();
    let arguments = [secret.to_str().unwrap().to_owned()];
    let action = Action {
        plugin_id: "try",
        entrypoint: Some("run.sh"),
        arguments: &arguments,
        input_data: Some("{\"a\":1}"),
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(
        finished.output, r#"{"raw_output":"wrote\nrefused\nkept\nalone\n"}"#,
        "{finished:?}"
    );
    bench.end();
}

#[test]
fn a_file_that_grows_too_large_ends_its_writer() {
    let mut bench = Bench::new();
    bench.walls.max_file_bytes = 10_000;
    bench.put(
        "grow",
        None,
        "run.sh",
        "exec head -c 20000 /dev/zero > \"$TMPDIR/file\"\n",
    );
    bench.begin();
    let action = Action {
        plugin_id: "grow",
        entrypoint: Some("run.sh"),
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(
        finished.error.as_deref(),
        Some("was ended by signal 25"),
        "{finished:?}"
    );
    bench.end();
}
