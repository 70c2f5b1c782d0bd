//! What the service manager is told, heard at a socket of the test's own.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use mote_tests::agent::{AgentBuilder, Signal};
use mote_tests::hub::{Hub, HubConfig, Misbehaviour};
use mote_tests::wait::poll_until;

use super::LONG;

/// Listens like a service manager.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<(Instant, String)>,
}

impl Manager {
    fn new(builder: &AgentBuilder) -> (Self, String) {
        let path = builder.dir().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        let heard = Vec::new();
        (Self { socket, heard }, path.to_str().unwrap().to_owned())
    }

    fn listen(&mut self) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            self.heard.push((Instant::now(), text));
        }
    }

    /// Waits for the next message that is wanted, after `from`; returns where the one behind it is.
    fn wait_for(&mut self, from: usize, what: &str, wanted: impl Fn(&str) -> bool) -> usize {
        let found = poll_until(what, LONG, || {
            self.listen();
            let position = self.heard[from..].iter().position(|(_, text)| wanted(text));
            position.map(|position| from + position + 1)
        });
        found.unwrap_or_else(|words| panic!("{words}; heard {:#?}", self.heard))
    }
}

/// What the manager asks for; a sign of life comes twice in it. Long enough for a busy machine.
const WATCHDOG: Duration = Duration::from_secs(2);

fn agent(hub: &Hub) -> (AgentBuilder, Manager) {
    let builder = AgentBuilder::new().unwrap().for_hub(hub).hurried();
    let (manager, socket) = Manager::new(&builder);
    let builder = builder
        .env("NOTIFY_SOCKET", socket)
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    (builder, manager)
}

#[test]
fn it_is_ready_when_a_sample_was_taken_and_says_what_it_does_until_it_stops() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let (builder, mut manager) = agent(&hub);
    let begun = Instant::now();
    let mut agent = builder.start().unwrap();
    let at = manager.wait_for(0, "READY=1", |text| text == "READY=1");
    assert_eq!(at, 1, "before anything else: {:?}", manager.heard);
    // The first sample is taken over a window of this length.
    assert!(begun.elapsed() >= Duration::from_millis(200));

    let delivering = format!("STATUS=delivering to {}, 0 held", hub.url());
    let at = manager.wait_for(at, &delivering, |text| text == delivering);
    hub.misbehave(Misbehaviour::status(503));
    let holding =
        |text: &str| text.starts_with("STATUS=holding ") && text.ends_with("answered 503");
    let at = manager.wait_for(at, "a status that says holding", holding);
    hub.misbehave(Misbehaviour::Normal);
    let at = manager.wait_for(at, "delivering again", |text| {
        text.starts_with("STATUS=delivering")
    });

    agent.signal(Signal::SIGTERM).unwrap();
    manager.wait_for(at, "STOPPING=1", |text| text == "STOPPING=1");
    assert!(agent.wait_exit(LONG).unwrap().success());
    manager.listen();
    let once = |wanted: &str| {
        manager
            .heard
            .iter()
            .filter(|(_, text)| text == wanted)
            .count()
    };
    assert_eq!(
        (once("READY=1"), once("STOPPING=1")),
        (1, 1),
        "{:?}",
        manager.heard
    );
}

#[test]
fn the_watchdog_hears_of_a_loop_that_goes_on_and_of_none_that_does_not() {
    // An hour between samples, and a server that never answers: neither keeps the loop from going.
    let hub = Hub::start(HubConfig::default()).unwrap();
    hub.misbehave(Misbehaviour::Silent);
    let (builder, mut manager) = agent(&hub);
    let mut agent = builder.flag("interval", "1h").start().unwrap();
    let is_alive = |text: &str| text == "WATCHDOG=1";
    let mut at = 0;
    for _ in 0..4 {
        at = manager.wait_for(at, "WATCHDOG=1", is_alive);
    }
    let alive = manager.heard.iter().filter(|(_, text)| is_alive(text));
    let times: Vec<Instant> = alive.map(|(time, _)| *time).collect();
    for pair in times.windows(2) {
        let gap = pair[1] - pair[0];
        assert!(gap < WATCHDOG, "later than the period: {gap:?}");
        assert!(gap > Duration::from_millis(200), "too often: {gap:?}");
    }

    agent.signal(Signal::SIGSTOP).unwrap();
    manager.listen();
    let before = manager.heard.len();
    let silence = WATCHDOG.mul_f32(1.2);
    let broken = poll_until("a sign of life", silence, || {
        manager.listen();
        // What was sent before the signal arrived may still come.
        (manager.heard.len() > before + 1).then_some(())
    });
    assert!(broken.is_err(), "{:?}", manager.heard);
    agent.signal(Signal::SIGCONT).unwrap();
    manager.wait_for(before, "WATCHDOG=1 again", is_alive);
}

#[test]
fn a_reload_begins_and_ends() {
    let hub = Hub::start(HubConfig::default()).unwrap();
    let (builder, mut manager) = agent(&hub);
    let mut agent = builder.config("max_retries: 3\n").unwrap().start().unwrap();
    let mut at = manager.wait_for(0, "READY=1", |text| text == "READY=1");
    for text in ["max_retries: 4\n", "max_retries: many\n"] {
        // A configuration that is wrong ends a reload too: the old one goes on.
        fs::write(agent.dir().join("mote.yaml"), text).unwrap();
        agent.signal(Signal::SIGHUP).unwrap();
        let begins = |text: &str| text.starts_with("RELOADING=1\nMONOTONIC_USEC=");
        at = manager.wait_for(at, "RELOADING=1", begins);
        at = manager.wait_for(at, "READY=1", |text| text == "READY=1");
    }
    assert!(agent.stop(Signal::SIGTERM).unwrap().success());
}
