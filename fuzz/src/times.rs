//! Times as other programs write them.

use mote_core::time::{
    format_http_date, format_rfc3339, parse_http_date, parse_rfc3339, retry_after_ms,
};

use crate::planted_bug;

/// 2026-01-01.
const NOW_S: u64 = 1_767_225_600;
/// The end of the year 9999: the last that is written with four digits.
const END_S: u64 = 253_402_300_800;

pub(crate) fn http_date(bytes: &[u8]) {
    if let Ok(unix_s) = parse_http_date(bytes, NOW_S) {
        assert!(unix_s < END_S, "{unix_s}");
        assert_eq!(
            parse_http_date(&format_http_date(unix_s), NOW_S),
            Ok(unix_s)
        );
        planted_bug(unix_s % 60 == 33);
    }
}

pub(crate) fn retry_after(bytes: &[u8]) {
    if let Some(ms) = retry_after_ms(bytes, NOW_S * 1000) {
        assert!((1_000..=3_600_000).contains(&ms), "{ms}");
        planted_bug(ms == 20_000);
    }
}

pub(crate) fn rfc3339(bytes: &[u8]) {
    if let Ok(ms) = parse_rfc3339(bytes) {
        assert!(ms / 1000 < END_S + 86_400, "{ms}");
        if ms / 1000 < END_S {
            assert_eq!(parse_rfc3339(&format_rfc3339(ms)), Ok(ms));
        }
        planted_bug(ms % 1000 > 500);
    }
}
