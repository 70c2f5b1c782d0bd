//! The table of keys: one row a key, from which everything else about the configuration comes.
//!
//! The reader, the environment and the flags look a key up here, and so do the messages about a
//! wrong one. A row's `set` reads the text of a value and puts it into [`Settings`], or says what
//! would be right.
//!
//! The rows of the metrics server and of the agent itself are here, the others in `keys/`. An empty
//! text means the same as none where a row names its place and no reader of its own.

mod orchestrator;
mod plugins;

use std::path::PathBuf;

use super::proxy::exempt;
use super::settings::{MAX_BUFFER_SAMPLES, Secret, Settings};
use super::value;

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its path in the file, sections joined by dots.
    pub path: &'static str,
    /// Other paths that published configurations have it at.
    pub aliases: &'static [&'static str],
    /// Its default as it would be written; empty if there is none.
    pub default: &'static str,
    /// Whether a file may set it; what describes this run alone comes by flag or environment.
    pub in_file: bool,
    /// Its name as a flag, without the dashes; empty if it is none.
    pub flag: &'static str,
    /// Environment variables besides those that follow from the path.
    pub also_env: &'static [&'static str],
    /// Never printed.
    pub secret: bool,
    /// A reload does not change it.
    pub restart: bool,
    /// What it means, for `--help`.
    pub help: &'static str,
    /// Reads a value.
    set: Set,
}

/// A place in the settings.
type Place<T> = fn(&mut Settings) -> &mut T;

/// How a value is read, and where it goes.
#[derive(Debug, Clone, Copy)]
enum Set {
    /// In its own way.
    By(fn(&mut Settings, &str) -> Result<(), String>),
    /// The same, of words with commas between them.
    ListBy(fn(&mut Settings, &str) -> Result<(), String>),
    /// Words.
    Words(Place<Option<String>>),
    /// Words that nobody is to see.
    Secret(Place<Option<Secret>>),
    /// A path.
    Path(Place<Option<PathBuf>>),
    /// True or false.
    Truth(Place<bool>),
    /// Words with commas between them.
    List(Place<Vec<String>>),
    /// A duration from the first to the second, in milliseconds.
    DurationMs(Place<u64>, u64, u64),
    /// A whole number from the first to the second.
    Count(Place<u64>, u64, u64),
    /// A size with its unit, from the first to the second, in bytes.
    Bytes(Place<u64>, u64, u64),
    /// The same, or a number of bytes.
    PlainBytes(Place<u64>, u64, u64),
}

impl Key {
    /// Reads `text` and puts what it says into `settings`.
    pub fn set(&self, settings: &mut Settings, text: &str) -> Result<(), String> {
        if text.is_empty() && !matches!(self.set, Set::By(_) | Set::ListBy(_)) {
            return Ok(());
        }
        match self.set {
            Set::By(set) | Set::ListBy(set) => set(settings, text)?,
            Set::Words(place) => *place(settings) = Some(text.to_owned()),
            Set::Secret(place) => *place(settings) = Some(Secret::new(text.to_owned())),
            Set::Path(place) => *place(settings) = Some(value::path(text)?),
            Set::Truth(place) => *place(settings) = value::truth(text)?,
            Set::List(place) => *place(settings) = value::list(text),
            Set::DurationMs(place, least, most) => {
                *place(settings) = value::duration_ms(text, (least, most))?;
            }
            Set::Count(place, least, most) => {
                *place(settings) = value::count(text, (least, most))?;
            }
            Set::Bytes(place, least, most) => {
                *place(settings) = value::bytes(text, (least, most), false)?;
            }
            Set::PlainBytes(place, least, most) => {
                *place(settings) = value::bytes(text, (least, most), true)?;
            }
        }
        Ok(())
    }

    /// Whether a file may have a list there.
    pub const fn is_list(&self) -> bool {
        matches!(self.set, Set::List(_) | Set::ListBy(_))
    }

    /// Its path and its aliases.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.path).chain(self.aliases.iter().copied())
    }
}

/// A year is longer than any interval that means something.
const YEAR_MS: u64 = 365 * 86_400_000;

/// A device that looks at itself more often has little else to do.
const SHORTEST_INTERVAL_MS: u64 = if cfg!(feature = "short-interval") {
    10
} else {
    100
};

const fn key(
    path: &'static str,
    flag: &'static str,
    default: &'static str,
    help: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
) -> Key {
    flagged(flag, row(path, default, help, Set::By(set)))
}

