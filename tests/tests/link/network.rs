//! Networks that swallow, refuse, crawl, vanish and come back.
//!
//! The agent is in a network of its own, and the hub's is next door: what happens on the way
//! between them is the test's.

use std::fmt::Write as _;
use std::net::SocketAddr;

use mote_tests::agent::Signal;
use mote_tests::namespace::{self, Neighbour, Own};

use super::*;

/// Addresses that swallow everything.
const BLACK_HOLES: [&str; 3] = ["10.77.0.9", "10.77.0.10", "10.77.0.11"];

/// Runs the rest of a test in namespaces of its own, or not at all.
macro_rules! inside {
    ($name:literal) => {
        if !namespace::enter(Own::MountsAndNetwork, concat!("network::", $name)) {
            return;
        }
    };
}

/// A hub here, and how to start an agent next door.
fn across() -> (Neighbour, Hub, AgentBuilder) {
    let neighbour = Neighbour::join();
    let hub = Hub::start(HubConfig {
        listen: SocketAddr::from((Neighbour::HERE, 0)),
        ..HubConfig::default()
    })
    .unwrap();
    let builder = started_by(hurried(&hub), &neighbour.enter());
    (neighbour, hub, builder)
}

/// What nft(8) is to do with what comes from the agent.
fn rule_for_input(rule: &str) {
    namespace::nft(&format!(
        "add table inet fault\n\
         add chain inet fault input {{ type filter hook input priority 0; }}\n\
         add rule inet fault input iifname {} tcp dport != 0 {rule}",
        Neighbour::CABLE
    ));
}

fn rule_ends() {
    namespace::nft("delete table inet fault");
}

