//! RFC 3339, as payloads and logs carry it: `2025-10-10T16:32:42.118Z`.
//!
//! Written always in UTC with milliseconds. Read with any offset, any number of decimals (what is
//! below a millisecond is dropped) and a lower-case `t` or `z`, as the RFC asks of readers; a blank
//! in place of the `T`, which it leaves open, is refused.

use super::calendar::{EPOCH_S, LAST_S, Moment};
use super::{Reader, TimeError, UnixMs, put};
use core::fmt;
use serde::{Serialize, Serializer};

/// A point in time that is shown and serialized as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rfc3339(pub UnixMs);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format_rfc3339(self.0);
        f.write_str(core::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = format_rfc3339(self.0);
        serializer.serialize_str(core::str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

/// The text of a point in time. What comes after the year 9999 is its last millisecond.
pub fn format_rfc3339(ms: UnixMs) -> [u8; 24] {
    let ms = ms.min(LAST_S * 1000 + 999);
    let moment = Moment::of_unix(ms / 1000);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    put(&mut text[0..4], moment.year);
    put(&mut text[5..7], moment.month);
    put(&mut text[8..10], moment.day);
    put(&mut text[11..13], moment.hour);
    put(&mut text[14..16], moment.minute);
    put(&mut text[17..19], moment.second);
    put(&mut text[20..23], ms % 1000);
    text
}

/// The point in time of a text.
pub fn parse_rfc3339(text: &[u8]) -> Result<UnixMs, TimeError> {
    let mut reader = Reader(text);
    let year = reader.number(4)?;
    reader.literal(b"-")?;
    let month = reader.number(2)?;
    reader.literal(b"-")?;
    let day = reader.number(2)?;
    if !reader.take(1)?.eq_ignore_ascii_case(b"T") {
        return Err(TimeError::BadForm);
    }
    let [hour, minute, second] = reader.time_of_day()?;
    let ms = fraction_ms(&mut reader)?;
    let local_s = Moment {
        year,
        month,
        day,
        hour,
        minute,
        second,
    }
    .since_1601_s();
    let unix_s = match reader.take(1)? {
        b"Z" | b"z" => local_s?,
        b"+" => local_s?
            .checked_sub(offset_s(&mut reader)?)
            .ok_or(TimeError::BeforeEpoch)?,
        b"-" => local_s?.saturating_add(offset_s(&mut reader)?),
        _ => return Err(TimeError::BadForm),
    };
    reader.end()?;
    let unix_s = unix_s.checked_sub(EPOCH_S).ok_or(TimeError::BeforeEpoch)?;
    Ok(unix_s * 1000 + ms)
}

/// `.118` and the like, or nothing.
fn fraction_ms(reader: &mut Reader<'_>) -> Result<u64, TimeError> {
    let Some(rest) = reader.0.strip_prefix(b".") else {
        return Ok(0);
    };
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if count == 0 {
        return Err(TimeError::BadForm);
    }
    let (decimals, rest) = rest.split_at(count);
    reader.0 = rest;
    let weights = [100, 10, 1];
    Ok(decimals
        .iter()
        .zip(weights)
        .map(|(digit, weight)| u64::from(digit - b'0') * weight)
        .sum())
}

/// `01:30` after the sign.
fn offset_s(reader: &mut Reader<'_>) -> Result<u64, TimeError> {
    let hours = reader.number(2)?;
    reader.literal(b":")?;
    let minutes = reader.number(2)?;
    if hours > 23 || minutes > 59 {
        return Err(TimeError::OutOfRange);
    }
    Ok(hours * 3600 + minutes * 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn check(text: &str, expected: Result<u64, TimeError>) {
        assert_eq!(parse_rfc3339(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn known_times_read_and_write_the_same() {
        for (text, ms) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2025-10-10T16:32:42.118Z", 1_760_113_962_118),
            ("2038-01-19T03:14:08.000Z", 2_147_483_648_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(core::str::from_utf8(&format_rfc3339(ms)), Ok(text));
            assert_eq!(Rfc3339(ms).to_string(), text);
            check(text, Ok(ms));
        }
        assert_eq!(&format_rfc3339(u64::MAX), b"9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn other_ways_of_writing_are_read() {
        let ms = 1_760_113_962_118;
        check("2025-10-10t16:32:42.118z", Ok(ms));
        check("2025-10-10T18:32:42.118+02:00", Ok(ms));
        check("2025-10-10T11:02:42.118-05:30", Ok(ms));
        check("2025-10-11T16:31:42.118+23:59", Ok(ms));
        check("2025-10-10T16:32:42.118-00:00", Ok(ms));
        check("2025-10-10T16:32:42.118999999999999999999999Z", Ok(ms));
        check("2025-10-10T16:32:42.1Z", Ok(ms - 18));
        check("2025-10-10T16:32:42Z", Ok(ms - 118));
        check("1969-12-31T23:00:00-01:00", Ok(0));
        check("9999-12-31T23:59:59-23:59", Ok(253_402_387_139_000));
    }

    #[test]
    fn a_leap_second_is_the_next_second() {
        check("2016-12-31T23:59:60Z", Ok(1_483_228_800_000));
        check("2017-01-01T00:59:60.5+01:00", Ok(1_483_228_800_500));
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        use TimeError::{BadForm, BeforeEpoch, OutOfRange};
        for text in [
            "",
            "2025-10-10",
            "2025-10-10T16:32:42.118",
            "2025-10-10 16:32:42Z",
            "2025-10-10T16:32:42.Z",
            "2025-10-10T16:32:42,118Z",
            "2025-10-10T16:32Z",
            "2025-10-10T16:32:42Z ",
            "2025-10-10T16:32:42+0200",
            "2025-10-10T16:32:42+02",
            "25-10-10T16:32:42Z",
            "+025-10-10T16:32:42Z",
            "2025-1-10T16:32:42Z",
            "2025-10-10T16:32:42UTC",
        ] {
            check(text, Err(BadForm));
        }
        check("2025-02-29T00:00:00Z", Err(OutOfRange));
        check("2025-10-10T24:00:00Z", Err(OutOfRange));
        check("2025-10-10T16:32:61Z", Err(OutOfRange));
        check("2025-10-10T16:32:42+24:00", Err(OutOfRange));
        check("2025-10-10T16:32:42+02:60", Err(OutOfRange));
        check("1969-12-31T23:59:59.999Z", Err(BeforeEpoch));
        check("1970-01-01T00:30:00+01:00", Err(BeforeEpoch));
        check("0000-01-01T00:00:00Z", Err(BeforeEpoch));
    }

    #[test]
    fn a_cut_time_is_refused() {
        let text = b"2025-10-10T16:32:42.118+02:00";
        for cut in 0..text.len() {
            assert!(parse_rfc3339(&text[..cut]).is_err(), "cut at byte {cut}");
        }
    }

    #[test]
    fn random_times_survive_writing_and_reading() {
        let seed = 0x3333_3339;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..100_000 {
            let ms = rng.below(LAST_S * 1000 + 1000);
            assert_eq!(parse_rfc3339(&format_rfc3339(ms)), Ok(ms));
        }
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let seed = 0x3333_3340;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..100_000 {
            let mut text = *b"2025-10-10T16:32:42.118+02:00";
            for _ in 0..=rng.below(3) {
                let at = rng.below(text.len() as u64) as usize;
                text[at] = b"0123456789:-+.TZtz \xff"[rng.below(20) as usize];
            }
            if let Ok(ms) = parse_rfc3339(&text) {
                assert!(ms < (LAST_S + 86_400) * 1000);
            }
        }
    }
}
