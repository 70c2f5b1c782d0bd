//! `mote check`: what the configuration amounts to, and what is wrong with it.

use std::fmt::Write;

use mote_core::delivery::Backfill;
use mote_core::wire::lunasentri::Form;
use nix::unistd::{AccessFlags, access};

use crate::agent::{Exit, Refusal, print, tame};
use crate::config::keys::KEYS;
use crate::config::server_url::without_password;
use crate::config::{
    Given, KeyOrigin, Loaded, Origin, Settings, Sources, WITHOUT_EFFECT, Warning, load_in_part,
    process_environment,
};
use crate::face::taken_ports;
use crate::setup::Plan;
use crate::sysinfo::hostname;

/// Prints the effective values with their sources, secrets masked.
///
/// With `strict`, a warning that points to a mistake fails like an error.
pub fn check(sources: &Sources, strict: bool) -> Result<(), Refusal> {
    let (mut loaded, mut errors) = load_in_part(sources, &process_environment);
    let unreadable = unreadable_places(&loaded);
    loaded.warnings.extend(unreadable);
    match Plan::of(&loaded.settings) {
        Ok(plan) => {
            loaded.warnings.extend(plan.warnings());
            // What could not be read may have named one.
            if errors.is_empty() && plan.target.is_none() && plan.orchestrator.is_none() {
                let words =
                    "samples are delivered nowhere: set server_url and api_key to deliver them";
                loaded.warnings.push(Warning::strict(words.into()));
            }
        }
        Err(mut words) => {
            if !errors.is_empty() {
                words.retain(|words| !is_lost(words, &loaded));
            }
            errors.extend(loaded.placed(words));
        }
    }
    print(&report(&loaded))?;
    if strict {
        let mistakes = loaded.warnings.iter().filter(|warning| warning.strict);
        errors.extend(mistakes.map(|warning| warning.words.clone()));
    }
    if errors.is_empty() {
        print("configuration: good\n")
    } else {
        Err((Exit::Config, errors.join("\n")))
    }
}

/// Whether the error is of a key that was given and could not be read, which is told already.
fn is_lost(words: &str, loaded: &Loaded) -> bool {
    let Some((missing, _)) = words.split_once(" is missing") else {
        return false;
    };
    let mut given = loaded.given.iter();
    let is_of_file = |given: &Given| matches!(given.origin, Origin::File(..));
    let is_file_lost = loaded.file.is_some() && !loaded.given.iter().any(is_of_file);
    is_file_lost || given.any(|given| given.key.path.starts_with(missing))
}

/// Warns of places that the configuration names and that cannot be read as the agent will read them.
/// What is wrong with files of keys and certificates is an error; what is written to is made then.
fn unreadable_places(loaded: &Loaded) -> Vec<Warning> {
    let settings = &loaded.settings;
    let warn = |given: &Given| {
        let key = given.key.path;
        let path = match key {
            "disk" => settings.disk_path(),
            "proc" => settings.proc_root.join("stat"),
            "sys" => settings.sys_root.clone(),
            "rootfs" => settings.rootfs.clone(),
            "etc" => settings.etc_dir(),
            "metrics.textfile_dir" => settings.metrics_textfile_dir.clone()?,
            "plugins.dir" => settings.plugins_dir(),
            "plugins.config_dir" => settings.plugins_config_dir(),
            _ => return None,
        };
        let read = match key {
            "disk" => access(&path, AccessFlags::F_OK),
            "proc" => access(&path, AccessFlags::R_OK),
            // A file is no folder.
            _ => access(&path.join("."), AccessFlags::R_OK),
        };
        let (place, error) = (path.display(), read.err()?.desc());
        let words = format!("{place}: {error}: give the right path");
        Some(Warning::strict(given.complaint(&words)))
    };
    // An empty value is none.
    let given = loaded.given.iter().filter(|given| !given.text.is_empty());
    given.filter_map(warn).collect()
}

