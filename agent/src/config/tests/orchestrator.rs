//! The orchestrator's keys, and every key in every spelling.

use super::*;
use crate::config::keys::Key;
use crate::config::settings::{AgentType, AuthType};

/// A text that `key` takes; `file` is there and holds a word.
fn sample(key: &Key, file: &str) -> String {
    let texts = [
        key.default,
        file,
        "true",
        "10s",
        "2MB",
        "1",
        "sensor",
        "jwt",
        "name",
        "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "TLS_AES_128_GCM_SHA256",
    ];
    let mut texts = texts.iter().filter(|text| !text.is_empty());
    let taken = texts.find(|text| key.set(&mut Settings::default(), text).is_ok());
    (*taken.unwrap_or_else(|| panic!("no sample for {}", key.path))).to_owned()
}

/// A path as nested sections.
fn nested(path: &str, text: &str) -> String {
    let mut yaml = String::new();
    for (depth, section) in path.split('.').enumerate() {
        yaml.push('\n');
        yaml.push_str(&"  ".repeat(depth));
        yaml.push_str(section);
        yaml.push(':');
    }
    format!("{yaml} \"{text}\"\n")
}

#[test]
fn every_key_is_read_in_every_spelling_from_file_and_environment() {
    let holder = Temporary::new(b"a-word\n");
    let holder = holder.0.to_str().unwrap();
    for key in KEYS {
        let text = sample(key, holder);
        for path in key.paths().filter(|_| key.in_file) {
            let file = Temporary::new(nested(path, &text).as_bytes());
            let loaded = load(&file.sources(), &nothing).unwrap_or_else(|e| panic!("{path}: {e}"));
            let is_told = WITHOUT_EFFECT.contains(&key.path);
            assert_eq!(loaded.warnings.len(), usize::from(is_told), "{path}");
            assert!(
                loaded.warnings.iter().all(|warning| !warning.strict),
                "{path}"
            );
            let given: Vec<_> = loaded.given.iter().map(|given| given.key.path).collect();
            assert_eq!(given, [key.path], "{path}");
            assert!(matches!(loaded.given[0].origin, Origin::File(..)));
        }
        for name in variables(key) {
            let environment = |asked: &str| (asked == name).then(|| OsString::from(&text));
            let loaded = load(&Sources::default(), &environment)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let given: Vec<_> = loaded.given.iter().map(|given| given.key.path).collect();
            assert_eq!(given, [key.path], "{name}");
            assert_eq!(loaded.given[0].origin, Origin::Environment(name));
        }
    }
}

/// What both products document, the spellings of their published installations among it; of
/// `api.agents_endpoint` it is said that it means nothing here.
const DOCUMENTED: &str = "
    server_url api_key interval system_info_period max_retries retry_backoff
    agent.id agent.type agent.name agent.organization_id agent.tenant_id agent.environment
    agent.tags agent.version agent.region agent.base_dir agent.base_folder
    agent.heartbeat_interval agent.heartbeat agent.registration_retry_interval
    agent.poll_interval agent.max_concurrent_tasks agent.task_timeout
    api.base_url api.timeout api.user_agent
    api.retry.max_attempts api.retry_attempts api.retry.backoff
    api.retry.initial_interval api.retry_delay api.retry.max_interval
    api.rate_limit.requests_per_second api.rate_limit_rps api.rate_limit.burst
    api.auth.type security.auth.type security.auth.method
    api.auth.cert_file api.auth.key_file api.auth.ca_file
    security.tls.cert_file security.tls.key_file security.tls.ca_file
    api.auth.token_file security.auth.token_file api.auth.refresh_threshold
    api.auth.api_key security.auth.api_key
    security.tls.enabled security.tls.min_version security.tls.server_name
    security.tls.insecure_skip_verify security.tls.cipher_suites
    plugins.dir plugins.directory plugins.config_dir plugins.auto_update
    plugins.update_interval plugins.update_check plugins.watch_changes plugins.auto_load
    plugins.max_memory plugins.timeout plugins.max_concurrent
    plugins.allowed_plugins plugins.blocked_plugins
    security.sandbox.enabled security.sandbox.user security.sandbox.chroot
    security.sandbox.max_memory security.sandbox.max_cpu security.sandbox.max_exec_time
    security.sandbox.max_file_size security.sandbox.network_access
    security.sandbox.allowed_paths
    security.audit.enabled security.audit.file security.audit.log_file
    security.audit.max_size security.audit.max_backups security.audit.max_age
    sensor.trigger_check_interval sensor.max_concurrent_triggers sensor.trigger_timeout
    sensor.event_buffer_size sensor.batch_size sensor.flush_interval
    logging.level logging.format logging.output logging.file logging.max_size
    logging.max_backups logging.max_age logging.compress
    health.enabled health.port health.path health.bind
    metrics.enabled metrics.port metrics.path metrics.bind metrics.namespace";

