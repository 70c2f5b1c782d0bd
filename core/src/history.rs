//! What the device's figures were in the last minutes, hours and days: three rings of averages.
//!
//! | span | a point is | points |
//! | --- | --- | --- |
//! | 10 minutes | 10 s | 60 |
//! | 4 hours | 1 min | 240 |
//! | 48 hours | 10 min | 288 |
//!
//! Times are milliseconds since the kernel started, suspend included; point `n` of a span is the
//! average of what was seen from `n × step` on until the next. A figure that was absent does not
//! count, and a point for which there was none is absent: where the device slept or the agent was
//! late there is a gap, never a made-up value. The newest point is the one that is still being
//! filled.
//!
//! The slots belong to the caller and are all zero where nothing was put yet, so memory that was
//! never used stays the untouched pages that the kernel gave. A point takes 20 bytes, a figure 16
//! bits of them and a rate 32: what is beyond is kept as the largest that fits.
//!
//! Never reads a clock. When figures are read, and which, is the caller's business.

/// What is remembered, and its place in [`Figures`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Busy share of all processors, tenths of a percent.
    Cpu,
    /// Used share of memory, tenths of a percent.
    Memory,
    /// Used share of the watched file system, tenths of a percent.
    Disk,
    /// Tasks that ran or wanted to, hundredths.
    Load,
    /// Temperature, tenths of a degree Celsius.
    Temperature,
    /// Received, bytes a second.
    Received,
    /// Sent, bytes a second.
    Sent,
}

/// How many series there are.
pub const SERIES: usize = 7;

/// One look at the device, in the order of [`Series`]; absent is what is not known.
pub type Figures = [Option<i64>; SERIES];

/// How far back one looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// 60 points of 10 seconds.
    TenMinutes,
    /// 240 points of a minute.
    FourHours,
    /// 288 points of 10 minutes.
    TwoDays,
}

impl Span {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::TenMinutes, Self::FourHours, Self::TwoDays];

    /// Milliseconds of a point.
    pub const fn step_ms(self) -> u64 {
        match self {
            Self::TenMinutes => 10_000,
            Self::FourHours => 60_000,
            Self::TwoDays => 600_000,
        }
    }

    /// How many points it has.
    pub const fn points(self) -> u64 {
        match self {
            Self::TenMinutes => 60,
            Self::FourHours => 240,
            Self::TwoDays => 288,
        }
    }

    /// Where its slots begin.
    const fn first_word(self) -> usize {
        let points = match self {
            Self::TenMinutes => 0,
            Self::FourHours => 60,
            Self::TwoDays => 300,
        };
        points * POINT_WORDS
    }
}

const POINT_WORDS: usize = 5;

/// Words that a history needs.
pub const WORDS: usize = 588 * POINT_WORDS;

/// Added to a temperature, so that frost has a place among numbers without a sign.
const BELOW_ZERO: i64 = 5_000;

/// The three rings.
#[derive(Debug)]
pub struct History<S> {
    slots: S,
    running: [Running; 3],
}

/// The point of one ring that is being filled.
#[derive(Debug, Clone, Copy, Default)]
struct Running {
    /// Its number; nothing was ever put while this is `None`.
    point: Option<u64>,
    sums: [i64; SERIES],
    counts: [u32; SERIES],
}

impl<S: AsRef<[u32]> + AsMut<[u32]>> History<S> {
    /// An empty history in slots of zeros; `None` if there are fewer than [`WORDS`].
    pub fn new(slots: S) -> Option<Self> {
        (slots.as_ref().len() >= WORDS).then_some(Self {
            slots,
            running: [Running::default(); 3],
        })
    }

    /// Takes figures of `boot_ms`, which stand for the `window_ms` before it: where a window is
    /// longer than a point, it fills all the points that it covers.
    pub fn add(&mut self, boot_ms: u64, window_ms: u64, figures: &Figures) {
        for span in Span::ALL {
            self.add_to(span, boot_ms, window_ms, figures);
        }
    }

