//! The checked configuration that the agent runs with.

mod orchestrator;
mod plugins;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use mote_core::delivery::{Backfill, backfill_every_ms};
use mote_core::log_line::Level;
use mote_core::wire::lunasentri::Form;

use super::keys::KEYS;
use super::persona::Persona;
pub use orchestrator::{AgentType, AuthType, OrchestratorSettings, RetryBackoff};
pub use plugins::{AuditSettings, PluginSettings, SandboxSettings};

/// Most samples that can be held.
pub const MAX_BUFFER_SAMPLES: usize = 1_000_000;

/// What a key holds that must never be seen: it has no readable form but [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether an HTTP header can carry it: it is plain, and fits into one line with room to spare.
    pub fn fits_a_header(&self) -> bool {
        self.0.len() <= 3 * 1024 && self.0.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    }

    /// The first eight hex digits of its SHA-256, by which people tell keys apart in a log.
    pub fn fingerprint(&self) -> [u8; 8] {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.0.as_bytes());
        let mut hex = [0; 8];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.as_ref()) {
            pair.copy_from_slice(&[
                b"0123456789abcdef"[usize::from(byte >> 4)],
                b"0123456789abcdef"[usize::from(byte & 15)],
            ]);
        }
        hex
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The oldest TLS version that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Where log lines go besides the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOutput {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The file alone, which must be there.
    File,
    /// Nowhere, or the file if there is one.
    None,
}

/// Where the key came from, for a server that refuses it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeyOrigin {
    /// A flag or the environment: it stays what it is.
    #[default]
    Fixed,
    /// A file that holds nothing else.
    KeyFile(PathBuf),
    /// The configuration file.
    ConfigFile(PathBuf),
}

/// Every key's value.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own that is true or false"
)]
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name that the program was called by.
    pub persona: Persona,
    /// `server_url`.
    pub server_url: Option<String>,
    /// `api_key`, or what `api_key_file` holds.
    pub api_key: Option<Secret>,
    /// Where it can be read again.
    pub api_key_origin: KeyOrigin,
    /// `api_key_file`.
    pub api_key_file: Option<PathBuf>,
    /// `allow_http`.
    pub allow_http: bool,
    /// `proxy`: a URL in which there may be a password.
    pub proxy: Option<Secret>,
    /// `no_proxy`.
    pub no_proxy: Vec<String>,
    /// `interval`.
    pub interval_ms: u64,
    /// `system_info_period`.
    pub system_info_period_ms: u64,
    /// `payload`.
    pub payload: Form,
    /// `hostname`.
    pub hostname: Option<String>,
    /// `disk`.
    pub disk: PathBuf,
    /// `interfaces`.
    pub interfaces: Vec<String>,
    /// `timeout`.
    pub timeout_ms: u64,
    /// `connect_timeout`.
    pub connect_timeout_ms: u64,
    /// `max_retries`.
    pub max_retries: u32,
    /// `retry_backoff`.
    pub retry_backoff_ms: u64,
    /// `retry_max`.
    pub retry_max_ms: u64,
    /// `retry_jitter`.
    pub retry_jitter_permille: u16,
    /// `backfill`.
    pub backfill: Backfill,
    /// `backfill_rate`, as the time between two samples.
    pub backfill_every_ms: Option<u64>,
    /// `buffer.samples`.
    pub buffer_samples: usize,
    /// `buffer.save_every`; 0 saves at a clean stop only.
    pub buffer_save_every_ms: u64,
    /// `tls.ca_file`.
    pub tls_ca_file: Option<PathBuf>,
    /// `tls.cert_file`.
    pub tls_cert_file: Option<PathBuf>,
    /// `tls.key_file`.
    pub tls_key_file: Option<PathBuf>,
    /// `tls.server_name`.
    pub tls_server_name: Option<String>,
    /// `tls.min_version`.
    pub tls_min_version: TlsVersion,
    /// `tls.pins`: SHA-256 of the server's public key (RFC 7469).
    pub tls_pins: Vec<[u8; 32]>,
    /// `tls.allow_unsynced_clock`.
    pub tls_allow_unsynced_clock: bool,
    /// `agent.base_dir`.
    pub base_dir: Option<PathBuf>,
    /// `logging.level`.
    pub log_level: Level,
    /// `logging.format`.
    pub log_format: LogFormat,
    /// `logging.output`.
    pub log_output: LogOutput,
    /// `logging.file`.
    pub log_file: Option<PathBuf>,
    /// `logging.max_size`.
    pub log_max_bytes: u64,
    /// `logging.max_backups`.
    pub log_max_backups: u32,
    /// `logging.max_age`; 0 is for ever.
    pub log_max_age_days: u32,
    /// `logging.compress`.
    pub log_compress: bool,
    /// `health.enabled`.
    pub health_enabled: bool,
    /// `health.port`; 0 picks one.
    pub health_port: u16,
    /// `health.path`.
    pub health_path: String,
    /// `health.bind`.
    pub health_bind: IpAddr,
    /// `health.page`.
    pub health_page: bool,
    /// `health.allowed_hosts`.
    pub health_allowed_hosts: Vec<String>,
    /// `metrics.enabled`.
    pub metrics_enabled: bool,
    /// `metrics.port`; 0 picks one.
    pub metrics_port: u16,
    /// `metrics.path`.
    pub metrics_path: String,
    /// `metrics.bind`.
    pub metrics_bind: IpAddr,
    /// `metrics.namespace`.
    pub metrics_namespace: String,
    /// `metrics.interfaces_include`.
    pub metrics_interfaces_include: Vec<String>,
    /// `metrics.interfaces_exclude`.
    pub metrics_interfaces_exclude: Vec<String>,
    /// `metrics.mounts_include`.
    pub metrics_mounts_include: Vec<String>,
    /// `metrics.mounts_exclude`.
    pub metrics_mounts_exclude: Vec<String>,
    /// `metrics.textfile_dir`.
    pub metrics_textfile_dir: Option<PathBuf>,
    /// `--proc`.
    pub proc_root: PathBuf,
    /// `--sys`.
    pub sys_root: PathBuf,
    /// `--rootfs`.
    pub rootfs: PathBuf,
    /// `--etc`.
    pub etc: Option<PathBuf>,
    /// The orchestrator's.
    pub orchestrator: OrchestratorSettings,
    /// The plugins'.
    pub plugins: PluginSettings,
    /// Their walls'.
    pub sandbox: SandboxSettings,
    /// The audit log's.
    pub audit: AuditSettings,
}

