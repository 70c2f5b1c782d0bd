//! The clocks of the kernel that mote reads.
//!
//! `CLOCK_BOOTTIME` orders everything: schedules, deadlines, the stamp of a sample. It never goes
//! back and goes on while the device sleeps, see `clock_gettime(2)`. `CLOCK_REALTIME` is only what a
//! person or a server calls the time: it jumps, and on a device without a battery it starts in
//! 1970. Both are milliseconds here. `CLOCK_MONOTONIC` is only what the service manager is told.

use std::time::Duration;

use nix::libc;
use nix::time::{ClockId, clock_gettime};

/// Milliseconds since the device started, sleep included.
pub fn boot_ms() -> u64 {
    // Kernels before 2.6.39 lack it; mote does not run there.
    read(ClockId::CLOCK_BOOTTIME)
}

/// Milliseconds since 1970 as the device believes.
pub fn wall_ms() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Microseconds since the device started, without sleep, as systemd counts them.
pub fn monotonic_us() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    time.map_or(0, |time| {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    })
}

/// What the kernel says of its clock's discipline, as `adjtimex(2)` gives it.
#[derive(Debug, Clone, Copy)]
pub struct Discipline {
    /// Whether a time server or the like holds the clock.
    pub is_synchronized: bool,
    /// The kernel's own figures, in the units of `adjtimex(2)`.
    pub timex: libc::timex,
}

/// How the clock is held. Only asks: nothing is adjusted. `None` where a sandbox forbids the call.
#[expect(unsafe_code, reason = "the call has no safe wrapper")]
pub fn discipline() -> Option<Discipline> {
    // SAFETY: the structure is plain numbers, of which all zeros is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole structure of ours that outlives the call; with no modes
    // set, which zero is, the kernel only writes to it.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(Discipline {
        is_synchronized: state != libc::TIME_ERROR,
        timex,
    })
}

fn read(clock: ClockId) -> u64 {
    let Ok(time) = clock_gettime(clock) else {
        return 0;
    };
    let (Ok(seconds), Ok(nanoseconds)) =
        (u64::try_from(time.tv_sec()), u64::try_from(time.tv_nsec()))
    else {
        // A clock set to before 1970.
        return 0;
    };
    seconds * 1000 + nanoseconds / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_the_discipline_gives_a_tick() {
        // About a hundred ticks a second, whoever holds the clock.
        let discipline = discipline().unwrap();
        assert!((9_000..=11_000).contains(&discipline.timex.tick));
    }

    #[test]
    fn boot_time_does_not_go_back_and_agrees_with_uptime() {
        let before = boot_ms();
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let after = boot_ms();
        let up = text.split(' ').next().unwrap().replace('.', "");
        let uptime_ms = up.parse::<u64>().unwrap() * 10;
        assert!(before <= after);
        // /proc/uptime counts hundredths and cuts what is left.
        assert!(uptime_ms + 10 >= before && uptime_ms <= after);
    }
}
