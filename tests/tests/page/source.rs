//! What the page is made of: how large it is, that old browsers can read it, that it is complete.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::*;

/// Headers and body together; a link of 16 kbit/s takes eight seconds for it.
const LARGEST: usize = 16_000;

/// The agent's whole answer to `GET /`, in head and body.
pub(crate) fn page_of(agent: &AgentUnderTest) -> (String, String) {
    let url = url_of(agent);
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    (head.to_owned(), body.to_owned())
}

/// The value of a header.
pub(crate) fn header(head: &str, name: &str) -> String {
    let found = head.lines().find_map(|line| {
        let (known, value) = line.split_once(": ")?;
        known.eq_ignore_ascii_case(name).then(|| value.to_owned())
    });
    found.unwrap_or_else(|| panic!("no {name} in {head}"))
}

#[test]
fn the_page_is_small_and_needs_nothing_else() {
    let agent = without_server().start().unwrap();
    let (head, page) = page_of(&agent);
    let size = head.len() + 4 + page.len();
    assert!(size <= LARGEST, "{size} bytes on the wire");
    assert_eq!(header(&head, "content-type"), "text/html; charset=utf-8");
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">\n"));
    // The name of SVG is an address that nobody asks for.
    let addresses = page.replace("'http://www.w3.org/2000/svg'", "");
    for outside in ["http:", "https:", "@import", "url(", "innerHTML", "eval("] {
        assert!(!addresses.contains(outside), "{outside} in the page");
    }
}

#[test]
fn the_script_is_of_the_fifth_edition() {
    let Some(acorn) = acorn() else { return };
    let agent = without_server().start().unwrap();
    let (_, page) = page_of(&agent);
    let (_, script) = page.split_once("<script>").unwrap();
    let (script, _) = script.split_once("</script>").unwrap();
    assert_eq!(parses(&acorn, script), Ok(()));
    let newer = script.replacen("var ", "let ", 1);
    assert!(parses(&acorn, &newer).is_err(), "the parser takes anything");
}

/// The program that reads JavaScript; none, which is said, where it is not installed.
fn acorn() -> Option<String> {
    let there = Command::new("acorn").arg("--version").output();
    if there.is_ok() {
        return Some("acorn".into());
    }
    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "acorn is not installed: apt-get install node-acorn"
    );
    // Whoever closed standard error does not want to know.
    writeln!(
        std::io::stderr(),
        "SKIPPED the_script_is_of_the_fifth_edition: no acorn"
    )
    .ok();
    None
}

fn parses(acorn: &str, script: &str) -> Result<(), String> {
    let mut child = Command::new(acorn)
        .args(["--ecma5", "--silent"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(script.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}