/// A key that is no flag.
const fn row(path: &'static str, default: &'static str, help: &'static str, set: Set) -> Key {
    Key {
        path,
        aliases: &[],
        default,
        in_file: true,
        flag: "",
        also_env: &[],
        secret: false,
        restart: false,
        help,
        set,
    }
}

const fn flagged(flag: &'static str, mut key: Key) -> Key {
    key.flag = flag;
    key
}

const fn of_this_run(mut key: Key, also_env: &'static [&'static str]) -> Key {
    key.in_file = false;
    key.restart = true;
    key.also_env = also_env;
    key
}

const fn list(
    path: &'static str,
    flag: &'static str,
    help: &'static str,
    place: Place<Vec<String>>,
) -> Key {
    flagged(flag, row(path, "", help, Set::List(place)))
}

/// A list that is read in its own way.
const fn listed(mut key: Key) -> Key {
    if let Set::By(set) = key.set {
        key.set = Set::ListBy(set);
    }
    key
}

/// A key that a held sample, or the memory of this run, depends on.
const fn by_restart(mut key: Key) -> Key {
    key.restart = true;
    key
}

/// All keys.
pub static KEYS: &[Key] = &joined::<{ OWN.len() + ORCHESTRATOR.len() + PLUGINS.len() }>();

const ORCHESTRATOR: &[Key] = orchestrator::KEYS;
const PLUGINS: &[Key] = plugins::KEYS;

/// The parts of the table, one after the other.
const fn joined<const N: usize>() -> [Key; N] {
    let mut keys = [OWN[0]; N];
    let mut at = 0;
    while at < N {
        keys[at] = if at < OWN.len() {
            OWN[at]
        } else if at < OWN.len() + ORCHESTRATOR.len() {
            ORCHESTRATOR[at - OWN.len()]
        } else {
            PLUGINS[at - OWN.len() - ORCHESTRATOR.len()]
        };
        at += 1;
    }
    keys
}

