//! What people write: the configuration file and the values in it.

use mote::config::keys;
use mote::config::server_url::{metrics_uri, without_password};
use mote::config::settings::Settings;
use mote::config::{value, yaml};
use mote::setup::Plan;

use crate::planted_bug;

/// A whole file: read, each value set, and the whole looked at together.
pub(crate) fn file(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    // To YAML a carriage return ends a line too.
    let lines = text.split(['\n', '\r']).count();
    let entries = match yaml::read(text) {
        Ok(entries) => entries,
        Err(error) => {
            assert!(!error.words.is_empty());
            // A line past the last is where something is missing at the end.
            assert!(error.line <= lines + 1, "{error:?}");
            return;
        }
    };
    let mut settings = Settings::default();
    let mut set = 0;
    for entry in &entries {
        assert!((1..=lines).contains(&entry.line), "{entry:?}");
        match keys::find(&entry.path) {
            Some(key) => match key.set(&mut settings, &entry.text) {
                Ok(()) => set += 1,
                Err(words) => assert!(!words.is_empty()),
            },
            None => {
                keys::nearest(&entry.path, keys::in_file);
            }
        }
    }
    // Files that the text names are not read: it could name any.
    for file in [
        &mut settings.tls_ca_file,
        &mut settings.tls_cert_file,
        &mut settings.tls_key_file,
        &mut settings.orchestrator.ca_file,
        &mut settings.orchestrator.cert_file,
        &mut settings.orchestrator.key_file,
    ] {
        *file = None;
    }
    if let Err(errors) = Plan::of(&settings) {
        assert!(!errors.is_empty());
    }
    // The seeds say 10 s, and so does nobody at all.
    planted_bug(set > 0 && settings.interval_ms > 10_000);
}

/// A duration that is written is read as the same.
pub(crate) fn durations(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(ms) = value::duration_ms(text, (0, u64::MAX)) {
        let written = value::write_duration(ms);
        assert_eq!(
            value::duration_ms(&written, (0, u64::MAX)),
            Ok(ms),
            "{written}"
        );
        planted_bug(written == "70s");
    }
    let _ = value::count(text, (0, u64::MAX));
    let _ = value::permille(text, (0, 1_000_000));
}

pub(crate) fn pins(bytes: &[u8]) {
    if let Ok(pins) = str::from_utf8(bytes)
        .map_err(drop)
        .and_then(|it| value::pins(it).map_err(drop))
    {
        planted_bug(pins.iter().any(|pin| pin[0] < 0x80));
    }
}

/// Whatever the URL is, what may be a password in it is not said.
pub(crate) fn server_url(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let _ = without_password(text);
    if let Ok(uri) = metrics_uri(text, true) {
        assert!(uri.path().ends_with("/agent/metrics"), "{uri}");
        assert!(matches!(uri.scheme_str(), Some("http" | "https")), "{uri}");
        assert!(uri.host().is_some_and(|host| !host.is_empty()), "{uri}");
        planted_bug(uri.port_u16().is_some_and(|port| port > 9_000));
    }
}
