//! Names: looked up over UDP without ever stopping anything, from servers that answer, lie or say
//! nothing.
//!
//! Each test has a network and an /etc/resolv.conf of its own, and a name server at port 53, so it
//! runs as root only (see `mote_tests::namespace`). An address is believed for 5 s at least, however
//! short its time to live.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, Signal};
use mote_tests::fake_dns::{DnsManner, FakeDns};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour, Received};
use mote_tests::namespace::{self, Own};
use mote_tests::suite::{LONG, wait_for_each};

/// The hub's name.
const NAME: &str = "hub.mote.test";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Nobody is there.
const NOWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));

/// A network with a name server and a hub, and an agent that is yet to start.
struct Net {
    dns: FakeDns,
    hub: Hub,
    builder: AgentBuilder,
}

impl Net {
    /// The hub is known to itself as `host`; the agent is told to call it so.
    fn with(host: &str, resolv_conf: &str) -> Self {
        let hub = Hub::start(HubConfig {
            extra_names: vec![host.into()],
            ..HubConfig::default()
        })
        .unwrap();
        let url = format!("https://{host}:{}", hub.address().port());
        let builder = AgentBuilder::new().unwrap().for_hub(&hub).hurried();
        namespace::replace_file("/etc/resolv.conf", resolv_conf, builder.dir());
        namespace::replace_file("/etc/hosts", "127.0.0.1 localhost\n", builder.dir());
        Self {
            dns: FakeDns::start_at(SocketAddr::from(([127, 0, 0, 1], 53))).unwrap(),
            hub,
            builder: builder.flag("server-url", url),
        }
    }

    fn new() -> Self {
        Self::with(NAME, "nameserver 127.0.0.1\n")
    }

    fn start(&self) -> AgentUnderTest {
        self.builder.start().unwrap()
    }
}

/// Runs the rest of a test in namespaces of its own, or not at all.
macro_rules! inside {
    ($name:literal) => {
        if !namespace::enter(Own::MountsAndNetwork, $name) {
            return;
        }
    };
}

/// Waits for the next failure after this many lines, which is to be of this layer.
fn wait_for_failure(agent: &AgentUnderTest, from: usize, layer: &str) -> LogLine {
    let fails = |line: &LogLine| line.msg().starts_with("Metrics send failed");
    let line = agent.wait_for_log_from(from, fails, LONG).unwrap();
    assert_eq!(line.str("layer"), layer, "{}", line.text);
    line
}

fn check_no_errors(agent: &AgentUnderTest) {
    let mut lines = agent.log();
    lines.retain(|line| line.level() == "error");
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn a_name_is_asked_for_once_in_both_families() {
    inside!("a_name_is_asked_for_once_in_both_families");
    let net = Net::new();
    net.dns.set(NAME, &[HERE], 60);
    let agent = net.start();
    net.hub.wait_for(15, LONG).unwrap();
    let mut kinds: Vec<u16> = net.dns.queries().iter().map(|query| query.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, [1, 28]);
    assert_eq!(net.dns.count(NAME), 2);
    assert_eq!(net.hub.connections(), 1);
    check_no_errors(&agent);
}

#[test]
fn n15_a_silent_name_server_is_named_and_stops_nothing() {
    inside!("n15_a_silent_name_server_is_named_and_stops_nothing");
    let net = Net::new();
    net.dns.set_manner(DnsManner::Silent);
    net.dns.set(NAME, &[HERE], 60);
    let builder = net.builder.clone().flag("connect-timeout", "500ms");
    let agent = builder.start().unwrap();
    let mut from = 0;
    for _ in 0..3 {
        let failed = wait_for_failure(&agent, from, "dns");
        let words = failed.str("error");
        assert!(words.contains("no name server"), "{}", failed.text);
        from = agent.log().len();
        assert_eq!(agent.threads().unwrap(), 1);
    }
    assert_eq!(net.hub.connections(), 0);
    net.dns.set_manner(DnsManner::Normal);
    let first = net.hub.wait_for(1, LONG).unwrap()[0]
        .sample_number()
        .unwrap();
    // Sampling went on meanwhile: 1.5 s of it, and nothing is missing.
    assert!(first >= 10, "{first}");
    wait_for_each(&net.hub, 1..=first + 3);
}

#[test]
fn a_signal_ends_it_within_a_second_amid_a_look_up() {
    inside!("a_signal_ends_it_within_a_second_amid_a_look_up");
    let net = Net::new();
    net.dns.set_manner(DnsManner::Silent);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let asked = net.dns.queries().len();
        let mut agent = net.start();
        net.dns.wait_for(asked + 2, LONG).unwrap();
        assert_eq!(agent.stop(signal).unwrap().code(), Some(0));
    }
}

