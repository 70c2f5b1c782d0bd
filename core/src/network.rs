//! Running totals of what the interfaces carried, from counters that are not to be trusted.
//!
//! Bytes. A counter goes back when a 32-bit kernel's wraps at 4 GiB, or when the interface was
//! taken away and made again; the totals never do within a run. The rule, for each counter:
//! - not below the last: the difference is added;
//! - below it, the last within 32 bits and the fall more than half of that range: it wrapped, and
//!   the way over the end is added;
//! - below it otherwise: the interface was made again, and what it counted since is added.
//!
//! An interface that is new, in the first reading or later, brings its whole counter. One that is
//! gone is forgotten and what it carried stays in the totals.
//!
//! Up to `N` interfaces are told apart. When there are more, all that are not yet known are summed
//! as one; a sum that goes back only tells that a member left, so nothing is added then. A place
//! that comes free is not given to a member of the sum, or its counter would be added twice.
//!
//! Which interfaces count is the caller's choice.

use crate::proc::net_dev::{Interface, NAME_MAX_BYTES};
use crate::sample::NetBytes;
use heapless::Vec;

/// The totals, and the last counters of up to `N` interfaces.
#[derive(Debug)]
pub struct NetTotals<const N: usize> {
    known: Vec<Known, N>,
    /// The sum of those that are not known: in the last whole reading, and in this one.
    rest_last: Option<NetBytes>,
    rest: Option<NetBytes>,
    total: NetBytes,
}

#[derive(Debug)]
struct Known {
    name: Name,
    last: NetBytes,
    seen: bool,
}

/// Filled up with zero bytes, which no name contains.
type Name = [u8; NAME_MAX_BYTES];

impl<const N: usize> NetTotals<N> {
    /// Has read nothing yet.
    pub const fn new() -> Self {
        let nothing = NetBytes { sent: 0, recv: 0 };
        Self {
            known: Vec::new(),
            rest_last: None,
            rest: None,
            total: nothing,
        }
    }

    /// Begins a reading. One that broke off before [`NetTotals::finish`] does no harm.
    pub fn begin(&mut self) {
        self.rest = None;
        for known in &mut self.known {
            known.seen = false;
        }
    }

    /// Takes in one interface of the reading.
    pub fn add(&mut self, interface: &Interface<'_>) {
        let now = NetBytes {
            sent: interface.tx_bytes,
            recv: interface.rx_bytes,
        };
        // A name too long to be kept cannot be told apart: it belongs to the rest.
        let name = padded(interface.name);
        let mut known = self.known.iter_mut();
        if let Some(known) = known.find(|known| Some(known.name) == name) {
            add(&mut self.total, grown(known.last, now, counter_growth));
            known.last = now;
            known.seen = true;
            return;
        }
        if let Some(name) = name.filter(|_| self.rest_last.is_none())
            && self
                .known
                .push(Known {
                    name,
                    last: now,
                    seen: true,
                })
                .is_ok()
        {
            add(&mut self.total, now);
            return;
        }
        add(self.rest.get_or_insert_default(), now);
    }

    /// Ends a reading: forgets the interfaces that it did not hold, and gives the totals.
    pub fn finish(&mut self) -> NetBytes {
        self.known.retain(|known| known.seen);
        if let Some(rest) = self.rest {
            let last = self.rest_last.unwrap_or_default();
            add(
                &mut self.total,
                grown(last, rest, |last, now| now.saturating_sub(last)),
            );
        }
        self.rest_last = self.rest;
        self.total
    }
}

impl<const N: usize> Default for NetTotals<N> {
    fn default() -> Self {
        Self::new()
    }
}

fn padded(name: &[u8]) -> Option<Name> {
    let mut padded = Name::default();
    padded.get_mut(..name.len())?.copy_from_slice(name);
    Some(padded)
}

fn add(total: &mut NetBytes, more: NetBytes) {
    total.sent = total.sent.saturating_add(more.sent);
    total.recv = total.recv.saturating_add(more.recv);
}

fn grown(last: NetBytes, now: NetBytes, growth: fn(u64, u64) -> u64) -> NetBytes {
    NetBytes {
        sent: growth(last.sent, now.sent),
        recv: growth(last.recv, now.recv),
    }
}

