//! Held samples outlive the agent.

use super::*;

#[test]
fn what_was_held_at_a_stop_comes_after_the_restart_under_its_own_keys_and_times() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    hub.misbehave(Misbehaviour::RefuseConnections);
    wait_for_held(&agent, 8);
    let stopped = stop(&mut agent);
    let (collected, held) = (count(&stopped, "collected"), count(&stopped, "held"));
    // Once more without the server: what is held is then of two starts.
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, held + 3);
    let second = stop(&mut agent);
    assert_eq!(count(&second, "restored"), held);
    hub.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=collected));
    wait_for_all(&hub, &names(2, 1..=count(&second, "collected")));
    let samples = hub.received();
    let times = |start| {
        let of_start = samples
            .iter()
            .filter(move |s| s.start_number() == Some(start));
        of_start.map(|sample| sample.timestamp_ms().unwrap())
    };
    assert!(times(1).max() < times(2).min() && times(2).max() < times(3).min());
    let file = state_file(&builder, "backlog");
    poll_until("an empty file", LONG, || {
        (file_bytes(&file) == 0).then_some(())
    })
    .unwrap();
    let third = stop(&mut agent);
    assert_eq!(count(&third, "restored"), count(&second, "held"));
    let of_disk = |line: &LogLine| line.msg().starts_with("State");
    assert!(
        !agent.log().iter().any(of_disk),
        "all is well with the disk"
    );
    assert_eq!(count(&third, "dropped"), 0);
}

#[test]
fn samples_taken_while_the_orchestrator_is_told_of_the_end_are_held_too() {
    let with_orchestrator = HubConfig {
        orchestrator: Some(OrchestratorConfig::default()),
        ..HubConfig::default()
    };
    let (hub, orchestrator) = (hub_away(), Hub::start(with_orchestrator).unwrap());
    let builder = hurried(&hub).for_orchestrator(&orchestrator, "sensor");
    let mut agent = builder.start().unwrap();
    let some = |beats: &[Message]| beats.len() >= 2;
    orchestrator
        .wait_for_messages(Route::Heartbeat, "two heartbeats", LONG, some)
        .unwrap();
    wait_for_held(&agent, 5);
    // Its farewell takes a second, in which ten samples are taken.
    orchestrator.misbehave(Misbehaviour::Silent);
    agent.signal(Signal::SIGTERM).unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(0));
    let stopped = last_books(&agent);
    orchestrator.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    let is_restored = |line: &LogLine| line.msg() == "Held samples restored";
    let restored = agent.wait_for_log(is_restored, LONG).unwrap();
    assert_eq!(count(&restored, "restored"), count(&stopped, "held"));
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn a_repeat_after_the_restart_is_the_same_bytes_under_the_same_key() {
    let hub = good_hub();
    hub.misbehave(Misbehaviour::status(503));
    let builder = hurried(&hub).flag("hostname", "before");
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 5);
    stop(&mut agent);
    let tried = hub.attempts();
    assert!(tried.len() >= 3);
    // The first of them carried what the device is, and that has changed by now.
    let has_info = |sample: &&mote_tests::hub::Received| !sample.body["system_info"].is_null();
    assert!(tried.iter().any(|sample| has_info(&sample)));
    hub.misbehave(Misbehaviour::Normal);
    let builder = builder.flag("hostname", "after").flag("payload", "live");
    let _agent = builder.start().unwrap();
    let names: Vec<Name> = tried
        .iter()
        .map(|s| (1, s.sample_number().unwrap()))
        .collect();
    wait_for_all(&hub, &names);
    let received = hub.received();
    for sample in &tried {
        let again = received
            .iter()
            .find(|again| again.key == sample.key)
            .unwrap();
        assert!(again.repeat, "{}", again.key);
        assert_eq!(again.raw, sample.raw, "{}", again.key);
    }
}

#[test]
fn p1_a_killed_agent_loses_at_most_what_came_since_the_last_save() {
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    let first = wait_for_save(&builder, 0);
    wait_for_save(&builder, first);
    let mut taken = 0;
    while taken < 30 {
        taken = count(&ask_status(&mut agent), "collected");
    }
    agent.signal(Signal::SIGKILL).unwrap();
    agent.wait_exit(LONG).unwrap();
    hub.misbehave(Misbehaviour::Normal);
    forget_pace(&builder);
    let mut agent = builder.start().unwrap();
    // A second is ten samples; a busy machine saves a few later.
    wait_for_all(&hub, &names(1, 1..=taken - 15));
    assert_eq!(count(&stop(&mut agent), "dropped"), 0);
}