#[test]
fn n15_a_name_server_that_falls_silent_does_not_disturb_a_kept_connection() {
    inside!("n15_a_name_server_that_falls_silent_does_not_disturb_a_kept_connection");
    let net = Net::new();
    // Believed for 5 s all the same.
    net.dns.set(NAME, &[HERE], 1);
    let agent = net.start();
    net.hub.wait_for(3, LONG).unwrap();
    net.dns.set_manner(DnsManner::Silent);
    // The third query is the one that is made when the address has become old.
    net.dns.wait_for(3, LONG).unwrap();
    let asked_at = net.hub.received().len() as u64;
    assert!(asked_at >= 30, "asked again after {asked_at} samples");
    wait_for_each(&net.hub, 1..=asked_at + 15);
    assert_eq!(net.hub.connections(), 1);
    check_no_errors(&agent);
}

#[test]
fn n15_a_kept_connection_waits_for_no_look_up_that_another_server_of_the_name_brings_about() {
    inside!(
        "n15_a_kept_connection_waits_for_no_look_up_that_another_server_of_the_name_brings_about"
    );
    let net = Net::new();
    net.dns.set(NAME, &[HERE], 60);
    // Nobody is at the orchestrator's port, so the name's addresses count as old again and again.
    let agent = net
        .builder
        .clone()
        .for_orchestrator(&net.hub, "sensor")
        .flag("base-url", format!("https://{NAME}:1"))
        .flag("connect-timeout", "1s")
        .start()
        .unwrap();
    net.hub.wait_for(3, LONG).unwrap();
    net.dns.set_manner(DnsManner::Silent);
    let asked = net.dns.queries().len();
    // The second look-up: each is two queries, and a name server is asked twice.
    net.dns.wait_for(asked + 6, LONG).unwrap();
    let last = net.hub.received().len() as u64;
    wait_for_each(&net.hub, 1..=last + 10);
    assert_eq!(net.hub.connections(), 1);
    let failed = |line: &LogLine| line.msg().starts_with("Metrics send failed");
    let lines: Vec<LogLine> = agent.log().into_iter().filter(failed).collect();
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn n15_the_last_good_address_serves_while_the_name_server_is_silent() {
    inside!("n15_the_last_good_address_serves_while_the_name_server_is_silent");
    let net = Net::new();
    net.dns.set(NAME, &[HERE], 1);
    let agent = net.start();
    net.hub.wait_for(3, LONG).unwrap();
    net.dns.set_manner(DnsManner::Silent);
    net.dns.wait_for(3, LONG).unwrap();
    // A new connection is needed now, and only the old answer tells where to.
    net.hub.drop_connections();
    let last = net.hub.received().len() as u64;
    wait_for_each(&net.hub, 1..=last + 5);
    assert!(net.hub.connections() >= 2);
    check_no_errors(&agent);
}

#[test]
fn n16_a_name_that_does_not_exist_in_one_family_is_found_in_the_other() {
    inside!("n16_a_name_that_does_not_exist_in_one_family_is_found_in_the_other");
    let net = Net::new();
    net.dns.set_manner(DnsManner::NxDomainAaaa);
    net.dns.set(NAME, &[HERE], 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    check_no_errors(&agent);
}

#[test]
fn n16_a_dead_address_is_passed_over_for_the_next_one() {
    inside!("n16_a_dead_address_is_passed_over_for_the_next_one");
    let net = Net::new();
    let six = "::1".parse().unwrap();
    net.dns.set(NAME, &[NOWHERE, six, HERE], 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    check_no_errors(&agent);
}

#[test]
fn n15_a_name_that_does_not_exist_is_said_and_asked_for_again() {
    inside!("n15_a_name_that_does_not_exist_is_said_and_asked_for_again");
    let net = Net::new();
    let agent = net.start();
    let failed = wait_for_failure(&agent, 0, "dns");
    let words = format!("{NAME} has no address: check server_url and the name server");
    assert_eq!(failed.str("error"), words);
    net.dns.set(NAME, &[HERE], 60);
    wait_for_each(&net.hub, 1..=4);
}

#[test]
fn n16_a_server_that_moved_is_found_at_its_new_address() {
    inside!("n16_a_server_that_moved_is_found_at_its_new_address");
    let net = Net::new();
    // An hour to live: it is the failure that makes the agent ask again.
    net.dns.set(NAME, &[HERE], 3600);
    let there = SocketAddr::from(([127, 0, 0, 2], net.hub.address().port()));
    let moved = Hub::start(HubConfig {
        listen: there,
        extra_names: vec![NAME.into()],
        ..HubConfig::default()
    })
    .unwrap();
    let mut trusted = fs::read_to_string(net.hub.ca_pem_path()).unwrap();
    trusted += &fs::read_to_string(moved.ca_pem_path()).unwrap();
    let file = net.builder.write_file("both.pem", &trusted).unwrap();
    let builder = net.builder.clone().flag("tls-ca-file", file);
    let agent = builder.start().unwrap();
    net.hub.wait_for(3, LONG).unwrap();
    let Net { dns, hub, .. } = net;
    dns.set(NAME, &[there.ip()], 3600);
    let last = hub
        .received()
        .last()
        .and_then(Received::sample_number)
        .unwrap();
    drop(hub);
    moved.wait_for(5, LONG).unwrap();
    // What the old one had not got by then, the new one gets.
    wait_for_each(&moved, last + 2..last + 6);
    assert_eq!(dns.count(NAME), 4, "{:?}", dns.queries());
    let failed = wait_for_failure(&agent, 0, "tcp");
    assert!(failed.str("error").contains("127.0.0.1"), "{}", failed.text);
}

#[test]
fn a_short_name_is_looked_for_in_the_searched_domains() {
    inside!("a_short_name_is_looked_for_in_the_searched_domains");
    let net = Net::with("hub", "search one.test two.test\nnameserver 127.0.0.1\n");
    net.dns.set("hub.two.test", &[HERE], 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    assert_eq!(names_asked(&net), ["hub.one.test", "hub.two.test"]);
    check_no_errors(&agent);
}

/// The names that were asked for, in their order.
fn names_asked(net: &Net) -> Vec<String> {
    let queries = net.dns.queries().into_iter();
    let mut names: Vec<String> = queries.map(|query| query.name).collect();
    names.dedup();
    names
}

#[test]
fn a_name_with_fewer_dots_than_ndots_is_looked_for_in_the_searched_domains() {
    inside!("a_name_with_fewer_dots_than_ndots_is_looked_for_in_the_searched_domains");
    // As in a pod of Kubernetes.
    let searched = "search mon.svc.cluster.local svc.cluster.local cluster.local\n";
    let conf = format!("{searched}nameserver 127.0.0.1\noptions ndots:5\n");
    let net = Net::with("hub.mon.svc", &conf);
    net.dns.set("hub.mon.svc.cluster.local", &[HERE], 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    assert_eq!(
        names_asked(&net),
        [
            "hub.mon.svc.mon.svc.cluster.local",
            "hub.mon.svc.svc.cluster.local",
            "hub.mon.svc.cluster.local"
        ]
    );
    check_no_errors(&agent);
}

#[test]
fn a_searched_domain_that_is_no_name_or_whose_servers_fail_does_not_hide_the_next() {
    inside!("a_searched_domain_that_is_no_name_or_whose_servers_fail_does_not_hide_the_next");
    let conf = "search bad..domain broken.test two.test\nnameserver 127.0.0.1\n";
    let net = Net::with("hub", conf);
    net.dns.set_manner(DnsManner::ServFailElse);
    let agent = net.start();
    // Nothing found is not nothing there: somebody could not say.
    let failed = wait_for_failure(&agent, 0, "dns");
    let words = "no name server could tell the address of hub";
    assert_eq!(failed.str("error"), words);
    assert_eq!(
        names_asked(&net),
        ["hub.broken.test", "hub.two.test", "hub"]
    );
    net.dns.set("hub.two.test", &[HERE], 60);
    wait_for_each(&net.hub, 1..=4);
}

#[test]
fn the_hosts_file_comes_first() {
    inside!("the_hosts_file_comes_first");
    let net = Net::new();
    net.dns.set(NAME, &[NOWHERE], 60);
    let text = format!("127.0.0.1 localhost\n127.0.0.1 other {NAME} # here\n");
    namespace::replace_file("/etc/hosts", &text, net.builder.dir());
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    assert_eq!(net.dns.queries(), []);
    check_no_errors(&agent);
}

#[test]
fn n15_the_second_name_server_is_asked_when_the_first_is_dead() {
    inside!("n15_the_second_name_server_is_asked_when_the_first_is_dead");
    // The first refuses at once (nobody listens), the second is behind it.
    let net = Net::with(NAME, "nameserver 127.0.0.77\nnameserver 127.0.0.1\n");
    net.dns.set(NAME, &[HERE], 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    check_no_errors(&agent);
}

#[test]
fn n15_garbage_and_answers_to_other_questions_are_not_believed() {
    inside!("n15_garbage_and_answers_to_other_questions_are_not_believed");
    let net = Net::new();
    net.dns.set(NAME, &[HERE], 60);
    let builder = net.builder.clone().flag("connect-timeout", "500ms");
    for manner in [DnsManner::Garbage, DnsManner::WrongId, DnsManner::ServFail] {
        net.dns.set_manner(manner);
        let before = net.hub.stats();
        let agent = builder.start().unwrap();
        wait_for_failure(&agent, 0, "dns");
        wait_for_failure(&agent, agent.log().len(), "dns");
        // Nobody was called on its account.
        assert_eq!(net.hub.connections(), before.connections, "{manner:?}");
        net.dns.set_manner(DnsManner::Normal);
        net.hub.wait_for(before.delivered + 4, LONG).unwrap();
    }
}

#[test]
fn n15_a_name_server_that_lies_costs_one_attempt_and_not_the_server() {
    inside!("n15_a_name_server_that_lies_costs_one_attempt_and_not_the_server");
    let net = Net::new();
    net.dns.set(NAME, &[HERE], 1);
    // Somebody who takes every name for his own, as portals of hotels do.
    let portal = Hub::start(HubConfig {
        listen: SocketAddr::from(([127, 0, 0, 3], net.hub.address().port())),
        ..HubConfig::default()
    })
    .unwrap();
    let agent = net.start();
    net.hub.wait_for(3, LONG).unwrap();
    net.dns.set(NAME, &[portal.address().ip()], 3600);
    let asked = net.dns.count(NAME);
    net.dns.wait_for(asked + 2, LONG).unwrap();
    // They were answered; the agent has read them when it has sent a few samples more.
    net.hub
        .wait_for(net.hub.stats().delivered + 5, LONG)
        .unwrap();
    let before = agent.log().len();
    net.hub.drop_connections();
    wait_for_failure(&agent, before, "tls");
    let last = net.hub.received().len() as u64;
    wait_for_each(&net.hub, 1..=last + 5);
    assert_eq!(portal.stats().requests, 0);
    let fails = |line: &LogLine| line.msg().starts_with("Metrics send failed");
    let failed = agent.log()[before..]
        .iter()
        .filter(|line| fails(line))
        .count();
    assert_eq!(failed, 1, "{:?}", agent.log());
}

#[test]
fn n15_the_last_good_address_serves_after_a_failure_when_all_name_servers_are_silent() {
    inside!("n15_the_last_good_address_serves_after_a_failure_when_all_name_servers_are_silent");
    let servers = "nameserver 127.0.0.1\nnameserver 127.0.0.1\nnameserver 127.0.0.1\n";
    let net = Net::with(NAME, servers);
    net.dns.set(NAME, &[HERE], 3600);
    let agent = net.start();
    net.hub.wait_for(3, LONG).unwrap();
    net.dns.set_manner(DnsManner::Silent);
    // A failure to connect makes it ask again, and six answers that do not come take longer than
    // the time to connect.
    net.hub.misbehave(Misbehaviour::RefuseConnections);
    wait_for_failure(&agent, 0, "tcp");
    net.hub.misbehave(Misbehaviour::Normal);
    let last = net.hub.received().len() as u64;
    wait_for_each(&net.hub, 1..=last + 5);
    let mut lines = agent.log();
    lines.retain(|line| line.str("layer") == "dns");
    assert!(lines.is_empty(), "{lines:?}");
}

#[test]
fn n15_answers_that_take_longer_than_a_first_try_are_waited_for() {
    inside!("n15_answers_that_take_longer_than_a_first_try_are_waited_for");
    let net = Net::new();
    let delay = Duration::from_millis(1_500);
    net.dns.set_manner(DnsManner::After(delay));
    net.dns.set(NAME, &[HERE], 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    check_no_errors(&agent);
    assert_eq!(net.dns.count(NAME), 4, "it asks a second time, and no more");
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    inside!("an_answer_that_does_not_fit_is_asked_for_over_tcp");
    let net = Net::new();
    net.dns.set_manner(DnsManner::OverTcp);
    // More addresses than are kept, of which the first is good.
    let many = (1..200).map(|n| IpAddr::from([127, 0, 9, n]));
    let addresses: Vec<IpAddr> = [HERE].into_iter().chain(many).collect();
    net.dns.set(NAME, &addresses, 60);
    let agent = net.start();
    wait_for_each(&net.hub, 1..=3);
    check_no_errors(&agent);
    assert_eq!(agent.threads().unwrap(), 1);
    // One that only says that it was cut, and then does not answer in full, is passed over.
    let mut agent = agent;
    agent.stop(Signal::SIGTERM).unwrap();
    net.dns.set_manner(DnsManner::Truncated);
    let builder = net.builder.clone().flag("connect-timeout", "500ms");
    let agent = builder.start().unwrap();
    wait_for_failure(&agent, 0, "dns");
}