impl Default for Settings {
    /// What the table of keys says; the values here only fill the places until it did.
    fn default() -> Self {
        let mut settings = Self {
            persona: Persona::Mote,
            server_url: None,
            api_key: None,
            api_key_origin: KeyOrigin::Fixed,
            api_key_file: None,
            allow_http: false,
            proxy: None,
            no_proxy: Vec::new(),
            interval_ms: 0,
            system_info_period_ms: 0,
            payload: Form::Both,
            hostname: None,
            disk: PathBuf::new(),
            interfaces: Vec::new(),
            timeout_ms: 0,
            connect_timeout_ms: 0,
            max_retries: 0,
            retry_backoff_ms: 0,
            retry_max_ms: 0,
            retry_jitter_permille: 0,
            backfill: Backfill::Auto,
            backfill_every_ms: None,
            buffer_samples: 0,
            buffer_save_every_ms: 0,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            tls_server_name: None,
            tls_min_version: TlsVersion::V1_2,
            tls_pins: Vec::new(),
            tls_allow_unsynced_clock: false,
            base_dir: None,
            log_level: Level::Info,
            log_format: LogFormat::Json,
            log_output: LogOutput::Stdout,
            log_file: None,
            log_max_bytes: 0,
            log_max_backups: 0,
            log_max_age_days: 0,
            log_compress: false,
            health_enabled: false,
            health_port: 0,
            health_path: String::new(),
            health_bind: Ipv4Addr::LOCALHOST.into(),
            health_page: false,
            health_allowed_hosts: Vec::new(),
            metrics_enabled: false,
            metrics_port: 0,
            metrics_path: String::new(),
            metrics_bind: Ipv4Addr::LOCALHOST.into(),
            metrics_namespace: String::new(),
            metrics_interfaces_include: Vec::new(),
            metrics_interfaces_exclude: Vec::new(),
            metrics_mounts_include: Vec::new(),
            metrics_mounts_exclude: Vec::new(),
            metrics_textfile_dir: None,
            proc_root: PathBuf::new(),
            sys_root: PathBuf::new(),
            rootfs: PathBuf::new(),
            etc: None,
            orchestrator: OrchestratorSettings::default(),
            plugins: PluginSettings::default(),
            sandbox: SandboxSettings::default(),
            audit: AuditSettings::default(),
        };
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            // A test holds every default against its own reader.
            let _ = key.set(&mut settings, key.default);
        }
        settings
    }
}