/// The keys of the metrics server and of the agent itself.
const OWN: &[Key] = &[
    key(
        "server_url",
        "server-url",
        "",
        "https URL of the metrics server",
        |s, v| {
            s.server_url = Some(value::words(v)?);
            Ok(())
        },
    ),
    Key {
        secret: true,
        ..key(
            "api_key",
            "api-key",
            "",
            "key that the server knows this device by",
            |s, v| {
                s.api_key = Some(Secret::new(value::words(v)?));
                Ok(())
            },
        )
    },
    key(
        "api_key_file",
        "api-key-file",
        "",
        "file that holds the key",
        |s, v| {
            s.api_key_file = Some(value::path(v)?);
            Ok(())
        },
    ),
    key(
        "allow_http",
        "allow-http",
        "false",
        "allow http: to other hosts",
        |s, v| {
            s.allow_http = value::truth(v)?;
            Ok(())
        },
    ),
    Key {
        secret: true,
        also_env: &["HTTPS_PROXY", "https_proxy"],
        ..key(
            "proxy",
            "proxy",
            "",
            "http: proxy to connect through, as http://user:password@host:port",
            |s, v| {
                // An empty variable says that there is none.
                s.proxy = (!v.is_empty()).then(|| Secret::new(v.to_owned()));
                Ok(())
            },
        )
    },
    Key {
        also_env: &["NO_PROXY", "no_proxy"],
        ..listed(key(
            "no_proxy",
            "no-proxy",
            "",
            "hosts, domains and networks to reach without it, with commas",
            |s, v| {
                s.no_proxy = exempt(v)?;
                Ok(())
            },
        ))
    },
    key(
        "interval",
        "interval",
        "10s",
        "time between two samples",
        |s, v| {
            s.interval_ms = value::duration_ms(v, (SHORTEST_INTERVAL_MS, YEAR_MS))?;
            Ok(())
        },
    ),
    key(
        "system_info_period",
        "system-info-period",
        "1h",
        "time between two reports of system information",
        |s, v| {
            s.system_info_period_ms = value::duration_ms(v, (1_000, YEAR_MS))?;
            Ok(())
        },
    ),
    by_restart(key(
        "payload",
        "payload",
        "both",
        "names in a sample: both, documented, live",
        |s, v| {
            s.payload = value::form(v)?;
            Ok(())
        },
    )),
    by_restart(key(
        "hostname",
        "hostname",
        "",
        "name of the device (default: the kernel's)",
        |s, v| {
            s.hostname = Some(value::words(v)?);
            Ok(())
        },
    )),
    key(
        "disk",
        "disk",
        "/",
        "a path on the file system that is watched",
        |s, v| {
            s.disk = value::path(v)?;
            Ok(())
        },
    ),
    list(
        "interfaces",
        "interfaces",
        "network interfaces to add up, with commas (default: physical ones)",
        |s| &mut s.interfaces,
    ),
    key(
        "timeout",
        "timeout",
        "15s",
        "for a whole request",
        |s, v| {
            s.timeout_ms = value::duration_ms(v, (100, 3_600_000))?;
            Ok(())
        },
    ),
    key(
        "connect_timeout",
        "connect-timeout",
        "5s",
        "for connecting, TLS included",
        |s, v| {
            s.connect_timeout_ms = value::duration_ms(v, (100, 3_600_000))?;
            Ok(())
        },
    ),
    key(
        "max_retries",
        "max-retries",
        "3",
        "failures before samples are held",
        |s, v| {
            s.max_retries = value::count(v, (0, 1_000))? as u32;
            Ok(())
        },
    ),
    key(
        "retry_backoff",
        "retry-backoff",
        "5s",
        "first delay after a failure",
        |s, v| {
            s.retry_backoff_ms = value::duration_ms(v, (10, YEAR_MS))?;
            Ok(())
        },
    ),
    key(
        "retry_max",
        "retry-max",
        "5m",
        "longest delay after failures",
        |s, v| {
            s.retry_max_ms = value::duration_ms(v, (10, YEAR_MS))?;
            Ok(())
        },
    ),
    key(
        "retry_jitter",
        "retry-jitter",
        "0.5",
        "how far a delay is spread either way",
        |s, v| {
            s.retry_jitter_permille = value::permille(v, (0, 1_000))? as u16;
            Ok(())
        },
    ),
    key(
        "backfill",
        "backfill",
        "auto",
        "send held samples later: auto, on, off",
        |s, v| {
            s.backfill = value::backfill(v)?;
            Ok(())
        },
    ),
    key(
        "backfill_rate",
        "backfill-rate",
        "",
        "held samples a second (default: two every five intervals)",
        |s, v| {
            s.backfill_every_ms = Some(1_000_000 / value::permille(v, (1, 1_000_000))?);
            Ok(())
        },
    ),
    by_restart(key(
        "buffer.samples",
        "buffer-samples",
        "8640",
        "samples held at most",
        |s, v| {
            s.buffer_samples = value::count(v, (1, MAX_BUFFER_SAMPLES as u64))? as usize;
            Ok(())
        },
    )),
    key(
        "buffer.save_every",
        "buffer-save-every",
        "10m",
        "time between two saves of held samples in an outage, 0 for at a stop only",
        |s, v| {
            s.buffer_save_every_ms = match value::duration_ms(v, (0, YEAR_MS))? {
                0 => 0,
                _ => value::duration_ms(v, (1_000, YEAR_MS))?,
            };
            Ok(())
        },
    ),
    key(
        "tls.ca_file",
        "tls-ca-file",
        "",
        "PEM file trusted instead of the built-in roots",
        |s, v| {
            s.tls_ca_file = Some(value::path(v)?);
            Ok(())
        },
    ),
    key(
        "tls.cert_file",
        "tls-cert-file",
        "",
        "PEM certificate that this device shows",
        |s, v| {
            s.tls_cert_file = Some(value::path(v)?);
            Ok(())
        },
    ),
    key(
        "tls.key_file",
        "tls-key-file",
        "",
        "PEM key of that certificate",
        |s, v| {
            s.tls_key_file = Some(value::path(v)?);
            Ok(())
        },
    ),
    key(
        "tls.server_name",
        "tls-server-name",
        "",
        "name the server's certificate must have",
        |s, v| {
            s.tls_server_name = Some(value::words(v)?);
            Ok(())
        },
    ),
    key(
        "tls.min_version",
        "tls-min-version",
        "1.2",
        "oldest TLS version: 1.2 or 1.3",
        |s, v| {
            s.tls_min_version = value::tls_version(v)?;
            Ok(())
        },
    ),
    listed(key(
        "tls.pins",
        "tls-pins",
        "",
        "sha256/BASE64 of server keys to insist on, with commas",
        |s, v| {
            s.tls_pins = value::pins(v)?;
            Ok(())
        },
    )),
    key(
        "tls.allow_unsynced_clock",
        "tls-allow-unsynced-clock",
        "false",
        "forgive a certificate's dates while the clock is not synchronised",
        |s, v| {
            s.tls_allow_unsynced_clock = value::truth(v)?;
            Ok(())
        },
    ),
    Key {
        aliases: &["agent.base_folder"],
        also_env: &["STAVILY_BASE_DIR"],
        ..by_restart(key(
            "agent.base_dir",
            "base-dir",
            "",
            "folder that mote writes to",
            |s, v| {
                s.base_dir = Some(value::path(v)?);
                Ok(())
            },
        ))
    },
    key(
        "logging.level",
        "log-level",
        "info",
        "debug, info, warn, error",
        |s, v| {
            s.log_level = value::level(v)?;
            Ok(())
        },
    ),
    key(
        "logging.format",
        "log-format",
        "json",
        "json or text",
        |s, v| {
            s.log_format = value::log_format(v)?;
            Ok(())
        },
    ),
    key(
        "logging.output",
        "log-output",
        "stdout",
        "stdout, stderr, file or none",
        |s, v| {
            s.log_output = value::log_output(v)?;
            Ok(())
        },
    ),
    key(
        "logging.file",
        "log-file",
        "",
        "file to log to besides",
        |s, v| {
            s.log_file = Some(value::path(v)?);
            Ok(())
        },
    ),
    key(
        "logging.max_size",
        "log-max-size",
        "100",
        "MB of a log file before a new one",
        |s, v| {
            s.log_max_bytes = value::count(v, (1, 10_000))? * 1_000_000;
            Ok(())
        },
    ),
    key(
        "logging.max_backups",
        "log-max-backups",
        "5",
        "old log files kept",
        |s, v| {
            s.log_max_backups = value::count(v, (0, 1_000))? as u32;
            Ok(())
        },
    ),
    key(
        "logging.max_age",
        "log-max-age",
        "30",
        "days that old log files are kept, 0 for ever",
        |s, v| {
            s.log_max_age_days = value::count(v, (0, 36_500))? as u32;
            Ok(())
        },
    ),
    key(
        "logging.compress",
        "log-compress",
        "true",
        "gzip old log files",
        |s, v| {
            s.log_compress = value::truth(v)?;
            Ok(())
        },
    ),
    key(
        "health.enabled",
        "health-enabled",
        "true",
        "answer on the health port: health, ready, page",
        |s, v| {
            s.health_enabled = value::truth(v)?;
            Ok(())
        },
    ),
    key(
        "health.bind",
        "health-bind",
        "127.0.0.1",
        "IP address of the health port",
        |s, v| {
            s.health_bind = value::address(v)?;
            Ok(())
        },
    ),
    key(
        "health.port",
        "health-port",
        "8080",
        "port of health, ready and the page; 0 picks one",
        |s, v| {
            s.health_port = value::count(v, (0, 65_535))? as u16;
            Ok(())
        },
    ),
    key(
        "health.path",
        "health-path",
        "/health",
        "path of health; ready is beside it",
        |s, v| {
            s.health_path = value::http_path(v)?;
            Ok(())
        },
    ),
    key(
        "health.page",
        "health-page",
        "true",
        "show the page of this device",
        |s, v| {
            s.health_page = value::truth(v)?;
            Ok(())
        },
    ),
    list(
        "health.allowed_hosts",
        "health-allowed-hosts",
        "host names that the listeners answer to besides their own, with commas",
        |s| &mut s.health_allowed_hosts,
    ),
    key(
        "metrics.enabled",
        "metrics-enabled",
        "false",
        "answer Prometheus",
        |s, v| {
            s.metrics_enabled = value::truth(v)?;
            Ok(())
        },
    ),
    key(
        "metrics.bind",
        "metrics-bind",
        "127.0.0.1",
        "IP address of the metrics port",
        |s, v| {
            s.metrics_bind = value::address(v)?;
            Ok(())
        },
    ),
    key(
        "metrics.port",
        "metrics-port",
        "9090",
        "port of the metrics; 0 picks one",
        |s, v| {
            s.metrics_port = value::count(v, (0, 65_535))? as u16;
            Ok(())
        },
    ),
    key(
        "metrics.path",
        "metrics-path",
        "/metrics",
        "path of the metrics",
        |s, v| {
            s.metrics_path = value::http_path(v)?;
            Ok(())
        },
    ),
    key(
        "metrics.namespace",
        "metrics-namespace",
        "mote",
        "what the agent's own metrics begin with",
        |s, v| {
            s.metrics_namespace = value::metric_name(v)?;
            Ok(())
        },
    ),
    list(
        "metrics.interfaces_include",
        "metrics-interfaces-include",
        "network interfaces in /metrics, names with * and ?, with commas (default: physical ones)",
        |s| &mut s.metrics_interfaces_include,
    ),
    list(
        "metrics.interfaces_exclude",
        "metrics-interfaces-exclude",
        "network interfaces left out of /metrics, whatever includes them",
        |s| &mut s.metrics_interfaces_exclude,
    ),
    list(
        "metrics.mounts_include",
        "metrics-mounts-include",
        "mount points in /metrics, with * and ?, with commas (default: file systems that keep files)",
        |s| &mut s.metrics_mounts_include,
    ),
    list(
        "metrics.mounts_exclude",
        "metrics-mounts-exclude",
        "mount points left out of /metrics, whatever includes them",
        |s| &mut s.metrics_mounts_exclude,
    ),
    key(
        "metrics.textfile_dir",
        "metrics-textfile-dir",
        "",
        "folder whose *.prom files are part of /metrics",
        |s, v| {
            s.metrics_textfile_dir = Some(value::path(v)?);
            Ok(())
        },
    ),
    of_this_run(
        key(
            "proc",
            "proc",
            "/proc",
            "where the kernel's /proc is",
            |s, v| {
                s.proc_root = value::path(v)?;
                Ok(())
            },
        ),
        &["HOST_PROC"],
    ),
    of_this_run(
        key(
            "sys",
            "sys",
            "/sys",
            "where the kernel's /sys is",
            |s, v| {
                s.sys_root = value::path(v)?;
                Ok(())
            },
        ),
        &["HOST_SYS"],
    ),
    of_this_run(
        key(
            "rootfs",
            "rootfs",
            "/",
            "where the device's root file system is",
            |s, v| {
                s.rootfs = value::path(v)?;
                Ok(())
            },
        ),
        &["HOST_ROOT"],
    ),
    of_this_run(
        key(
            "etc",
            "etc",
            "",
            "where the device's /etc is (default: in rootfs)",
            |s, v| {
                s.etc = Some(value::path(v)?);
                Ok(())
            },
        ),
        &["HOST_ETC"],
    ),
];

