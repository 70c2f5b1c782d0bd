//! What a value in the configuration may look like.
//!
//! Every reader gives the value or the words that say what would be right; nothing falls back to
//! a default. Durations are written as Go writes them (`500ms`, `1m30s`), because the agents that
//! mote replaces do so.

use std::net::IpAddr;
use std::path::PathBuf;

use mote_core::delivery::Backfill;
use mote_core::log_line::Level;
use mote_core::wire::lunasentri::Form;

use super::settings::{AgentType, AuthType, LogFormat, LogOutput, RetryBackoff, TlsVersion};

/// Milliseconds of a duration within `range`.
pub fn duration_ms(text: &str, range: (u64, u64)) -> Result<u64, String> {
    let ms = parse_duration_ms(text)?;
    if ms < range.0 || ms > range.1 {
        return Err(format!(
            "{text:?} is out of range: it must be from {} to {}",
            write_duration(range.0),
            write_duration(range.1)
        ));
    }
    Ok(ms)
}

fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a duration: write it like 500ms, 10s, 1m30s or 1h");
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text != "0" {
        return Err(format!("{text:?} has no unit: write {text}s for seconds"));
    }
    if text == "0" {
        return Ok(0);
    }
    let mut total_us: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| c.is_ascii_alphabetic() || c == 'µ')
            .ok_or_else(wrong)?;
        let (number, after) = rest.split_at(end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let unit_us: u64 = match unit {
            "us" | "µs" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return Err(wrong()),
        };
        let part_us = scaled(number, unit_us).ok_or_else(wrong)?;
        total_us = total_us.checked_add(part_us).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total_us / 1_000)
}

/// `number` × `unit`, where `number` may have a fraction.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let mut value = if whole.is_empty() {
        0
    } else {
        whole.parse::<u64>().ok()?
    };
    value = value.checked_mul(unit)?;
    let mut place = unit;
    for digit in fraction.bytes() {
        place /= 10;
        value = value.checked_add(place * u64::from(digit - b'0'))?;
    }
    Some(value)
}

/// A duration as it may be written.
pub fn write_duration(ms: u64) -> String {
    match ms {
        0 => "0".into(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

/// A whole number within `range`.
pub fn count(text: &str, range: (u64, u64)) -> Result<u64, String> {
    match text.parse() {
        Ok(value) if (range.0..=range.1).contains(&value) => Ok(value),
        _ => Err(format!(
            "{text:?} is not a whole number from {} to {}",
            range.0, range.1
        )),
    }
}

/// Bytes of a size within `range`, written with its unit; without one where `plain` allows it.
pub fn bytes(text: &str, range: (u64, u64), plain: bool) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "KB" | "kB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "B" => Some(1),
        "" if plain => Some(1),
        _ => None,
    };
    let size = factor.and_then(|factor: u64| number.parse::<u64>().ok()?.checked_mul(factor));
    match size {
        Some(size) if (range.0..=range.1).contains(&size) => Ok(size),
        Some(_) => Err(format!(
            "{text:?} is out of range: it must be from {} to {} bytes",
            range.0, range.1
        )),
        None => Err(format!(
            "{text:?} is not a size: write it like 64KiB or 256MB"
        )),
    }
}

/// A decimal number within `range`, all in thousandths.
pub fn permille(text: &str, range: (u64, u64)) -> Result<u64, String> {
    match scaled(text, 1_000) {
        Some(value) if (range.0..=range.1).contains(&value) => Ok(value),
        _ => Err(format!(
            "{text:?} is not a number from {} to {}",
            write_permille(range.0),
            write_permille(range.1)
        )),
    }
}

fn write_permille(value: u64) -> String {
    let text = format!("{}.{:03}", value / 1_000, value % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// True or false.
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} must be true or false")),
    }
}

/// Words that are not empty.
pub fn words(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("is empty".into())
    } else {
        Ok(text.into())
    }
}

/// A path; it need not exist yet.
pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.contains('\0') {
        Err("has a NUL byte".into())
    } else {
        words(text).map(PathBuf::from)
    }
}

/// An IP address: names are not looked up for it.
pub fn address(text: &str) -> Result<IpAddr, String> {
    let wrong = |_| {
        format!("{text:?} is not an IP address: write 127.0.0.1, ::1, or 0.0.0.0 for every address")
    };
    text.parse().map_err(wrong)
}