#[test]
fn what_is_held_and_saved_stays_through_reloads_and_the_period_is_reloaded() {
    let hub = hub_away();
    let config = |every: &str| format!("buffer:\n  save_every: {every}\n");
    let builder = AgentBuilder::new().unwrap().for_hub(&hub).hurried();
    let builder = builder.config(&config("0")).unwrap();
    let mut agent = builder.start().unwrap();
    // Longer than a period of a second.
    wait_for_held(&agent, 14);
    assert_eq!(file_bytes(&state_file(&builder, "backlog")), 0);
    builder.write_file("mote.yaml", &config("1s")).unwrap();
    agent.signal(Signal::SIGHUP).unwrap();
    wait_for_save(&builder, 0);
    for _ in 0..3 {
        agent.signal(Signal::SIGHUP).unwrap();
    }
    hub.misbehave(Misbehaviour::Normal);
    let taken = count(&ask_status(&mut agent), "collected");
    wait_for_all(&hub, &names(1, 1..=taken));
    stop(&mut agent);
}

#[test]
fn samples_of_an_earlier_boot_come_if_the_clock_was_right_and_are_counted_if_not() {
    if needs_own_calls() {
        return;
    }
    // What adjtimex(2) says of the clock: synchronized, or not; or first that, and then what the
    // kernel says here, hours after the last word of a time server.
    for (state, comes) in [("0", true), ("5", false), ("0:when=1", true)] {
        let hub = hub_away();
        let builder = hurried(&hub);
        let inject = format!("inject=adjtimex:retval={state}");
        let arguments = words(&["-e", "trace=adjtimex", "-e", &inject]);
        let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
        wait_for_held(&agent, 5);
        let first = stop(&mut agent);
        // Another boot: its id is in the middle of what is saved.
        let path = state_file(&builder, "backlog");
        change_boot(&path);
        hub.misbehave(Misbehaviour::Normal);
        let mut agent = builder.start().unwrap();
        if comes {
            wait_for_all(&hub, &names(1, 1..=count(&first, "collected")));
        } else {
            hub.wait_for(3, LONG).unwrap();
        }
        let second = stop(&mut agent);
        let lost = if comes { 0 } else { count(&first, "held") };
        assert_eq!(count(&second, "dropped_no_time"), lost, "{}", second.text);
        assert_eq!(delivered(&hub).iter().any(|(start, _)| *start == 1), comes);
    }
}

/// Writes another boot's id into a saved backlog. The file's own form: a head of 16 bytes, at whose
/// end is the check of the 12 in front; the boot's id 16 bytes into the body; a check of it all.
fn change_boot(path: &Path) {
    let mut file = fs::read(path).unwrap();
    let length = usize::from(file[0]) | usize::from(file[1]) << 8;
    let seed = *b"blg1";
    let check = |bytes: &[u8]| crc32([&seed[..], &file[..12], bytes].concat());
    let end = 16 + length;
    assert_eq!(
        file[12..16],
        check(&[]),
        "the first record is not the origin"
    );
    assert_eq!(file[end..end + 4], check(&file[16..end]));
    let mut body = file[16..end].to_vec();
    body[16..32].fill(0x5a);
    let check = check(&body);
    file[16..end].copy_from_slice(&body);
    file[end..end + 4].copy_from_slice(&check);
    fs::write(path, file).unwrap();
}

/// CRC-32 (RFC 1952, section 8), bit by bit.
fn crc32(bytes: Vec<u8>) -> [u8; 4] {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    (!crc).to_le_bytes()
}

#[test]
fn the_name_of_each_folder_that_a_first_start_makes_is_flushed() {
    if needs_own_calls() {
        return;
    }
    let hub = good_hub();
    let builder = hurried(&hub);
    let base = builder.base_dir();
    assert!(!base.exists());
    let arguments = words(&["-e", "trace=?mkdir,?mkdirat,fsync"]);
    let mut agent = traced(&builder, &arguments).unwrap().start().unwrap();
    hub.wait_for(1, LONG).unwrap();
    stop(&mut agent);
    let trace = fs::read_to_string(builder.dir().join("trace")).unwrap();
    for name in ["", "data", "data/state"] {
        let folder = base.join(name);
        let made = format!(
            "\"{}\", ",
            folder.display().to_string().trim_end_matches('/')
        );
        let is_made = |line: &str| line.contains(&made) && line.ends_with(" = 0");
        let after = trace.lines().skip_while(|line| !is_made(line)).skip(1);
        let flushed = format!("<{}>", folder.parent().unwrap().display());
        let is_flushed = |line: &str| line.contains("fsync(") && line.contains(&flushed);
        assert!(after.clone().any(is_flushed), "{made}: {trace}");
    }
}
