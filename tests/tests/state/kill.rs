//! SIGKILL at each system call that has to do with the state, from the start to the end.

use std::collections::BTreeMap;

use super::*;

const CALLS: &str = "openat,mkdir,write,pwrite64,fdatasync,fsync,rename,ftruncate";

fn arguments(builder: &AgentBuilder, inject: Option<String>) -> Vec<String> {
    let mut arguments = words(&["-e", &format!("trace={CALLS}")]);
    if let Some(inject) = inject {
        arguments.extend(["-e".to_owned(), inject]);
    }
    let folder = builder.base_dir().join("data/state");
    let files =
        ["start", "start.new", "backlog", "backlog.new", "lock"].map(|name| folder.join(name));
    for path in files.iter().chain([&folder]) {
        arguments.push("-P".into());
        arguments.push(path.display().to_string());
    }
    arguments
}

/// A run through all that is written: a start, a save in an outage, a save at the stop.
fn run(builder: &AgentBuilder) {
    let mut agent = builder.start().unwrap();
    // It ends by itself if it is killed.
    let is_over = |line: &LogLine| {
        let held = line.field("held").and_then(serde_json_u64).unwrap_or(0);
        line.msg() == "Metrics send failed, holding samples" && held >= 20
    };
    if agent.wait_for_log(is_over, LONG).is_ok() {
        agent.signal(Signal::SIGTERM).ok();
    }
    agent.wait_exit(LONG).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).ok();
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn d6_p1_killed_at_any_call_on_its_state_it_starts_again_with_all_that_was_saved() {
    if needs_own_calls() {
        return;
    }
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 8);
    let saved = count(&stop(&mut agent), "held");
    let state = builder.base_dir().join("data/state");
    let kept = builder.dir().join("kept");
    copy(&state, &kept);

    run(&traced(&builder, &arguments(&builder, None)).unwrap());
    let trace = fs::read_to_string(builder.dir().join("trace")).unwrap();
    let mut calls: BTreeMap<&str, u32> = BTreeMap::new();
    for line in trace.lines().filter_map(|line| line.split_once(' ')) {
        let call = line.1.trim_start().split('(').next().unwrap();
        *calls.entry(call).or_default() += 1;
    }
    calls.retain(|call, _| CALLS.split(',').any(|known| known == *call));
    let all: u32 = calls.values().sum();
    assert!(all >= 12, "{calls:?}");
    println!("calls: {calls:?}");
    for (call, times) in calls {
        for time in 1..=times {
            let what = format!("{call} {time}");
            copy(&kept, &state);
            let inject = format!("inject={call}:signal=KILL:when={time}");
            run(&traced(&builder, &arguments(&builder, Some(inject))).unwrap());
            forget_pace(&builder);
            let mut agent = builder.start().unwrap();
            wait_for_held(&agent, saved + 1);
            let stopped = stop(&mut agent);
            assert!(
                count(&stopped, "restored") >= saved,
                "{what}: {}",
                stopped.text
            );
            assert_eq!(count(&stopped, "dropped"), 0, "{what}: {}", stopped.text);
            assert_eq!(
                times_said(
                    &agent,
                    "State file is damaged, going on with what is good of it"
                ),
                0,
                "{what}"
            );
        }
    }
}
