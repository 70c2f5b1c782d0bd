//! The exchange with a plugin that stays.

use mote::plugin::{MAX_PLUGINS, PluginError, PluginReport, Plugins, State};

use crate::bench::{Bench, children, python};
use crate::heap::held_bytes;

/// What is held at any moment differs by a line on its way; 700 questions that leave a pointer each
/// would be more than this.
const GROWTH_BYTES: i64 = 4_096;

#[test]
fn a_trigger_is_prepared_asked_and_heard() {
    let mut bench = Bench::new();
    let detect = "        data = [{'id': str(os.getpid()), 'type': 'cpu.high', 'data': CONFIG}]";
    let text = python("CONFIG = None", detect).replace(
        "    if action ==",
        "    if action == 'initialize':\n        CONFIG = request['config']\n    if action ==",
    );
    bench.put("cpu", Some("trigger"), "main.py", &text);
    bench.declare(
        "cpu",
        "  configuration:\n    threshold: {type: integer, default: 80}\n    name: {type: string}\n",
    );
    std::fs::write(bench.file("config/cpu.yaml"), "name: \"a \\\"b\\\"\"\n").unwrap();
    bench.begin();
    let event = bench.event();
    assert!(
        event.contains(r#""data":{"threshold": 80, "name": "a \"b\""}"#),
        "{event}"
    );
    assert!(event.contains(r#""source":"cpu""#) && event.contains(r#""agent_id":"edge-1""#));
    // The same id is heard once; the plugin is asked on and on.
    bench.reported(|report| report.tally.runs > 5 && report.tally.events == 1);
    bench.reported(|report| report.state == State::Running && report.rss_bytes > 1_000_000);
    bench.skip_ms(30_000);
    bench.reported(|report| report.health == Some("healthy"));
    bench.end();
}

#[test]
fn what_a_plugin_says_of_its_health_and_to_its_log_is_shown_without_its_secrets() {
    let mut bench = Bench::new();
    let aloud = "print('as canary-in-the-mine', file=sys.stderr)";
    let text = python(aloud, "").replace("\"healthy\"", "'x' * 190 + ' for canary-in-the-mine'");
    bench.put("ill", Some("trigger"), "main.py", &text);
    bench.declare("ill", "  configuration:\n    pin: {secret: true}\n");
    std::fs::write(bench.file("config/ill.yaml"), "pin: canary-in-the-mine\n").unwrap();
    // The clock that is put forward runs out for no question.
    (bench.options.timeout_ms, bench.options.trigger_timeout_ms) = (0, 0);
    bench.begin();
    bench.reported(|report| report.state == State::Running);
    bench.skip_ms(30_000);
    let health = bench.until(|plugins| plugins.report().next()?.health.map(str::to_owned));
    assert!(
        health.starts_with("xxx") && health.contains(" for "),
        "{health}"
    );
    assert!(!health.contains("canary"), "{health}");
    let log = bench.log("ill");
    assert!(log.ends_with("as (secret)\n"), "{log}");
    bench.end();
}

#[test]
fn a_trigger_is_not_asked_while_nobody_has_room() {
    let mut bench = Bench::new();
    let detect = "        data = {'type': 't', 'data': {'x': 'y' * 60000}}";
    bench.put("big", Some("trigger"), "main.py", &python("", detect));
    bench.begin();
    bench.plugins.hold_events(true);
    bench.reported(|report| report.state == State::Running);
    for _ in 0..20 {
        bench.skip_ms(1_000);
        bench.turn();
    }
    bench.reported(|report| report.tally.runs == 0);
    bench.plugins.hold_events(false);
    // Those that nobody takes are held up to a limit.
    bench.reported(|report| report.tally.events == 2);
    for _ in 0..20 {
        bench.skip_ms(1_000);
        bench.turn();
    }
    bench.reported(|report| report.tally.runs == 2);
    while bench.plugins.take_event().is_some() {}
    bench.reported(|report| report.tally.runs > 2);
    bench.end();
}

#[test]
fn a_thousand_questions_leave_nothing_behind() {
    let mut bench = Bench::new();
    bench.options.trigger_interval_ms = 1;
    let detect = "        data = {'type': 't'}";
    bench.put("many", Some("trigger"), "main.py", &python("", detect));
    bench.begin();
    let held = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
        (descriptors, children().len())
    };
    let mut early = (held(), 0);
    for asked in 1..=1_000 {
        bench.event();
        if asked == 300 {
            early = (held(), held_bytes());
        }
    }
    assert_eq!(held(), early.0, "descriptors and children");
    let grown = held_bytes() - early.1;
    assert!(grown < GROWTH_BYTES, "{grown} bytes more are held");
    bench.reported(|report| report.tally.crashes == 0 && report.tally.failures == 0);
    bench.end();
}

#[test]
fn an_action_plugin_starts_with_its_first_action_and_stays() {
    let mut bench = Bench::new();
    let text = python("", "        pass").replace(
        "    else:",
        "    elif action == 'execute_action':\n        sys.stderr.write('doing it\\n')\n        \
         r = request['action_request']\n        ok = r['parameters'].get('ok', True)\n        \
         answer({'id': r['id'], 'status': 'completed' if ok else 'failed', 'data': r, 'error': \
         None if ok else 'as asked'})\n    else:",
    );
    bench.put("service", Some("action"), "main.py", &text);
    bench.begin();
    bench.reported(|report| report.state == State::Down);
    let now_ms = bench.now_ms();
    let action = mote::plugin::Action {
        id: "i-1",
        plugin_id: "service",
        input_data: Some("{\"type\":\"restart\",\n\"name\":\"nginx\"}"),
        context: Some("{\"c\":1}"),
        ..mote::plugin::Action::default()
    };
    let run = bench.plugins.start_action(&action, now_ms).unwrap();
    let finished = bench.finished();
    assert_eq!(finished.run, run);
    assert_eq!(
        finished.status,
        mote::plugin::Status::Completed,
        "{finished:?}"
    );
    assert!(
        finished.output.contains(r#""type": "restart""#),
        "{finished:?}"
    );
    assert!(
        finished.output.contains(r#""context": {"c": 1}"#),
        "{finished:?}"
    );
    assert_eq!(finished.logs, ["doing it"]);
    let failing = mote::plugin::Action {
        input_data: Some("{\"ok\":false}"),
        ..action
    };
    bench.plugins.start_action(&failing, now_ms).unwrap();
    bench.plugins.start_action(&action, now_ms).unwrap();
    assert_eq!(bench.plugins.running(), 2);
    let finished = bench.finished();
    assert_eq!(finished.status, mote::plugin::Status::Failed);
    assert_eq!(finished.error.as_deref(), Some("as asked"));
    assert_eq!(bench.finished().status, mote::plugin::Status::Completed);
    bench.reported(|report| report.state == State::Running && report.tally.runs == 3);
    bench.end();
}

#[test]
fn what_cannot_be_loaded_leaves_the_others_alone() {
    let mut bench = Bench::new();
    bench.put("bad-file", Some("trigger"), "main.py", "");
    std::fs::write(bench.options.dir.join("bad-file/plugin.yaml"), "plugin: [").unwrap();
    bench.put("no-entry", Some("trigger"), "main.py", "");
    std::fs::remove_file(bench.options.dir.join("no-entry/main.py")).unwrap();
    bench.put("output", Some("output"), "main.py", "");
    bench.put("blocked", Some("trigger"), "main.py", "");
    bench.put("options", Some("trigger"), "main.py", "");
    std::fs::write(bench.file("config/options.yaml"), "unknown: 1\n").unwrap();
    bench.options.blocked = vec!["blocked".into()];
    let detect = "        data = {'type': 't'}";
    bench.put("good", Some("trigger"), "main.py", &python("", detect));
    bench.begin();
    let found: Vec<_> = bench
        .plugins
        .report()
        .map(|report| (report.id.to_owned(), report.state, report.error.is_some()))
        .collect();
    let failed = ["bad-file", "no-entry", "options", "output"];
    for (id, state, has_reason) in &found {
        let expected = match id.as_str() {
            "good" => (State::Down, false),
            "blocked" => (State::Blocked, true),
            _ => (State::Failed, true),
        };
        assert_eq!((*state, *has_reason), expected, "{id}");
    }
    let of = |wanted: State| found.iter().filter(move |(_, state, _)| *state == wanted);
    assert_eq!(of(State::Failed).count(), failed.len());
    assert_eq!(found.len(), failed.len() + 2);
    bench.event();
    bench.end();
}

#[test]
fn a_plugin_that_changes_on_disk_is_started_anew() {
    let mut bench = Bench::new();
    bench.options.watch = true;
    let saying = |word: &str| python("", &format!("        data = {{'type': '{word}'}}"));
    bench.put("a", Some("trigger"), "main.py", &saying("first"));
    bench.begin();
    bench.until(|plugins| typed(plugins, "first"));
    // Changed, while another is added and one more cannot be loaded.
    bench.put("a", Some("trigger"), "main.py", &saying("second"));
    bench.put("b", Some("trigger"), "main.py", &saying("new"));
    bench.put("c", Some("output"), "main.py", "");
    bench.skip_ms(10_000);
    bench.turn();
    bench.skip_ms(10_000);
    bench.until(|plugins| typed(plugins, "second"));
    bench.until(|plugins| typed(plugins, "new"));
    let ids: Vec<_> = bench
        .plugins
        .report()
        .map(|report| report.id.to_owned())
        .collect();
    assert_eq!(ids, ["b", "a", "c"]);
    assert_eq!(bench.plugins.report().last().unwrap().state, State::Failed);
    // Its configuration, and one taken away.
    bench.declare("a", "  configuration:\n    x: {type: integer}\n");
    std::fs::write(bench.file("config/a.yaml"), "x: 1\n").unwrap();
    std::fs::remove_dir_all(bench.options.dir.join("b")).unwrap();
    bench.skip_ms(10_000);
    bench.turn();
    bench.skip_ms(10_000);
    bench.until(|plugins| {
        let mut reports = plugins.report();
        let is_new = |id: &str, runs: u64| id == "a" && runs < 5;
        let first = reports.next()?;
        let is_c = |report: PluginReport<'_>| report.id == "c" && report.state == State::Failed;
        let others = [reports.next().is_some_and(is_c), reports.next().is_none()];
        (is_new(first.id, first.tally.runs) && others == [true; 2]).then_some(())
    });
    bench.until(|plugins| typed(plugins, "second"));
    bench.reported(|report| report.tally.crashes == 0);
    bench.end();
}

#[test]
fn a_plugin_that_is_taken_away_while_it_works_ends_its_work_and_is_let_go() {
    let mut bench = Bench::new();
    bench.options.watch = true;
    bench.options.timeout_ms = 600_000;
    let go = bench.file("go");
    let work = format!(
        "    elif action == 'execute_action':\n        while not os.path.exists('{}'):\n            \
         time.sleep(0.01)\n        answer({{}})\n    else:",
        go.display()
    );
    let text = python("", "        pass").replace("    else:", &work);
    bench.put("service", Some("action"), "main.py", &text);
    bench.begin();
    let action = mote::plugin::Action {
        id: "i-1",
        plugin_id: "service",
        ..mote::plugin::Action::default()
    };
    let now_ms = bench.now_ms();
    bench.plugins.start_action(&action, now_ms).unwrap();
    bench.reported(|report| report.tally.runs == 1);
    std::fs::remove_dir_all(bench.options.dir.join("service")).unwrap();
    let look_twice = |bench: &mut Bench| {
        for _ in 0..2 {
            bench.skip_ms(10_000);
            bench.turn();
        }
    };
    look_twice(&mut bench);
    assert_eq!(bench.plugins.running(), 1);
    std::fs::write(&go, "").unwrap();
    assert_eq!(bench.finished().status, mote::plugin::Status::Completed);
    look_twice(&mut bench);
    bench.until(|plugins| plugins.report().next().is_none().then_some(()));
    bench.end();
}

#[test]
fn when_all_are_replaced_at_once_new_ones_wait_for_the_places_of_the_old() {
    let mut bench = Bench::new();
    bench.options.watch = true;
    bench.options.trigger_interval_ms = 3_600_000;
    // The clock that is put forward runs out for no question.
    (bench.options.timeout_ms, bench.options.trigger_timeout_ms) = (0, 0);
    let script = "while read -r line; do\n  [ -n \"$line\" ] && echo '{\"success\":true}'\ndone\n";
    let put = |bench: &Bench, word: &str, script: &str| {
        for number in 0..MAX_PLUGINS {
            let id = format!("{word}{number}");
            bench.put(&id, Some("trigger"), "main.sh", script);
        }
    };
    let are_up = |plugins: &mut Plugins, word: &str| {
        let of_word = |report: &PluginReport<'_>| {
            report.id.starts_with(word) && report.state == State::Running
        };
        let count = plugins.report().filter(of_word).count();
        (count == MAX_PLUGINS).then_some(())
    };
    let places = |plugins: &Plugins| {
        let mut count = 0;
        plugins.watch(&mut |_, _| count += 1);
        count
    };
    // They do not go before they are killed.
    let stubborn = ["trap '' TERM\n", script, "exec sleep 1000\n"].concat();
    put(&bench, "old", &stubborn);
    bench.begin();
    bench.until(|plugins| are_up(plugins, "old"));
    std::fs::remove_dir_all(&bench.options.dir).unwrap();
    put(&bench, "new", script);
    for _ in 0..2 {
        bench.skip_ms(10_000);
        bench.turn();
    }
    // A turn for each of them to be started in, were there room.
    for _ in 0..MAX_PLUGINS {
        bench.turn();
        let places = places(&bench.plugins);
        assert!(places <= 3 * MAX_PLUGINS, "{places}");
    }
    let action = mote::plugin::Action {
        plugin_id: "new0",
        ..mote::plugin::Action::default()
    };
    let refused = bench.plugins.start_action(&action, bench.now_ms());
    assert!(matches!(refused, Err(PluginError::Busy(_))), "{refused:?}");
    // Told to end, and killed.
    for ms in [2_000, 5_000] {
        bench.skip_ms(ms);
        bench.turn();
    }
    bench.until(|plugins| {
        assert!(places(plugins) <= 3 * MAX_PLUGINS);
        are_up(plugins, "new")
    });
    bench.end();
}

/// Whether the next event is of that type.
fn typed(plugins: &mut Plugins, kind: &str) -> Option<()> {
    let event = String::from_utf8(plugins.take_event()?).unwrap();
    event
        .contains(&format!("\"type\":\"{kind}\""))
        .then_some(())
}
