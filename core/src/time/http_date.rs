//! HTTP's dates (RFC 9110, section 5.6.7), in seconds.
//!
//! Three forms are read, as the RFC asks: `Sun, 06 Nov 1994 08:49:37 GMT`, which alone is written,
//! and the obsolete `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`. The name of
//! the weekday must be one, but need not be the right one: the numbers decide.

use super::calendar::{DAY_S, LAST_S, Moment};
use super::{Reader, TimeError, put};

const WEEKDAYS: [&[u8]; 7] = [
    b"Sunday",
    b"Monday",
    b"Tuesday",
    b"Wednesday",
    b"Thursday",
    b"Friday",
    b"Saturday",
];

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Fifty mean years of the calendar.
const FIFTY_YEARS_S: u64 = 50 * 31_556_952;

/// The text of a point in Unix seconds. What comes after the year 9999 is its last second.
pub fn format_http_date(unix_s: u64) -> [u8; 29] {
    let unix_s = unix_s.min(LAST_S);
    let moment = Moment::of_unix(unix_s);
    let mut text = *b"Sun, 00 Jan 0000 00:00:00 GMT";
    // The first day of 1970 was a Thursday.
    let weekday = WEEKDAYS[((unix_s / DAY_S + 4) % 7) as usize];
    text[0..3].copy_from_slice(&weekday[..3]);
    put(&mut text[5..7], moment.day);
    let month_at = (moment.month as usize - 1) * 3;
    text[8..11].copy_from_slice(&MONTHS[month_at..month_at + 3]);
    put(&mut text[12..16], moment.year);
    put(&mut text[17..19], moment.hour);
    put(&mut text[20..22], moment.minute);
    put(&mut text[23..25], moment.second);
    text
}

/// The Unix seconds of a text in any of the three forms. A year of two digits is the latest that
/// is not more than fifty years after `now_s`.
pub fn parse_http_date(text: &[u8], now_s: u64) -> Result<u64, TimeError> {
    let name_bytes = text.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let (name, rest) = text.split_at(name_bytes);
    let is_short = WEEKDAYS.iter().any(|day| &day[..3] == name);
    let reader = Reader(rest);
    match rest.first() {
        Some(b',') if is_short => imf_fixdate(reader),
        Some(b',') if WEEKDAYS.contains(&name) => rfc850_date(reader, now_s),
        Some(b' ') if is_short => asctime_date(reader),
        _ => Err(TimeError::BadForm),
    }
}

/// `, 06 Nov 1994 08:49:37 GMT`
fn imf_fixdate(mut reader: Reader<'_>) -> Result<u64, TimeError> {
    reader.literal(b", ")?;
    let day = reader.number(2)?;
    reader.literal(b" ")?;
    let month = month(&mut reader)?;
    reader.literal(b" ")?;
    let year = reader.number(4)?;
    reader.literal(b" ")?;
    let [hour, minute, second] = reader.time_of_day()?;
    reader.literal(b" GMT")?;
    reader.end()?;
    Moment {
        year,
        month,
        day,
        hour,
        minute,
        second,
    }
    .unix_s()
}

/// `, 06-Nov-94 08:49:37 GMT`
fn rfc850_date(mut reader: Reader<'_>, now_s: u64) -> Result<u64, TimeError> {
    reader.literal(b", ")?;
    let day = reader.number(2)?;
    reader.literal(b"-")?;
    let month = month(&mut reader)?;
    reader.literal(b"-")?;
    let year_of_century = reader.number(2)?;
    reader.literal(b" ")?;
    let [hour, minute, second] = reader.time_of_day()?;
    reader.literal(b" GMT")?;
    reader.end()?;
    let now_s = now_s.min(LAST_S);
    let century = Moment::of_unix(now_s).year / 100;
    let mut found = Err(TimeError::OutOfRange);
    // From the earliest on, so that the latest that is allowed stays; in some centuries the 29th
    // of February may not exist.
    for century in [century - 1, century, century + 1] {
        let year = century * 100 + year_of_century;
        let then = Moment {
            year,
            month,
            day,
            hour,
            minute,
            second,
        }
        .unix_s();
        match then {
            Ok(then_s) if then_s <= now_s + FIFTY_YEARS_S => found = then,
            Err(_) if found.is_err() => found = then,
            _ => {}
        }
    }
    found
}

/// ` Nov  6 08:49:37 1994`
fn asctime_date(mut reader: Reader<'_>) -> Result<u64, TimeError> {
    reader.literal(b" ")?;
    let month = month(&mut reader)?;
    reader.literal(b" ")?;
    let day_digits = if reader.0.first() == Some(&b' ') {
        reader.literal(b" ")?;
        1
    } else {
        2
    };
    let day = reader.number(day_digits)?;
    reader.literal(b" ")?;
    let [hour, minute, second] = reader.time_of_day()?;
    reader.literal(b" ")?;
    let year = reader.number(4)?;
    reader.end()?;
    Moment {
        year,
        month,
        day,
        hour,
        minute,
        second,
    }
    .unix_s()
}

