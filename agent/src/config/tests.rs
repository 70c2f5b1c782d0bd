//! Sources, their order, and what is said of bad ones.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

mod orchestrator;

/// A file that is gone when the test is.
struct Temporary(PathBuf);

impl Temporary {
    fn new(text: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mote-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self(path)
    }

    fn sources(&self) -> Sources {
        at(&self.0)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn at(path: &Path) -> Sources {
    let line = CommandLine {
        config: Some(path.to_owned()),
        flags: Vec::new(),
    };
    Sources {
        line,
        ..Sources::default()
    }
}

fn nothing(_: &str) -> Option<OsString> {
    None
}

#[test]
fn flag_wins_over_environment_over_file_over_default() {
    let file = Temporary::new(b"interval: 20s\nmax_retries: 7\ntimeout: 9s\n");
    let mut sources = file.sources();
    sources
        .line
        .flags
        .push((keys::find("interval").unwrap(), "40s".into()));
    let environment = |name: &str| match name {
        "MOTE_INTERVAL" => Some("30s".into()),
        "LUNASENTRI_TIMEOUT" => Some("8s".into()),
        _ => None,
    };
    let loaded = load(&sources, &environment).unwrap();
    assert_eq!(loaded.settings.interval_ms, 40_000);
    assert_eq!(loaded.settings.timeout_ms, 8_000);
    assert_eq!(loaded.settings.max_retries, 7);
    assert_eq!(loaded.settings.connect_timeout_ms, 5_000);
    let origins: Vec<String> = loaded
        .given
        .iter()
        .map(|given| given.origin.to_string())
        .collect();
    assert_eq!(
        origins,
        [
            "--interval".to_owned(),
            "LUNASENTRI_TIMEOUT in the environment".to_owned(),
            format!("{}:2", file.0.display()),
        ]
    );
}

#[test]
fn every_key_is_read_from_file_environment_and_flag() {
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let environment = |name: &str| {
            (name == variables(key)[0]).then(|| OsString::from("no value that any key takes"))
        };
        let read = load(&Sources::default(), &environment);
        // A path takes any words; every other kind has words that it refuses.
        let takes_all = ["disk", "proc", "sys", "rootfs"].contains(&key.path);
        assert_eq!(read.is_ok(), takes_all, "{} from the environment", key.path);
        if key.in_file {
            let text = key
                .path
                .split('.')
                .enumerate()
                .fold(String::new(), |text, (depth, part)| {
                    format!("{text}\n{}{part}:", "  ".repeat(depth))
                });
            let file = Temporary::new(format!("{text} {:?}\n", key.default).as_bytes());
            let loaded = load(&file.sources(), &nothing).unwrap();
            assert_eq!(loaded.given.len(), 1, "{} from a file", key.path);
            let is_told = WITHOUT_EFFECT.contains(&key.path);
            assert_eq!(loaded.warnings.len(), usize::from(is_told), "{}", key.path);
            let is_said = key.help.contains("no effect yet");
            assert_eq!(is_told, is_said, "{}: {}", key.path, key.help);
        }
    }
}

#[track_caller]
fn refuse(text: &str, line: usize, words: &[&str]) {
    let file = Temporary::new(text.as_bytes());
    let error = load(&file.sources(), &nothing).unwrap_err().to_string();
    let place = format!("{}:{line}: ", file.0.display());
    assert!(
        error.starts_with(&place),
        "{error} does not begin with {place}"
    );
    for word in words {
        assert!(error.contains(word), "{error} lacks {word}");
    }
}

#[test]
fn a_wrong_value_is_an_error_with_place_key_and_remedy() {
    refuse(
        "interval: 10\n",
        1,
        &["interval", "\"10\" has no unit", "write 10s"],
    );
    refuse("a: &x 1\nb: *x\n", 2, &["aliases", "write the value out"]);
    refuse("interval: 10ms\n", 1, &["interval", "from 100ms to"]);
    refuse(
        "interval: soon\n",
        1,
        &["interval", "write it like 500ms, 10s"],
    );
    refuse(
        "max_retries: -1\n",
        1,
        &["max_retries", "whole number from 0 to 1000"],
    );
    refuse("allow_http: yes\n", 1, &["allow_http", "true or false"]);
    refuse("allow_http: tRUE\n", 1, &["allow_http", "true or false"]);
    refuse(
        "payload: json\n",
        1,
        &["payload", "both, documented or live"],
    );
    refuse("backfill: maybe\n", 1, &["backfill", "auto, on or off"]);
    refuse("retry_jitter: 2\n", 1, &["retry_jitter", "from 0 to 1"]);
    refuse(
        "# x\ntls:\n  min_version: 1.1\n",
        3,
        &["tls.min_version", "1.2 or 1.3"],
    );
    refuse("tls:\n  pins: [abc]\n", 2, &["tls.pins", "openssl"]);
    refuse(
        "buffer:\n  samples: 0\n",
        2,
        &["buffer.samples", "from 1 to"],
    );
    refuse(
        "logging:\n  level: loud\n",
        2,
        &["logging.level", "debug, info, warn or error"],
    );
    refuse(
        "logging:\n  format: xml\n",
        2,
        &["logging.format", "json or text"],
    );
    refuse(
        "server_url:\n",
        1,
        &["server_url", "is empty: give it a value, or leave it out"],
    );
    refuse("server_url: ~\n", 1, &["server_url", "is empty"]);
    refuse("interval: 10s\ninterval: 20s\n", 2, &["line 1 already"]);
    refuse("a:\n\tmax_retries: 3\n", 2, &["not valid YAML"]);
    refuse(
        "\u{feff}interval: 10s\n",
        1,
        &["byte order mark", "save it without"],
    );
    refuse(&"a".repeat(1_000_000), 1, &["larger than 256 KiB"]);
    refuse(&"[".repeat(200_000), 1, &["recursion limit"]);
    refuse(&"{a: ".repeat(50_000), 1, &["recursion limit"]);
    refuse(&"{a: ".repeat(10), 1, &["nested too deep"]);
    refuse(&format!("a{}: 1\n", " ".repeat(200_000)), 1, &[]);
}

#[test]
fn a_list_is_for_keys_that_are_lists() {
    for text in [
        "api_key: [a, b]",
        "hostname: [x]",
        "interval:\n- 1s",
        "disk: []",
    ] {
        refuse(
            &format!("{text}\n"),
            1,
            &["takes one value and no list: write "],
        );
    }
    let file =
        Temporary::new(b"interfaces: [eth0, eth1]\nno_proxy: [a, b]\nagent: {tags: 'a, b'}\n");
    let settings = load(&file.sources(), &nothing).unwrap().settings;
    assert_eq!(settings.interfaces, ["eth0", "eth1"]);
    assert_eq!(settings.no_proxy.len(), 2);
    assert_eq!(settings.orchestrator.tags, ["a", "b"]);
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let file = Temporary::new(b"interval: 10\npayload: x\n");
    let environment = |name: &str| (name == "MOTE_MAX_RETRIES").then(|| "many".into());
    let ConfigError(lines) = load(&file.sources(), &environment).unwrap_err();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[2].starts_with("MOTE_MAX_RETRIES in the environment: \"many\""),
        "{lines:?}"
    );
}

