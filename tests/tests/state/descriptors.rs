//! No more descriptors: the agent may open nothing, neither a connection nor a file.

use std::process::Command;
use std::time::Instant;

use super::*;

/// Sets how many descriptors the agent may have from now on; those that it has stay.
fn allow(agent: &AgentUnderTest, descriptors: &str) {
    let pid = agent.pid().to_string();
    // The hard limit is left alone, so anybody may raise the other again.
    let limit = format!("--nofile={descriptors}:");
    let prlimit = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(prlimit.unwrap().success());
}

#[test]
fn p3_without_descriptors_for_server_and_state_it_holds_everything_and_does_not_spin() {
    if left_out("the limits of the agent's own process") {
        return;
    }
    let hub = good_hub();
    let builder = hurried(&hub);
    let mut agent = builder.start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    allow(&agent, "3");
    hub.drop_connections();
    let fails = |line: &LogLine| {
        line.msg() == "Metrics send failed, holding samples"
            && line.str("error").contains("Too many open files")
    };
    let first = agent.wait_for_log(fails, LONG).unwrap();
    let (begun, cpu) = (Instant::now(), agent.cpu_ticks().unwrap());
    let lines = agent.log().len();
    // Two seconds at ten samples each, and two saves; a tick is 10 ms.
    wait_for_held(&agent, count(&first, "held") + 20);
    let (took, spent) = (begun.elapsed(), agent.cpu_ticks().unwrap() - cpu);
    assert!(
        u128::from(spent) * 10 < took.as_millis() / 2,
        "{spent} ticks in {took:?}"
    );
    let said = agent.log().len() - lines;
    assert!(said < 60, "{said} lines in {took:?}");
    allow(&agent, "1024");
    poll_until("nothing to be held", LONG, || {
        (count(&ask_status(&mut agent), "held") == 0).then_some(())
    })
    .unwrap();
    let books = stop(&mut agent);
    assert_eq!(count(&books, "dropped"), 0, "{}", books.text);
    wait_for_all(&hub, &names(1, 1..=count(&books, "sent")));
}
