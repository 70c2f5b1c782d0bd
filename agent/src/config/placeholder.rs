//! `{AGENT_ID}` and `{HOSTNAME}` in values, with or without a dollar sign in front.
//!
//! Configurations for whole fleets are written with them, and an installer filled them in.

use super::Settings;
use super::keys::Key;
use crate::sysinfo::hostname;

/// Whether it is a key that others refer to.
pub(super) fn is_name(key: &Key) -> bool {
    matches!(key.path, "hostname" | "agent.id")
}

/// Puts in what they stand for, as far as `settings` knows it.
pub(super) fn fill(text: &mut String, settings: &Settings) {
    if !text.contains('{') {
        return;
    }
    put(text, "{HOSTNAME}", || Some(hostname(settings)));
    put(text, "{AGENT_ID}", || {
        settings.orchestrator.agent_id.clone()
    });
}

fn put(text: &mut String, name: &str, value: impl Fn() -> Option<String>) {
    if !text.contains(name) {
        return;
    }
    if let Some(value) = value() {
        let with_dollar = format!("${name}");
        *text = text.replace(&with_dollar, &value).replace(name, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_put_in() {
        let mut settings = Settings {
            hostname: Some("pi".into()),
            ..Settings::default()
        };
        let filled = |text: &str, settings: &Settings| {
            let mut text = text.to_owned();
            fill(&mut text, settings);
            text
        };
        assert_eq!(filled("sensor-${HOSTNAME}-1", &settings), "sensor-pi-1");
        assert_eq!(filled("/opt/{AGENT_ID}", &settings), "/opt/{AGENT_ID}");
        settings.orchestrator.agent_id = Some("a1".into());
        assert_eq!(
            filled("/opt/agent-{AGENT_ID}/{HOSTNAME}/${AGENT_ID}", &settings),
            "/opt/agent-a1/pi/a1"
        );
        assert_eq!(filled("{OTHER}", &settings), "{OTHER}");
    }
}
