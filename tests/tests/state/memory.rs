//! No more memory: the kernel gives the agent none, or takes its life for it.

use std::process::Command;

use super::*;

/// Ten samples saved, then an agent that has all that it will ever get.
fn starved() -> (Hub, AgentBuilder, AgentUnderTest) {
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 10);
    stop(&mut agent);
    let agent = builder.start().unwrap();
    wait_for_held(&agent, 12);
    // Less than it has already, so every wish for more is refused from here on.
    let pid = agent.pid().to_string();
    let prlimit = Command::new("prlimit")
        .args(["--as=4096", "--pid", &pid])
        .status();
    assert!(prlimit.unwrap().success());
    (hub, builder, agent)
}

#[test]
fn p2_without_more_memory_it_goes_on_or_ends_at_once_and_starts_again_with_what_was_saved() {
    if left_out("what the agent holds in memory") {
        return;
    }
    let (hub, builder, mut agent) = starved();
    hub.misbehave(Misbehaviour::Normal);
    // A connection takes memory: it is made of what there is, or it is the end.
    let end = poll_until("a delivery or the end", LONG, || {
        if hub.stats().delivered > 20 {
            return Some("it delivers");
        }
        (!agent.is_running()).then_some("it ended")
    });
    if end.unwrap() == "it ended" {
        // And until its last words were read.
        agent.wait_exit(LONG).unwrap();
        let words = agent.stderr().join("\n") + &agent.log().last().unwrap().text;
        assert!(words.contains("memory"), "{words}");
    }
    agent.signal(Signal::SIGKILL).ok();
    agent.wait_exit(LONG).unwrap();
    forget_pace(&builder);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=10));
    stop(&mut agent);
}

#[test]
fn p2_killed_for_its_memory_it_starts_again_with_what_was_saved() {
    if left_out("what the agent holds in memory") {
        return;
    }
    let hub = hub_away();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    wait_for_held(&agent, 10);
    let saved = wait_for_save(&builder, 0);
    wait_for_save(&builder, saved);
    // What the kernel does when there is none left at all.
    agent.signal(Signal::SIGKILL).unwrap();
    agent.wait_exit(LONG).unwrap();
    hub.misbehave(Misbehaviour::Normal);
    let mut agent = builder.start().unwrap();
    wait_for_all(&hub, &names(1, 1..=10));
    stop(&mut agent);
}
