//! What a value in the configuration may look like.
//!
//! Every reader gives the value or the words that say what would be right; nothing falls back to
//! a default. Durations are written as Go writes them (`500ms`, `1m30s`), because the agents that
//! mote replaces do so.
//!
//! Numbers, texts and lists are here; `choice` is what is one of a few words, `tls` what is about
//! TLS.

mod choice;
mod tls;

use std::net::IpAddr;
use std::path::PathBuf;

pub use choice::*;
pub use tls::*;

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

/// What is said of a text that is none of the words that there are.
fn must_be(text: &str, words: &str) -> String {
    format!("{text:?} must be {words}")
}

/// Words that are not empty.
pub fn words(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("is empty: give it a value, or leave it out".into())
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
    fn decimals_are_read_in_thousandths() {
        assert_eq!(permille("0.2", (0, 1_000)), Ok(200));
        assert_eq!(permille("1", (0, 1_000)), Ok(1_000));
        assert_eq!(permille("0.0005", (0, 1_000)), Ok(0));
        for text in ["1.001", "-0.1", "", ".", "0,2", "1e3"] {
            assert!(permille(text, (0, 1_000)).is_err(), "{text}");
        }
    }
}