    fn add_to(&mut self, span: Span, boot_ms: u64, window_ms: u64, figures: &Figures) {
        let mut running = self.running[span as usize];
        let now = boot_ms / span.step_ms();
        if running.point.is_none_or(|point| now > point) {
            // Of a stretch longer than the ring only the end is left anyway.
            let earliest = (now + 1).saturating_sub(span.points());
            let next = running.point.map_or(earliest, |point| point + 1);
            let covered = boot_ms.saturating_sub(window_ms) / span.step_ms();
            for point in next.max(earliest)..now {
                if point < covered {
                    self.slot(span, point).fill(0);
                } else {
                    pack(self.slot(span, point), figures);
                }
            }
            running = Running {
                point: Some(now),
                ..Running::default()
            };
        }
        let mut average = [None; SERIES];
        for (at, figure) in figures.iter().enumerate() {
            if let Some(figure) = figure {
                running.sums[at] = running.sums[at].saturating_add(*figure);
                running.counts[at] += 1;
            }
            let count = i64::from(running.counts[at]);
            average[at] = (count > 0).then(|| (running.sums[at] + count / 2).div_euclid(count));
        }
        pack(self.slot(span, now), &average);
        self.running[span as usize] = running;
    }

    /// What one series was in point `point`; absent where nothing is known (any more).
    pub fn get(&self, span: Span, point: u64, series: Series) -> Option<i64> {
        let newest = self.running[span as usize].point?;
        if point > newest || point + span.points() <= newest {
            return None;
        }
        let at = place(span, point);
        let slot = self.slots.as_ref().get(at..at + POINT_WORDS)?;
        let half = |word: usize, shift: u32| unbiased(u64::from(slot[word] >> shift & 0xffff));
        match series {
            Series::Cpu => half(0, 16),
            Series::Memory => half(0, 0),
            Series::Disk => half(1, 16),
            Series::Load => half(1, 0),
            Series::Temperature => half(2, 0).map(|value| value - BELOW_ZERO),
            Series::Received => unbiased(slot[3].into()),
            Series::Sent => unbiased(slot[4].into()),
        }
    }

    fn slot(&mut self, span: Span, point: u64) -> &mut [u32] {
        let at = place(span, point);
        &mut self.slots.as_mut()[at..at + POINT_WORDS]
    }
}

fn place(span: Span, point: u64) -> usize {
    span.first_word() + (point % span.points()) as usize * POINT_WORDS
}

fn pack(slot: &mut [u32], figures: &Figures) {
    let half = |series: Series, add: i64| {
        let figure = figures[series as usize].map(|figure| figure.saturating_add(add));
        biased(figure, 0xffff)
    };
    slot.copy_from_slice(&[
        half(Series::Cpu, 0) << 16 | half(Series::Memory, 0),
        half(Series::Disk, 0) << 16 | half(Series::Load, 0),
        half(Series::Temperature, BELOW_ZERO),
        biased(figures[Series::Received as usize], u32::MAX),
        biased(figures[Series::Sent as usize], u32::MAX),
    ]);
}

/// One more than the figure, kept within `most`; 0 for none.
fn biased(figure: Option<i64>, most: u32) -> u32 {
    let kept = |figure: i64| figure.max(0).unsigned_abs().min(u64::from(most) - 1);
    figure.map_or(0, |figure| kept(figure) as u32 + 1)
}