/// The key at `path`, which may be one of its aliases.
pub fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter()
        .find(|key| key.paths().any(|known| known == path))
}

/// Where a key stands in a file; empty if a file cannot have it.
pub fn in_file(key: &Key) -> &'static str {
    if key.in_file { key.path } else { "" }
}

/// The key that `word` was most likely meant to be, by the names that `name` gives them.
pub fn nearest(word: &str, name: fn(&Key) -> &'static str) -> Option<&'static Key> {
    let named = KEYS.iter().filter(|key| !name(key).is_empty());
    let (distance, _, found) = named
        .map(|key| (distance(word, name(key)), name(key), key))
        .min_by_key(|(distance, name, _)| (*distance, *name))?;
    (distance <= 2.max(word.len() / 3)).then_some(found)
}

/// What is said of a name that is no key's, with the name that was most likely meant.
pub fn hint(near: Option<String>) -> String {
    near.map_or_else(
        || "mote has no such key".into(),
        |near| format!("did you mean {near}?"),
    )
}

/// Changes of one letter that turn one word into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_flag_or_variable_is_given_twice() {
        for (at, key) in KEYS.iter().enumerate() {
            for other in &KEYS[at + 1..] {
                assert!(key.paths().all(|path| other.paths().all(|o| o != path)));
                assert!(
                    key.flag != other.flag || key.flag.is_empty(),
                    "{}",
                    key.flag
                );
            }
        }
    }

    #[test]
    fn every_default_is_a_value_that_its_key_takes() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            key.set(&mut Settings::default(), key.default).unwrap();
        }
    }

    #[test]
    fn a_slip_of_the_pen_is_recognized() {
        let nearest = |word| nearest(word, in_file).map(|key| key.path);
        assert_eq!(nearest("server_ulr"), Some("server_url"));
        assert_eq!(nearest("intervall"), Some("interval"));
        assert_eq!(nearest("tls.cafile"), Some("tls.ca_file"));
        assert_eq!(nearest("completely_different"), None);
    }
}
