//! The agent, readable aloud: take what is due, send what is due, wait, until told to stop.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use mote_core::delivery::Next;
use mote_core::log_line::Value;
use mote_core::wire::lunasentri::encode;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock;
use crate::config::server_url::metrics_uri;
use crate::config::{Loaded, Settings};
use crate::device::Device;
use crate::log;
use crate::reactor::{Interest, Reactor, Wake};
use crate::service::lunasentri::MetricsServer;
use crate::state::{State, usual_base_dir};
use crate::sysinfo::{Inventory, hostname};
use crate::uplink::link::Link;
use crate::uplink::tls::TlsSettings;
use crate::uplink::{Uplink, UplinkSettings};

/// How the program ends (sysexits.h, where it has a code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As asked.
    Good = 0,
    /// Something failed that should not.
    Failed = 1,
    /// The command line.
    Usage = 64,
    /// The state folder.
    State = 73,
    /// The configuration.
    Config = 78,
}

/// Why it did not start: how to end, and the words.
pub type Refusal = (Exit, String);

/// Watches and delivers until a signal says stop.
pub fn run(loaded: Loaded) -> Result<(), Refusal> {
    let Loaded {
        settings,
        file,
        warnings,
    } = loaded;
    let config = |words: String| (Exit::Config, words);
    log::set_level(settings.log_level);
    let Some(server_url) = &settings.server_url else {
        return Err(config(
            "server_url is missing: set it in the file, as MOTE_SERVER_URL, or with --server-url"
                .into(),
        ));
    };
    let Some(api_key) = &settings.api_key else {
        return Err(config(
            "api_key is missing: set api_key or api_key_file".into(),
        ));
    };
    let uri = metrics_uri(server_url, settings.allow_http).map_err(config)?;
    let tls =
        TlsSettings::new(settings.tls_ca_file.as_deref()).map_err(|words| config(words.into()))?;
    log::set_key_hash(api_key.fingerprint());
    let place = file
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    log::info(
        "LunaSentri agent starting",
        &[
            ("version", Value::Str(env!("CARGO_PKG_VERSION"))),
            ("server_url", Value::Str(server_url)),
            ("interval_ms", Value::Uint(settings.interval_ms)),
            ("config", Value::Str(&place)),
        ],
    );
    for warning in &warnings {
        log::warn("Configuration", &[("warning", Value::Str(warning))]);
    }
    let base = settings
        .base_dir
        .clone()
        .unwrap_or_else(|| usual_base_dir(|n| std::env::var_os(n)));
    let state = State::open(&base).map_err(|error| (Exit::State, error.to_string()))?;

    let reactor = start_reactor(&settings)?;
    let link = Arc::new(Link::new(reactor));
    let mut uplink = Uplink::new(
        Arc::clone(&link),
        tls,
        UplinkSettings {
            connect_timeout_ms: settings.connect_timeout_ms,
            timeout_ms: settings.timeout_ms,
            // Longer than any interval between requests: shaking hands is the dear part.
            keep_ms: settings.interval_ms * 2 + 60_000,
        },
    );
    let hostname = hostname(&settings);
    let key_prefix = key_prefix(&hostname, &state);
    let mut server = MetricsServer::new(&settings, uri, hostname, key_prefix, seed())
        .map_err(|words| config(words.into()))?;

    serve(&link, &mut uplink, &mut server);

    let reactor = link.reactor();
    let counts = reactor.device.counts;
    log::info(
        "Stopped",
        &[
            ("collected", Value::Uint(counts.collected)),
            ("sent", Value::Uint(counts.sent)),
            ("held", Value::Uint(reactor.device.outbox.len() as u64)),
            (
                "dropped",
                Value::Uint(counts.dropped_full + counts.dropped_refused + counts.dropped_late),
            ),
        ],
    );
    Ok(())
}

fn serve(link: &Arc<Link>, uplink: &mut Uplink, server: &mut MetricsServer) {
    loop {
        let next = server.next(&link.reactor().device.outbox, clock::boot_ms());
        let wake = match next {
            Next::Send(cursor) => {
                server.deliver(link, uplink, cursor);
                // Without waiting: a stop that came meanwhile is seen, and what is due is done.
                link.reactor().wait(Interest::Sample, 0)
            }
            Next::Wait { until_ms } => link.reactor().wait(Interest::Sample, until_ms),
            Next::Idle => link.reactor().wait(Interest::Sample, u64::MAX),
        };
        if wake == Wake::Stop {
            return;
        }
    }
}

/// Prints one sample as it would be sent.
pub fn once(loaded: Loaded) -> Result<(), Refusal> {
    let Loaded {
        settings, warnings, ..
    } = loaded;
    for warning in &warnings {
        complain(warning);
    }
    let mut reactor = start_reactor(&settings)?;
    if reactor.wait(Interest::Sample, u64::MAX) == Wake::Stop {
        return Err((Exit::Failed, "stopped before the sample was taken".into()));
    }
    let outbox = &reactor.device.outbox;
    let sample = outbox.newest().and_then(|cursor| outbox.get(cursor));
    let failed = |words: String| (Exit::Failed, words);
    let mut sample = sample.ok_or_else(|| failed("no sample was taken".into()))?;
    sample.stamp(clock::boot_ms(), clock::wall_ms());
    let hostname = hostname(&settings);
    let inventory = Inventory::read(&settings, &hostname);
    let mut payload = vec![0; 8 * 1024];
    let info = inventory.as_info();
    let length = encode(
        settings.payload,
        &hostname,
        &sample,
        Some(&info),
        &mut payload,
    )
    .map_err(|error| failed(format!("the sample cannot be written: {error}")))?;
    payload.truncate(length);
    payload.push(b'\n');
    std::io::stdout()
        .write_all(&payload)
        .map_err(|error| failed(format!("standard output: {error}")))
}

/// Says something to the person at the terminal.
pub fn complain(words: &str) {
    // Whoever closed standard error does not want to know.
    let _ = writeln!(std::io::stderr(), "mote: {words}");
}

fn start_reactor(settings: &Settings) -> Result<Reactor, Refusal> {
    let device = Device::new(settings, clock::boot_ms())
        .ok_or_else(|| (Exit::Config, "buffer.samples must be at least 1".to_owned()))?;
    Reactor::new(device).map_err(|error| (Exit::Failed, format!("signals: {error}")))
}

/// `<device>-<start>-`, in characters that a header and a log take as they are.
///
/// Many devices share a name, so the identity of the state folder is part of the device's.
fn key_prefix(hostname: &str, state: &State) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    let mut prefix: String = hostname
        .chars()
        .map(|c| if is_plain(&c) { c } else { '_' })
        .take(64)
        .collect();
    // Writing to a String does not fail.
    let _ = write!(prefix, ".{}-{}-", state.start.identity, state.start.number);
    prefix
}

/// Differs from device to device, so that a fleet does not retry in step.
fn seed() -> u64 {
    let mut random = [0; 8];
    if SystemRandom::new().fill(&mut random).is_err() {
        return clock::wall_ms() ^ u64::from(std::process::id()) << 32;
    }
    u64::from_be_bytes(random)
}
