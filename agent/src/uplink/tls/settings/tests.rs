//! Settings that can and cannot be used, and files that change under them.

use super::super::tests::{Folder, authority, leaf};
use super::*;

/// A folder with an authority, a certificate and its key, and settings that name them.
fn good() -> (Folder, Settings) {
    let folder = Folder::new();
    let file = |name| Some(folder.path().join(name));
    let settings = Settings {
        tls_ca_file: file("ca.pem"),
        tls_cert_file: file("cert.pem"),
        tls_key_file: file("key.pem"),
        ..Settings::default()
    };
    renew(&folder, &["ca.pem", "cert.pem", "key.pem"]);
    (folder, settings)
}

/// Writes new ones in place of these files.
fn renew(folder: &Folder, names: &[&str]) {
    let ours = authority("ours");
    let (certificate, key) = leaf(&ours, "device.test");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    for (name, text) in [
        ("ca.pem", ours.pem()),
        ("cert.pem", certificate),
        ("key.pem", key),
    ] {
        if names.contains(&name) {
            // As renewals do it: the file is never there in part.
            let fresh = folder.write("fresh.pem", &text);
            folder.permit(&fresh, 0o600);
            std::fs::rename(fresh, folder.path().join(name)).unwrap();
        }
    }
}

fn error(settings: &Settings) -> Box<str> {
    TlsSettings::new(TlsChoice::of_metrics_server(settings)).unwrap_err()
}

#[test]
fn nothing_need_be_set() {
    let tls = TlsSettings::new(TlsChoice::default()).unwrap();
    assert!(!tls.current().has_ca_file);
    assert_eq!(tls.take_warnings(), Vec::<String>::new());
    let name = tls.name_for("[2001:db8::7]").unwrap();
    assert_eq!(name, ServerName::try_from("2001:db8::7").unwrap());
    assert!(tls.name_for("a b").is_err());
}

#[test]
fn a_certificate_without_its_key_or_a_key_without_it_is_refused() {
    let (_folder, good) = good();
    let mut settings = good.clone();
    settings.tls_key_file = None;
    assert!(error(&settings).starts_with("tls.cert_file is set without tls.key_file"));
    let mut settings = good;
    settings.tls_cert_file = None;
    assert!(error(&settings).starts_with("tls.key_file is set without tls.cert_file"));
}

#[test]
fn a_key_must_be_that_of_the_certificate_and_of_a_known_kind() {
    let (folder, settings) = good();
    assert!(TlsSettings::new(TlsChoice::of_metrics_server(&settings)).is_ok());
    renew(&folder, &["key.pem"]);
    let words = error(&settings);
    assert!(
        words.contains("not the key of the first certificate"),
        "{words}"
    );
    let junk = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    folder.write("key.pem", junk);
    let words = error(&settings);
    assert!(words.contains("EC P-256 or P-384, RSA of"), "{words}");
}

#[test]
fn the_server_name_stands_for_the_hosts() {
    let mut settings = Settings {
        tls_server_name: Some("hub.test".into()),
        ..Settings::default()
    };
    let tls = TlsSettings::new(TlsChoice::of_metrics_server(&settings)).unwrap();
    let expected = ServerName::try_from("hub.test").unwrap();
    assert_eq!(tls.name_for("127.0.0.1").unwrap(), expected);
    settings.tls_server_name = Some("no name".into());
    assert!(error(&settings).starts_with("tls.server_name: \"no name\""));
}

#[test]
fn the_oldest_version_is_kept_to() {
    let settings = Settings {
        tls_min_version: TlsVersion::V1_3,
        ..Settings::default()
    };
    let rules = Rules::new(TlsChoice::of_metrics_server(&settings)).unwrap();
    assert_eq!(rules.versions(), [&TLS13]);
}

#[test]
fn files_are_read_again_when_they_changed_and_only_then() {
    let (folder, settings) = good();
    let tls = TlsSettings::new(TlsChoice::of_metrics_server(&settings)).unwrap();
    let first = tls.current().config;
    assert!(Arc::ptr_eq(&first, &tls.current().config));
    for name in ["ca.pem", "cert.pem and key.pem"] {
        let before = tls.current().config;
        renew(&folder, &name.split(" and ").collect::<Vec<_>>());
        let after = tls.clone().current().config;
        assert!(!Arc::ptr_eq(&before, &after), "{name}");
        assert!(Arc::ptr_eq(&after, &tls.current().config), "{name}");
    }
}

#[test]
fn files_that_cannot_be_used_leave_the_former_ones_in_use() {
    let (folder, settings) = good();
    let tls = TlsSettings::new(TlsChoice::of_metrics_server(&settings)).unwrap();
    let first = tls.current().config;
    // Half of a renewal: the key is still the old one.
    renew(&folder, &["cert.pem"]);
    assert!(Arc::ptr_eq(&first, &tls.current().config));
    let seen = tls.read().stamps;
    std::fs::remove_file(folder.path().join("ca.pem")).unwrap();
    assert!(Arc::ptr_eq(&first, &tls.current().config));
    assert_ne!(seen, tls.read().stamps);
    renew(&folder, &["ca.pem", "cert.pem", "key.pem"]);
    assert!(!Arc::ptr_eq(&first, &tls.current().config));
}

#[test]
fn a_warning_is_told_once_for_each_reading() {
    let (folder, settings) = good();
    let key = folder.path().join("key.pem");
    folder.permit(&key, 0o644);
    let tls = TlsSettings::new(TlsChoice::of_metrics_server(&settings)).unwrap();
    assert_eq!(tls.take_warnings().len(), 1);
    assert_eq!(tls.take_warnings().len(), 0);
}
