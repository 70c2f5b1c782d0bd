//! The hub as a program.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use mote_tests::wait::poll_until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::LONG;
use crate::client::Post;

const HUB: &str = env!("CARGO_BIN_EXE_hub");

fn run(arguments: &[&str]) -> Output {
    Command::new(HUB)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A child that does not outlive its test.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts a plain hub, posts this, stops the hub; gives its exit code and what it printed after its
/// first line.
fn session(post: &Post) -> (Option<i32>, String) {
    let mut command = Command::new(HUB);
    command
        .args(["--plain", "--print"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut hub = Guard(command.spawn().unwrap());
    let mut out = BufReader::new(hub.0.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    let address = first
        .trim_end()
        .strip_prefix("hub: listening on http://")
        .unwrap();
    let mut tcp = TcpStream::connect(address).unwrap();
    let post = post.clone().and("Connection", "close");
    tcp.write_all(post.to_text().as_bytes()).unwrap();
    tcp.read_to_string(&mut String::new()).unwrap();
    kill(Pid::from_raw(hub.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    let status = poll_until("the hub's end", LONG, || hub.0.try_wait().unwrap()).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    (status.code(), rest)
}

#[test]
fn a_good_guest_is_printed_and_summed_up() {
    let (code, printed) = session(&Post::sample(1));
    assert_eq!(code, Some(0), "{printed}");
    let lines: Vec<&str> = printed.lines().collect();
    let [sample, summary] = lines.as_slice() else {
        panic!("{printed}")
    };
    for word in [
        "16:32:42.118Z",
        "box",
        "cpu  12.5%",
        "mem  45.0%",
        "disk  70.1%",
        "1 B",
        "202",
    ] {
        assert!(sample.contains(word), "{sample}");
    }
    assert!(
        summary.starts_with("hub: samples=1 statuses=202:1 connections=1 "),
        "{summary}"
    );
    assert!(summary.ends_with("violations=0"), "{summary}");
}

#[test]
fn a_bad_guest_makes_it_exit_with_1() {
    let (code, printed) = session(&Post::sample(1).with("Idempotency-Key", ""));
    assert_eq!(code, Some(1), "{printed}");
    assert!(
        printed.contains("hub: violation: 400: idempotency-key"),
        "{printed}"
    );
}

#[test]
fn wrong_calls_are_told_apart_from_failures() {
    for wrong in [
        &["--sulk"][..],
        &["--listen", "nowhere"],
        &["--cert", "golden"],
        &["--misbehave", "status:abc"],
        &["--api-key"],
    ] {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(64), "{wrong:?}");
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(
            words.starts_with("hub: ") && words.contains("--help"),
            "{words}"
        );
    }
    // An address of the documentation's network is nobody's, so also not ours.
    let output = run(&["--listen", "192.0.2.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("hub: cannot start: ")
    );
}

#[test]
fn help_names_every_misbehaviour() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).unwrap();
    for word in ["--listen", "--control", "silent-tls", "redirect-to:URL"] {
        assert!(help.contains(word), "{word}");
    }
}
