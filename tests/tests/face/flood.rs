//! Many guests at once: the agent goes on sampling and delivering, stays small, and answers those
//! who ask like people do.

use std::fs;
use std::process::Command;
use std::time::Instant;

use super::*;

/// All that the agent may hold in memory with every place taken, kB.
const RSS_KB: u64 = 2600;

fn check_modest(agent: &AgentUnderTest) {
    assert_eq!(agent.threads().unwrap(), 1);
    if !left_out("what the agent holds in memory") {
        let memory = agent.memory().unwrap();
        assert!(memory.peak_rss_kb < RSS_KB, "{memory:?}");
    }
}

fn open_files(agent: &AgentUnderTest) -> usize {
    fs::read_dir(format!("/proc/{}/fd", agent.pid()))
        .unwrap()
        .count()
}

fn collected(address: SocketAddr) -> u64 {
    let status = get(address, "/api/status").json();
    status["outbox"]["collected"].as_u64().unwrap()
}

#[test]
fn x3_two_hundred_who_send_a_byte_at_a_time_keep_nobody_else_out() {
    let hub = good_hub();
    let (agent, address) = start(&hurried(&hub));
    let before = open_files(&agent);
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect(address)).collect();
    let request = b"GET /api/status HTTP/1.1\r\n";
    for byte in request {
        let from = collected(address);
        for stream in &mut slow {
            // Those who had to make room are gone.
            stream.write_all(&[*byte]).ok();
        }
        wait_for_status(address, "the next sample", |status| {
            status["outbox"]["collected"].as_u64() > Some(from)
        });
        assert!(open_files(&agent) <= before + 16);
    }
    check_modest(&agent);
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 2, LONG).unwrap();
    drop(slow);
    let left = || (open_files(&agent) <= before + 1).then_some(());
    mote_tests::wait::poll_until("all guests to be gone", LONG, left).unwrap();
}

#[test]
fn scrapes_beyond_twenty_a_second_are_sent_away_and_samples_go_on() {
    let builder = AgentBuilder::new().unwrap().flag("interval", "100ms");
    let (agent, _) = start(
        &builder
            .argument("--metrics-enabled=true")
            .flag("metrics-port", "0"),
    );
    let address = agent.listens_at("/metrics", LONG).unwrap();
    let begun = Instant::now();
    let mut counts = [0_u64; 2];
    for _ in 0..3_000 {
        let reply = get(address, "/metrics");
        match reply.status {
            200 => counts[0] += 1,
            503 => {
                assert_eq!(reply.header("retry-after"), "1");
                counts[1] += 1;
            }
            other => panic!("{other}: {}", reply.head),
        }
    }
    let seconds = begun.elapsed().as_secs() + 2;
    assert!(
        counts[0] >= 20 && counts[0] <= 20 * seconds,
        "{counts:?} in {seconds} s"
    );
    let page = wait_for_answer(address, "/metrics", 200).body;
    let value = |name: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    assert!(value("mote_samples_collected_total ") > seconds.saturating_sub(2) * 5);
    check_modest(&agent);
}

#[test]
fn p3_without_descriptors_for_guests_it_delivers_and_does_not_spin() {
    let hub = good_hub();
    let (agent, address) = start(&hurried(&hub));
    hub.wait_for(3, LONG).unwrap();
    // From here on no more than it has open already.
    let status = Command::new("prlimit")
        .args(["--pid", &agent.pid().to_string()])
        .arg(format!("--nofile={}", open_files(&agent)))
        .status()
        .unwrap();
    assert!(status.success());
    let crowd: Vec<TcpStream> = (0..30).map(|_| connect(address)).collect();
    let refused = |line: &LogLine| line.msg() == "Nobody let in at the port";
    agent.wait_for_log(refused, LONG).unwrap();
    let (begun, cpu) = (Instant::now(), agent.cpu_ticks().unwrap());
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 20, LONG).unwrap();
    // Two seconds at ten samples each; one who spins takes all of them. A tick is 10 ms.
    let (took, spent) = (begun.elapsed(), agent.cpu_ticks().unwrap() - cpu);
    assert!(
        u128::from(spent) * 10 < took.as_millis() / 2,
        "{spent} ticks in {took:?}"
    );
    let said = agent.log().iter().filter(|line| refused(line)).count();
    assert_eq!(said, 1, "the same thing over and over");
    drop(crowd);
    // With the crowd gone nothing is in the way of the uplink.
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 2, LONG).unwrap();
}