fn report(loaded: &Loaded) -> String {
    let mut text = match &loaded.file {
        Some(path) => format!("file: {}\n\n", path.display()),
        None => "file: none\n\n".to_owned(),
    };
    for key in KEYS {
        let given = loaded.given.iter().find(|given| given.key.path == key.path);
        let value = match given {
            Some(Given { text, .. }) if !key.secret => {
                // Elsewhere an @ hides nothing.
                if key.path.ends_with("_url") || text.contains("://") {
                    without_password(text).into_owned()
                } else {
                    text.clone()
                }
            }
            _ => of_its_own(key.path, &loaded.settings).unwrap_or_else(|| key.default.to_owned()),
        };
        let origin = match (key_origin(key.path, &loaded.settings), given) {
            (KeyOrigin::KeyFile(path), _) => path.display().to_string(),
            (_, Some(given)) => given.origin.to_string(),
            (_, None) => "default".to_owned(),
        };
        // Writing to a String does not fail.
        let _ = write!(text, "{:<35} {value:<36} {origin}", key.path);
        text.push_str(if WITHOUT_EFFECT.contains(&key.path) {
            ", no effect yet\n"
        } else {
            "\n"
        });
    }
    let _ = writeln!(text, "\nbackfill: {}", backfill_words(&loaded.settings));
    for (port, holder) in taken_ports(&loaded.settings) {
        // It may be the agent that runs already, so this is no warning.
        let _ = writeln!(text, "port {port} is in use: {holder}");
    }
    for warning in &loaded.warnings {
        let _ = writeln!(text, "warning: {}", warning.words);
    }
    // Names of processes and of the device are anybody's words.
    tame(&text)
}

/// Where a key was read, if it may have been in a file of its own.
fn key_origin<'a>(path: &str, settings: &'a Settings) -> &'a KeyOrigin {
    match path {
        "api_key" => &settings.api_key_origin,
        "api.auth.api_key" => &settings.orchestrator.credential_origin,
        _ => &KeyOrigin::Fixed,
    }
}

/// What stands for a value that is masked or worked out.
fn of_its_own(path: &str, settings: &Settings) -> Option<String> {
    match path {
        "api_key" | "api.auth.api_key" => {
            let key = match path {
                "api_key" => settings.api_key.as_ref()?,
                _ => settings.orchestrator.credential.as_ref()?,
            };
            let fingerprint = key.fingerprint();
            Some(format!(
                "(set, {})",
                str::from_utf8(&fingerprint).unwrap_or_default()
            ))
        }
        "proxy" => {
            let proxy = settings.proxy.as_ref()?;
            Some(without_password(proxy.expose()).into_owned())
        }
        "hostname" => Some(hostname(settings)),
        "health.bind" => Some(settings.health_bind.to_string()),
        "health.port" => Some(settings.health_port.to_string()),
        "metrics.enabled" => Some(settings.metrics_enabled.to_string()),
        "metrics.namespace" => Some(settings.metrics_namespace.clone()),
        "agent.type" => Some(settings.orchestrator.agent_type?.as_str().to_owned()),
        "plugins.dir" => Some(settings.plugins_dir().display().to_string()),
        "plugins.config_dir" => Some(settings.plugins_config_dir().display().to_string()),
        "security.audit.file" => Some(settings.audit_file().display().to_string()),
        "agent.base_dir" => Some(settings.base_dir().display().to_string()),
        "logging.file" => Some(settings.log_file.as_ref()?.display().to_string()),
        "etc" => Some(settings.etc_dir().display().to_string()),
        _ => None,
    }
}

