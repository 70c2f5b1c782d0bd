//! The last line of an agent that found a fault in itself.
//!
//! It goes where all lines go, escaped and cut like any other, and never has a backtrace: what a
//! server or a plugin sent could be in the message, and nobody is there to read the rest. The exit
//! code is 1, for the service manager to start the agent again.

use std::panic::PanicHookInfo;
use std::sync::TryLockError;

use mote_core::log_line::{Level, Value};
use mote_core::text::cut;

use super::{LOG, Log};

/// How much of a panic's own words is logged.
const WORDS_BYTES: usize = 500;
const EXIT_CODE: i32 = 1;

/// From now on a panic leaves one line and ends the process.
pub(super) fn catch_panics() {
    std::panic::set_hook(Box::new(|info| {
        say(info);
        std::process::exit(EXIT_CODE)
    }));
}

fn say(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let words = info.payload_as_str().unwrap_or("no words");
    let fields = [
        ("place", Value::Str(&place)),
        ("error", Value::Str(cut(words, WORDS_BYTES))),
    ];
    match LOG.try_lock() {
        Ok(mut log) => log.line(Level::Error, "Panic", &fields),
        Err(TryLockError::Poisoned(log)) => log.into_inner().line(Level::Error, "Panic", &fields),
        // The log itself panicked, and its state is not to be touched.
        Err(TryLockError::WouldBlock) => Log::new().line(Level::Error, "Panic", &fields),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Set for a test program that is to panic; says how.
    const HOW: &str = "MOTE_TEST_PANIC";

    fn panicking(how: &str) -> (Option<i32>, String, String) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "log::panic::tests::panics",
                "--ignored",
                "--nocapture",
            ])
            .env(HOW, how)
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    fn check(how: &str) {
        let (code, stdout, stderr) = panicking(how);
        assert_eq!((code, stderr.as_str()), (Some(1), ""), "{stdout}");
        assert!(!stdout.contains('\u{1b}'), "{stdout}");
        let said: Vec<_> = stdout.lines().filter(|l| l.contains("\"Panic\"")).collect();
        let [line] = said[..] else {
            panic!("not one line: {stdout}");
        };
        assert!(line.contains("\"level\":\"error\""), "{line}");
        assert!(line.contains("agent/src/log/panic.rs:"), "{line}");
        assert!(line.contains(r"said \u001b[31m xxx"), "{line}");
        assert!(line.len() < 800, "{}", line.len());
        assert_eq!(stdout.lines().last(), Some(line));
    }

    #[test]
    fn a_panic_leaves_one_escaped_line_and_no_backtrace() {
        check("outside");
    }

    #[test]
    fn a_panic_in_the_log_itself_is_said_too() {
        check("in the log");
    }

    #[test]
    #[ignore = "it is the program that other tests start"]
    fn panics() {
        super::catch_panics();
        let lock = super::LOG.lock();
        let how = std::env::var(HOW).unwrap_or_default();
        if how == "outside" {
            drop(lock);
        }
        panic!("said \u{1b}[31m {}", "x".repeat(9_000));
    }
}
