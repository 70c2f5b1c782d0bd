//! Plugins that do all that a plugin can do wrong.

use mote::plugin::{Action, State, Status};

use crate::bench::{Bench, children, is_alive, number_in, python};

/// Such a plugin fails, is tried again later, and what it did is told.
#[track_caller]
fn fails(name: &str, file: &str, text: &str, words: &str) {
    let mut bench = Bench::new();
    bench.put(name, Some("trigger"), file, text);
    bench.begin();
    bench.reported(|report| report.tally.crashes == 1 && report.state == State::Failed);
    let said = bench.error();
    assert!(said.contains(words), "{name}: {said}");
    assert!(children().is_empty(), "{name}: {:?}", children());
    assert_eq!(bench.plugins.take_event(), None, "{name}");
    // Tried again after its delay.
    bench.skip_ms(2_000);
    bench.reported(|report| report.tally.crashes == 2 && report.tally.restarts == 1);
    bench.reported(|report| report.tally.last_run_ms.is_some() == (report.tally.runs > 0));
    bench.end();
}

#[test]
fn a_crash_is_a_failure() {
    fails(
        "crash",
        "main.py",
        &python("", "        os.kill(os.getpid(), signal.SIGSEGV)"),
        "signal 11",
    );
    fails(
        "raises",
        "main.py",
        &python("", "        raise KeyError('x')"),
        "KeyError: 'x'",
    );
    fails(
        "real-time",
        "main.py",
        &python("", "        os.kill(os.getpid(), 40)"),
        "signal 40",
    );
    fails("silent", "main.sh", "exit 0\n", "ended with code 0");
    fails(
        "missing",
        "main.py",
        "import no_such_module\n",
        "No module named",
    );
}

