//! What the manager hears, at a socket of the test's own.

use super::*;

/// A manager's socket in the abstract namespace, and an agent that speaks to it.
fn pair(name: &str, watchdog_us: Option<&str>, watchdog_pid: &str) -> (UnixDatagram, Notifier) {
    let name = format!("mote-notify-{}-{name}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    manager.set_nonblocking(true).unwrap();
    let environment = |asked: &str| match asked {
        "NOTIFY_SOCKET" => Some(format!("@{name}").into()),
        "WATCHDOG_USEC" => watchdog_us.map(Into::into),
        "WATCHDOG_PID" => Some(watchdog_pid.into()),
        _ => None,
    };
    (manager, Notifier::new(environment, 7))
}

fn heard(manager: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 1024];
    let next = || Some(manager.recv(&mut buffer).ok()?).map(|n| buffer[..n].to_vec());
    let all = std::iter::from_fn(next);
    all.map(|bytes| String::from_utf8(bytes).unwrap()).collect()
}

#[test]
fn ready_is_said_once_and_not_before_a_sample() {
    let (manager, mut notifier) = pair("ready", None, "7");
    assert_eq!(notifier.turn(0, false), u64::MAX);
    assert!(heard(&manager).is_empty());
    notifier.turn(200, true);
    notifier.turn(300, true);
    notifier.ready();
    assert_eq!(heard(&manager), ["READY=1"]);
}

#[test]
fn a_reload_is_ended_by_ready_alone() {
    let (manager, mut notifier) = pair("reload", None, "7");
    notifier.turn(0, true);
    notifier.reloading(12_345);
    notifier.turn(1, true);
    notifier.ready();
    let expected = ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12345", "READY=1"];
    assert_eq!(heard(&manager), expected);
}

/// Leaves no room in the socket of `manager`.
fn fill(manager: &UnixDatagram) {
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    let address = manager.local_addr().unwrap();
    while other.send_to_addr(b"x", &address).is_ok() {}
}

#[test]
fn a_reload_that_found_no_room_is_told_later() {
    let (manager, mut notifier) = pair("full", None, "7");
    notifier.turn(0, true);
    fill(&manager);
    notifier.reloading(12_345);
    assert_eq!(notifier.turn(1, true), u64::MAX, "the reload goes on");
    notifier.ready();
    assert_eq!(notifier.turn(1, true), 1 + AGAIN_MS);
    heard(&manager);
    assert_eq!(notifier.turn(1_001, true), u64::MAX);
    let whole = ["RELOADING=1\nMONOTONIC_USEC=12345", "READY=1"];
    assert_eq!(heard(&manager), whole);

    notifier.reloading(20_000);
    fill(&manager);
    notifier.ready();
    assert!(!heard(&manager).contains(&"READY=1".to_owned()));
    notifier.turn(2_000, true);
    notifier.turn(2_001, true);
    assert_eq!(heard(&manager), ["READY=1"]);
}

#[test]
fn a_start_that_is_put_off_asks_for_time() {
    let (manager, mut notifier) = pair("pause", None, "7");
    notifier.pausing();
    notifier.turn(0, true);
    assert_eq!(heard(&manager), ["EXTEND_TIMEOUT_USEC=30000000", "READY=1"]);
}

#[test]
fn a_status_is_sent_when_it_changes_in_one_line() {
    let (manager, mut notifier) = pair("status", None, "7");
    notifier.status("holding");
    notifier.status("holding");
    notifier.status("a\nMAINPID=1");
    notifier.status(&"x".repeat(1000));
    let heard = heard(&manager);
    assert_eq!(heard[..2], ["STATUS=holding", "STATUS=a MAINPID=1"]);
    assert_eq!(heard[2].len(), "STATUS=".len() + STATUS_BYTES);
    assert_eq!(heard.len(), 3);
}

#[test]
fn the_watchdog_hears_of_samples_on_time_only() {
    let (manager, mut notifier) = pair("watchdog", Some("2000000"), "7");
    assert_eq!(notifier.turn(10_000, true), 11_000);
    assert_eq!(notifier.turn(10_499, true), 11_000);
    assert_eq!(heard(&manager), ["READY=1", "WATCHDOG=1"]);
    // Awake anyway, past a quarter of the period: it rides along.
    assert_eq!(notifier.turn(10_500, true), 11_500);
    assert_eq!(heard(&manager), ["WATCHDOG=1"]);
    // Due, but no sample: silent, and the next look is not at once.
    assert_eq!(notifier.turn(12_000, false), 12_250);
    assert!(heard(&manager).is_empty());
    notifier.turn(12_250, true);
    assert_eq!(heard(&manager), ["WATCHDOG=1"]);
}

#[test]
fn a_watchdog_of_another_process_is_left_alone() {
    let (manager, mut notifier) = pair("other", Some("2000000"), "8");
    assert_eq!(notifier.turn(10_000, true), u64::MAX);
    assert_eq!(heard(&manager), ["READY=1"]);
}

#[test]
fn a_manager_that_went_away_is_no_failure_and_is_told_when_it_is_back() {
    let path = std::env::temp_dir().join(format!("mote-notify-{}", std::process::id()));
    let environment = |name: &str| (name == "NOTIFY_SOCKET").then(|| path.clone().into());
    let mut notifier = Notifier::new(environment, 7);
    assert!(notifier.is_heard());
    notifier.turn(0, true);
    notifier.status("delivering");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    notifier.turn(1, true);
    notifier.status("delivering");
    notifier.stopping();
    notifier.stopping();
    let expected = ["READY=1", "STATUS=delivering", "STOPPING=1"];
    assert_eq!(heard(&manager), expected);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn without_a_socket_that_can_be_meant_nothing_is_said() {
    for name in [None, Some(""), Some("vsock:2:9999"), Some("relative")] {
        let environment = |asked: &str| match asked {
            "NOTIFY_SOCKET" => name.map(OsString::from),
            _ => Some("1000000".into()),
        };
        let mut notifier = Notifier::new(environment, 7);
        assert!(!notifier.is_heard(), "{name:?}");
        assert_eq!(notifier.turn(0, true), u64::MAX);
    }
}
