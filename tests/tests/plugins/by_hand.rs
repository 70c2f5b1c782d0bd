//! What `mote plugin` says of plugins that are wrong or do wrong, and what it leaves behind.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use mote_tests::agent::{Signal, left_out, mote_binary};
use mote_tests::wait::poll_until;

use crate::{LONG, configure, outcome, plugin, plugins, put};

fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

/// The number that a plugin wrote into a file.
fn pid_in(path: &Path) -> String {
    let written = poll_until("the plugin's number", LONG, || {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    });
    written.unwrap()
}

#[track_caller]
fn ends(pid: &str) {
    poll_until("its end", Duration::from_secs(20), || {
        (!is_alive(pid)).then_some(())
    })
    .unwrap();
}

#[test]
fn a_list_tells_what_does_not_run_and_why() {
    let agent = plugin(&["list"]);
    put(&agent, "good", Some("trigger"), "main.sh", "");
    put(&agent, "once", None, "run.sh", "");
    put(&agent, "out", Some("output"), "main.sh", "");
    put(&agent, "broken", Some("trigger"), "main.sh", "");
    fs::write(
        plugins(&agent).join("broken/plugin.yaml"),
        "plugin:\n\tid: x\n",
    )
    .unwrap();
    put(&agent, "forbidden", Some("action"), "main.sh", "");
    let agent = agent.env("MOTE_PLUGINS_BLOCKED_PLUGINS", "forbidden");
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(78), "{text}\n{errors}");
    assert!(errors.contains("3 plugins do not run"), "{errors}");
    for (id, words) in [
        ("good", "trigger  main.sh"),
        ("once", "runs once"),
        ("out", "output plugins are not supported"),
        ("broken", "plugin.yaml:2: not valid YAML"),
        ("forbidden", "plugins.blocked_plugins"),
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{id} ")));
        assert!(
            line.is_some_and(|line| line.contains(words)),
            "{id}: {text}"
        );
    }
}

#[test]
fn what_a_plugin_does_wrong_is_said_and_it_is_gone() {
    for (id, script, words) in [
        ("silent", "exit 0\n", "ended with code 0"),
        (
            "crash",
            "echo broken pump >&2\nkill -SEGV $$\n",
            "signal 11: broken pump",
        ),
        (
            "flood",
            "exec cat /dev/zero\n",
            "a line of more than 65536 bytes",
        ),
        (
            "nonsense",
            "read line\necho hello\nexec sleep 1000\n",
            "not JSON",
        ),
        (
            "hang",
            "trap '' TERM\necho $$ > \"$1\"\nsleep 1000 & wait\nsleep 1000\n",
            "within 1000 ms",
        ),
    ] {
        let agent = plugin(&["test", id]);
        let path = agent.dir().join("pid");
        let script = script.replace("\"$1\"", &format!("'{}'", path.display()));
        put(&agent, id, Some("trigger"), "main.sh", &script);
        let (text, code, errors) = outcome(&agent);
        assert_eq!(code, Some(1), "{id}: {text}\n{errors}");
        assert!(errors.contains(words), "{id}: {text}\n{errors}");
        if path.exists() {
            ends(&pid_in(&path));
        }
    }
}

#[test]
fn all_that_a_plugin_is_sent_is_printed_to_the_last_word() {
    let agent = plugin(&["test", "good"]);
    let script = "while read -r line && [ -n \"$line\" ]; do\n  echo '{\"success\":true}'\ndone\n";
    put(&agent, "good", Some("trigger"), "main.sh", script);
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    for words in ["at most 256 MB, looked at", "time           1s a call"] {
        assert!(text.contains(words), "{text}");
    }
    let sent: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("> "))
        .collect();
    assert_eq!(
        sent,
        [
            r#"{"action":"get_info"}"#,
            r#"{"action":"initialize","config":{}}"#,
            r#"{"action":"start"}"#,
            r#"{"action":"detect_triggers"}"#,
            r#"{"action":"get_health"}"#,
            r#"{"action":"stop"}"#,
        ]
    );
}

