//! The header in which a server asks for patience: `Retry-After: 120`, or a date.
//!
//! Whatever is asked, the wait is at least a second, or a server in trouble would be hammered, and
//! at most an hour, or one bad header would silence a device for a year.

use super::{UnixMs, parse_http_date};

const SHORTEST_MS: u64 = 1_000;
const LONGEST_MS: u64 = 3_600_000;

/// How long a `Retry-After` header asks to wait: seconds or a date, kept within a second and an
/// hour. `None` when it is neither.
pub fn retry_after_ms(value: &[u8], now_ms: UnixMs) -> Option<u64> {
    let value = value.trim_ascii();
    let wait_ms = if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        value
            .iter()
            .fold(0_u64, |s, digit| {
                s.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
            })
            .saturating_mul(1000)
    } else {
        let then_s = parse_http_date(value, now_ms / 1000).ok()?;
        then_s.saturating_mul(1000).saturating_sub(now_ms)
    };
    Some(wait_ms.clamp(SHORTEST_MS, LONGEST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n8_patience_is_kept_within_a_second_and_an_hour() {
        let now_ms = 1_760_113_962_118;
        let check = |value: &str, expected| {
            assert_eq!(
                retry_after_ms(value.as_bytes(), now_ms),
                expected,
                "{value:?}"
            );
        };
        check("120", Some(120_000));
        check(" 120 ", Some(120_000));
        check("0", Some(1_000));
        check("3601", Some(3_600_000));
        check("99999999999999999999999999", Some(3_600_000));
        check("Fri, 10 Oct 2025 16:33:42 GMT", Some(59_882));
        check("Friday, 10-Oct-25 16:33:42 GMT", Some(59_882));
        check("Fri, 10 Oct 2025 16:32:42 GMT", Some(1_000));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(3_600_000));
        for junk in [
            "",
            " ",
            "-5",
            "+5",
            "1.5",
            "5s",
            "soon",
            "Fri, 10 Oct 2025 25:33:42 GMT",
        ] {
            check(junk, None);
        }
    }
}
