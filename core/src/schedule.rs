//! When the next tick is due, on a grid that does not drift.
//!
//! Milliseconds on a clock that only goes forward; the caller reads it. Ticks fall on
//! `first_ms + k × interval_ms`. A caller that comes late gets one tick for all that it missed,
//! those are counted, and the grid stays where it was.
//!
//! Never waits and knows nothing of wall time.

/// The grid and the next point on it.
#[derive(Debug, Clone)]
pub struct Schedule {
    next_ms: u64,
    interval_ms: u64,
    missed: u64,
}

impl Schedule {
    /// The first tick is at `first_ms`. An interval of nothing counts as a millisecond.
    pub const fn new(first_ms: u64, interval_ms: u64) -> Self {
        let interval_ms = if interval_ms == 0 { 1 } else { interval_ms };
        Self {
            next_ms: first_ms,
            interval_ms,
            missed: 0,
        }
    }

    /// When the next tick is due.
    pub fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// Whether a tick is due; if so it is taken, and the next is the first point after `now_ms`.
    pub fn due(&mut self, now_ms: u64) -> bool {
        let Some(late_ms) = now_ms.checked_sub(self.next_ms) else {
            return false;
        };
        let passed_over = late_ms / self.interval_ms;
        self.missed = self.missed.saturating_add(passed_over);
        let on_grid_ms = self.next_ms + passed_over * self.interval_ms;
        self.next_ms = on_grid_ms.saturating_add(self.interval_ms);
        true
    }

    /// The ticks that were passed over since the start because the caller came too late.
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_due_once_at_its_time() {
        let mut schedule = Schedule::new(1_000, 100);
        assert!(!schedule.due(999));
        assert!(schedule.due(1_000));
        assert!(!schedule.due(1_000));
        assert_eq!(schedule.next_ms(), 1_100);
        assert!(schedule.due(1_199), "late, but within its interval");
        assert_eq!((schedule.next_ms(), schedule.missed()), (1_200, 0));
    }

    #[test]
    fn one_tick_catches_up_and_the_grid_stays() {
        let mut schedule = Schedule::new(1_000, 100);
        assert!(schedule.due(1_350));
        assert_eq!((schedule.next_ms(), schedule.missed()), (1_400, 3));
        assert!(!schedule.due(1_399));
        assert!(schedule.due(1_500));
        assert_eq!((schedule.next_ms(), schedule.missed()), (1_600, 4));
    }

    #[test]
    fn k5_after_eight_hours_of_sleep_one_tick_catches_up() {
        let (interval_ms, sleep_ms) = (10_000, 8 * 3_600_000);
        let mut schedule = Schedule::new(0, interval_ms);
        assert!(schedule.due(3));
        let awake_ms = sleep_ms + 4_321;
        assert!(schedule.due(awake_ms));
        assert!(!schedule.due(awake_ms), "one, and no burst");
        assert_eq!(schedule.missed(), sleep_ms / interval_ms - 1);
        assert_eq!(schedule.next_ms(), sleep_ms + interval_ms);
    }

    #[test]
    fn a_clock_at_its_end_does_not_overflow() {
        let mut schedule = Schedule::new(0, 7);
        assert!(schedule.due(u64::MAX));
        assert_eq!(schedule.next_ms(), u64::MAX);
        assert_eq!(schedule.missed(), u64::MAX / 7);
    }

    #[test]
    fn an_interval_of_nothing_is_a_millisecond() {
        let mut schedule = Schedule::new(0, 0);
        assert!(schedule.due(0));
        assert_eq!(schedule.next_ms(), 1);
    }

    #[test]
    fn the_grid_agrees_with_walking_it_point_by_point() {
        use crate::rng::Rng;
        let seed = 0x7363_6865;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..500 {
            let (first_ms, interval_ms) = (rng.below(500), 1 + rng.below(50));
            let mut schedule = Schedule::new(first_ms, interval_ms);
            let (mut next_ms, mut missed, mut now_ms) = (first_ms, 0, 0);
            for _ in 0..50 {
                now_ms += rng.below(120);
                let due = now_ms >= next_ms;
                let mut steps = 0;
                while next_ms <= now_ms {
                    next_ms += interval_ms;
                    steps += 1;
                }
                missed += if due { steps - 1 } else { 0 };
                assert_eq!(schedule.due(now_ms), due);
                assert_eq!((schedule.next_ms(), schedule.missed()), (next_ms, missed));
            }
        }
    }
}
