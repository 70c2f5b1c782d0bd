//! Days and dates of the Gregorian calendar, in UTC.
//!
//! Counted from 1601, which begins a cycle of 400 years: within one, every fourth year but the
//! hundredth is a leap year, and the last is one again. Years before 1601 are refused, since
//! nothing here reaches back to them.

use super::TimeError;

/// Seconds from the start of 1601 to the start of 1970.
pub(super) const EPOCH_S: u64 = 134_774 * DAY_S;

/// The last second of the year 9999, in Unix time.
pub(super) const LAST_S: u64 = 253_402_300_799;

pub(super) const DAY_S: u64 = 86_400;

const DAYS_IN_400_YEARS: u64 = 146_097;
const DAYS_IN_100_YEARS: u64 = 36_524;
const DAYS_IN_4_YEARS: u64 = 1_461;

/// A date and a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: u64,
    /// From 1.
    pub(super) month: u64,
    /// From 1.
    pub(super) day: u64,
    pub(super) hour: u64,
    pub(super) minute: u64,
    pub(super) second: u64,
}

impl Moment {
    /// Of a point in Unix time.
    pub(super) fn of_unix(unix_s: u64) -> Self {
        let (days, second_of_day) = (unix_s / DAY_S, unix_s % DAY_S);
        let mut left = days + EPOCH_S / DAY_S;
        let mut year = 1601 + left / DAYS_IN_400_YEARS * 400;
        left %= DAYS_IN_400_YEARS;
        // The last of the centuries, and of the years, is the one with the extra day.
        let centuries = (left / DAYS_IN_100_YEARS).min(3);
        left -= centuries * DAYS_IN_100_YEARS;
        year += centuries * 100 + left / DAYS_IN_4_YEARS * 4;
        left %= DAYS_IN_4_YEARS;
        let years = (left / 365).min(3);
        left -= years * 365;
        year += years;
        let mut month = 1;
        while left >= days_in_month(year, month) {
            left -= days_in_month(year, month);
            month += 1;
        }
        Self {
            year,
            month,
            day: left + 1,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
        }
    }

    /// The seconds since the start of 1601. Second 60 is taken for the next minute's first.
    pub(super) fn since_1601_s(&self) -> Result<u64, TimeError> {
        let in_range = (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second <= 60;
        if !in_range {
            return Err(TimeError::OutOfRange);
        }
        let years = self.year.checked_sub(1601).ok_or(TimeError::BeforeEpoch)?;
        let months = (1..self.month).map(|month| days_in_month(self.year, month));
        let days = years * 365 + years / 4 - years / 100 + years / 400 + months.sum::<u64>();
        let second_of_day = self.hour * 3600 + self.minute * 60 + self.second;
        Ok((days + self.day - 1) * DAY_S + second_of_day)
    }

    /// The Unix time.
    pub(super) fn unix_s(&self) -> Result<u64, TimeError> {
        self.since_1601_s()?
            .checked_sub(EPOCH_S)
            .ok_or(TimeError::BeforeEpoch)
    }
}

fn days_in_month(year: u64, month: u64) -> u64 {
    let is_leap = if year.is_multiple_of(100) {
        year.is_multiple_of(400)
    } else {
        year.is_multiple_of(4)
    };
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slow, obvious way: one day after the other.
    fn next_day([year, month, day]: [u64; 3]) -> [u64; 3] {
        let leap = if year % 100 == 0 {
            year % 400 == 0
        } else {
            year % 4 == 0
        };
        let february = if leap { 29 } else { 28 };
        let last = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
        match [year, month, day] {
            [year, 12, 31] => [year + 1, 1, 1],
            [year, month, day] if day == last => [year, month + 1, 1],
            [year, month, day] => [year, month, day + 1],
        }
    }

    #[test]
    fn every_day_to_the_end_of_9999_agrees_with_walking_there() {
        let mut date = [1970, 1, 1];
        for day in 0..=LAST_S / DAY_S {
            let moment = Moment::of_unix(day * DAY_S + day % DAY_S);
            assert_eq!([moment.year, moment.month, moment.day], date);
            assert_eq!(moment.unix_s(), Ok(day * DAY_S + day % DAY_S));
            date = next_day(date);
        }
        assert_eq!(date, [10_000, 1, 1]);
    }

    #[test]
    fn the_time_of_day_is_read_from_every_second() {
        for second in 0..DAY_S {
            let moment = Moment::of_unix(1_000_000 * DAY_S + second);
            assert_eq!(
                moment.hour * 3600 + moment.minute * 60 + moment.second,
                second
            );
            assert!(moment.hour < 24 && moment.minute < 60 && moment.second < 60);
        }
    }

    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        let good = Moment {
            year: 2024,
            month: 2,
            day: 29,
            hour: 23,
            minute: 59,
            second: 60,
        };
        assert_eq!(good.unix_s(), Ok(1_709_251_200));
        for bad in [
            Moment { year: 2023, ..good },
            Moment { year: 2100, ..good },
            Moment { day: 0, ..good },
            Moment { day: 30, ..good },
            Moment {
                month: 4,
                day: 31,
                ..good
            },
            Moment { month: 0, ..good },
            Moment { month: 13, ..good },
            Moment { hour: 24, ..good },
            Moment { minute: 60, ..good },
            Moment { second: 61, ..good },
        ] {
            assert_eq!(bad.unix_s(), Err(TimeError::OutOfRange), "{bad:?}");
        }
    }

    #[test]
    fn before_1970_there_is_nothing() {
        let last = Moment {
            year: 1969,
            month: 12,
            day: 31,
            hour: 23,
            minute: 59,
            second: 59,
        };
        assert_eq!(last.unix_s(), Err(TimeError::BeforeEpoch));
        assert_eq!(Moment { second: 60, ..last }.unix_s(), Ok(0));
        assert_eq!(
            Moment { year: 1600, ..last }.unix_s(),
            Err(TimeError::BeforeEpoch)
        );
        assert_eq!(
            Moment { year: 0, ..last }.unix_s(),
            Err(TimeError::BeforeEpoch)
        );
    }
}
