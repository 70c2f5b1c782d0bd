//! `mote once`: one sample, printed as it would be sent, or sent.

use std::rc::Rc;

use mote_core::log_line::Level;
use mote_core::outbox::Cursor;
use mote_core::wire::lunasentri::encode;

use crate::agent::{Exit, Refusal, complain, key_prefix, print, seed, start_reactor};
use crate::clock;
use crate::config::settings::{LogFormat, LogOutput};
use crate::config::{Loaded, Settings, Sources, load, process_environment};
use crate::log;
use crate::reactor::{Interest, Reactor, Wake};
use crate::service::lunasentri::{MetricsServer, PAYLOAD_BYTES, server_words};
use crate::setup::Target;
use crate::state::Start;
use crate::sysinfo::{Inventory, hostname};
use crate::uplink::DeliveryError;
use crate::uplink::link::Link;

/// Prints one sample, or sends it and prints the answer.
pub fn once(sources: &Sources, send: bool) -> Result<(), Refusal> {
    let loaded =
        load(sources, &process_environment).map_err(|error| (Exit::Config, error.to_string()))?;
    for warning in &loaded.warnings {
        complain(&warning.words);
    }
    let settings = &loaded.settings;
    // Standard output is for the sample alone.
    log::configure(&Settings {
        log_output: LogOutput::Stderr,
        log_format: LogFormat::Text,
        log_file: None,
        log_level: if send { Level::Error } else { Level::Warn },
        ..settings.clone()
    });
    // Before the sample is waited for: a wrong configuration is told at once.
    let target = if send { Some(target(&loaded)?) } else { None };
    let mut reactor = start_reactor(settings)?;
    if reactor.wait(Interest::Sample, u64::MAX) == Wake::Stop {
        return Err((Exit::Failed, "stopped before the sample was taken".into()));
    }
    let cursor = reactor.device.outbox.newest();
    let cursor = cursor.ok_or_else(|| (Exit::Failed, "no sample was taken".to_owned()))?;
    match target {
        Some(target) => deliver(settings, &target, reactor, cursor),
        None => show(settings, &reactor, cursor),
    }
}

fn target(loaded: &Loaded) -> Result<Target, Refusal> {
    let target = Target::of(&loaded.settings);
    target.map_err(|errors| (Exit::Config, loaded.placed(errors).join("\n")))
}

fn show(settings: &Settings, reactor: &Reactor, cursor: Cursor) -> Result<(), Refusal> {
    let failed = |words: String| (Exit::Failed, words);
    let sample = reactor.device.outbox.get(cursor);
    let mut sample = sample.ok_or_else(|| failed("no sample was taken".into()))?;
    sample.stamp(clock::boot_ms(), clock::wall_ms());
    let hostname = hostname(settings);
    let inventory = Inventory::read(settings, &hostname);
    let info = inventory.as_info();
    let mut payload = vec![0; PAYLOAD_BYTES];
    let length = encode(
        settings.payload,
        &hostname,
        &sample,
        Some(&info),
        &mut payload,
    )
    .map_err(|error| failed(format!("the sample cannot be written: {error}")))?;
    print(&format!(
        "{}\n",
        String::from_utf8_lossy(&payload[..length])
    ))
}

fn deliver(
    settings: &Settings,
    target: &Target,
    reactor: Reactor,
    cursor: Cursor,
) -> Result<(), Refusal> {
    let link = Rc::new(Link::new(reactor));
    let mut uplink = target.uplink(settings, &link);
    let hostname = hostname(settings);
    // A start of its own, so that it never repeats a key of the agent that runs beside it.
    let prefix = key_prefix(&hostname, &Start::alone());
    let mut server = MetricsServer::new(settings, target, hostname, prefix, seed());
    match server.post(&link, &mut uplink, cursor) {
        None => Err((Exit::Failed, "the sample cannot be written".into())),
        Some(Err(DeliveryError::Stopped)) => Err((Exit::Failed, "stopped".into())),
        Some(Err(error)) => Err((Exit::Unreached, format!("{}: {error}", error.layer_name()))),
        Some(Ok(answer)) if (200..300).contains(&answer.status) => print(&format!(
            "delivered: {} in {} ms\n",
            answer.status, answer.took_ms
        )),
        Some(Ok(answer)) => {
            // They are one line of ours.
            let words = server_words(&answer, &target.api_key).replace('\n', ".");
            Err((
                Exit::Failed,
                format!("not delivered: {} {words}", answer.status),
            ))
        }
    }
}
