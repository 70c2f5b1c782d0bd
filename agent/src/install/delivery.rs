//! Waits for the first delivery of a service that was just started, and says what it does meanwhile.
//!
//! Under systemd the service's own status says so, see `crate::notify`. procd has nothing like it;
//! there the lines that the agent has logged since the start are read with logread, if it is told to
//! log deliveries there; if not, that is said and not waited for. Looked at twice a second, for a
//! minute at most.

use nix::poll::{PollTimeout, poll};

use super::Delivers;
use super::place::say;
use super::system::{System, run};
use crate::agent::{Exit, Refusal};
use crate::clock;

const WAIT_MS: u64 = 60_000;
const LOOK_EVERY_MS: u16 = 500;
const UNSEEN: &str = "mote is installed and was started; whether it delivers cannot be seen here: \
    logging.level and logging.output keep deliveries out of the system's log";

const NOTHING: &str = "mote is installed and was started: there is no metrics server to deliver to";

/// A service that is starting.
#[derive(Debug)]
pub(super) struct Watch {
    system: System,
    delivers: Delivers,
    /// What was in the log before, where the log is what is looked at.
    before: String,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Delivered,
    /// Not yet; what it does.
    Busy(String),
    /// It ended and is not started again by itself.
    Failed(String),
}

impl Watch {
    /// Looks at the service before it is started.
    pub(super) fn begin(system: System, delivers: Delivers) -> Self {
        let before = match system {
            System::Systemd => String::new(),
            System::Procd => log(),
        };
        Self {
            system,
            delivers,
            before,
        }
    }

    /// Why there is nothing to wait for, if so.
    fn blind(&self) -> Option<&'static str> {
        match self.delivers {
            Delivers::Unlogged if self.system == System::Procd => Some(UNSEEN),
            Delivers::Nothing => Some(NOTHING),
            _ => None,
        }
    }

    fn look(&self) -> Result<Seen, Refusal> {
        match self.system {
            System::Systemd => {
                let wanted = "--property=ActiveState,SubState,Result,StatusText";
                Ok(of_properties(&run(
                    "systemctl",
                    &["show", "mote.service", wanted],
                )?))
            }
            System::Procd => Ok(of_log(&self.before, &log())),
        }
    }

    /// The last that the service said, for one that does not start.
    pub(super) fn last_words(&self) -> String {
        let said = match self.system {
            System::Systemd => {
                let last = [
                    "--unit=mote.service",
                    "--lines=3",
                    "--output=cat",
                    "--no-pager",
                ];
                run("journalctl", &last).unwrap_or_default()
            }
            System::Procd => {
                let log = log();
                let lines: Vec<&str> = new_lines(&self.before, &log).collect();
                lines[lines.len().saturating_sub(3)..].join("\n")
            }
        };
        let all = match self.system {
            System::Systemd => "journalctl --unit=mote",
            System::Procd => "logread -e mote",
        };
        match said.trim_end() {
            "" => format!("what it said is not to be found with {all}"),
            said => format!("the last that it said ({all} has all):\n{said}"),
        }
    }
}

/// Waits; a dry run has nothing to wait for.
pub(super) fn wait(watch: &Watch, dry_run: bool) -> Result<(), Refusal> {
    if let Some(words) = watch.blind() {
        return say(words);
    }
    say(format!(
        "wait for its first delivery, {} s at most",
        WAIT_MS / 1000
    ))?;
    if dry_run {
        return Ok(());
    }
    let until_ms = clock::boot_ms() + WAIT_MS;
    let mut said = String::new();
    loop {
        match watch.look()? {
            Seen::Delivered => return say("delivered: mote is installed and works"),
            Seen::Failed(words) => {
                let words = format!(
                    "mote was installed and ended: {words}\n{}",
                    watch.last_words()
                );
                return Err((Exit::Failed, words));
            }
            Seen::Busy(words) if words != said => {
                say(format!("  {words}"))?;
                said = words;
            }
            Seen::Busy(_) => {}
        }
        if clock::boot_ms() >= until_ms {
            let words =
                "mote is installed and runs, but has delivered nothing yet: it goes on trying";
            return Err((Exit::Unreached, format!("{words}\n{}", watch.last_words())));
        }
        // No descriptor is waited for. A signal ends the pause early, which does no harm.
        let _ = poll(&mut [], PollTimeout::from(LOOK_EVERY_MS));
    }
}

fn of_properties(text: &str) -> Seen {
    let property = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let status = property("StatusText");
    match (property("ActiveState"), property("SubState")) {
        ("active", _) if status.starts_with("delivering") => Seen::Delivered,
        ("failed", _) | (_, "auto-restart") => Seen::Failed(property("Result").to_owned()),
        (_, state) if status.is_empty() => Seen::Busy(state.to_owned()),
        _ => Seen::Busy(status.to_owned()),
    }
}

fn of_log(before: &str, now: &str) -> Seen {
    let mut busy = "starting".to_owned();
    for line in new_lines(before, now) {
        if line.contains("Metrics sent successfully") {
            return Seen::Delivered;
        }
        line.clone_into(&mut busy);
    }
    Seen::Busy(busy)
}

/// The log is a ring: what was there before may be gone from its beginning.
fn new_lines<'a>(before: &'a str, now: &'a str) -> impl Iterator<Item = &'a str> {
    now.lines()
        .filter(|line| !before.lines().any(|old| old == *line))
}

fn log() -> String {
    // Without a log there is nothing to see; the wait then says what it saw: nothing.
    run("logread", &["-e", "mote"]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_says_delivering_is_a_delivery() {
        let text = "ActiveState=active\nSubState=running\nStatusText=delivering to https://hub\n";
        assert_eq!(of_properties(text), Seen::Delivered);
        let text = text.replace("delivering to", "holding 3 samples:");
        let words = "holding 3 samples: https://hub".to_owned();
        assert_eq!(of_properties(&text), Seen::Busy(words));
        let text = "ActiveState=activating\nSubState=start\nStatusText=\n";
        assert_eq!(of_properties(text), Seen::Busy("start".into()));
    }

    #[test]
    fn a_status_of_a_service_that_ended_is_no_delivery() {
        for state in [
            "ActiveState=failed\nSubState=failed",
            "SubState=auto-restart",
        ] {
            let text = format!("{state}\nResult=exit-code\nStatusText=delivering to https://hub\n");
            assert_eq!(
                of_properties(&text),
                Seen::Failed("exit-code".into()),
                "{state}"
            );
        }
    }

    #[test]
    fn a_delivery_that_cannot_be_seen_is_not_waited_for() {
        let watch = |system| Watch::begin(system, Delivers::Unlogged);
        let begun_ms = clock::boot_ms();
        assert!(wait(&watch(System::Procd), false).is_ok());
        assert!(clock::boot_ms() < begun_ms + WAIT_MS / 2);
        let systemd = watch(System::Systemd);
        assert_eq!(systemd.blind(), None, "its status says so");
    }

    #[test]
    fn only_what_was_logged_since_counts() {
        let old = "10:00 mote[7]: {\"msg\":\"Metrics sent successfully\"}\n";
        assert_eq!(of_log(old, old), Seen::Busy("starting".into()));
        let now = format!("{old}10:01 mote[9]: {{\"msg\":\"Metrics send failed\"}}\n");
        let Seen::Busy(words) = of_log(old, &now) else {
            panic!("not delivered")
        };
        assert!(words.contains("failed"), "{words}");
        let now = now.replace("10:00", "10:02");
        assert_eq!(of_log(old, &now), Seen::Delivered);
    }
}
