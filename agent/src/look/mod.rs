//! `mote health` and `mote status`: ask the agent that runs on this device how it is doing.
//!
//! Both ask its health port over the loopback. They are short-lived programs of their own and may
//! wait, within the limits of `client.rs`. What they read is foreign text to them: it is limited,
//! and nothing of it reaches a terminal that a terminal would obey.

mod client;
mod json;
mod people;

use std::io::IsTerminal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::poll::{PollTimeout, poll};

use crate::agent::{Exit, Refusal, complain, print};
use crate::config::{Settings, Sources, load_in_part, process_environment};
use crate::face::ready_path;

pub use people::bytes;

/// Between two looks of `mote status --watch`.
const WATCH_MS: u16 = 2_000;

/// Prints a line that says whether the agent is well, or with `ready` whether it does its work.
/// Refused if it is not, or does not answer.
pub fn health(sources: &Sources, ready: bool) -> Result<(), Refusal> {
    let settings = settings(sources)?;
    let failed = |words: String| (Exit::Failed, words);
    let path = if ready {
        ready_path(&settings.health_path)
    } else {
        settings.health_path.clone()
    };
    let answer = address(&settings)
        .and_then(|address| client::get(address, &path))
        .map_err(failed)?;
    let words = people::health(&answer.body)
        .ok_or_else(|| failed(format!("what answers at {} is not mote", answer.from)))?;
    let what = if ready { "ready" } else { "health" };
    print(&format!("{what}: {words}\n"))?;
    if answer.status == 200 {
        Ok(())
    } else {
        Err((Exit::Failed, format!("{what} says no ({})", answer.status)))
    }
}

/// Prints how the agent is doing, once or again and again.
pub fn status(sources: &Sources, json: bool, watch: bool) -> Result<(), Refusal> {
    let settings = settings(sources)?;
    let address = address(&settings).map_err(unreached)?;
    let is_terminal = std::io::stdout().is_terminal();
    let mut is_first = true;
    loop {
        let text = client::get(address, "/api/status").and_then(|answer| {
            if answer.status == 200 && json::field(&answer.body, &["name"]) == Some("\"mote\"") {
                Ok(answer.body)
            } else {
                Err(format!(
                    "what answers at {address} is not mote, or does not show its status: give the \
                     agent's own address with --health-bind and --health-port"
                ))
            }
        });
        // One that was there may come back.
        if !watch || std::mem::take(&mut is_first) && text.is_err() {
            let text = text.map_err(unreached)?;
            return print(&if json { text } else { people::status(&text) });
        }
        let page = match text {
            Ok(text) if json => text,
            // Where a program reads along.
            Err(words) if json => {
                complain(&words);
                String::new()
            }
            Ok(text) if is_terminal => people::status(&text),
            Ok(text) => people::line(&text),
            Err(words) => format!("{words}\n"),
        };
        if is_terminal && !json {
            // Home, and nothing below: the page is drawn over itself.
            print("\x1b[H\x1b[2J")?;
        }
        print(&page)?;
        // Ended by a signal, or by whoever reads along.
        let _ = poll(&mut [], PollTimeout::from(WATCH_MS));
    }
}

fn unreached(words: String) -> Refusal {
    (Exit::Unreached, words)
}

/// The configuration, as far as this user can read it and it is right: the agent that runs may have
/// started with a better one, and where it listens most likely stands in both. What is wrong with a
/// flag, or a variable that says where to ask, is this command's own.
fn settings(sources: &Sources) -> Result<Settings, Refusal> {
    let (loaded, errors) = load_in_part(sources, &process_environment);
    let mut words = errors.iter();
    let is_own = words.any(|words| words.starts_with("--") || words.starts_with("MOTE_HEALTH_"));
    let errors = errors.join("\n");
    if is_own {
        return Err((Exit::Config, errors));
    }
    if !errors.is_empty() {
        complain(&format!("{errors}\ngoing on without that"));
    }
    Ok(loaded.settings)
}

/// Where the agent listens, seen from this device.
fn address(settings: &Settings) -> Result<SocketAddr, String> {
    if !settings.health_enabled {
        return Err("health.enabled is false: the agent has no port to ask".into());
    }
    if settings.health_port == 0 {
        return Err(
            "health.port is 0, so the agent picked one: give the port that its log says, with \
             --health-port"
                .into(),
        );
    }
    let ip = match settings.health_bind {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Ok(SocketAddr::new(ip, settings.health_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_asked_at_the_loopback() {
        let mut settings = Settings::default();
        assert_eq!(address(&settings).unwrap().to_string(), "127.0.0.1:8080");
        settings.health_bind = "0.0.0.0".parse().unwrap();
        assert_eq!(address(&settings).unwrap().to_string(), "127.0.0.1:8080");
        settings.health_bind = "::".parse().unwrap();
        assert_eq!(address(&settings).unwrap().to_string(), "[::1]:8080");
        settings.health_port = 0;
        assert!(address(&settings).unwrap_err().contains("--health-port"));
        settings.health_enabled = false;
        assert!(address(&settings).unwrap_err().contains("health.enabled"));
    }
}
