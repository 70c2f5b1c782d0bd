//! How it starts, or says why it does not: the command line, the configuration, the folder that it
//! writes to. Exit codes are those of sysexits.h.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use mote_tests::agent::{AgentBuilder, AgentUnderTest, LogLine, Signal, left_out};
use mote_tests::namespace::{self, Own};
use mote_tests::suite::{LONG, good_hub};

const USAGE: i32 = 64;
const STATE: i32 = 73;
const CONFIG: i32 = 78;

fn new() -> AgentBuilder {
    AgentBuilder::new().unwrap()
}

/// Waits for an end that comes by itself: the exit code and both outputs.
fn end(agent: &mut AgentUnderTest) -> (Option<i32>, String, String) {
    let code = agent.wait_exit(LONG).unwrap().code();
    let out: Vec<String> = agent.log().into_iter().map(|line| line.text).collect();
    (code, out.join("\n"), agent.stderr().join("\n"))
}

/// It does not start, and says these words on standard error.
fn check_refused(builder: &AgentBuilder, code: i32, words: &str) {
    let (got, out, err) = end(&mut builder.start().unwrap());
    assert_eq!(got, Some(code), "{words}: {out}{err}");
    assert!(err.contains(words), "{words:?} is not in {err:?}");
    assert!(err.starts_with("mote: "), "{err:?}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let version = concat!("mote ", env!("CARGO_PKG_VERSION"));
    for (word, begin) in [
        ("help", "mote: "),
        ("--help", "mote: "),
        ("-h", "mote: "),
        ("version", version),
        ("--version", version),
        ("-V", version),
    ] {
        let builder = new().without_flag("base-dir").command(word);
        let (code, out, err) = end(&mut builder.start().unwrap());
        assert_eq!((code, err.as_str()), (Some(0), ""), "{word}");
        assert!(out.starts_with(begin), "{word}: {out:?}");
        if begin != version {
            for flag in ["--server-url", "--api-key-file", "--interval", "--config"] {
                assert!(out.contains(flag), "{word} lacks {flag}");
            }
        }
    }
}

#[test]
fn a_command_line_that_is_not_understood_is_refused() {
    let plain = || new().without_flag("base-dir");
    check_refused(&plain().command("fly"), USAGE, "fly");
    check_refused(&plain().flag("wings", "2"), USAGE, "--wings");
    check_refused(&plain().argument("--interval"), USAGE, "--interval");
    check_refused(&plain().argument("-x"), USAGE, "-x");
    check_refused(&plain().argument("again"), USAGE, "again");
}

#[test]
fn what_is_missing_is_named() {
    let url = "https://127.0.0.1:1";
    check_refused(&new().flag("api-key", "k"), CONFIG, "server_url is missing");
    check_refused(&new().flag("server-url", url), CONFIG, "api_key is missing");
    let lost = new()
        .flag("server-url", url)
        .flag("api-key-file", "/no/such/key");
    check_refused(&lost, CONFIG, "api_key_file /no/such/key: ");
    let builder = new().flag("server-url", url);
    let empty = builder.write_file("key", " \n").unwrap();
    let words = format!("api_key_file {}: the file is empty", empty.display());
    check_refused(&builder.flag("api-key-file", empty), CONFIG, &words);
    check_refused(
        &new().flag("config", "/no/such.yaml"),
        CONFIG,
        "/no/such.yaml",
    );
}

#[test]
fn a_wrong_configuration_is_told_with_file_line_and_key() {
    for (text, place, words) in [
        ("interval: 10\n", "1: interval: ", "has no unit"),
        ("payload: both\n\ninterval: 1ms\n", "3: interval: ", "100ms"),
        (
            "# a line\nbuffer:\n  samples: 0\n",
            "3: buffer.samples: ",
            "",
        ),
        ("max_retries: many\n", "1: max_retries: ", "many"),
        ("backfill: maybe\n", "1: backfill: ", "auto"),
        ("payload: [\n", "2: ", "YAML"),
        ("payload: both\na: b: c\n", "2: ", "YAML"),
        (
            "payload: both\nhostname: [x, y]\n",
            "2: hostname: ",
            "takes one value and no list: write hostname: VALUE",
        ),
    ] {
        let builder = new().config(text).unwrap();
        let builder = builder.flag("server-url", "https://h").flag("api-key", "k");
        let file = builder.dir().join("mote.yaml");
        let (code, out, err) = end(&mut builder.start().unwrap());
        assert_eq!(code, Some(CONFIG), "{text:?}: {out}{err}");
        let place = format!("{}:{place}", file.display());
        assert!(err.contains(&place), "{place:?} is not in {err:?}");
        assert!(err.contains(words), "{words:?} is not in {err:?}");
    }
}

/// What is wrong only when everything is looked at together.
#[test]
fn what_does_not_go_together_is_told_with_its_place_too() {
    let server = "server_url: https://h\napi_key: k\n";
    for (text, line, words) in [
        (
            "server_url: ftp://hub\napi_key: k\n",
            1,
            "server_url \"ftp://hub\" is neither",
        ),
        (
            "tls:\n  ca_file: /nope.pem\n",
            4,
            "tls.ca_file /nope.pem: No such file",
        ),
        (
            "tls:\n  server_name: a b\n",
            4,
            "tls.server_name: \"a b\" is neither",
        ),
        ("tls:\n  cert_file: /a\n", 4, "tls.cert_file is set without"),
        (
            "logging:\n  output: file\n",
            4,
            "logging.output: file needs logging.file: set that too",
        ),
        ("proxy: socks5://a\n", 3, "proxy is not an http: proxy"),
        (
            "api_key_file: two-lines\n",
            2,
            "api_key_file two-lines: more than a line",
        ),
        (
            "api_key_file: /nope\n",
            2,
            "api_key_file /nope: No such file",
        ),
    ] {
        let text = match text.split_once(':') {
            Some(("server_url", _)) => text.to_owned(),
            Some(("api_key_file", _)) => format!("server_url: https://h\n{text}"),
            _ => format!("{server}{text}"),
        };
        let builder = new().config(&text).unwrap();
        builder.write_file("two-lines", "one\ntwo\n").unwrap();
        let file = builder.dir().join("mote.yaml");
        let place = format!("mote: {}:{line}: {words}", file.display());
        for command in ["run", "check"] {
            check_refused(&builder.clone().command(command), CONFIG, &place);
        }
    }
    // Who wants no log at all may have it.
    let silent = new().command("check").flag("log-output", "none");
    assert_eq!(end(&mut silent.start().unwrap()).0, Some(0));
    let flagged = new().flag("server-url", "ftp://hub").flag("api-key", "k");
    check_refused(&flagged, CONFIG, "mote: --server-url: server_url \"ftp:");
    let named = new()
        .env("MOTE_SERVER_URL", "ftp://hub")
        .flag("api-key", "k");
    let words = "mote: MOTE_SERVER_URL in the environment: server_url \"ftp:";
    check_refused(&named.command("once").argument("--send"), CONFIG, words);
}

#[test]
fn a_key_never_goes_out_in_the_clear_by_accident() {
    let builder = new()
        .flag("server-url", "http://hub.example")
        .flag("api-key", "k");
    check_refused(&builder, CONFIG, "in the clear");
    let builder = new()
        .flag("server-url", "ftp://hub.example")
        .flag("api-key", "k");
    check_refused(
        &builder,
        CONFIG,
        "neither https nor http: write it like https://",
    );
}

#[test]
fn a_file_of_authorities_that_cannot_be_used_is_refused() {
    let builder = new().flag("server-url", "https://h").flag("api-key", "k");
    let lost = builder.clone().flag("tls-ca-file", "/no/such.pem");
    check_refused(&lost, CONFIG, "/no/such.pem");
    let empty = builder.write_file("empty.pem", "nothing here\n").unwrap();
    check_refused(
        &builder.flag("tls-ca-file", empty),
        CONFIG,
        "no certificate in it",
    );
}

#[test]
fn everything_can_come_from_the_usual_file_and_an_unknown_key_is_a_warning() {
    let hub = good_hub();
    let builder = new();
    let folder = builder.dir().join(".config/mote");
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "server_url: {}\napi_key: {}\ninterval: 100ms\ntls:\n  ca_file: {}\nintervall: 3s\n",
        hub.url(),
        hub.api_key(),
        hub.ca_pem_path().display()
    );
    let file = folder.join("mote.yaml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let agent = builder.start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    let warns = |line: &LogLine| line.level() == "warn";
    let warning = agent.wait_for_log(warns, LONG).unwrap();
    assert!(warning.text.contains("mote.yaml:6: "), "{}", warning.text);
    assert!(
        warning.text.contains("did you mean interval?"),
        "{}",
        warning.text
    );
}

#[test]
fn an_unknown_variable_is_a_warning_that_offers_the_nearest() {
    let mistyped = new().command("check").env("MOTE_INTERVALL", "3s");
    let strict = mistyped.clone().argument("--strict");
    let words = "unknown variable MOTE_INTERVALL in the environment: did you mean MOTE_INTERVAL?";
    check_refused(&strict, CONFIG, words);
    let (code, out, _) = end(&mut mistyped.start().unwrap());
    assert_eq!(code, Some(0));
    assert!(out.contains(&format!("warning: {words}")), "{out}");
    if left_out("that the key is not in /proc") {
        return;
    }
    // What it hands to itself is none, and neither is what may be another program's.
    let builder = new()
        .command("check")
        .env("MOTE_API_KEY", "k")
        .env("STAVILY_INTERVALL", "3s")
        .flag("server-url", "https://h");
    let (code, out, err) = end(&mut builder.argument("--strict").start().unwrap());
    assert_eq!(code, Some(0), "{out}{err}");
}

#[test]
fn a_second_agent_on_one_folder_is_refused_and_the_first_goes_on() {
    let hub = good_hub();
    let builder = new().for_hub(&hub).hurried();
    let mut first = builder.start().unwrap();
    hub.wait_for(2, LONG).unwrap();
    let base = builder.base_dir();
    let words = format!("another agent uses {}", base.display());
    check_refused(&builder, STATE, &words);
    let delivered = hub.stats().delivered;
    hub.wait_for(delivered + 2, LONG).unwrap();
    assert_eq!(first.stop(Signal::SIGTERM).unwrap().code(), Some(0));
    // The lock goes with its holder, however it ends.
    let mut second = builder.start().unwrap();
    hub.wait_for(hub.stats().delivered + 1, LONG).unwrap();
    second.signal(Signal::SIGKILL).unwrap();
    second.wait_exit(LONG).unwrap();
    let third = builder.start().unwrap();
    // Which may be preceded by one that the first took and was stopped in sending.
    hub.wait_until("a sample of the third start", LONG, |_, attempts| {
        attempts.iter().any(|it| it.start_number() == Some(3))
    })
    .unwrap();
    assert!(third.stderr().is_empty());
}

#[test]
fn a_folder_that_may_be_somebody_elses_is_refused() {
    let builder = new()
        .flag("server-url", "https://127.0.0.1:1")
        .flag("api-key", "k");
    let place = |name: &str| builder.dir().join(name);
    fs::create_dir(place("real")).unwrap();
    symlink(place("real"), place("link")).unwrap();
    let linked = builder.clone().flag("base-dir", place("link"));
    check_refused(&linked, STATE, "is a link");
    for end in ["link/", "link/."] {
        let behind = builder.clone().flag("base-dir", place(end));
        check_refused(&behind, STATE, "is a link");
    }
    symlink(place("nowhere"), place("dangling")).unwrap();
    let dangling = builder.clone().flag("base-dir", place("dangling"));
    check_refused(&dangling, STATE, "is a link");
    fs::write(place("file"), "").unwrap();
    let file = builder.clone().flag("base-dir", place("file"));
    check_refused(&file, STATE, "is no folder");
    assert_eq!(fs::read_dir(place("real")).unwrap().count(), 0);
}

#[test]
fn a_folder_of_another_user_is_refused() {
    if !namespace::enter(Own::Mounts, "a_folder_of_another_user_is_refused") {
        return;
    }
    let builder = new()
        .flag("server-url", "https://127.0.0.1:1")
        .flag("api-key", "k");
    fs::create_dir(builder.base_dir()).unwrap();
    chown(builder.base_dir(), Some(65534), None).unwrap();
    check_refused(&builder, STATE, "belongs to user 65534");
}

/// It delivers although it can keep nothing in its folder, and says so.
fn check_from_memory(builder: &AgentBuilder) {
    let hub = good_hub();
    let mut agent = builder.clone().for_hub(&hub).hurried().start().unwrap();
    hub.wait_for(3, LONG).unwrap();
    let says = |line: &LogLine| line.msg() == "State cannot be written, going on from memory";
    let line = agent.wait_for_log(says, LONG).unwrap();
    assert_eq!(line.level(), "warn");
    assert!(!line.str("error").is_empty(), "{}", line.text);
    assert_eq!(agent.stop(Signal::SIGTERM).unwrap().code(), Some(0));
}

#[test]
fn without_a_folder_it_goes_on_from_memory() {
    // Nobody can make a folder there, not even root.
    check_from_memory(&new().flag("base-dir", "/proc/mote"));
}

#[test]
fn on_a_full_disk_it_goes_on_from_memory_and_no_key_comes_twice() {
    if !namespace::enter(
        Own::Mounts,
        "on_a_full_disk_it_goes_on_from_memory_and_no_key_comes_twice",
    ) {
        return;
    }
    let builder = new();
    let disk = builder.dir().join("disk");
    fs::create_dir(&disk).unwrap();
    namespace::mount_memory(&disk, 16 * 1024);
    // The disk may fill up in the middle of a page.
    fs::write(disk.join("filler"), vec![0; 16 * 1024]).unwrap();
    let builder = builder.flag("base-dir", disk.join("base"));
    check_from_memory(&builder);
    // Each start has an identity of its own now; the hub would refuse a key that came before.
    let hub = good_hub();
    for _ in 0..2 {
        let delivered = hub.stats().delivered;
        let agent = builder.clone().for_hub(&hub).hurried().start().unwrap();
        hub.wait_for(delivered + 2, LONG).unwrap();
        drop(agent);
    }
    assert_eq!(hub.stats().repeats, 0);
    assert!(hub.violations().is_empty(), "{:?}", hub.violations());
}

#[test]
fn its_folder_is_for_nobody_else() {
    let hub = good_hub();
    let builder = new().for_hub(&hub).hurried();
    let agent = builder.start().unwrap();
    hub.wait_for(1, LONG).unwrap();
    let mode = |name: &str| {
        let found = fs::metadata(builder.base_dir().join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("data/state")), (0o700, 0o700));
    for entry in fs::read_dir(builder.base_dir().join("data/state")).unwrap() {
        let name = entry.unwrap().file_name();
        let mode = mode(&format!("data/state/{}", name.to_str().unwrap()));
        assert_eq!(mode & 0o077, 0, "{name:?} has mode {mode:o}");
    }
    drop(agent);
}