/// What will become of samples held through an outage, and why.
fn backfill_words(settings: &Settings) -> String {
    let pace = format!(
        "one every {}, oldest first, after the newest",
        crate::config::value::write_duration(settings.backfill_every_ms())
    );
    match settings.backfill {
        Backfill::On => format!("on: held samples are sent, {pace}"),
        Backfill::Off => "off: held samples are dropped and counted when the server is back".into(),
        Backfill::Auto => {
            let times = match settings.payload {
                Form::Live => "which this server is not likely to send",
                Form::Both | Form::Documented => "which says that it files samples at their time",
            };
            format!(
                "auto: held samples are sent, {pace}, if the server's last good answer has the \
                 documented body {{\"status\":\"accepted\"}}, {times}; after an empty answer they \
                 are dropped and counted, because such a server files them when they arrive; after \
                 any other they wait"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CommandLine, keys, load};

    #[test]
    fn words_of_others_are_shown_and_not_obeyed() {
        let proc_root = std::env::temp_dir().join(format!("mote-check-{}", std::process::id()));
        let process = proc_root.join("41");
        std::fs::create_dir_all(process.join("fd")).unwrap();
        std::fs::create_dir_all(proc_root.join("net")).unwrap();
        // Whoever may open a port may call itself so.
        std::fs::write(process.join("comm"), "\x1b[2Jgood\n").unwrap();
        std::os::unix::fs::symlink("socket:[7]", process.join("fd/3")).unwrap();
        let line = "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0 7 1";
        std::fs::write(proc_root.join("net/tcp"), format!("head\n{line}\n")).unwrap();
        let flag = |path, text: &str| (keys::find(path).unwrap(), text.to_owned());
        let sources = Sources {
            line: CommandLine {
                config: None,
                flags: vec![
                    flag("proc", &proc_root.to_string_lossy()),
                    flag("hostname", "gw\u{202e}7"),
                ],
            },
            ..Sources::default()
        };
        let text = report(&load(&sources, &|_| None).unwrap());
        std::fs::remove_dir_all(proc_root).unwrap();
        assert!(
            text.contains("port 8080 is in use: .[2Jgood (41)\n"),
            "{text}"
        );
        assert!(text.contains("gw.7"), "{text}");
    }

    #[test]
    fn a_report_has_every_key_and_no_secret() {
        let sources = Sources {
            line: CommandLine {
                config: None,
                flags: vec![
                    (keys::find("api_key").unwrap(), "s3cret".into()),
                    (keys::find("interval").unwrap(), "30s".into()),
                ],
            },
            ..Sources::default()
        };
        let text = report(&load(&sources, &|_| None).unwrap());
        for key in KEYS {
            assert!(
                text.lines().any(|line| line.starts_with(key.path)),
                "{}",
                key.path
            );
        }
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("(set, "), "{text}");
        assert_eq!(
            text.matches(", no effect yet\n").count(),
            WITHOUT_EFFECT.len()
        );
        let interval = text
            .lines()
            .find(|line| line.starts_with("interval "))
            .unwrap();
        assert!(
            interval.contains("30s") && interval.ends_with("--interval"),
            "{interval}"
        );
    }

    #[test]
    fn the_source_of_a_key_is_named_and_only_urls_are_masked() {
        let key = std::env::temp_dir().join(format!("mote-check-key-{}", std::process::id()));
        std::fs::write(&key, "s3cret\n").unwrap();
        let flag = |path, text: &str| (keys::find(path).unwrap(), text.to_owned());
        let sources = Sources {
            line: CommandLine {
                config: None,
                flags: vec![
                    flag("api_key_file", &key.to_string_lossy()),
                    flag("hostname", "gw@site7"),
                    flag("server_url", "user:s3cret@hub"),
                ],
            },
            ..Sources::default()
        };
        let text = report(&load(&sources, &|_| None).unwrap());
        std::fs::remove_file(&key).unwrap();
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap();
        let api_key = line("api_key ");
        assert!(api_key.contains("(set, "), "{api_key}");
        assert!(api_key.ends_with(&*key.to_string_lossy()), "{api_key}");
        assert!(line("hostname ").contains(" gw@site7 "), "{text}");
        assert!(line("server_url ").contains(" (hidden)@hub "), "{text}");
    }
}