#[test]
fn an_unknown_key_is_a_warning_that_offers_the_nearest() {
    let file = Temporary::new(b"sever_url: x\nproc: /p\n");
    let warnings = load(&file.sources(), &nothing).unwrap().warnings;
    assert!(
        warnings[0]
            .words
            .contains(":1: unknown key sever_url: did you mean server_url?")
    );
    assert!(
        warnings[1].words.contains(":2: unknown key proc"),
        "{warnings:?}"
    );
    assert!(warnings.iter().all(|warning| warning.strict));
}

#[test]
fn what_other_products_have_and_mote_does_not_is_named_in_one_line() {
    let file = Temporary::new(
        b"api:\n  agents_endpoint: /x\n  max_idle_conns: 1\naction:\n  a: 1\n  b: 1\nserver_url: u\n",
    );
    let loaded = load(&file.sources(), &nothing).unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    assert!(
        loaded.warnings[0]
            .words
            .ends_with("api.agents_endpoint, api.max_idle_conns, action"),
        "{:?}",
        loaded.warnings
    );
    assert!(!loaded.warnings[0].strict);
}

#[test]
fn a_file_with_a_key_that_others_can_read_is_warned_of() {
    let file = Temporary::new(b"api_key: s3cret\n");
    assert!(load(&file.sources(), &nothing).unwrap().warnings.is_empty());
    std::fs::set_permissions(&file.0, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warnings = load(&file.sources(), &nothing).unwrap().warnings;
    assert!(!warnings[0].words.contains("s3cret"));
    // What root owns is read by an agent that is somebody else, through its group.
    let is_root = std::fs::metadata(&file.0).unwrap().uid() == 0;
    let remedy = if is_root {
        ": chown it to root and the group that mote runs as, and chmod 640 /"
    } else {
        ": chmod 600 /"
    };
    assert!(warnings[0].words.contains(remedy), "{warnings:?}");
}

#[test]
fn two_variables_that_disagree_are_warned_of() {
    let environment = |name: &str| match name {
        "MOTE_INTERVAL" => Some("30s".into()),
        "LUNASENTRI_INTERVAL" => Some("31s".into()),
        _ => None,
    };
    let loaded = load(&Sources::default(), &environment).unwrap();
    assert_eq!(loaded.settings.interval_ms, 30_000);
    assert!(
        loaded.warnings[0]
            .words
            .contains("disagree: MOTE_INTERVAL is used")
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_so() {
    let words = load(&at(Path::new("/nowhere/mote.yaml")), &nothing)
        .unwrap_err()
        .to_string();
    assert!(words.contains("--config"), "{words}");

    let file = Temporary::new(b"a: 1\nb: \xff\n");
    let words = load(&file.sources(), &nothing).unwrap_err().to_string();
    assert!(words.contains(":2: not UTF-8"), "{words}");
}

#[test]
fn a_key_comes_from_its_file_without_its_line_feed_and_can_be_read_again() {
    let key = Temporary::new(b"s3cret\n");
    let file = Temporary::new(format!("api_key_file: {}\n", key.0.display()).as_bytes());
    let settings = load(&file.sources(), &nothing).unwrap().settings;
    assert_eq!(settings.api_key.unwrap().expose(), "s3cret");
    std::fs::write(&key.0, "n3w\n").unwrap();
    let again = read_again(&settings.api_key_origin, true).unwrap().unwrap();
    assert_eq!(again.expose(), "n3w");
    std::fs::write(&key.0, " \n").unwrap();
    let words = load(&file.sources(), &nothing).unwrap_err().to_string();
    assert!(
        words.contains("api_key_file") && words.contains("is empty"),
        "{words}"
    );
}

#[test]
fn only_an_installation_gets_names_that_are_not_filled_in() {
    let file = Temporary::new(b"hostname: gw\nagent: {id: 'id-{HOSTNAME}'}\n");
    for (service_folder, text) in [
        (None, "id-gw"),
        (Some("/var/lib/x".into()), "id-{HOSTNAME}"),
    ] {
        let sources = Sources {
            service_folder,
            ..file.sources()
        };
        let loaded = load(&sources, &nothing).unwrap();
        let id = loaded.given.iter().find(|it| it.key.path == "agent.id");
        assert_eq!(id.unwrap().text, text);
        assert_eq!(loaded.settings.orchestrator.agent_id.unwrap(), "id-gw");
    }
}

#[test]
fn a_key_in_the_configuration_can_be_read_again() {
    let file = Temporary::new(b"api_key: s3cret\n");
    let settings = load(&file.sources(), &nothing).unwrap().settings;
    std::fs::write(&file.0, "api_key: n3w\n").unwrap();
    let again = read_again(&settings.api_key_origin, true).unwrap().unwrap();
    assert_eq!(again.expose(), "n3w");
    std::fs::write(&file.0, "interval: 10s\n").unwrap();
    assert!(read_again(&settings.api_key_origin, true).unwrap().is_err());
}

#[test]
fn a_credential_of_the_service_manager_serves_if_nothing_else_was_given() {
    let folder = std::env::temp_dir().join(format!("mote-credentials-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("mote.api_key"), "from-systemd\n").unwrap();
    let environment =
        |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone().into_os_string());
    let settings = load(&Sources::default(), &environment).unwrap().settings;
    assert_eq!(settings.api_key.unwrap().expose(), "from-systemd");
    let mut sources = Sources::default();
    sources
        .line
        .flags
        .push((keys::find("api_key").unwrap(), "nearer".into()));
    let settings = load(&sources, &environment).unwrap().settings;
    assert_eq!(settings.api_key.unwrap().expose(), "nearer");
    assert!(read_again(&settings.api_key_origin, true).is_none());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn an_empty_key_is_called_so() {
    let file = Temporary::new(b"api_key: \"\"\n");
    let words = load(&file.sources(), &nothing).unwrap_err().to_string();
    assert!(words.ends_with("api_key: is empty: give it a value, or leave it out"));
    let environment = |name: &str| (name == "MOTE_API_KEY").then(OsString::new);
    let words = load(&Sources::default(), &environment).unwrap_err();
    assert!(words.0[0].starts_with("MOTE_API_KEY in the environment: is empty: give"));
}

#[test]
fn a_key_comes_from_the_stronger_source_whether_it_is_in_a_file_of_its_own_or_not() {
    let holder = Temporary::new(b"new\n");
    let holder = holder.0.to_str().unwrap();
    for (inline, file) in [
        ("api_key", "api_key_file"),
        ("api.auth.api_key", "api.auth.api_key_file"),
    ] {
        let key = |sources: &Sources, environment: Environment<'_>| {
            let settings = load(sources, environment).unwrap().settings;
            let key = match inline {
                "api_key" => settings.api_key,
                _ => settings.orchestrator.credential,
            };
            key.unwrap().expose().to_owned()
        };
        let (section, name) = inline.rsplit_once('.').unwrap_or(("", inline));
        let text = match section {
            "" => format!("{name}: old\n"),
            _ => format!("api: {{auth: {{{name}: old}}}}\n"),
        };
        let written = Temporary::new(text.as_bytes());
        let mut sources = written.sources();
        let variable = |key: &str| variables(keys::find(key).unwrap()).remove(0);
        let of_file = |name: &str| (name == variable(file)).then(|| OsString::from(holder));
        assert_eq!(key(&sources, &nothing), "old");
        assert_eq!(key(&sources, &of_file), "new", "environment over file");
        let both = |name: &str| match name {
            _ if name == variable(inline) => Some("nearest".into()),
            name => of_file(name),
        };
        assert_eq!(key(&sources, &both), "nearest", "within one source");
        let flag = (keys::find(file).unwrap(), holder.to_owned());
        sources.line.flags.push(flag);
        assert_eq!(key(&sources, &both), "new", "flag over environment");
    }
}

#[test]
fn a_proxy_for_every_program_gives_way_to_one_for_mote() {
    let everybodys = |name: &str| (name == "HTTPS_PROXY").then(|| "http://all:1".into());
    let none = |name: &str| match name {
        "MOTE_PROXY" => Some(OsString::new()),
        name => everybodys(name),
    };
    let proxy = |text: &str, environment: Environment<'_>| {
        let file = Temporary::new(text.as_bytes());
        let loaded = load(&file.sources(), environment).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        loaded.settings.proxy.map(|proxy| proxy.expose().to_owned())
    };
    assert_eq!(proxy("", &everybodys).unwrap(), "http://all:1");
    assert_eq!(
        proxy("proxy: http://own:1\n", &everybodys).unwrap(),
        "http://own:1"
    );
    assert_eq!(proxy("proxy: \"\"\n", &everybodys), None);
    assert_eq!(proxy("proxy: http://own:1\n", &none), None);
}

#[test]
fn a_usual_file_that_cannot_be_reached_is_not_taken_for_missing() {
    let home = std::env::temp_dir().join(format!("mote-home-{}", std::process::id()));
    let folder = home.join(".config/mote");
    std::fs::create_dir_all(&folder).unwrap();
    let environment = |name: &str| (name == "HOME").then(|| home.clone().into_os_string());
    assert_eq!(load(&Sources::default(), &environment).unwrap().file, None);
    std::os::unix::fs::symlink("/nowhere/mote.yaml", folder.join("mote.yaml")).unwrap();
    let words = load(&Sources::default(), &environment)
        .unwrap_err()
        .to_string();
    std::fs::remove_dir_all(&home).unwrap();
    assert!(words.starts_with(folder.to_str().unwrap()), "{words}");
    assert!(words.contains("--config"), "{words}");
    // Where a home is no folder at all, nothing can be in it.
    let environment = |name: &str| (name == "HOME").then(|| "/dev/null".into());
    assert_eq!(load(&Sources::default(), &environment).unwrap().file, None);
}

#[test]
fn a_section_whose_keys_are_comments_is_no_unknown_key() {
    let file = Temporary::new(
        b"health:\n  # port: 1\napi:\n  retry:\nsecurity: {tls: }\naction:\nhealt:\napi_ke:\n",
    );
    let warnings = load(&file.sources(), &nothing).unwrap().warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].words.contains("unknown key healt:"));
    assert!(warnings[1].words.contains("unknown key api_ke:"));
}

#[test]
fn the_service_managers_key_of_a_certificate_serves_both_servers() {
    let folder = std::env::temp_dir().join(format!("mote-tls-key-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = folder.join("mote.tls_key");
    std::fs::write(&key, "key\n").unwrap();
    let environment =
        |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone().into_os_string());
    let settings = |text: &str| {
        let file = Temporary::new(text.as_bytes());
        load(&file.sources(), &environment).unwrap().settings
    };
    let both = settings("tls: {cert_file: /c}\napi: {auth: {cert_file: /c}}\n");
    let nearer = settings("tls: {cert_file: /c, key_file: /k}\n");
    let neither = settings("");
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(both.tls_key_file.as_ref(), Some(&key));
    assert_eq!(both.orchestrator.key_file.as_ref(), Some(&key));
    assert_eq!(nearer.tls_key_file.as_deref(), Some(Path::new("/k")));
    assert_eq!(neither.tls_key_file, None);
}

#[test]
fn a_truth_is_read_in_every_spelling_of_yaml() {
    for (text, truth) in [
        ("True", true),
        ("TRUE", true),
        ("False", false),
        ("FALSE", false),
    ] {
        let file =
            Temporary::new(format!("allow_http: {text}\nhealth: {{page: {text}}}\n").as_bytes());
        let settings = load(&file.sources(), &nothing).unwrap().settings;
        assert_eq!((settings.allow_http, settings.health_page), (truth, truth));
    }
}

#[test]
fn what_is_right_is_read_beside_what_is_wrong() {
    let file = Temporary::new(
        b"interval: soon\nhealth: {port: 8555, bind: \"::1\"}\napi_key_file: /nowhere/key\n",
    );
    let (loaded, errors) = load_in_part(&file.sources(), &nothing);
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(loaded.settings.health_port, 8555);
    assert_eq!(loaded.settings.health_bind.to_string(), "::1");
}
