//! File systems that take nothing any more. Needs root, for file systems of its own.

use mote_tests::namespace::{Own, enter, mount_memory_with};

use super::*;

const UNWRITABLE: &str = "State cannot be written, going on from memory";

/// An outage on a file system that `fill` made unfit. The agent goes on and says it once; when
/// `relieve` has mended it, says so too; nothing is lost.
fn check(options: &str, fill: impl FnOnce(&Path), relieve: impl FnOnce(&Path)) {
    let hub = hub_away();
    let builder = hurried(&hub);
    let base = builder.base_dir();
    fs::create_dir(&base).unwrap();
    mount_memory_with(&base, options);
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 2);
    fill(&base);
    let says = |words: &'static str| move |line: &LogLine| line.msg() == words;
    agent.wait_for_log(says(UNWRITABLE), LONG).unwrap();
    // It goes on, and does not say it again with each attempt.
    wait_for_held(&agent, 30);
    assert_eq!(times_said(&agent, UNWRITABLE), 1);
    let state = fs::read_dir(base.join("data/state")).unwrap();
    let paths = state.map(|entry| entry.unwrap().path());
    let left: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    relieve(&base);
    agent
        .wait_for_log(says("State is written again"), LONG)
        .unwrap();
    let stopped = stop(&mut agent);
    assert_eq!(times_said(&agent, "State is written again"), 1);
    assert_eq!(count(&stopped, "dropped"), 0);
    hub.misbehave(Misbehaviour::Normal);
    let _agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=count(&stopped, "collected")));
}

#[test]
fn d1_on_a_full_file_system_it_goes_on_from_memory_and_recovers() {
    let name = "full::d1_on_a_full_file_system_it_goes_on_from_memory_and_recovers";
    if !enter(Own::Mounts, name) {
        return;
    }
    let fill = |base: &Path| {
        let filler = fs::File::create(base.join("filler")).unwrap();
        let mut filler = io::BufWriter::new(filler);
        io::copy(&mut io::repeat(1), &mut filler).unwrap_err();
    };
    check("size=64k", fill, |base| {
        fs::remove_file(base.join("filler")).unwrap();
    });
}

#[test]
fn d1_on_a_file_system_that_is_full_from_the_start_the_saved_backlog_is_delivered_all_the_same() {
    let name = "full::d1_on_a_file_system_that_is_full_from_the_start_the_saved_backlog_is_delivered_all_the_same";
    if !enter(Own::Mounts, name) {
        return;
    }
    let hub = hub_away();
    let builder = hurried(&hub);
    let base = builder.base_dir();
    fs::create_dir(&base).unwrap();
    mount_memory_with(&base, "size=64k");
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 4);
    let first = stop(&mut agent);
    let mut filler = fs::File::create(base.join("filler")).unwrap();
    io::copy(&mut io::repeat(1), &mut filler).unwrap_err();
    hub.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=count(&first, "collected")));
    // Its own number could not be counted: it has a name of its own.
    let devices = devices(&hub);
    assert_eq!(devices.len(), 2, "{devices:?}");
    assert_said_once_a_file(&agent);
    stop(&mut agent);
}

/// That a file cannot be written was said, and of none twice.
fn assert_said_once_a_file(agent: &AgentUnderTest) {
    let log = agent.log();
    let said = log.iter().filter(|line| line.msg() == UNWRITABLE);
    let paths: Vec<String> = said
        .map(|line| line.field("path").unwrap().to_string())
        .collect();
    let files: BTreeSet<&String> = paths.iter().collect();
    assert!(!paths.is_empty());
    assert_eq!(files.len(), paths.len(), "{paths:?}");
}

/// How many samples came of each device, by its name in the keys.
fn devices(hub: &Hub) -> BTreeMap<String, u64> {
    let mut devices = BTreeMap::new();
    for sample in hub.received() {
        let device = sample.key.rsplitn(3, '-').last().unwrap().to_owned();
        *devices.entry(device).or_default() += 1;
    }
    devices
}

#[test]
fn d2_without_an_inode_left_it_goes_on_from_memory_and_recovers() {
    let name = "full::d2_without_an_inode_left_it_goes_on_from_memory_and_recovers";
    if !enter(Own::Mounts, name) {
        return;
    }
    let filler = |base: &Path, at: u32| base.join(format!("filler{at}"));
    let fill = |base: &Path| {
        let full = (0..100).find(|at| fs::File::create(filler(base, *at)).is_err());
        assert!(full.is_some());
    };
    check("size=1m,nr_inodes=20", fill, |base| {
        for at in 0..100 {
            fs::remove_file(filler(base, at)).ok();
        }
    });
}

#[test]
fn d3_on_a_file_system_that_is_read_only_from_the_start_it_delivers_and_says_so_once() {
    let name =
        "full::d3_on_a_file_system_that_is_read_only_from_the_start_it_delivers_and_says_so_once";
    if !enter(Own::Mounts, name) {
        return;
    }
    let hub = hub_away();
    let builder = hurried(&hub);
    let base = builder.base_dir();
    fs::create_dir(&base).unwrap();
    mount_memory_with(&base, "size=64k");
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 4);
    let saved = count(&stop(&mut agent), "collected");
    mount_memory_with(&base, "remount,ro");
    let mut agent = builder.start().unwrap();
    hub.misbehave(Misbehaviour::Normal);
    // What was saved comes, and what this start takes: under another name, for its number could not
    // be counted.
    poll_until("what was saved", LONG, || {
        let devices = devices(&hub);
        (devices.len() == 2 && devices.values().any(|count| *count == saved)).then_some(())
    })
    .unwrap();
    hub.misbehave(Misbehaviour::RefuseConnections);
    wait_for_held(&agent, 15);
    hub.misbehave(Misbehaviour::Normal);
    wait_for_all(&hub, &names(1, 1..=40));
    assert_said_once_a_file(&agent);
    stop(&mut agent);
}