#[test]
fn a_file_is_run_once_without_a_shell_and_without_the_agents_secrets() {
    let input = r#"{"a":"$(id); `id`"}"#;
    let agent = plugin(&["test", "once", "--entrypoint", "run.sh", "--input", input]);
    put(&agent, "once", None, "run.sh", "cat\nenv >&2\n");
    let agent = agent.env("MOTE_API_KEY", "canary-5f2c");
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    let expected = format!(r#"output {{"input_data":{input},"context":{{}},"variables":{{}}}}"#);
    assert!(text.lines().any(|line| line == expected), "{text}");
    assert!(text.contains("! PATH=/usr/local/sbin:"), "{text}");
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn a_file_to_run_once_must_be_named() {
    let agent = plugin(&["test", "once"]);
    put(&agent, "once", None, "run.sh", "");
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(64), "{text}\n{errors}");
    assert!(errors.contains("--entrypoint FILE"), "{errors}");
}

#[test]
fn a_plugin_and_what_it_starts_come_after_the_agent_on_the_processor() {
    let agent = plugin(&["test", "once", "--entrypoint", "run.sh"]);
    // The 19th field of its own is niceness (proc(5)). The agent sets it once the plugin runs.
    let script = "until read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ own _ </proc/$$/stat\n\
                  [ \"$own\" = 10 ]; do sleep 0.01; done\n\
                  (read -r _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ child _ </proc/self/stat\n\
                  echo \"own $own, child $child\" >&2)\necho '{}'\n";
    put(&agent, "once", None, "run.sh", script);
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    assert!(text.contains("own 10, child 10"), "{text}");
    assert!(text.contains("nice 10"), "{text}");
}

#[test]
fn where_the_service_may_not_compile_node_interprets() {
    let name = "where_the_service_may_not_compile_node_interprets";
    if left_out("a wall against compiling: an emulator compiles") {
        return;
    }
    let agent = plugin(&["test", "once", "--entrypoint", "run.js"]);
    let script = "console.log(JSON.stringify({flags: process.execArgv.length}));\n";
    put(&agent, "once", None, "run.js", script);
    // PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN, as the unit's MemoryDenyWriteExecute=.
    let wall = "import ctypes, os, sys\n\
                if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0): sys.exit(99)\n\
                os.execv(sys.argv[1], sys.argv[1:])\n";
    let wall = agent.write_file("wall.py", wall).unwrap();
    let mote = mote_binary().unwrap();
    let (wall, mote) = (wall.display(), mote.display());
    let words = format!("exec python3 {wall} {mote} plugin \"$@\"");
    let start = agent.write_file("start", &words).unwrap();
    let walled = agent.clone().binary("/bin/sh");
    let (text, code, errors) = outcome(&walled.command(start.to_str().unwrap()));
    let missing = if code == Some(99) {
        Some("this kernel has no PR_SET_MDWE")
    } else if text.contains("not on this device") || errors.contains("not on this device") {
        Some("there is no node")
    } else {
        None
    };
    if let Some(why) = missing {
        writeln!(io::stderr(), "SKIPPED {name}: {why}").ok();
        return;
    }
    assert_eq!(code, Some(0), "{text}\n{errors}");
    assert!(text.contains(r#"output {"flags":2}"#), "{text}");
    // And compiles where it may.
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    assert!(text.contains(r#"output {"flags":0}"#), "{text}");
}

#[test]
fn each_session_that_a_plugin_makes_comes_after_the_agents() {
    let name = "each_session_that_a_plugin_makes_comes_after_the_agents";
    let own = fs::read_to_string("/proc/self/autogroup").unwrap_or_default();
    if own.is_empty() {
        let why = "this kernel deals out the processor without autogroups";
        writeln!(io::stderr(), "SKIPPED {name}: {why}").ok();
        return;
    }
    let agent = plugin(&["test", "once", "--entrypoint", "run.sh"]);
    // Without it niceness says nothing to who is in another session (sched(7)).
    let script = "waits() { until grep -q ' nice 10$' /proc/self/autogroup; do sleep 0.01; done }\n\
                  waits\n[ \"$1\" = again ] || setsid sh \"$0\" again\n\
                  cat /proc/self/autogroup >&2\n[ \"$1\" = again ] || echo '{}'\n";
    put(&agent, "once", None, "run.sh", script);
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    let sessions: Vec<_> = text
        .lines()
        .filter(|line| line.contains("/autogroup-"))
        .collect();
    assert_eq!(sessions.len(), 2, "{text}");
    assert!(
        sessions.iter().all(|line| line.ends_with(" nice 10")),
        "{text}"
    );
    assert_ne!(sessions[0], sessions[1]);
    assert!(!sessions.iter().any(|line| line.ends_with(own.trim_end())));
}

#[test]
fn a_plugin_dies_with_its_agent_however_that_ends() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let agent = plugin(&["test", "stays"]);
        let path = agent.dir().join("pid");
        let script = format!(
            "trap '' TERM HUP INT\necho $$ > '{}'\nwhile :; do read x || exec sleep 1000; done\n",
            path.display()
        );
        put(&agent, "stays", Some("trigger"), "main.sh", &script);
        let manifest = plugins(&agent).join("stays/plugin.yaml");
        let text = fs::read_to_string(&manifest).unwrap().replace("1s", "1h");
        fs::write(manifest, text).unwrap();
        let mut running = agent.start().unwrap();
        let pid = pid_in(&path);
        assert!(is_alive(&pid));
        running.signal(signal).unwrap();
        running.wait_exit(LONG).unwrap();
        ends(&pid);
    }
}

#[test]
fn another_user_reaches_its_work_folder_and_its_input() {
    let name = "another_user_reaches_its_work_folder_and_its_input";
    let agent = plugin(&[
        "test",
        "once",
        "--entrypoint",
        "run.sh",
        "--input",
        r#"{"n":7}"#,
    ]);
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !is_root {
        writeln!(
            io::stderr(),
            "SKIPPED {name}: only root runs plugins as another user"
        )
        .ok();
        return;
    }
    // The way there is the administrator's, the folder itself the agent's.
    for folder in [agent.dir().to_owned(), agent.base_dir()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o711)).unwrap();
    }
    let script = "read x\necho \"$x\" > \"$TMPDIR/got\"\nprintf '{\"got\":%s,\"uid\":%s}' \
                  \"$(cat \"$HOME/got\")\" \"$(id -u)\"\n";
    put(&agent, "once", None, "run.sh", script);
    let agent = agent.env("MOTE_SECURITY_SANDBOX_USER", "nobody");
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    assert!(
        text.contains(r#"{"got":{"input_data":{"n":7},"#) && text.contains(r#""uid":65534}"#),
        "{text}"
    );
    let left = fs::read_dir(agent.dir()).unwrap().flatten();
    let mut left = left.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert!(!left.any(|name| name.starts_with("mote-plugin-test")));
}

#[test]
fn what_is_not_there_is_said_with_where_to_look() {
    let agent = plugin(&["test", "missing"]);
    let (_, code, errors) = outcome(&agent);
    assert_eq!(code, Some(78));
    assert!(errors.contains("see mote plugin list"), "{errors}");
    let agent = plugin(&["test", "x", "--input", "[1]"]);
    let (_, code, errors) = outcome(&agent);
    assert_eq!(code, Some(64));
    assert!(errors.contains("give a JSON object"), "{errors}");
}

#[test]
fn what_is_secret_in_its_configuration_is_not_printed_even_if_the_plugin_says_it() {
    let agent = plugin(&["test", "mail"]);
    let script = "while read -r line && [ -n \"$line\" ]; do\n  case $line in\n    \
                  *initialize*) echo \"$line\" >&2; kept=$line; echo '{\"success\":true}' ;;\n    \
                  *detect*) echo '{\"success\":true,\"data\":{\"type\":\"t\",\"data\":'\"$kept\"'}}' ;;\n    \
                  *health*) echo '{\"success\":true,\"data\":{\"status\":\"healthy\"}}' ;;\n    \
                  *) echo '{\"success\":true}' ;;\n  esac\ndone\n";
    put(&agent, "mail", Some("trigger"), "main.sh", script);
    let path = plugins(&agent).join("mail/plugin.yaml");
    let options = "  configuration:\n    smtp_password: {type: string}\n    \
                   pin: {type: string, secret: true}\n    server: {type: string}\n";
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest + options).unwrap();
    let values = "smtp_password: canary-1\npin: canary-2\nserver: mail.example.com\n";
    configure(&agent, "mail", values);
    let (text, code, errors) = outcome(&agent);
    assert_eq!(code, Some(0), "{text}\n{errors}");
    assert!(
        !text.contains("canary") && !errors.contains("canary"),
        "{text}"
    );
    for part in ["\"smtp_password\":\"(set, ", "\"pin\":\"(set, "] {
        // Sent, said and reported.
        assert!(text.matches(part).count() >= 3, "{text}");
    }
    assert!(text.contains("\"server\":\"mail.example.com\""), "{text}");
}
