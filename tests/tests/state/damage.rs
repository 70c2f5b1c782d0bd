//! Files that hold something else than what was written, and folders that are not the agent's.

use std::os::unix::fs::{PermissionsExt, chown, symlink};

use mote_tests::namespace::{Own, enter};

use super::*;

#[test]
fn d8_with_any_file_of_its_state_spoiled_it_starts_says_so_and_delivers() {
    for name in ["start", "backlog", "time"] {
        for damage in ["empty", "zeros", "ones", "cut", "flipped"] {
            let hub = hub_away();
            let builder = hurried(&hub);
            let mut agent = builder.start().unwrap();
            wait_for_held(&agent, 4);
            let held = count(&stop(&mut agent), "held");
            let path = state_file(&builder, name);
            let mut bytes = fs::read(&path).unwrap_or_else(|_| vec![7; 100]);
            let length = bytes.len();
            match damage {
                "empty" => bytes.clear(),
                "zeros" => bytes.fill(0),
                "ones" => bytes.fill(0xff),
                "cut" => bytes.truncate(length / 2),
                _ => bytes[length / 2] ^= 0x10,
            }
            fs::write(&path, &bytes).unwrap();
            hub.misbehave(Misbehaviour::Normal);
            let mut agent = builder.start().unwrap();
            hub.wait_for(5, LONG).unwrap();
            let is_said = agent.log().iter().any(|line| {
                line.msg().starts_with("State file") && line.str("path").ends_with(name)
            });
            // An empty file of records is one that says nothing.
            let is_silent = damage == "empty" && name != "start";
            assert_eq!(is_said, !is_silent, "{name} {damage}");
            poll_until("nothing to be held", LONG, || {
                (count(&ask_status(&mut agent), "held") == 0).then_some(())
            })
            .unwrap();
            let books = stop(&mut agent);
            let [restored, dropped] = ["restored", "dropped"].map(|name| count(&books, name));
            let of_before = delivered(&hub).into_iter().filter(|(start, _)| *start == 1);
            match (name, damage) {
                ("backlog", "cut" | "flipped") => {
                    // What can still be told of is counted, and sent or counted as lost.
                    assert_eq!(
                        of_before.count() as u64,
                        restored - dropped,
                        "{}",
                        books.text
                    );
                    assert!(restored - dropped < held, "{damage}: {}", books.text);
                    assert_eq!(
                        dropped,
                        count(&books, "dropped_unreadable"),
                        "{}",
                        books.text
                    );
                }
                ("backlog", _) => {
                    assert_eq!((restored, dropped), (0, 0), "{damage}: {}", books.text);
                    assert_eq!(of_before.count(), 0, "{damage}");
                }
                _ => assert_eq!((restored, dropped), (held, 0), "{name} {damage}"),
            }
            assert!(
                hub.violations().is_empty(),
                "{name} {damage}: {:?}",
                hub.violations()
            );
        }
    }
}

/// An agent that refuses to start, with exit code 73 and these words in one line.
fn check_refused(builder: &AgentBuilder, words: &str) {
    let mut agent = builder.start().unwrap();
    assert_eq!(agent.wait_exit(LONG).unwrap().code(), Some(73), "{words}");
    let said = agent.stderr();
    assert!(said.len() == 1 && said[0].contains(words), "{said:?}");
}

#[test]
fn d10_a_folder_that_is_a_link_or_a_file_is_refused_and_one_that_others_can_write_is_warned_of() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let (base, other) = (builder.base_dir(), builder.dir().join("other"));
    fs::create_dir(&other).unwrap();
    symlink(&other, &base).unwrap();
    check_refused(
        &builder,
        "is a link: give the folder itself with --base-dir",
    );
    fs::remove_file(&base).unwrap();
    fs::write(&base, "").unwrap();
    check_refused(&builder, "is no folder: give another with --base-dir");
    fs::remove_file(&base).unwrap();
    fs::create_dir(&base).unwrap();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o777)).unwrap();
    let mut agent = builder.start().unwrap();
    hub.wait_for(1, LONG).unwrap();
    let warns = |line: &LogLine| line.msg().contains("Others can write to the state folder");
    assert_eq!(agent.log().iter().filter(|line| warns(line)).count(), 1);
    stop(&mut agent);
}

#[test]
fn d10_a_folder_of_somebody_else_is_refused() {
    // Only root can give a folder away.
    let name = "damage::d10_a_folder_of_somebody_else_is_refused";
    if !enter(Own::Mounts, name) {
        return;
    }
    let hub = good_hub();
    let builder = hurried(&hub);
    fs::create_dir(builder.base_dir()).unwrap();
    chown(builder.base_dir(), Some(65_534), None).unwrap();
    check_refused(&builder, "belongs to user 65534");
}

#[test]
fn p15_a_second_agent_on_one_folder_is_refused_and_the_first_goes_on() {
    let hub = good_hub();
    let builder = hurried(&hub);
    let mut first = builder.start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    check_refused(&builder, "another agent uses");
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 3, LONG).unwrap();
    stop(&mut first);
}
