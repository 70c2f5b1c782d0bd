//! The clocks of the kernel that mote reads.
//!
//! `CLOCK_BOOTTIME` orders everything: schedules, deadlines, the stamp of a sample. It never goes
//! back and goes on while the device sleeps, see `clock_gettime(2)`. `CLOCK_REALTIME` is only what a
//! person or a server calls the time: it jumps, and on a device without a battery it starts in
//! 1970. Both are milliseconds here. `CLOCK_MONOTONIC` is only what the service manager is told.
//!
//! What the clock cannot be trusted with, the floor can: it is never earlier than the floor, which
//! is when this program was made, or the last time that was known to be right, if that is later.
//! Certificates are judged by [`trusted_ms`], so a device that wakes in 1970 still verifies them.
//!
//! Never sets a clock: that is the work of NTP.

pub mod zone;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mote_core::log_line::Value;
use mote_core::time::Rfc3339;
use nix::libc;
use nix::time::{ClockId, clock_gettime};

use crate::log;

/// When this program was made, seconds since 1970.
const BUILD_S: u32 = match u32::from_str_radix(env!("MOTE_BUILD_TIME_S"), 10) {
    Ok(seconds) => seconds,
    Err(_) => 0,
};

/// Seconds, because 32-bit MIPS has no 64-bit atomics.
static FLOOR_S: AtomicU32 = AtomicU32::new(BUILD_S);

/// When this program was made, milliseconds since 1970.
pub fn made_ms() -> u64 {
    u64::from(BUILD_S) * 1000
}

/// Milliseconds since the device started, sleep included.
pub fn boot_ms() -> u64 {
    // Kernels before 2.6.39 lack it; mote does not run there.
    read(ClockId::CLOCK_BOOTTIME)
}

/// Microseconds since the device started, sleep included.
pub fn boot_us() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from);
    time.map_or(0, |time| {
        u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
    })
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

/// No clock that is right is earlier than this: milliseconds since 1970.
pub fn floor_ms() -> u64 {
    u64::from(FLOOR_S.load(Ordering::Relaxed)) * 1000
}

/// A moment that is known to have passed: the floor is not below it from now on.
pub fn raise_floor(passed_ms: u64) {
    let seconds = u32::try_from(passed_ms / 1000).unwrap_or(u32::MAX);
    FLOOR_S.fetch_max(seconds, Ordering::Relaxed);
}

/// The time, as far as it can be believed: milliseconds since 1970, not before the floor.
pub fn trusted_ms() -> u64 {
    wall_ms().max(floor_ms())
}

/// Whether somebody has set the clock since the device started without one.
pub fn is_set() -> bool {
    wall_ms() >= floor_ms()
}

/// What the kernel says of its clock's discipline, as `adjtimex(2)` gives it.
#[derive(Debug, Clone, Copy)]
pub struct Discipline {
    /// Whether the kernel is told the time by somebody who knows it. A clock that was set once, by
    /// hand or by `ntpdate`, is right and yet not synchronised.
    pub is_synchronized: bool,
    /// The kernel's own figures, in the units of `adjtimex(2)`.
    pub timex: libc::timex,
}

/// How the clock is held. Only asks: nothing is adjusted. `None` where the kernel does not say, as
/// in some containers.
#[expect(unsafe_code, reason = "adjtimex(2) has no safe wrapper")]
pub fn discipline() -> Option<Discipline> {
    /// Room to spare, should the C library's structure be longer than the one that is known here.
    #[repr(C)]
    struct Room {
        timex: libc::timex,
        spare: [u64; 32],
    }
    // SAFETY: the structure is plain numbers, of which all zeros is a value.
    let mut room: Room = unsafe { std::mem::zeroed() };
    // SAFETY: kernel and C library write at most the size of their `struct timex`, 208 bytes, into
    // the more than 256 of `room`, and nothing keeps the pointer. All zeros includes the first
    // field, `modes`: the kernel is asked, and nothing is changed.
    let state = unsafe { libc::adjtimex((&raw mut room).cast()) };
    (state >= 0).then_some(Discipline {
        is_synchronized: state != libc::TIME_ERROR,
        timex: room.timex,
    })
}