impl Settings {
    /// Where the device's /etc is.
    pub fn etc_dir(&self) -> PathBuf {
        self.etc.clone().unwrap_or_else(|| self.rootfs.join("etc"))
    }

    /// Takes back what only a restart changes; returns the keys that had changed.
    pub fn keep_until_restart(&mut self, old: &Self) -> Vec<&'static str> {
        // So does a log file in the folder that is written to.
        let inside = |file: &PathBuf| Some(file.strip_prefix(self.base_dir()).ok()?.to_owned());
        if let Some(inside) = self.log_file.as_ref().and_then(inside) {
            self.log_file = Some(old.base_dir().join(inside));
        }
        let mut changed = Vec::new();
        let mut keep = |key: &'static str, differs: bool| {
            if differs {
                changed.push(key);
            }
        };
        keep("payload", self.payload != old.payload);
        keep("hostname", self.hostname != old.hostname);
        keep("buffer.samples", self.buffer_samples != old.buffer_samples);
        keep("agent.base_dir", self.base_dir != old.base_dir);
        let (new_agent, old_agent) = (&mut self.orchestrator, &old.orchestrator);
        keep("agent.id", new_agent.agent_id != old_agent.agent_id);
        keep("agent.type", new_agent.agent_type != old_agent.agent_type);
        keep(
            "agent.organization_id",
            new_agent.organization_id != old_agent.organization_id,
        );
        keep("plugins or sensor", self.plugins != old.plugins);
        keep("security.sandbox", self.sandbox != old.sandbox);
        keep("security.audit", self.audit != old.audit);
        new_agent.agent_id.clone_from(&old_agent.agent_id);
        new_agent.agent_type = old_agent.agent_type;
        new_agent
            .organization_id
            .clone_from(&old_agent.organization_id);
        self.plugins = old.plugins.clone();
        self.sandbox = old.sandbox.clone();
        self.audit = old.audit.clone();
        self.payload = old.payload;
        self.hostname.clone_from(&old.hostname);
        self.buffer_samples = old.buffer_samples;
        self.base_dir.clone_from(&old.base_dir);
        changed
    }

    /// The folder that is written to.
    pub fn base_dir(&self) -> PathBuf {
        let agent_id = self.orchestrator.agent_id.as_deref();
        let usual = || {
            self.persona
                .usual_base_dir(agent_id, super::process_environment)
        };
        self.base_dir.clone().unwrap_or_else(usual)
    }

    /// The folder of the plugins.
    pub fn plugins_dir(&self) -> PathBuf {
        self.in_base(self.plugins.dir.as_deref(), "", "data/plugins")
    }

    /// The folder of the plugins' configurations.
    pub fn plugins_config_dir(&self) -> PathBuf {
        self.in_base(self.plugins.config_dir.as_deref(), "", "config/plugins")
    }

    /// The audit log.
    pub fn audit_file(&self) -> PathBuf {
        self.in_base(
            self.audit.file.as_deref(),
            "logs/audit",
            "logs/audit/audit.log",
        )
    }

    /// A file of the orchestrator's section that was named without a folder.
    pub fn certificate_path(&self, given: &Path) -> PathBuf {
        self.in_base(Some(given), "config/certificates", "")
    }

    /// `given`, seen from `folder` of the base directory if it is relative; `usual` if it is not
    /// given.
    fn in_base(&self, given: Option<&Path>, folder: &str, usual: &str) -> PathBuf {
        match given {
            Some(given) if given.is_absolute() => given.to_owned(),
            Some(given) => self.base_dir().join(folder).join(given),
            None => self.base_dir().join(usual),
        }
    }

    /// The watched path, seen from here.
    pub fn disk_path(&self) -> PathBuf {
        match self.disk.strip_prefix("/") {
            Ok(inside) if self.rootfs != Path::new("/") => self.rootfs.join(inside),
            _ => self.disk.clone(),
        }
    }

    /// How long the backlog waits between two of its samples.
    pub fn backfill_every_ms(&self) -> u64 {
        self.backfill_every_ms
            .unwrap_or(backfill_every_ms(self.interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_a_fingerprint_and_nothing_else() {
        let secret = Secret::new("abc".into());
        assert_eq!(&secret.fingerprint(), b"ba7816bf");
        assert!(!format!("{secret:?}").contains("abc"));
    }

    #[test]
    fn defaults_are_the_documented_ones() {
        let settings = Settings::default();
        assert_eq!(settings.interval_ms, 10_000);
        assert_eq!(settings.system_info_period_ms, 3_600_000);
        assert_eq!(settings.max_retries, 3);
        assert_eq!(settings.retry_backoff_ms, 5_000);
        assert_eq!(settings.buffer_samples, 8_640);
        assert_eq!(settings.retry_jitter_permille, 500);
        assert_eq!(settings.backfill_every_ms(), 25_000);
    }

    #[test]
    fn what_a_restart_changes_stays_at_a_reload_and_is_named() {
        let old = Settings::default();
        let mut new = Settings {
            hostname: Some("other".into()),
            buffer_samples: 5,
            interval_ms: 1_000,
            ..Settings::default()
        };
        assert_eq!(new.keep_until_restart(&old), ["hostname", "buffer.samples"]);
        assert_eq!(new.hostname, None);
        assert_eq!(new.buffer_samples, 8_640);
        assert_eq!(new.interval_ms, 1_000);
        let restart = KEYS.iter().filter(|key| key.restart && key.in_file);
        let groups = [
            "plugins.",
            "sensor.",
            "security.sandbox.",
            "security.audit.",
        ];
        let named: Vec<_> = restart
            .map(|key| key.path)
            .filter(|path| !groups.iter().any(|group| path.starts_with(group)))
            .collect();
        assert_eq!(
            named,
            [
                "payload",
                "hostname",
                "buffer.samples",
                "agent.base_dir",
                "agent.id",
                "agent.type",
                "agent.organization_id"
            ]
        );
    }

    #[test]
    fn a_log_file_in_the_base_folder_stays_there_until_a_restart() {
        let with = |base: &str, file: &str| Settings {
            base_dir: Some(base.into()),
            log_file: Some(file.into()),
            ..Settings::default()
        };
        let old = with("/old", "/old/logs/a.log");
        for (file, kept) in [
            ("/new/logs/b.log", "/old/logs/b.log"),
            ("/elsewhere/b.log", "/elsewhere/b.log"),
        ] {
            let mut new = with("/new", file);
            assert_eq!(new.keep_until_restart(&old), ["agent.base_dir"]);
            assert_eq!(new.log_file, Some(kept.into()));
        }
    }

    #[test]
    fn the_plugins_of_a_former_reading_stay_until_a_restart() {
        let old = Settings::default();
        let mut new = Settings::default();
        new.plugins.timeout_ms = 1;
        new.sandbox.enabled = false;
        new.audit.enabled = false;
        new.orchestrator.agent_id = Some("other".into());
        new.orchestrator.poll_interval_ms = 1_000;
        assert_eq!(
            new.keep_until_restart(&old),
            [
                "agent.id",
                "plugins or sensor",
                "security.sandbox",
                "security.audit"
            ]
        );
        assert_eq!(new.plugins, old.plugins);
        assert_eq!(new.orchestrator.agent_id, None);
        assert_eq!(new.orchestrator.poll_interval_ms, 1_000);
    }

    #[test]
    fn folders_of_the_agent_are_in_its_base_directory() {
        let mut settings = Settings {
            base_dir: Some("/base".into()),
            ..Settings::default()
        };
        assert_eq!(settings.plugins_dir(), Path::new("/base/data/plugins"));
        assert_eq!(
            settings.audit_file(),
            Path::new("/base/logs/audit/audit.log")
        );
        settings.plugins.dir = Some("mine".into());
        settings.audit.file = Some("a.log".into());
        assert_eq!(settings.plugins_dir(), Path::new("/base/mine"));
        assert_eq!(settings.audit_file(), Path::new("/base/logs/audit/a.log"));
        assert_eq!(
            settings.certificate_path(Path::new("agent.jwt")),
            Path::new("/base/config/certificates/agent.jwt")
        );
        assert_eq!(
            settings.certificate_path(Path::new("/etc/agent.jwt")),
            Path::new("/etc/agent.jwt")
        );
    }

    #[test]
    fn the_watched_path_is_looked_for_in_the_root_that_was_given() {
        let mut settings = Settings::default();
        assert_eq!(settings.disk_path(), Path::new("/"));
        settings.rootfs = "/host".into();
        assert_eq!(settings.disk_path(), Path::new("/host"));
        settings.disk = "/data".into();
        assert_eq!(settings.disk_path(), Path::new("/host/data"));
        assert_eq!(settings.etc_dir(), Path::new("/host/etc"));
    }
}
