//! The busy share of the processors between two readings of `/proc/stat`.
//!
//! Ticks in, tenths of a percent out; over all processors together. Before the first reading there
//! is nothing to subtract, so the first share is the one since the kernel started.
//!
//! Differences are taken column by column and never below zero: the kernel's iowait may go back,
//! and processors that are plugged in or out may take their columns along. It does not say how
//! long a window was: a reading that comes before the next tick gives the last share again.

use crate::proc::stat::CpuTimes;
use crate::sample::Tenths;

/// Remembers the last reading.
#[derive(Debug, Clone, Copy)]
pub struct CpuMeter {
    last: CpuTimes,
    share: Tenths,
}

impl CpuMeter {
    /// Has read nothing yet.
    pub const fn new() -> Self {
        let last = CpuTimes {
            user: 0,
            nice: 0,
            system: 0,
            idle: 0,
            iowait: 0,
            irq: 0,
            softirq: 0,
            steal: 0,
        };
        Self {
            last,
            share: Tenths::ABSENT,
        }
    }

    /// The busy share since the reading before.
    pub fn update(&mut self, now: CpuTimes) -> Tenths {
        let passed = CpuTimes {
            user: now.user.saturating_sub(self.last.user),
            nice: now.nice.saturating_sub(self.last.nice),
            system: now.system.saturating_sub(self.last.system),
            idle: now.idle.saturating_sub(self.last.idle),
            iowait: now.iowait.saturating_sub(self.last.iowait),
            irq: now.irq.saturating_sub(self.last.irq),
            softirq: now.softirq.saturating_sub(self.last.softirq),
            steal: now.steal.saturating_sub(self.last.steal),
        };
        self.last = now;
        let busy = passed.busy();
        let whole = busy.saturating_add(passed.idle_all());
        if whole > 0 {
            self.share = Tenths::of(busy, whole);
        }
        self.share
    }
}

impl Default for CpuMeter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(user: u64, idle: u64, iowait: u64) -> CpuTimes {
        CpuTimes {
            user,
            idle,
            iowait,
            ..CpuTimes::default()
        }
    }

    #[test]
    fn the_first_share_is_since_the_kernel_started() {
        let mut meter = CpuMeter::new();
        assert_eq!(meter.update(times(25, 70, 5)).get(), Some(250));
    }

    #[test]
    fn later_shares_are_of_the_window() {
        let mut meter = CpuMeter::new();
        meter.update(times(100, 900, 0));
        assert_eq!(meter.update(times(130, 970, 0)).get(), Some(300));
        assert_eq!(meter.update(times(130, 1070, 0)).get(), Some(0));
        assert_eq!(meter.update(times(150, 1070, 0)).get(), Some(1000));
    }

    #[test]
    fn every_busy_column_counts_and_waiting_does_not() {
        let zero = CpuTimes::default();
        let cases = [
            (CpuTimes { user: 1, ..zero }, 1000),
            (CpuTimes { nice: 1, ..zero }, 1000),
            (CpuTimes { system: 1, ..zero }, 1000),
            (CpuTimes { irq: 1, ..zero }, 1000),
            (CpuTimes { softirq: 1, ..zero }, 1000),
            (CpuTimes { steal: 1, ..zero }, 1000),
            (CpuTimes { idle: 1, ..zero }, 0),
            (CpuTimes { iowait: 1, ..zero }, 0),
        ];
        for (now, share) in cases {
            assert_eq!(CpuMeter::new().update(now).get(), Some(share), "{now:?}");
        }
    }

    #[test]
    fn without_a_tick_the_last_share_stands() {
        let mut meter = CpuMeter::new();
        meter.update(times(25, 75, 0));
        assert_eq!(meter.update(times(25, 75, 0)).get(), Some(250));
        assert_eq!(meter.update(times(35, 75, 0)).get(), Some(1000));
        assert_eq!(meter.update(times(35, 75, 0)).get(), Some(1000));
        assert_eq!(
            CpuMeter::default().update(CpuTimes::default()),
            Tenths::ABSENT
        );
    }

    #[test]
    fn a_column_that_goes_back_counts_as_no_time() {
        let mut meter = CpuMeter::new();
        meter.update(times(100, 100, 50));
        assert_eq!(meter.update(times(110, 130, 20)).get(), Some(250));
        // A processor went offline and took its columns along; the next window is right again.
        assert_eq!(meter.update(times(50, 60, 10)).get(), Some(250));
        assert_eq!(meter.update(times(60, 70, 10)).get(), Some(500));
    }
}
