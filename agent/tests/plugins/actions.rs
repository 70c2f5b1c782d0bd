//! Actions that are a process of their own.

use mote::plugin::{Action, Finished, PluginError, PluginReport, State, Status};

use crate::bench::{Bench, children, is_alive, number_in};

fn run(bench: &mut Bench, action: &Action<'_>) -> Finished {
    let now_ms = bench.now_ms();
    let run = bench.plugins.start_action(action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(finished.run, run);
    finished
}

fn refusal(bench: &mut Bench, action: &Action<'_>) -> PluginError {
    let now_ms = bench.now_ms();
    bench.plugins.start_action(action, now_ms).unwrap_err()
}

#[test]
fn a_shell_script_gets_its_input_arguments_and_environment_and_no_more() {
    let mut bench = Bench::new();
    let script = "printf '{\"args\":\"%s\",\"env\":\"%s\",\"in\":' \"$*\" \"$(env | cut -d= -f1 | sort | tr '\\n' ' ')\"\n\
                  cat\nprintf '}'\npwd >&2\nls /proc/self/fd >&2\n";
    bench.put("once", None, "run.sh", script);
    bench.begin();
    let arguments = ["; touch x".to_owned(), "$(id)".to_owned()];
    let environment = [("SERVICE".to_owned(), "nginx".to_owned())];
    let action = Action {
        id: "i",
        plugin_id: "once",
        entrypoint: Some("run.sh"),
        arguments: &arguments,
        environment: &environment,
        input_data: Some("{\"a\":1}"),
        correlation_id: Some("c-1"),
        ..Action::default()
    };
    let finished = run(&mut bench, &action);
    assert_eq!(finished.status, Status::Completed, "{finished:?}");
    assert_eq!(finished.exit_code, Some(0));
    assert_eq!(
        finished.output,
        concat!(
            r#"{"args":"; touch x $(id)","env":"HOME LANG MOTE_CORRELATION_ID PATH PWD "#,
            r#"PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED SERVICE TMPDIR ","#,
            r#""in":{"input_data":{"a":1},"context":{},"variables":{}}}"#
        )
    );
    let folder = bench.options.dir.join("once").canonicalize().unwrap();
    assert_eq!(finished.logs[0], folder.to_str().unwrap());
    // ls itself has a fourth one open, on the folder that it reads.
    assert_eq!(finished.logs[1..], ["0", "1", "2", "3"]);
    // Its work folder goes, a piece at a time.
    let tmp = bench.options.tmp_dir.clone();
    bench.until(|_| (std::fs::read_dir(&tmp).unwrap().count() == 0).then_some(()));
    bench.end();
}

#[test]
fn python_gets_the_path_of_its_input() {
    let mut bench = Bench::new();
    let script = "import sys, json\nassert sys.argv[1] == '--input'\n\
                  print(json.dumps(json.load(open(sys.argv[2]))['variables']))\n";
    bench.put("py", None, "main.py", script);
    bench.begin();
    let action = Action {
        plugin_id: "py",
        entrypoint: Some("main.py"),
        variables: Some("{\"v\": [1]}"),
        ..Action::default()
    };
    assert_eq!(run(&mut bench, &action).output, "{\"v\": [1]}");
    bench.end();
}

#[test]
fn output_that_is_no_object_is_text_and_keeps_its_ends() {
    let mut bench = Bench::new();
    let script = "case $1 in\ntext) echo hello;;\nlist) echo '[1]';;\ntwo) echo '{}{}';;\n\
                  nan) echo '{\"a\":NaN}';;\nlong) echo begin; yes | head -c 300000; echo end;;\n\
                  binary) head -c 1000 /dev/urandom;;\nsilent) ;;\nesac\n";
    bench.put("out", None, "run.sh", script);
    bench.begin();
    for (word, expected) in [
        ("text", r#"{"raw_output":"hello\n"}"#),
        ("list", r#"{"raw_output":"[1]\n"}"#),
        ("two", r#"{"raw_output":"{}{}\n"}"#),
        ("nan", r#"{"raw_output":"{\"a\":NaN}\n"}"#),
        ("silent", r#"{"raw_output":""}"#),
    ] {
        let arguments = [word.to_owned()];
        let action = Action {
            plugin_id: "out",
            entrypoint: Some("run.sh"),
            arguments: &arguments,
            ..Action::default()
        };
        assert_eq!(run(&mut bench, &action).output, expected);
    }
    for word in ["long", "binary"] {
        let arguments = [word.to_owned()];
        let action = Action {
            plugin_id: "out",
            entrypoint: Some("run.sh"),
            arguments: &arguments,
            ..Action::default()
        };
        let finished = run(&mut bench, &action);
        assert_eq!(finished.status, Status::Completed, "{finished:?}");
        assert!(finished.output.len() < 66_000, "{}", finished.output.len());
        assert!(mote_core::json::read(finished.output.as_bytes(), 70_000).is_ok());
        if word == "long" {
            assert!(finished.output.starts_with(r#"{"raw_output":"begin\ny"#));
            assert!(finished.output.ends_with(r#"y\nend\n"}"#));
        }
    }
    bench.end();
}

#[test]
fn a_code_a_signal_and_a_deadline_are_told_apart() {
    let mut bench = Bench::new();
    let script = "echo why >&2\ncase $1 in\ncode) exit 3;;\nsignal) kill -9 $$;;\nrt) kill -40 $$;;\n\
                  long) exec sleep 1000;;\nesac\n";
    bench.put("end", None, "run.sh", script);
    bench.begin();
    for (word, code, words) in [
        ("code", 3, "ended with code 3"),
        ("signal", 137, "was ended by signal 9"),
        ("rt", 168, "was ended by signal 40"),
    ] {
        let arguments = [word.to_owned()];
        let action = Action {
            plugin_id: "end",
            entrypoint: Some("run.sh"),
            arguments: &arguments,
            ..Action::default()
        };
        let finished = run(&mut bench, &action);
        assert_eq!(finished.status, Status::Failed, "{finished:?}");
        assert_eq!(finished.exit_code, Some(code));
        assert_eq!(finished.error.as_deref(), Some(words));
        assert_eq!(finished.logs, ["why"]);
    }
    let arguments = ["long".to_owned()];
    let action = Action {
        plugin_id: "end",
        entrypoint: Some("run.sh"),
        arguments: &arguments,
        timeout_ms: 200,
        ..Action::default()
    };
    let finished = run(&mut bench, &action);
    assert_eq!(finished.status, Status::TimedOut);
    assert_eq!(
        finished.error.as_deref(),
        Some("took longer than 200 ms and was killed")
    );
    bench.end();
}

#[test]
fn what_may_not_run_is_refused_with_words() {
    let mut bench = Bench::new();
    bench.options.max_concurrent = 1;
    bench.options.blocked = vec!["blocked".into()];
    bench.put("ok", None, "run.sh", "exec sleep 1000\n");
    bench.put("blocked", None, "run.sh", "");
    bench.put("trigger", Some("trigger"), "run.sh", "cat\n");
    std::os::unix::fs::symlink("/bin/sh", bench.options.dir.join("ok/link")).unwrap();
    bench.begin();
    let base = Action {
        plugin_id: "ok",
        entrypoint: Some("run.sh"),
        ..Action::default()
    };
    let bad_variable = [("LD_PRELOAD".to_owned(), "x".to_owned())];
    let bad_argument = ["a\0b".to_owned()];
    for (action, words) in [
        (
            Action {
                plugin_id: "../ok",
                ..base
            },
            "is no id",
        ),
        (
            Action {
                plugin_id: "missing",
                ..base
            },
            "is not installed",
        ),
        (
            Action {
                plugin_id: "blocked",
                ..base
            },
            "plugins.blocked_plugins",
        ),
        (
            Action {
                plugin_id: "trigger",
                ..base
            },
            "is a trigger",
        ),
        (
            Action {
                entrypoint: None,
                ..base
            },
            "no entrypoint",
        ),
        (
            Action {
                entrypoint: Some("../../x"),
                ..base
            },
            "entry point ../../x",
        ),
        (
            Action {
                entrypoint: Some("/bin/sh"),
                ..base
            },
            "leads out",
        ),
        (
            Action {
                entrypoint: Some("link"),
                ..base
            },
            "leads out",
        ),
        (
            Action {
                environment: &bad_variable,
                ..base
            },
            "may not set \"LD_PRELOAD\"",
        ),
        (
            Action {
                arguments: &bad_argument,
                ..base
            },
            "NUL",
        ),
    ] {
        let error = refusal(&mut bench, &action);
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.is_temporary(), "{error}");
    }
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&base, now_ms).unwrap();
    let error = refusal(&mut bench, &base);
    assert!(error.is_temporary(), "{error}");
    assert_eq!(error.to_string(), "1 actions are running already");
    bench.end();
}

#[test]
fn what_ended_in_time_is_not_late_because_nobody_took_it() {
    let mut bench = Bench::new();
    bench.put("quick", None, "run.sh", "echo '{\"n\":1}'\n");
    bench.begin();
    let action = Action {
        plugin_id: "quick",
        entrypoint: Some("run.sh"),
        timeout_ms: 5_000,
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    for _ in 0..3 {
        bench.plugins.start_action(&action, now_ms).unwrap();
    }
    bench.until(|_| children().is_empty().then_some(()));
    bench.turn();
    bench.skip_ms(3_600_000);
    bench.turn();
    let now_ms = bench.now_ms();
    // One came while there was time, one is late, one meets the end of the agent.
    let first = bench.finished();
    bench.turn();
    bench.plugins.begin_stop(now_ms);
    let others = [bench.finished(), bench.finished()];
    for finished in [&first].into_iter().chain(&others) {
        assert_eq!(finished.status, Status::Completed, "{finished:?}");
        assert_eq!(finished.output, r#"{"n":1}"#);
        assert!(finished.duration_ms < 3_000_000, "{finished:?}");
    }
    bench.end();
}

#[test]
fn a_stop_interrupts_and_says_so() {
    let mut bench = Bench::new();
    bench.put(
        "long",
        None,
        "run.sh",
        "echo $$ > \"$1\"\nexec sleep 1000\n",
    );
    bench.begin();
    let pid_file = bench.file("pid");
    let arguments = [pid_file.to_str().unwrap().to_owned()];
    let action = Action {
        plugin_id: "long",
        entrypoint: Some("run.sh"),
        arguments: &arguments,
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    let run = bench.plugins.start_action(&action, now_ms).unwrap();
    let pid = bench.until(|_| number_in(&pid_file));
    assert_eq!(bench.plugins.process_of(run).unwrap().0, pid);
    bench.plugins.begin_stop(now_ms);
    let finished = bench.finished();
    assert_eq!(finished.status, Status::Interrupted);
    assert_eq!(
        finished.error.as_deref(),
        Some("interrupted: may or may not have run")
    );
    assert!(!is_alive(pid));
    assert!(refusal(&mut bench, &action).is_temporary());
    bench.end();
}

#[test]
fn what_an_earlier_agent_left_is_killed_and_nobody_else() {
    let mut bench = Bench::new();
    // A leader that is gone, and one of its group that is not.
    let script = "setsid sh -c 'sleep 1000 & echo $! > \"$0\"; exit 0' \"$1\" &\nwait\n";
    bench.put("left", None, "run.sh", script);
    bench.begin();
    let stranger = std::process::Command::new("sh")
        .args([
            "-c",
            "setsid sh -c 'echo $$ > \"$0\"; exec sleep 1000' \"$0\" &",
        ])
        .arg(bench.file("stranger"))
        .spawn();
    let mut stranger = stranger.unwrap();
    stranger.wait().unwrap();
    let path = bench.file("stranger");
    let pid = loop {
        if let Some(pid) = number_in(&path) {
            break pid;
        }
        std::hint::spin_loop();
    };
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let begin: u64 = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split(' ')
        .nth(20)
        .unwrap()
        .parse()
        .unwrap();
    bench.plugins.kill_left_over(pid, begin + 1);
    assert!(is_alive(pid), "its number is another's");
    bench.plugins.kill_left_over(0, 0);
    bench.plugins.kill_left_over(1, 0);
    bench.plugins.kill_left_over(pid, begin);
    bench.until(|_| (!is_alive(pid)).then_some(()));
    bench.end();
}

/// How the plugin of this id does.
fn of<'a>(bench: &'a Bench, id: &str) -> PluginReport<'a> {
    bench
        .plugins
        .report()
        .find(|report| report.id == id)
        .unwrap()
}

#[test]
fn runs_failures_and_the_time_of_what_is_over_in_a_moment_are_reported() {
    let mut bench = Bench::new();
    // Over long before anybody looks at what it uses.
    let script = "n=0\nwhile [ $n -lt 60000 ]; do n=$((n + 1)); done\nexit $1\n";
    bench.put("once", None, "run.sh", script);
    bench.put("other", None, "run.sh", "");
    bench.put("blocked", None, "run.sh", "");
    bench.options.blocked = vec!["blocked".into()];
    bench.begin();
    assert_eq!(of(&bench, "other").state, State::Down);
    assert_eq!(of(&bench, "blocked").state, State::Blocked);
    for (code, failures) in [("0", 0), ("3", 1)] {
        let arguments = [code.to_owned()];
        let action = Action {
            id: "i",
            plugin_id: "once",
            entrypoint: Some("run.sh"),
            arguments: &arguments,
            ..Action::default()
        };
        run(&mut bench, &action);
        let report = of(&bench, "once");
        assert_eq!(report.tally.failures, failures);
        assert_eq!(report.error.is_some(), failures > 0, "{:?}", report.error);
    }
    let report = of(&bench, "once");
    assert_eq!((report.tally.runs, report.rss_bytes), (2, 0));
    assert!(!report.stays && report.state == State::Down);
    assert!(report.cpu_ms > 0 && report.tally.last_run_ms.is_some());
    assert_eq!(of(&bench, "other").tally.runs, 0);
    bench.end();
}