fn unbiased(word: u64) -> Option<i64> {
    word.checked_sub(1).map(u64::cast_signed)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::rng::Rng;

    fn new() -> History<Vec<u32>> {
        History::new(vec![0; WORDS]).unwrap()
    }

    fn cpu(tenths: i64) -> Figures {
        let mut figures = [None; SERIES];
        figures[Series::Cpu as usize] = Some(tenths);
        figures
    }

    #[track_caller]
    fn check(history: &History<Vec<u32>>, span: Span, from: u64, expected: &[Option<i64>]) {
        let found: Vec<_> = (from..from + expected.len() as u64)
            .map(|point| history.get(span, point, Series::Cpu))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_point_is_the_average_of_what_was_seen_in_it() {
        let mut history = new();
        for (boot_ms, tenths) in [(21_000, 10), (22_000, 20), (29_999, 60), (30_000, 7)] {
            history.add(boot_ms, 1_000, &cpu(tenths));
        }
        check(
            &history,
            Span::TenMinutes,
            1,
            &[None, Some(30), Some(7), None],
        );
        check(&history, Span::FourHours, 0, &[Some(24), None]);
        check(&history, Span::TwoDays, 0, &[Some(24), None]);
    }

    #[test]
    fn what_is_absent_stays_absent_and_does_not_count() {
        let mut history = new();
        history.add(1_000, 1_000, &cpu(100));
        history.add(2_000, 1_000, &[None; SERIES]);
        history.add(3_000, 1_000, &cpu(200));
        check(&history, Span::TenMinutes, 0, &[Some(150)]);
        for series in [
            Series::Memory,
            Series::Load,
            Series::Temperature,
            Series::Sent,
        ] {
            assert_eq!(history.get(Span::TenMinutes, 0, series), None, "{series:?}");
        }
    }

    #[test]
    fn a_suspend_leaves_a_gap_and_what_was_before_it() {
        let mut history = new();
        history.add(5_000, 10_000, &cpu(1));
        history.add(15_000, 10_000, &cpu(2));
        history.add(55_000, 10_000, &cpu(3));
        let points = [Some(1), Some(2), None, None, Some(3), Some(3), None];
        check(&history, Span::TenMinutes, 0, &points);
        // Two days asleep leave nothing of the short rings.
        history.add(172_805_000, 10_000, &cpu(4));
        assert_eq!(history.get(Span::TenMinutes, 17_280, Series::Cpu), Some(4));
        check(&history, Span::TenMinutes, 17_221, &[None; 58]);
        assert_eq!(
            history.get(Span::TwoDays, 0, Series::Cpu),
            None,
            "gone round"
        );
    }

    #[test]
    fn a_window_longer_than_a_point_fills_what_it_covers() {
        let mut history = new();
        history.add(60_000, 30_000, &cpu(1));
        history.add(90_000, 30_000, &cpu(2));
        let points = [
            Some(1),
            Some(1),
            Some(1),
            Some(1),
            Some(2),
            Some(2),
            Some(2),
        ];
        check(&history, Span::TenMinutes, 3, &points);
    }

    #[test]
    fn a_tick_late_across_a_border_leaves_no_gap() {
        let mut history = new();
        for boot_ms in [9_999, 19_999, 30_001, 39_999] {
            history.add(boot_ms, 10_000, &cpu(5));
        }
        check(&history, Span::TenMinutes, 0, &[Some(5); 4]);
    }

    #[test]
    fn figures_are_kept_to_their_last_digit_or_at_their_largest() {
        let mut history = new();
        let figures = [
            Some(1000),
            Some(0),
            Some(999),
            Some(70_000),
            Some(-405),
            Some(i64::MAX),
            Some(4_000_000_000),
        ];
        history.add(0, 1_000, &figures);
        let get = |series| history.get(Span::TwoDays, 0, series);
        assert_eq!(get(Series::Cpu), Some(1000));
        assert_eq!(get(Series::Memory), Some(0));
        assert_eq!(get(Series::Disk), Some(999));
        assert_eq!(get(Series::Load), Some(65_534));
        assert_eq!(get(Series::Temperature), Some(-405));
        assert_eq!(get(Series::Received), Some(i64::from(u32::MAX) - 1));
        assert_eq!(get(Series::Sent), Some(4_000_000_000));
    }

    #[test]
    fn the_rings_agree_with_a_list_of_everything() {
        let seed = 0x6869_7374;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut history = new();
        let (mut all, mut boot_ms) = (Vec::new(), 200_000_000);
        for _ in 0..4_000 {
            // Mostly a steady beat, sometimes a long sleep.
            boot_ms += if rng.below(100) == 0 {
                rng.below(7_200_000)
            } else {
                500 + rng.below(1_000)
            };
            let tenths = rng.below(1_001).cast_signed();
            all.push((boot_ms, tenths));
            history.add(boot_ms, 0, &cpu(tenths));
        }
        for span in Span::ALL {
            let newest = boot_ms / span.step_ms();
            for point in newest - span.points() + 1..=newest {
                let of_point = all.iter().filter(|(ms, _)| ms / span.step_ms() == point);
                let values: Vec<i64> = of_point.map(|(_, tenths)| *tenths).collect();
                let count = i64::try_from(values.len()).unwrap();
                let sum: i64 = values.iter().sum();
                let expected = (count > 0).then(|| (sum + count / 2) / count);
                let found = history.get(span, point, Series::Cpu);
                assert_eq!(found, expected, "{span:?} {point}");
            }
        }
    }

    #[test]
    fn a_history_takes_twelve_kilobytes() {
        assert_eq!(WORDS * 4, 11_760);
        assert!(History::new(vec![0; WORDS - 1]).is_none());
        assert!(size_of::<[Running; 3]>() <= 320);
    }
}