#[test]
fn n1_a_black_hole_costs_the_time_to_connect_and_no_sample() {
    inside!("n1_a_black_hole_costs_the_time_to_connect_and_no_sample");
    let (_neighbour, hub, builder) = across();
    let builder = builder
        .flag("connect-timeout", "500ms")
        .flag("timeout", "2s");
    let mut agent = builder.start().unwrap();
    wait_for_each(&hub, 1..=3);
    let from = agent.log().len();
    rule_for_input("drop");
    // First the kept connection falls silent, then no new one is made.
    let silent = wait_for_failure(&agent, from, "http");
    assert!(silent.str("error").contains("did not answer in time"));
    let mut from = agent.log().len();
    for _ in 0..3 {
        let failed = wait_for_failure(&agent, from, "tcp");
        let words = failed.str("error");
        assert!(words.contains("connecting took too long"), "{words}");
        from = agent.log().len();
    }
    let before = newest(&hub);
    rule_ends();
    let after = wait_for_later(&hub, before);
    wait_for_each(&hub, 1..=after);
    let back = wait_for_message(&agent, 0, "Server is back");
    // What failed is told by layer, and what came first and last.
    assert!(back.str("layers").starts_with("tcp "), "{}", back.text);
    assert!(back.str("layers").ends_with(", http 1"), "{}", back.text);
    assert_eq!(back.str("first"), "http: Connection timed out");
    assert_eq!(back.str("last"), "tcp: Connection timed out");
    assert!(back.field("away_ms").unwrap().as_u64().unwrap() >= 1_500);
    let failed = failures(&agent).len() as u64;
    assert_eq!(back.field("failures").unwrap().as_u64(), Some(failed));
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn n2_a_closed_port_is_tried_once_a_backoff() {
    inside!("n2_a_closed_port_is_tried_once_a_backoff");
    let (_neighbour, hub, builder) = across();
    rule_for_input("counter reject with tcp reset");
    let builder = builder.flag("retry-backoff", "1h").flag("retry-max", "1h");
    let mut agent = builder.start().unwrap();
    let failed = wait_for_failure(&agent, 0, "tcp");
    let words = "Connection refused: is the server running there, and is the port right?";
    assert!(failed.str("error").contains(words), "{}", failed.text);
    // Time passes for an agent that takes ten samples a second: other agents' samples are the clock.
    let clock = Hub::start(HubConfig::default()).unwrap();
    let _other = hurried(&clock).start().unwrap();
    clock.wait_for(20, LONG).unwrap();
    // The cable was plugged in a moment before: that may be heard of, once.
    let tried = failures(&agent).len();
    assert!((1..=2).contains(&tried), "{tried}");
    assert_eq!(hub.connections(), 0);
    agent.signal(Signal::SIGUSR1).unwrap();
    let status = wait_for_message(&agent, 0, "Status");
    assert!(
        status.field("held").unwrap().as_u64() >= Some(15),
        "{}",
        status.text
    );
    assert!(status.str("outage").contains("s: tcp "), "{}", status.text);
}

/// Waits until the agent hears of changes of its network: /proc/PID/net/netlink shows who
/// listens.
fn wait_until_it_listens(agent: &AgentUnderTest) {
    let table = format!("/proc/{}/net/netlink", agent.pid());
    let listens = || {
        let table = std::fs::read_to_string(&table).ok()?;
        // Socket, protocol (0 is rtnetlink), port, groups.
        let mut groups = table.lines().skip(1).filter_map(|line| {
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            (words.get(1) == Some(&"0")).then(|| words.get(3).copied().unwrap_or_default())
        });
        groups.any(|groups| groups != "00000000").then_some(())
    };
    mote_tests::wait::poll_until("rtnetlink to be listened to", LONG, listens).unwrap();
}

/// An agent that would wait long, whose network goes and comes back in some way.
fn check_return(name: &str, go: impl Fn(&Neighbour), come_back: impl Fn(&Neighbour)) {
    let (neighbour, hub, builder) = across();
    let builder = builder
        // Longer than this test may take, but for what follows an attempt that came too early.
        .flag("retry-backoff", "20s")
        .flag("retry-max", "20s")
        // A packet that is lost while the link comes up is sent again after a second.
        .flag("timeout", "3s");
    let agent = builder.start().unwrap();
    wait_for_each(&hub, 1..=3);
    let before = newest(&hub);
    go(&neighbour);
    let failed = agent.wait_for_log(is_failure, LONG).unwrap();
    let from = agent.log().len();
    wait_until_it_listens(&agent);
    hub.drop_connections();
    come_back(&neighbour);
    let retry = |line: &LogLine| line.msg() == "Retrying metrics send";
    let retried = agent.wait_for_log_from(from, retry, LONG).unwrap();
    // Less than half of what it meant to wait: something told it to.
    let waited_ms = retried.time_ms().unwrap() - failed.time_ms().unwrap();
    let meant_ms = failed.field("retry_in_ms").unwrap().as_u64().unwrap();
    assert!(
        waited_ms < meant_ms / 2,
        "{name}: {waited_ms} of {meant_ms}"
    );
    let after = wait_for_later(&hub, before);
    assert!(after > before, "{name}");
    wait_for_each(&hub, 1..=after);
    wait_for_message(&agent, 0, "Server is back");
}

#[test]
fn n2_a_link_that_comes_back_is_used_soon() {
    inside!("n2_a_link_that_comes_back_is_used_soon");
    check_return(
        "the link is taken down",
        |there| there.ip("link set there down"),
        |there| there.ip("link set there up"),
    );
}

#[test]
fn n2_a_cable_that_is_plugged_in_again_is_used_soon() {
    inside!("n2_a_cable_that_is_plugged_in_again_is_used_soon");
    // The other end goes down: this one keeps its address and loses its carrier.
    check_return(
        "the cable",
        |_| namespace::configure("ip link set here down"),
        |_| namespace::configure("ip link set here up"),
    );
}

#[test]
fn n2_an_address_that_appears_is_used_soon() {
    inside!("n2_an_address_that_appears_is_used_soon");
    check_return(
        "the address",
        |there| there.ip("addr flush dev there"),
        |there| there.ip("addr add 10.77.0.2/24 dev there"),
    );
}

#[test]
fn n2_a_device_without_an_address_is_told_as_such() {
    inside!("n2_a_device_without_an_address_is_told_as_such");
    let (neighbour, hub, builder) = across();
    neighbour.ip("addr flush dev there");
    let agent = builder.start().unwrap();
    let failed = wait_for_failure(&agent, 0, "link");
    let words = "Network is unreachable: check the network";
    assert!(failed.str("error").contains(words), "{}", failed.text);
    neighbour.ip("addr add 10.77.0.2/24 dev there");
    wait_for_each(&hub, 1..=3);
    let back = wait_for_message(&agent, 0, "Server is back");
    assert!(back.str("layers").starts_with("link "), "{}", back.text);
}

#[test]
fn n16_addresses_that_swallow_everything_keep_the_good_one_waiting_for_a_moment_only() {
    inside!("n16_addresses_that_swallow_everything_keep_the_good_one_waiting_for_a_moment_only");
    let (neighbour, hub, builder) = across();
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for hole in BLACK_HOLES {
        // Nobody has this hardware address, and nobody says so.
        neighbour.ip(&format!(
            "neigh replace {hole} lladdr 02:00:00:00:00:99 dev there"
        ));
    }
    for address in BLACK_HOLES.iter().copied().chain(["10.77.0.1"]) {
        writeln!(hosts, "{address} hub.mote.test").unwrap();
    }
    namespace::replace_file("/etc/hosts", &hosts, builder.dir());
    let url = format!("https://hub.mote.test:{}", hub.address().port());
    let builder = builder
        .flag("server-url", url)
        .flag("tls-server-name", Neighbour::HERE.to_string())
        .flag("connect-timeout", "10s");
    let agent = builder.start().unwrap();
    let first = hub.wait_for(1, LONG).unwrap()[0].sample_number().unwrap();
    // The fourth address is begun after 0.9 s; one after the other would have taken seconds each.
    assert!(first <= 30, "{first}");
    wait_for_each(&hub, 1..=3);
    assert_eq!(failures(&agent).len(), 0);
    // Where it was good is where it begins the next time.
    let before = newest(&hub);
    hub.drop_connections();
    let after = wait_for_later(&hub, before);
    assert!(after <= before + 8, "{before} {after}");
    assert_eq!(failures(&agent).len(), 0);
}

#[test]
fn n17_sixteen_kilobits_a_second_and_a_third_lost_deliver_all_the_same() {
    inside!("n17_sixteen_kilobits_a_second_and_a_third_lost_deliver_all_the_same");
    let (_neighbour, hub, builder) = across();
    rule_for_input("numgen random mod 100 < 30 drop");
    namespace::configure("tc qdisc add dev here root tbf rate 16kbit burst 1600 latency 400ms");
    // What everybody runs with, but for the pace.
    let builder = builder.flag("interval", "1s").flag("backfill-rate", "2");
    let mut agent = builder.start().unwrap();
    hub.wait_until("three samples", 4 * LONG, |stats, _| stats.delivered >= 3)
        .unwrap();
    assert_eq!(agent.threads().unwrap(), 1);
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    assert_eq!(hub.violations(), Vec::<String>::new());
}