/// Whether the kernel is told the time by somebody who knows it; `None` where it does not say.
pub fn is_synchronized() -> Option<bool> {
    discipline().map(|discipline| discipline.is_synchronized)
}

/// How much can be made of the clock now, in a word for people.
pub fn trust() -> &'static str {
    match is_synchronized() {
        _ if !is_set() => "not set",
        Some(true) => "synchronized",
        Some(false) => "not synchronized",
        None => "unknown",
    }
}

/// A step of less is what NTP does to a clock that it keeps.
const STEP_MS: u64 = 10_000;

/// Notices when somebody sets the clock, and says so.
#[derive(Debug)]
pub struct Watch {
    /// Wall time less time since the device started.
    offset_ms: i64,
    was_set: bool,
}

impl Watch {
    /// Looks at the clock for the first time; says if it is not set.
    pub fn new() -> Self {
        let (boot_ms, wall_ms) = (boot_ms(), wall_ms());
        let was_set = is_set();
        if !was_set {
            log::warn(
                "Clock is not set, certificates are judged by the last time that is known",
                &[
                    ("clock", Value::Str(&Rfc3339(wall_ms).to_string())),
                    ("judged_by", Value::Str(&Rfc3339(floor_ms()).to_string())),
                ],
            );
        }
        Self {
            offset_ms: offset(boot_ms, wall_ms),
            was_set,
        }
    }

    /// Whether the clock was set since this was last asked.
    pub fn look(&mut self) -> bool {
        let wall_ms = wall_ms();
        let Some(by_ms) = self.step(boot_ms(), wall_ms) else {
            return false;
        };
        let time = Rfc3339(wall_ms).to_string();
        let is_set = is_set();
        let fields = [("clock", Value::Str(&time)), ("by_ms", Value::Int(by_ms))];
        match (self.was_set, is_set) {
            (_, false) => log::warn("Clock was set to a time that cannot be right", &fields),
            (false, true) => log::info("Clock is set", &fields),
            (true, true) => log::info("Clock was set anew", &fields),
        }
        self.was_set = is_set;
        true
    }

    fn step(&mut self, boot_ms: u64, wall_ms: u64) -> Option<i64> {
        let offset_ms = offset(boot_ms, wall_ms);
        let by_ms = offset_ms - self.offset_ms;
        if by_ms.unsigned_abs() < STEP_MS {
            return None;
        }
        self.offset_ms = offset_ms;
        Some(by_ms)
    }
}

impl Default for Watch {
    fn default() -> Self {
        Self::new()
    }
}

fn offset(boot_ms: u64, wall_ms: u64) -> i64 {
    wall_ms.cast_signed().saturating_sub(boot_ms.cast_signed())
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

    #[test]
    fn the_floor_only_rises_and_is_as_old_as_the_program_at_least() {
        const { assert!(BUILD_S > 1_700_000_000, "this program was made after 2023") };
        assert!(floor_ms() >= u64::from(BUILD_S) * 1000);
        let before = floor_ms();
        raise_floor(1_000);
        assert_eq!(floor_ms(), before);
        assert!(trusted_ms() >= before);
    }

    #[test]
    fn the_kernel_says_whether_the_clock_is_synchronized() {
        // Which it is depends on the machine; that it answers does not.
        assert!(is_synchronized().is_some());
    }

    #[test]
    fn k5_suspend_is_no_step_and_setting_the_clock_is_one() {
        let hour_ms = 3_600_000;
        let mut watch = Watch {
            offset_ms: offset(5_000, 1_000_000_000_000),
            was_set: true,
        };
        // Eight hours of sleep: both clocks went on.
        assert_eq!(
            watch.step(5_000 + 8 * hour_ms, 1_000_000_000_000 + 8 * hour_ms),
            None
        );
        // A few seconds are NTP's own business, also when they add up to less than a step.
        assert_eq!(watch.step(10_000, 1_000_000_014_999), None);
        assert_eq!(watch.step(10_000, 1_000_000_105_000), Some(100_000));
        assert_eq!(watch.step(20_000, 1_000_000_115_000), None);
        // Back to 1970, and to 2100.
        assert_eq!(watch.step(30_000, 30_000), Some(-1_000_000_095_000));
        assert!(watch.step(30_000, 4_102_444_800_000).is_some());
    }
}
