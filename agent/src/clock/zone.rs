//! The device's time zone, as far as it is needed: local times that others wrote become UTC.
//!
//! The zone is the C library's: `TZ`, else `/etc/localtime`. Where there is neither, local time is
//! UTC. Everything that mote writes itself is UTC.

use nix::libc;

/// The moment of a local time, both in milliseconds since 1970; the local one as if it were UTC.
///
/// A time that the zone has twice, when clocks are set back, is the later one of both; one that it
/// has not is moved by the gap.
pub fn utc_of_local_ms(local_ms: u64) -> u64 {
    let local = i64::try_from(local_ms / 1000).unwrap_or(i64::MAX);
    // The offset at about that time leads to the time itself, whose offset is the one that counts.
    let guess = local - offset_s(local);
    let seconds = local - offset_s(guess);
    u64::try_from(seconds).unwrap_or(0) * 1000 + local_ms % 1000
}

/// How far local time is ahead of UTC at that moment.
#[expect(unsafe_code, reason = "localtime_r(3) has no safe wrapper")]
fn offset_s(utc_s: i64) -> i64 {
    // The C library's `time_t` is as wide on every target that there is a file for in `cross/`.
    let time = utc_s;
    // SAFETY: a `struct tm` of zeros is a valid one: numbers, and a pointer that may be null.
    let mut parts: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values on this stack; with one thread, nobody changes the
    // environment that the zone is read from meanwhile.
    let found = unsafe { libc::localtime_r(&raw const time, &raw mut parts) };
    if found.is_null() {
        return 0;
    }
    parts.tm_gmtoff as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_time_comes_back_from_its_moment() {
        for local_ms in [1_751_371_200_118_u64, 1_735_732_800_000] {
            let found_ms = utc_of_local_ms(local_ms);
            let found = i64::try_from(found_ms / 1000).unwrap();
            let back = u64::try_from(found + offset_s(found)).unwrap();
            assert_eq!(back * 1000 + found_ms % 1000, local_ms);
        }
    }
}