#[test]
fn every_documented_spelling_is_in_the_table() {
    for path in DOCUMENTED.split_whitespace() {
        let is_key = KEYS
            .iter()
            .any(|key| key.paths().any(|known| known == path));
        assert!(is_key || WITHOUT_EFFECT.contains(&path), "{path}");
    }
}

#[test]
fn a_setter_reaches_a_place_of_its_own() {
    // Two keys that write to the same place would undo each other.
    let holder = Temporary::new(b"a-word\n");
    for key in KEYS {
        let shown = |text: &str| {
            let mut settings = Settings::default();
            key.set(&mut settings, text).unwrap();
            format!("{settings:?}")
        };
        let text = sample(key, holder.0.to_str().unwrap());
        let others = ["2", "false", "true", "20s", "3MB", "both", "1.3", "warn"];
        let mut others = others.iter().filter(|other| {
            **other != key.default && key.set(&mut Settings::default(), other).is_ok()
        });
        // A secret is not shown, and a list of pins or suites has one good form here.
        let is_shown = !key.secret && !key.path.ends_with("pins") && !key.path.ends_with("suites");
        if let (Some(other), true) = (others.next(), is_shown) {
            assert_ne!(shown(&text), shown(other), "{}", key.path);
        }
    }
}

#[test]
fn the_documented_spelling_wins_over_the_older_one() {
    let file = Temporary::new(
        b"agent:\n  heartbeat: 5s\n  heartbeat_interval: 7s\n  tenant_id: t\n  organization_id: t\n",
    );
    let loaded = load(&file.sources(), &nothing).unwrap();
    assert_eq!(loaded.settings.orchestrator.heartbeat_interval_ms, 7_000);
    assert_eq!(
        loaded.settings.orchestrator.organization_id.as_deref(),
        Some("t")
    );
    let [warning] = &loaded.warnings[..] else {
        panic!("{:?}", loaded.warnings)
    };
    assert!(
        warning.words.contains("agent.heartbeat disagrees with"),
        "{}",
        warning.words
    );
}

/// What an installation of the older sort looks like, with all that published ones have in them.
const OLDER: &str = r#"
agent:
  id: "action-${HOSTNAME}-7"
  name: "Action Agent"
  type: "action"
  tenant_id: "org"
  environment: "production"
  version: "1.0.0"
  region: "here"
  tags: ["a", "b:c"]
  base_folder: "/srv/agent-{AGENT_ID}"
  heartbeat: "30s"
  poll_interval: "30s"
  max_concurrent_tasks: 5
  task_timeout: "300s"
api:
  base_url: "https://orchestrator.example.com"
  agents_endpoint: "/agents/v1"
  timeout: "30s"
  retry_attempts: 3
  retry_delay: "5s"
  rate_limit_rps: 10
  max_idle_conns: 10
  idle_conn_timeout: "90s"
  user_agent: "Stavily-Action-Agent/1.0.0"
security:
  tls:
    enabled: true
    min_version: "1.3"
    ca_file: "ca.crt"
    server_name: "localhost"
    insecure_skip_verify: true
  auth:
    type: "api_key"
    method: "api_key"
    api_key: "k"
    token_file: ""
    token_ttl: "1h"
  sandbox:
    enabled: true
    user: "stavily"
    max_memory: 536870912
    max_cpu: 1.0
    max_exec_time: "30m"
    max_file_size: 10485760
    network_access: true
    allowed_paths: ["/tmp", "/var/tmp"]
  audit:
    enabled: true
    log_file: "audit.log"
    max_size: 100
    max_backups: 10
    max_age: 30
    compress: true
plugins:
  directory: "data/plugins"
  auto_load: true
  watch_changes: true
  update_check: "1h"
  timeout: "30m"
  max_concurrent: 3
  max_memory: "512MB"
  allowed_plugins: ["service-restart"]
  registry: {url: "https://plugins.example.com", auth: false}
logging: {level: "info", format: "json", output: "file", file: "agent.log"}
health: {enabled: true, port: 8081}
metrics: {enabled: true, port: 9091, namespace: "x"}
action: {work_dir: "/tmp", max_concurrent_actions: 3}
"#;