#[test]
fn p9_a_lie_in_json_is_a_failure() {
    for (name, answer, words) in [
        (
            "nan",
            r#"{"success": true, "data": {"type": "t", "data": {"a": NaN}}}"#,
            "not JSON",
        ),
        (
            "huge",
            r#"{"success": true, "data": {"type": "t", "data": {"a": 1e400}}}"#,
            "out of range",
        ),
        (
            "twice",
            r#"{"success": true, "success": true, "data": null}"#,
            "there already",
        ),
        (
            "nul",
            r#"{"success": true, "data": {"type": "a\u0000"}}"#,
            "a NUL",
        ),
        ("no-json", "hello", "not JSON"),
        ("list", "[]", "not JSON"),
        ("cut", r#"{"success": true"#, "ends too early"),
        (
            "more",
            r#"{"success": true, "data": null} {"success": true}"#,
            "after the object",
        ),
    ] {
        let detect = format!(
            "        print('''{}'''); continue",
            answer.replace('\\', "\\\\")
        );
        fails(name, "main.py", &python("", &detect), words);
    }
    let raw =
        "        sys.stdout.buffer.write(b'{\"success\": true, \"data\": \"\\xff\"}\\n'); continue";
    fails("utf8", "main.py", &python("", raw), "not UTF-8");
    let raw =
        "        sys.stdout.buffer.write(b'{\"success\": true, \"data\": \"\\x00\"}\\n'); continue";
    fails("raw-nul", "main.py", &python("", raw), "a NUL");
    let deep =
        "        print('{\"success\":true,\"data\":' + '['*10000 + ']'*10000 + '}'); continue";
    fails("deep", "main.py", &python("", deep), "32 levels");
    let unasked = "        answer(None); answer(None); time.sleep(1000)";
    fails(
        "unasked",
        "main.py",
        &python("", unasked),
        "without being asked",
    );
}

#[test]
fn p8_an_answer_that_never_ends_is_cut_and_its_plugin_killed() {
    let flood = "        while True: sys.stdout.write('x' * 4096)";
    fails(
        "flood",
        "main.py",
        &python("", flood),
        "a line of more than 65536 bytes",
    );
    let lines = "        while True: print('{}')";
    fails(
        "lines",
        "main.py",
        &python("", lines),
        "without being asked",
    );
    fails(
        "zeros",
        "main.sh",
        "exec cat /dev/zero\n",
        "a line of more than",
    );
}

#[test]
fn p5_a_plugin_that_hangs_is_killed_at_its_time_and_then_for_good() {
    let mut bench = Bench::new();
    bench.options.trigger_timeout_ms = 300;
    let before = "signal.signal(signal.SIGTERM, signal.SIG_IGN)";
    bench.put(
        "hang",
        Some("trigger"),
        "main.py",
        &python(before, "        time.sleep(1000)"),
    );
    bench.begin();
    bench.reported(|report| report.state == State::Stopping);
    assert_eq!(children().len(), 1);
    // The ladder's five seconds.
    bench.skip_ms(5_000);
    bench.reported(|report| report.tally.crashes == 1);
    let said = bench.error();
    assert!(said.contains("no answer within 300 ms"), "{said}");
    assert!(children().is_empty());
    bench.end();
}

#[test]
fn p10_a_plugin_that_never_reads_or_closes_its_ends_is_ended_by_its_time() {
    let answers = python("", "        os.close(1); time.sleep(1000)");
    for (file, text, words) in [
        ("main.sh", "exec sleep 1000\n", "no answer within 300 ms"),
        (
            "main.sh",
            "exec >&-; exec sleep 1000\n",
            "closed its standard output",
        ),
        (
            "main.sh",
            "exec <&- >&- 2>&-; exec sleep 1000\n",
            "closed its standard output",
        ),
        ("main.py", answers.as_str(), "closed its standard output"),
    ] {
        let mut bench = Bench::new();
        if words.starts_with("no") {
            bench.options.timeout_ms = 300;
        }
        bench.put("deaf", Some("trigger"), file, text);
        bench.begin();
        bench.reported(|report| report.tally.crashes == 1);
        let said = bench.error();
        assert!(said.contains(words), "{said}");
        bench.end();
    }
}

#[test]
fn p6_a_grandchild_in_a_session_of_its_own_does_not_outlive_the_plugin() {
    let mut bench = Bench::new();
    // It holds both pipes, ignores SIGTERM, and its parent is gone.
    let script = "setsid sh -c 'trap \"\" TERM HUP; echo $$ > \"$0\"; while :; do sleep 1000; done' \"$1\" &\n\
                  until [ -s \"$1\" ]; do :; done\necho done\n";
    bench.put("leave", None, "run.sh", script);
    bench.begin();
    let path = bench.file("pid");
    let arguments = [path.to_str().unwrap().to_owned()];
    let action = Action {
        plugin_id: "leave",
        entrypoint: Some("run.sh"),
        arguments: &arguments,
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(finished.status, Status::Completed);
    assert_eq!(finished.output, r#"{"raw_output":"done\n"}"#);
    let pid = number_in(&path).unwrap();
    bench.until(|_| (!is_alive(pid) && children().is_empty()).then_some(()));
    bench.end();
}

#[test]
fn p6_an_orphan_of_a_plugin_that_lives_is_killed_if_it_left_the_session() {
    let mut bench = Bench::new();
    let path = bench.file("pid");
    // Its parent goes when it is there.
    let file = path.display();
    let before = format!(
        "subprocess.Popen(['sh', '-c', 'setsid sh -c \"echo \\\\$\\\\$ > {file}; exec sleep 1000\" & \
         until [ -s {file} ]; do :; done']).wait()"
    );
    bench.put(
        "orphan",
        Some("trigger"),
        "main.py",
        &python(&before, "        pass"),
    );
    bench.begin();
    let pid = bench.until(|_| number_in(&path));
    bench.skip_ms(1_000);
    bench.until(|_| (!is_alive(pid)).then_some(()));
    // The plugin itself goes on.
    bench.reported(|report| report.tally.runs > 1 && report.tally.crashes == 0);
    bench.end();
}

#[test]
fn p6_a_stop_waits_for_all_that_comes_to_the_agent_when_others_are_killed() {
    let mut bench = Bench::new();
    let path = bench.file("pid");
    // Each in a session of its own, below the one before.
    let script = "[ \"$2\" = 0 ] && { echo $$ > \"$1\"; exec sleep 1000; }\n\
                  trap '' TERM HUP\nsetsid sh \"$0\" \"$1\" $(($2 - 1)) &\nwait\n";
    let nested = bench.file("nested.sh");
    std::fs::write(&nested, script).unwrap();
    let (nested, pid) = (nested.display(), path.display());
    let before = format!(
        "subprocess.Popen(['setsid', 'sh', '{nested}', '{pid}', '5'], stdin=subprocess.DEVNULL)"
    );
    let python = python(&before, "        pass");
    bench.put("nest", Some("trigger"), "main.py", &python);
    bench.begin();
    let pid = bench.until(|_| number_in(&path));
    let now_ms = bench.now_ms();
    bench.plugins.begin_stop(now_ms);
    bench.until(|plugins| plugins.is_stopped().then_some(()));
    assert!(!is_alive(pid));
    bench.end();
}

#[test]
fn children_that_were_there_before_any_plugin_are_nobodys_to_kill() {
    let mut bench = Bench::new();
    let mut elder = std::process::Command::new("setsid")
        .args(["sleep", "1000"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let elder_pid = i32::try_from(elder.id()).unwrap();
    let own = nix::unistd::getsid(None).unwrap();
    bench.until(|_| {
        let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(elder_pid)));
        (session != Ok(own)).then_some(())
    });
    bench.put(
        "look",
        Some("trigger"),
        "main.py",
        &python("", "        pass"),
    );
    bench.begin();
    // One that came with the process, and made another since.
    let mut later = std::process::Command::new("sleep")
        .arg("1000")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    bench.reported(|report| report.tally.runs > 2);
    bench.skip_ms(2_000);
    bench.turn();
    assert!(is_alive(elder_pid));
    assert!(is_alive(i32::try_from(later.id()).unwrap()));
    for child in [&mut elder, &mut later] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    bench.end();
}

#[test]
fn what_a_plugin_of_an_earlier_agent_started_is_killed_and_nobody_else() {
    let mut bench = Bench::new();
    let run = bench.options.tmp_dir.join("run-1-1");
    std::fs::create_dir_all(&run).unwrap();
    let with_home = |home: &std::path::Path| {
        let mut sleep = std::process::Command::new("sleep");
        sleep.arg("1000").env("HOME", home);
        sleep.stdout(std::process::Stdio::null()).spawn().unwrap()
    };
    let mut left = with_home(&run);
    // In another root the same words are another folder's, as are these.
    let mut other = with_home(&bench.options.tmp_dir.join("run-2-1"));
    // A process that was just executed has no environment for a moment.
    for child in [&left, &other] {
        let environment = format!("/proc/{}/environ", child.id());
        while std::fs::read(&environment).unwrap().is_empty() {
            std::hint::spin_loop();
        }
    }
    bench.begin();
    let status = left.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9)
    );
    assert!(is_alive(i32::try_from(other.id()).unwrap()));
    other.kill().unwrap();
    other.wait().unwrap();
    bench.until(|_| (!run.exists()).then_some(()));
    bench.end();
}

#[test]
fn p7_a_fork_bomb_is_killed_whole() {
    let mut bench = Bench::new();
    let before = "for _ in range(300):\n    if os.fork() == 0:\n        time.sleep(1000)";
    bench.put(
        "bomb",
        Some("trigger"),
        "main.py",
        &python(before, "        pass"),
    );
    bench.begin();
    bench.reported(|report| report.tally.crashes == 1);
    let said = bench.error();
    assert!(said.contains("more than 128 processes"), "{said}");
    bench.until(|_| children().is_empty().then_some(()));
    bench.end();
}

#[test]
fn a_tree_that_takes_too_much_memory_is_killed_whole() {
    let mut bench = Bench::new();
    bench.options.max_memory_bytes = 60_000_000;
    // Neither of both is too large alone.
    let before = "def take():\n    return bytearray(os.urandom(1) * 45000000)\n\
                  child = os.fork()\nheld = take()\nif child == 0: time.sleep(1000)";
    bench.put(
        "fat",
        Some("trigger"),
        "main.py",
        &python(before, "        pass"),
    );
    bench.begin();
    bench.reported(|report| report.tally.crashes == 1);
    let said = bench.error();
    assert!(
        said.contains("bytes of memory, 60000000 are allowed"),
        "{said}"
    );
    bench.until(|_| children().is_empty().then_some(()));
    bench.end();
}

#[test]
fn cpu_is_counted_by_the_call_and_not_by_the_life() {
    let mut bench = Bench::new();
    let detect = "        end = time.process_time() + 0.02\n        while time.process_time() < end: pass\n        data = {'type': 't'}";
    bench.put("busy", Some("trigger"), "main.py", &python("", detect));
    // Half a second, however long the machine takes to give it that.
    bench.declare(
        "busy",
        "  limits: {cpu: \"0.025\", execution_time: \"20s\"}\n",
    );
    bench.begin();
    bench.reported(|report| report.cpu_ms > 700);
    bench.reported(|report| report.tally.crashes == 0);
    bench.end();

    let mut bench = Bench::new();
    let detect = "        while True: pass";
    bench.put("hog", Some("trigger"), "main.py", &python("", detect));
    bench.declare(
        "hog",
        "  limits: {cpu: \"0.01\", execution_time: \"30s\"}\n",
    );
    bench.begin();
    bench.reported(|report| report.tally.crashes == 1);
    let said = bench.error();
    assert!(
        said.contains("ms of CPU in one call, 300 are allowed"),
        "{said}"
    );
    bench.end();
}

#[test]
fn p8_an_action_that_floods_its_output_is_killed_for_it() {
    let mut bench = Bench::new();
    bench.put("flood", None, "run.sh", "exec yes\n");
    bench.begin();
    let action = Action {
        plugin_id: "flood",
        entrypoint: Some("run.sh"),
        ..Action::default()
    };
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(finished.status, Status::Failed);
    let words = finished.error.unwrap();
    assert!(words.contains("wrote more than 4194304 bytes"), "{words}");
    assert!(finished.output.len() < 66_000);
    bench.end();
}

#[test]
fn what_it_says_cannot_deceive_a_terminal_and_is_not_too_much() {
    let mut bench = Bench::new();
    let before = "sys.stderr.write('\\x1b[31mred\\u202e\\n')\nsys.stderr.write('x' * 1000000 + '\\n')\n\
                  sys.stderr.write('end\\n')";
    bench.put(
        "loud",
        Some("trigger"),
        "main.py",
        &python(before, "        data = {'type': 't'}"),
    );
    bench.begin();
    let path = bench.options.log_dir.join("loud.log");
    bench.until(|_| path.exists().then_some(()));
    // The flood is read slowly, and the plugin waits for that; but not for longer than a start may
    // take.
    for _ in 0..30 {
        bench.skip_ms(1_000);
        bench.turn();
    }
    bench.event();
    let log = bench.log("loud");
    assert!(log.contains("\\u001b[31mred\\u202e"), "{}", &log[..100]);
    assert!(log.len() < 400_000, "{}", log.len());
    bench.end();
}