fn month(reader: &mut Reader<'_>) -> Result<u64, TimeError> {
    let name = reader.take(3)?;
    let index = MONTHS
        .chunks(3)
        .position(|month| month == name)
        .ok_or(TimeError::BadForm)?;
    Ok(index as u64 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const NOW_S: u64 = 1_760_113_962;

    fn check(text: &str, expected: Result<u64, TimeError>) {
        assert_eq!(
            parse_http_date(text.as_bytes(), NOW_S),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn the_three_forms_say_the_same() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Ok(784_111_777));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Ok(784_111_777));
        check("Sun Nov  6 08:49:37 1994", Ok(784_111_777));
        check("Wed Nov 16 08:49:37 1994", Ok(784_975_777));
        assert_eq!(
            &format_http_date(784_111_777),
            b"Sun, 06 Nov 1994 08:49:37 GMT"
        );
    }

    #[test]
    fn the_numbers_decide_not_the_weekday() {
        check("Mon, 06 Nov 1994 08:49:37 GMT", Ok(784_111_777));
        check("Sat, 31 Dec 2016 23:59:60 GMT", Ok(1_483_228_800));
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        use TimeError::{BadForm, BeforeEpoch, OutOfRange};
        for text in [
            "",
            "Sun",
            "Sun,",
            "sun, 06 Nov 1994 08:49:37 GMT",
            "Day, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 nov 1994 08:49:37 GMT",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 06 Nov 94 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 GMT ",
            "Sun, 06-Nov-94 08:49:37 GMT",
            "Sunday, 06-Nov-1994 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Sun Nov  6 08:49:37 94",
            "1994-11-06T08:49:37Z",
        ] {
            check(text, Err(BadForm));
        }
        check("Sun, 31 Nov 1994 08:49:37 GMT", Err(OutOfRange));
        check("Sunday, 32-Nov-94 08:49:37 GMT", Err(OutOfRange));
        check("Sun Nov  0 08:49:37 1994", Err(OutOfRange));
        check("Sun, 06 Nov 1994 24:49:37 GMT", Err(OutOfRange));
        check("Sun, 06 Nov 1960 08:49:37 GMT", Err(BeforeEpoch));
        for form in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            for cut in 0..form.len() {
                check(&form[..cut], Err(BadForm));
            }
        }
    }

    #[test]
    fn a_year_of_two_digits_is_never_far_in_the_future() {
        let year_of = |text: &str, now_s| {
            parse_http_date(text.as_bytes(), now_s).map(|s| Moment::of_unix(s).year)
        };
        let start_of = |year| {
            Moment {
                year,
                month: 1,
                day: 1,
                hour: 0,
                minute: 0,
                second: 0,
            }
            .unix_s()
            .unwrap()
        };
        let (year_2025, year_2099) = (start_of(2025), start_of(2099));
        assert_eq!(
            year_of("Friday, 10-Oct-25 16:32:42 GMT", year_2025),
            Ok(2025)
        );
        assert_eq!(
            year_of("Friday, 10-Oct-74 16:32:42 GMT", year_2025),
            Ok(2074)
        );
        assert_eq!(
            year_of("Friday, 10-Oct-76 16:32:42 GMT", year_2025),
            Ok(1976)
        );
        assert_eq!(
            year_of("Friday, 01-Jan-01 00:00:00 GMT", year_2099),
            Ok(2101)
        );
        assert_eq!(
            year_of("Friday, 01-Jan-99 00:00:00 GMT", year_2099),
            Ok(2099)
        );
        // 2100 has no 29th of February, 2000 had.
        assert_eq!(
            year_of("Friday, 29-Feb-00 00:00:00 GMT", year_2099),
            Ok(2000)
        );
        // A device whose clock stands at 1970 cannot tell.
        assert_eq!(
            year_of("Friday, 10-Oct-25 16:32:42 GMT", 0),
            Err(TimeError::BeforeEpoch)
        );
    }

    #[test]
    fn random_times_survive_writing_and_reading() {
        let seed = 0x9110;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..50_000 {
            let unix_s = rng.below(LAST_S + 1);
            let text = format_http_date(unix_s);
            assert_eq!(parse_http_date(&text, 0), Ok(unix_s));
            // The weekday by Zeller's congruence, from the date alone.
            let date = Moment::of_unix(unix_s);
            let (month, year) = if date.month < 3 {
                (date.month + 12, date.year - 1)
            } else {
                (date.month, date.year)
            };
            let zeller =
                (date.day + 13 * (month + 1) / 5 + year + year / 4 - year / 100 + year / 400) % 7;
            let names = [b"Sat", b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri"];
            assert_eq!(&text[..3], names[zeller as usize], "{unix_s}");
        }
        assert_eq!(
            &format_http_date(u64::MAX),
            b"Fri, 31 Dec 9999 23:59:59 GMT"
        );
    }
}