/// The path of a URL, without a query.
pub fn http_path(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'"');
    if text.starts_with('/') && text.len() <= 128 && text.bytes().all(is_plain) {
        Ok(text.into())
    } else {
        Err(format!(
            "{text:?} is not a path: write a / and at most 127 plain characters behind it"
        ))
    }
}

/// What may begin the name of a metric.
pub fn metric_name(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let starts_well = !text.starts_with(|letter: char| letter.is_ascii_digit());
    if !text.is_empty() && text.len() <= 64 && starts_well && text.bytes().all(is_plain) {
        Ok(text.into())
    } else {
        Err(format!(
            "{text:?} cannot begin a metric: use letters, digits and _, at most 64 of them, \
             and no digit in front"
        ))
    }
}

/// Words with commas between them.
pub fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect()
}

/// Which names a payload carries.
pub fn form(text: &str) -> Result<Form, String> {
    match text {
        "both" => Ok(Form::Both),
        "documented" => Ok(Form::Documented),
        "live" => Ok(Form::Live),
        _ => Err(format!("{text:?} must be both, documented or live")),
    }
}

/// Whether held samples are sent later.
pub fn backfill(text: &str) -> Result<Backfill, String> {
    match text {
        "auto" => Ok(Backfill::Auto),
        // YAML 1.1 readers turn these two into true and false; so do people.
        "on" | "true" => Ok(Backfill::On),
        "off" | "false" => Ok(Backfill::Off),
        _ => Err(format!("{text:?} must be auto, on or off")),
    }
}

/// A TLS version.
pub fn tls_version(text: &str) -> Result<TlsVersion, String> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(format!("{text:?} must be 1.2 or 1.3")),
    }
}

/// Hashes of public keys, as `sha256/` and 44 letters of base64 (RFC 7469, section 2.4).
pub fn pins(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let words = list(text);
    if words.is_empty() {
        // Not the same as no pins: whoever writes the key wants it to hold.
        return Err("is empty: leave the key out, or give a pin".into());
    }
    words.iter().map(|word| pin(word)).collect()
}

fn pin(word: &str) -> Result<[u8; 32], String> {
    let wrong = || {
        format!(
            "{word:?} is not a pin: write sha256/ and the base64 of the key's SHA-256, as from \
             openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | \
             openssl dgst -sha256 -binary | base64"
        )
    };
    let text = word
        .strip_prefix("sha256/")
        .or_else(|| word.strip_prefix("sha256//"));
    let text = text
        .and_then(|text| text.strip_suffix('='))
        .ok_or_else(wrong)?;
    let mut bits: u32 = 0;
    let mut count = 0;
    let mut hash = heapless::Vec::<u8, 32>::new();
    for letter in text.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(wrong()),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            hash.push((bits >> count) as u8).map_err(|_| wrong())?;
            bits &= (1 << count) - 1;
        }
    }
    hash.into_array().map_err(|_| wrong())
}

/// What `read` makes of `text`, or nothing of nothing.
pub fn unless_empty<T>(
    text: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, String> {
    if text.is_empty() {
        Ok(None)
    } else {
        read(text).map(Some)
    }
}

/// The name of an agent: a part of paths and URLs, so it has no characters that mean something.
pub fn agent_id(text: &str) -> Result<String, String> {
    if mote_core::wire::orchestrator::is_id(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "{text:?} must be 1 to 64 letters, digits, dots, dashes and underscores"
        ))
    }
}

/// What an agent does.
pub fn agent_type(text: &str) -> Result<AgentType, String> {
    match text {
        "sensor" => Ok(AgentType::Sensor),
        "action" => Ok(AgentType::Action),
        "both" => Ok(AgentType::Both),
        _ => Err(format!("{text:?} must be sensor, action or both")),
    }
}

/// How an agent proves who it is.
pub fn auth_type(text: &str) -> Result<AuthType, String> {
    match text {
        "certificate" => Ok(AuthType::Certificate),
        "jwt" => Ok(AuthType::Jwt),
        "api_key" => Ok(AuthType::ApiKey),
        _ => Err(format!("{text:?} must be certificate, jwt or api_key")),
    }
}

/// How delays grow.
pub fn retry_backoff(text: &str) -> Result<RetryBackoff, String> {
    match text {
        "exponential" => Ok(RetryBackoff::Exponential),
        "constant" | "fixed" => Ok(RetryBackoff::Constant),
        _ => Err(format!("{text:?} must be exponential or constant")),
    }
}