#[test]
fn an_older_installation_loads_unchanged() {
    let file = Temporary::new(OLDER.as_bytes());
    let mut sources = file.sources();
    sources.persona = Persona::ActionAgent;
    sources
        .line
        .flags
        .push((keys::find("hostname").unwrap(), "pi".into()));
    let loaded = load(&sources, &nothing).unwrap();
    let strict: Vec<_> = loaded.warnings.iter().filter(|w| w.strict).collect();
    assert!(strict.is_empty(), "{strict:?}");
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let settings = &loaded.settings;
    let agent = &settings.orchestrator;
    assert_eq!(agent.agent_id.as_deref(), Some("action-pi-7"));
    assert_eq!(agent.agent_type, Some(AgentType::Action));
    assert_eq!(agent.auth_type, Some(AuthType::ApiKey));
    assert_eq!(agent.credential.as_ref().unwrap().expose(), "k");
    assert_eq!(agent.retry_first_ms, 5_000);
    assert_eq!(settings.base_dir(), Path::new("/srv/agent-action-pi-7"));
    assert_eq!(
        agent.ca_file.as_deref(),
        Some(Path::new(
            "/srv/agent-action-pi-7/config/certificates/ca.crt"
        ))
    );
    assert_eq!(
        settings.log_file.as_deref(),
        Some(Path::new("/srv/agent-action-pi-7/logs/agent.log"))
    );
    assert_eq!(
        settings.plugins_dir(),
        Path::new("/srv/agent-action-pi-7/data/plugins")
    );
    assert_eq!(
        settings.audit_file(),
        Path::new("/srv/agent-action-pi-7/logs/audit/audit.log")
    );
    assert_eq!(settings.sandbox.max_memory_bytes, 536_870_912);
    assert_eq!(settings.sandbox.max_cpu_permille, 1_000);
    assert_eq!(settings.plugins.allowed, ["service-restart"]);
    assert_eq!(settings.health_port, 8081);
    assert_eq!(settings.metrics_port, 9091);
    assert_eq!(settings.metrics_namespace, "x");
}

#[test]
fn the_old_names_have_ports_of_their_own() {
    for (persona, agent_type, port) in [
        (Persona::SensorAgent, AgentType::Sensor, 8080),
        (Persona::ActionAgent, AgentType::Action, 8081),
    ] {
        let sources = Sources {
            persona,
            ..Sources::default()
        };
        let settings = load(&sources, &nothing).unwrap().settings;
        assert_eq!(settings.orchestrator.agent_type, Some(agent_type));
        assert_eq!(settings.health_port, port);
        assert!(settings.health_bind.is_unspecified() && settings.metrics_enabled);
        assert_eq!(settings.metrics_namespace, "stavily_agent");
        let given = |name: &str| (name == "STAVILY_HEALTH_PORT").then(|| "7".into());
        assert_eq!(load(&sources, &given).unwrap().settings.health_port, 7);
    }
}

#[test]
fn a_token_comes_from_its_file_or_from_the_service_manager() {
    let token = Temporary::new(b"abc.def.ghi\n");
    let yaml = format!(
        "api: {{auth: {{type: jwt, token_file: {}}}}}\n",
        token.0.display()
    );
    let file = Temporary::new(yaml.as_bytes());
    let agent = load(&file.sources(), &nothing)
        .unwrap()
        .settings
        .orchestrator;
    assert_eq!(agent.credential.unwrap().expose(), "abc.def.ghi");
    assert_eq!(agent.credential_origin, KeyOrigin::KeyFile(token.0.clone()));

    let folder = tempfile_folder();
    std::fs::write(folder.join("mote.token"), "from.the.manager").unwrap();
    let environment =
        |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone().into_os_string());
    let loaded = load(&Sources::default(), &environment);
    std::fs::remove_dir_all(&folder).unwrap();
    let agent = loaded.unwrap().settings.orchestrator;
    assert_eq!(agent.credential.unwrap().expose(), "from.the.manager");

    let missing = Temporary::new(b"api: {auth: {token_file: /nowhere/agent.jwt}}\n");
    let error = load(&missing.sources(), &nothing).unwrap_err();
    assert!(
        error.0[0].contains(":1: api.auth.token_file /nowhere/agent.jwt: "),
        "{error}"
    );
}

fn tempfile_folder() -> PathBuf {
    let name = format!("mote-credentials-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