fn counter_growth(last: u64, now: u64) -> u64 {
    const RANGE: u64 = 1 << 32;
    match last.checked_sub(now) {
        None | Some(0) => now - last,
        Some(fall) if last < RANGE && fall > RANGE / 2 => RANGE - fall,
        Some(_) => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<const N: usize>(totals: &mut NetTotals<N>, all: &[(&str, u64, u64)]) -> (u64, u64) {
        totals.begin();
        for &(name, rx_bytes, tx_bytes) in all {
            totals.add(&Interface {
                name: name.as_bytes(),
                rx_bytes,
                tx_bytes,
            });
        }
        let NetBytes { sent, recv } = totals.finish();
        (recv, sent)
    }

    #[test]
    fn the_first_totals_are_the_counters_and_later_ones_grow() {
        let mut totals = NetTotals::<4>::new();
        assert_eq!(
            read(&mut totals, &[("eth0", 100, 10), ("wlan0", 5, 1)]),
            (105, 11)
        );
        assert_eq!(
            read(&mut totals, &[("eth0", 150, 11), ("wlan0", 5, 1)]),
            (155, 12)
        );
        assert_eq!(
            read(&mut totals, &[("wlan0", 6, 2), ("eth0", 150, 11)]),
            (156, 13)
        );
    }

    #[test]
    fn a_32_bit_counter_wraps() {
        let mut totals = NetTotals::<4>::new();
        let near_the_end = u64::from(u32::MAX) - 9;
        read(&mut totals, &[("eth0", near_the_end, 7)]);
        assert_eq!(read(&mut totals, &[("eth0", 5, 7)]), (near_the_end + 15, 7));
    }

    #[test]
    fn a_counter_that_starts_again_adds_what_it_counted_since() {
        let mut totals = NetTotals::<4>::new();
        read(&mut totals, &[("eth0", 1000, 7)]);
        assert_eq!(read(&mut totals, &[("eth0", 30, 8)]), (1030, 8));
    }

    #[test]
    fn a_wrap_is_a_fall_of_more_than_half_the_range() {
        let half = 1_u64 << 31;
        assert_eq!(counter_growth(half, 0), 0);
        assert_eq!(counter_growth(half + 1, 0), half - 1);
        assert_eq!(counter_growth(u64::from(u32::MAX), 0), 1);
        assert_eq!(counter_growth(1 << 32, 0), 0);
        assert_eq!(counter_growth(1 << 32, 9), 9);
        assert_eq!(counter_growth(u64::MAX, 9), 9);
        assert_eq!(counter_growth(9, 9), 0);
        assert_eq!(counter_growth(0, u64::MAX), u64::MAX);
    }

    #[test]
    fn an_interface_that_goes_and_comes_again_is_new() {
        let mut totals = NetTotals::<4>::new();
        read(&mut totals, &[("eth0", 100, 10), ("usb0", 50, 5)]);
        assert_eq!(read(&mut totals, &[("eth0", 100, 10)]), (150, 15));
        assert_eq!(
            read(&mut totals, &[("eth0", 100, 10), ("usb0", 70, 7)]),
            (220, 22)
        );
        assert_eq!(read(&mut totals, &[]), (220, 22));
    }

    #[test]
    fn those_that_find_no_place_are_summed_as_one() {
        let mut totals = NetTotals::<1>::new();
        assert_eq!(
            read(&mut totals, &[("a", 1, 1), ("b", 10, 10), ("c", 100, 100)]),
            (111, 111)
        );
        assert_eq!(
            read(&mut totals, &[("a", 2, 1), ("b", 11, 10), ("c", 105, 100)]),
            (118, 111)
        );
        // "c" leaves: the sum goes back and nothing is added, not even what "b" carried.
        assert_eq!(read(&mut totals, &[("a", 2, 1), ("b", 12, 10)]), (118, 111));
        // "a" leaves: its place stays free while there is a rest, so "b" is not counted twice.
        assert_eq!(read(&mut totals, &[("b", 13, 10)]), (119, 111));
        assert_eq!(read(&mut totals, &[("b", 14, 10)]), (120, 111));
        // Without a rest, places are given again.
        assert_eq!(read(&mut totals, &[]), (120, 111));
        assert_eq!(read(&mut totals, &[("d", 1000, 0)]), (1120, 111));
        assert_eq!(
            read(&mut totals, &[("d", 3, 0)]),
            (1123, 111),
            "told apart, so made again"
        );
    }

    #[test]
    fn a_reading_that_broke_off_does_no_harm() {
        let mut totals = NetTotals::<1>::new();
        read(&mut totals, &[("a", 10, 0), ("b", 100, 0)]);
        totals.begin();
        totals.add(&Interface {
            name: b"a",
            rx_bytes: 11,
            tx_bytes: 0,
        });
        totals.add(&Interface {
            name: b"b",
            rx_bytes: 101,
            tx_bytes: 0,
        });
        assert_eq!(read(&mut totals, &[("a", 12, 0), ("b", 102, 0)]), (114, 0));
    }

    #[test]
    fn totals_never_go_back() {
        use crate::rng::Rng;
        let seed = 0x6e65_7431;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        let mut totals = NetTotals::<3>::new();
        let names = ["a", "b", "c", "d", "e"];
        let mut last = (0, 0);
        for _ in 0..20_000 {
            let mut all = [("", 0, 0); 5];
            let mut there = 0;
            for name in names {
                if rng.below(8) != 0 {
                    all[there] = (name, rng.below(1 << 33), rng.next_u64() >> rng.below(64));
                    there += 1;
                }
            }
            let now = read(&mut totals, &all[..there]);
            assert!(now.0 >= last.0 && now.1 >= last.1, "{last:?} then {now:?}");
            last = now;
        }
        assert!(last.0 > 0);
    }
}