/// The suites that there are, by their names and numbers (IANA, TLS Cipher Suites).
const CIPHER_SUITES: [(&str, u16); 9] = [
    ("TLS_AES_256_GCM_SHA384", 0x1302),
    ("TLS_AES_128_GCM_SHA256", 0x1301),
    ("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
];

/// Cipher suites by their names.
pub fn cipher_suites(text: &str) -> Result<Vec<u16>, String> {
    let number = |name: &String| {
        let known = CIPHER_SUITES.iter().find(|(known, _)| known == name);
        known.map(|(_, number)| *number).ok_or_else(|| {
            let names: Vec<_> = CIPHER_SUITES.iter().map(|(name, _)| *name).collect();
            format!("{name:?} is not one of {}", names.join(", "))
        })
    };
    list(text).iter().map(number).collect()
}

/// How log lines are written.
pub fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" | "console" => Ok(LogFormat::Text),
        _ => Err(format!("{text:?} must be json or text")),
    }
}

/// Where log lines go.
pub fn log_output(text: &str) -> Result<LogOutput, String> {
    match text {
        "stdout" => Ok(LogOutput::Stdout),
        "stderr" => Ok(LogOutput::Stderr),
        "none" | "file" => Ok(LogOutput::None),
        _ => Err(format!("{text:?} must be stdout, stderr, file or none")),
    }
}

/// The lowest level that is logged.
pub fn level(text: &str) -> Result<Level, String> {
    match text {
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warn" | "warning" => Ok(Level::Warn),
        "error" => Ok(Level::Error),
        _ => Err(format!("{text:?} must be debug, info, warn or error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: (u64, u64) = (0, u64::MAX);

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5h", 5_400_000),
            ("1h0m0.25s", 3_600_250),
            (".5s", 500),
            ("2500us", 2),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration_ms(text, ANY), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_remedy() {
        for text in [
            "",
            "s",
            "10 s",
            "ten",
            "-1s",
            "1d",
            "1.2.3s",
            "99999999999999h",
            "1s2",
            "s1",
        ] {
            let words = duration_ms(text, ANY).unwrap_err();
            assert!(words.contains("write it like 500ms"), "{text}: {words}");
        }
        assert!(
            duration_ms("10", ANY)
                .unwrap_err()
                .contains("write 10s for seconds")
        );
        let words = duration_ms("50ms", (100, 86_400_000)).unwrap_err();
        assert!(words.contains("from 100ms to 24h"), "{words}");
    }

    #[test]
    fn a_pin_is_the_base64_of_a_hash() {
        // SHA-256 of nothing.
        let words = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pins = pins(words).unwrap();
        assert_eq!(pins[0][..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(pins[0][30..], [0xb8, 0x55]);
        for wrong in [
            "sha256/",
            "47DEQpj8",
            "sha256/47DEQpj8HBSa=",
            "sha1/47DEQpj8=",
            "sha256/!=",
        ] {
            assert!(
                super::pins(wrong).unwrap_err().contains("openssl"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, size) in [
            ("64KiB", 65_536),
            ("256MB", 256_000_000),
            ("1GiB", 1 << 30),
            ("7B", 7),
        ] {
            assert_eq!(bytes(text, ANY, false), Ok(size), "{text}");
        }
        for text in ["", "MB", "64", "64 KiB", "64kb", "-1MB", "99999999999GB"] {
            let words = bytes(text, ANY, false).unwrap_err();
            assert!(words.contains("write it like 64KiB"), "{text}: {words}");
        }
        assert_eq!(bytes("134217728", ANY, true), Ok(134_217_728));
        assert!(
            bytes("1KB", (1_001, 2_000), true)
                .unwrap_err()
                .contains("1001")
        );
    }

    #[test]
    fn a_cipher_suite_that_is_not_there_is_answered_with_those_that_are() {
        assert_eq!(
            cipher_suites("TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256"),
            Ok(vec![0x1301, 0x1303])
        );
        assert_eq!(cipher_suites(""), Ok(vec![]));
        let words = cipher_suites("TLS_RSA_WITH_RC4_128_MD5").unwrap_err();
        assert!(words.contains("TLS_AES_256_GCM_SHA384"), "{words}");
    }

    #[test]
    fn decimals_are_read_in_thousandths() {
        assert_eq!(permille("0.2", (0, 1_000)), Ok(200));
        assert_eq!(permille("1", (0, 1_000)), Ok(1_000));
        assert_eq!(permille("0.0005", (0, 1_000)), Ok(0));
        for text in ["1.001", "-0.1", "", ".", "0,2", "1e3"] {
            assert!(permille(text, (0, 1_000)).is_err(), "{text}");
        }
    }
}
