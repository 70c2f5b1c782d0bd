//! The samples that the server does not have yet, in a ring of the caller's memory.
//!
//! A slot is a packed sample of 48 bytes; an all-zero slot is empty. The ring starts at slot 0
//! again whenever it is empty, and gives a slot back as soon as the sample at either end is
//! delivered, so that the pages of a large ring stay untouched until an outage fills them.
//! [`Outbox::reached`] tells how many were.
//!
//! When full, [`Outbox::overwrite`] drops the oldest sample and hands it back: counting the loss
//! is the caller's. A [`Cursor`] names one sample; once that is gone the cursor names nothing,
//! whatever its slot holds by then, so an answer that comes late acknowledges nothing else.
//!
//! Samples of earlier starts of the agent can be put back in before the first one is taken
//! ([`Outbox::restore`]); their [`origin`](Cursor::origin) tells them from those of this start,
//! whose numbers they may have. So that it can be told what a disk has of all this, a slot has
//! [`Marks`].
//!
//! What is sent when is policy and lives in [`crate::delivery`].

use crate::sample::{Packed, Sample};

/// The top byte of a slot's first word is ours: it says that the slot is taken, and the marks.
const TAKEN: u64 = 1 << 63;
const SAVED: u64 = 1 << 62;
const PROVISIONAL: u64 = 1 << 61;
/// So are these bits of its last word: the sample's origin.
const ORIGIN_SHIFT: u32 = 32;

/// The start of the agent that took a sample: 0 is this one. What the others are is known to
/// whoever put them back.
pub type Origin = u16;

/// Names one sample in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    slot: usize,
    origin: Origin,
    number: u32,
}

impl Cursor {
    /// Which start took the sample.
    pub fn origin(self) -> Origin {
        self.origin
    }

    /// The sample's number in that start.
    pub fn number(self) -> u32 {
        self.number
    }
}

/// What is known of a held sample besides what it says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// The disk has it as it is.
    pub saved: bool,
    /// Its wall time was given while the clock may have been wrong, and was not sent yet.
    pub provisional: bool,
}

impl Marks {
    fn bits(self) -> u64 {
        (u64::from(self.saved) * SAVED) | (u64::from(self.provisional) * PROVISIONAL)
    }
}

/// A ring of samples over the caller's slots.
#[derive(Debug)]
pub struct Outbox<S> {
    slots: S,
    /// Slot of the oldest sample.
    first: usize,
    /// Slots from the oldest sample to the newest, holes included.
    span: usize,
    /// Samples in it: the span without its holes.
    len: usize,
    /// Behind the last slot that ever held a sample.
    reached: usize,
}

impl<S: AsRef<[Packed]> + AsMut<[Packed]>> Outbox<S> {
    /// An empty ring over `slots`, which must be zeroed and at least one.
    ///
    /// `None` if there is no slot.
    pub fn new(slots: S) -> Option<Self> {
        if slots.as_ref().is_empty() {
            return None;
        }
        Some(Self {
            slots,
            first: 0,
            span: 0,
            len: 0,
            reached: 0,
        })
    }

    /// Puts `sample` in as the newest. Returns the oldest if it had to go for it.
    pub fn overwrite(&mut self, sample: &Sample) -> Option<Sample> {
        self.put(sample, 0, Marks::default())
    }

    /// Puts a sample of an earlier start in, behind those that are in, as [`overwrite`] does.
    ///
    /// [`overwrite`]: Outbox::overwrite
    pub fn restore(&mut self, sample: &Sample, origin: Origin, marks: Marks) -> Option<Sample> {
        self.put(sample, origin, marks)
    }

    fn put(&mut self, sample: &Sample, origin: Origin, marks: Marks) -> Option<Sample> {
        let dropped = if self.span == self.capacity() {
            let oldest = self.oldest();
            oldest.and_then(|cursor| self.remove(cursor))
        } else {
            None
        };
        let slot = self.slot(self.span);
        self.slots.as_mut()[slot] = pack(sample, origin, marks);
        self.span += 1;
        self.len += 1;
        self.reached = self.reached.max(slot + 1);
        dropped
    }

    /// The sample taken last.
    pub fn newest(&self) -> Option<Cursor> {
        self.at(self.span.checked_sub(1)?)
    }

    /// The sample taken first.
    pub fn oldest(&self) -> Option<Cursor> {
        self.at(0)
    }

    /// How many places there are for [`at`](Self::at), those of removed samples included.
    pub fn span(&self) -> usize {
        self.span
    }

    /// The sample at a place, counted from the oldest; `None` if it was removed.
    pub fn at(&self, at: usize) -> Option<Cursor> {
        if at >= self.span {
            return None;
        }
        let slot = self.slot(at);
        let packed = &self.slots.as_ref()[slot];
        read(packed).map(|sample| Cursor {
            slot,
            origin: origin(packed),
            number: sample.number,
        })
    }

    /// What `cursor` names, if it is still there.
    pub fn get(&self, cursor: Cursor) -> Option<Sample> {
        read(self.named(cursor)?)
    }

    /// The marks of what `cursor` names, if it is still there.
    pub fn marks(&self, cursor: Cursor) -> Option<Marks> {
        self.named(cursor).map(|packed| Marks {
            saved: packed[0] & SAVED != 0,
            provisional: packed[0] & PROVISIONAL != 0,
        })
    }

    /// Replaces what `cursor` names, to remember what its first sending gave it.
    ///
    /// `false` if it is gone. The number may not change.
    pub fn update(&mut self, cursor: Cursor, sample: &Sample, marks: Marks) -> bool {
        if self.named(cursor).is_none() || sample.number != cursor.number {
            return false;
        }
        self.slots.as_mut()[cursor.slot] = pack(sample, cursor.origin, marks);
        true
    }

    /// Takes out what `cursor` names: it was delivered, or given up.
    pub fn remove(&mut self, cursor: Cursor) -> Option<Sample> {
        let sample = self.get(cursor)?;
        self.slots.as_mut()[cursor.slot] = [0; 6];
        self.len -= 1;
        self.trim();
        Some(sample)
    }

    /// Takes out every sample older than number `number` of this start; returns how many.
    ///
    /// Samples of a start are numbered in the order in which they were taken.
    pub fn drop_older_than(&mut self, number: u32) -> u32 {
        let mut dropped = 0;
        while let Some(cursor) = self.oldest() {
            let is_older = cursor.origin > 0 || cursor.number < number;
            if !is_older || self.remove(cursor).is_none() {
                break;
            }
            dropped += 1;
        }
        dropped
    }

    /// Takes out every sample that is in front of what this origin and number name, if they name
    /// one that is held; `false` if they do not.
    pub fn drop_in_front_of(&mut self, origin: Origin, number: u32) -> bool {
        let is_it = |cursor: Cursor| (cursor.origin, cursor.number) == (origin, number);
        if !(0..self.span).any(|at| self.at(at).is_some_and(is_it)) {
            return false;
        }
        while let Some(cursor) = self.oldest().filter(|cursor| !is_it(*cursor)) {
            self.remove(cursor);
        }
        true
    }

    /// Whether a held sample of this start passes `test`. Looks at every slot in use.
    pub fn any_of_this_start(&self, test: impl Fn(&Sample) -> bool) -> bool {
        (0..self.span).any(|at| {
            let packed = &self.slots.as_ref()[self.slot(at)];
            origin(packed) == 0 && read(packed).is_some_and(|sample| test(&sample))
        })
    }

    /// How many samples are held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many samples it can hold.
    pub fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// How many slots, from the first of the memory, ever held a sample.
    pub fn reached(&self) -> usize {
        self.reached
    }

    fn slot(&self, at: usize) -> usize {
        (self.first + at) % self.capacity()
    }

    fn named(&self, cursor: Cursor) -> Option<&Packed> {
        let packed = self.slots.as_ref().get(cursor.slot)?;
        let is_it = read(packed)?.number == cursor.number && origin(packed) == cursor.origin;
        is_it.then_some(packed)
    }

    /// Gives back empty slots at both ends, so that both ends are always taken.
    fn trim(&mut self) {
        while self.span > 0 && self.slots.as_ref()[self.first][0] & TAKEN == 0 {
            self.first = self.slot(1);
            self.span -= 1;
        }
        while self.span > 0 && self.slots.as_ref()[self.slot(self.span - 1)][0] & TAKEN == 0 {
            self.span -= 1;
        }
        if self.span == 0 {
            self.first = 0;
        }
    }
}

fn pack(sample: &Sample, origin: Origin, marks: Marks) -> Packed {
    let mut packed = sample.pack();
    packed[0] |= TAKEN | marks.bits();
    packed[5] |= u64::from(origin) << ORIGIN_SHIFT;
    packed
}

fn origin(packed: &Packed) -> Origin {
    (packed[5] >> ORIGIN_SHIFT) as Origin
}

fn read(packed: &Packed) -> Option<Sample> {
    if packed[0] & TAKEN == 0 {
        return None;
    }
    Sample::unpack(packed)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::rng::Rng;
    use crate::sample::Tenths;

    fn sample(number: u32) -> Sample {
        Sample {
            number,
            boot_ms: u64::from(number) * 10_000,
            wall_ms: None,
            with_info: false,
            cpu: Tenths::of(u64::from(number % 100), 100),
            memory: Tenths::ABSENT,
            disk: Tenths::ABSENT,
            network: None,
            uptime_s: None,
        }
    }

    fn ring(capacity: usize) -> Outbox<Vec<Packed>> {
        Outbox::new(vec![[0; 6]; capacity]).unwrap()
    }

    #[test]
    fn a_ring_without_slots_is_refused() {
        assert!(Outbox::new(Vec::new()).is_none());
    }

    #[test]
    fn a_full_ring_gives_up_its_oldest() {
        let mut outbox = ring(3);
        for number in 1..=3 {
            assert_eq!(outbox.overwrite(&sample(number)), None);
        }
        assert_eq!(outbox.overwrite(&sample(4)), Some(sample(1)));
        assert_eq!(outbox.len(), 3);
        assert_eq!(outbox.oldest().and_then(|c| outbox.get(c)), Some(sample(2)));
        assert_eq!(outbox.newest().and_then(|c| outbox.get(c)), Some(sample(4)));
    }

    #[test]
    fn fresh_deliveries_cost_a_full_backlog_nothing() {
        let mut outbox = ring(4);
        for number in 1..=3 {
            outbox.overwrite(&sample(number));
        }
        for number in 4..50 {
            assert_eq!(outbox.overwrite(&sample(number)), None);
            let newest = outbox.newest().unwrap();
            assert_eq!(outbox.remove(newest), Some(sample(number)));
        }
        assert_eq!(outbox.len(), 3);
        assert_eq!(outbox.oldest().and_then(|c| outbox.get(c)), Some(sample(1)));
    }

    #[test]
    fn an_empty_ring_starts_at_its_first_slot_again() {
        let mut outbox = ring(100);
        for number in 1..1000 {
            outbox.overwrite(&sample(number));
            let newest = outbox.newest().unwrap();
            assert_eq!(newest.slot, 0);
            outbox.remove(newest);
        }
        assert_eq!(outbox.reached(), 1);
    }

    #[test]
    fn a_late_answer_acknowledges_nothing_else() {
        let mut outbox = ring(1);
        outbox.overwrite(&sample(1));
        let in_flight = outbox.newest().unwrap();
        outbox.overwrite(&sample(2));
        assert_eq!(outbox.remove(in_flight), None);
        assert_eq!(outbox.len(), 1);
        assert!(!outbox.update(in_flight, &sample(1), Marks::default()));
    }

    #[test]
    fn what_the_first_sending_gave_stays() {
        let mut outbox = ring(2);
        outbox.overwrite(&sample(1));
        let cursor = outbox.newest().unwrap();
        let mut stamped = sample(1);
        stamped.wall_ms = Some(1_700_000_000_000);
        assert!(outbox.update(cursor, &stamped, Marks::default()));
        assert_eq!(outbox.get(cursor), Some(stamped));
    }

    #[test]
    fn equal_numbers_of_different_starts_are_different_samples() {
        let mut outbox = ring(9);
        let marks = Marks {
            saved: true,
            provisional: true,
        };
        for origin in [1, u16::MAX] {
            for number in 1..=3 {
                assert_eq!(outbox.restore(&sample(number), origin, marks), None);
            }
        }
        for number in 1..=3 {
            outbox.overwrite(&sample(number));
        }
        let names: Vec<_> = (0..outbox.span()).filter_map(|at| outbox.at(at)).collect();
        let names: Vec<_> = names.iter().map(|c| (c.origin(), c.number())).collect();
        let all = [1, u16::MAX, 0].map(|origin| (1..=3).map(move |number| (origin, number)));
        assert!(names.into_iter().eq(all.into_iter().flatten()));
        let (old, new) = (outbox.at(2).unwrap(), outbox.at(8).unwrap());
        assert_eq!(
            (outbox.get(old), outbox.get(new)),
            (Some(sample(3)), Some(sample(3)))
        );
        assert_eq!(outbox.marks(old), Some(marks));
        assert_eq!(outbox.marks(new), Some(Marks::default()));
        outbox.remove(new);
        assert_eq!((outbox.get(old), outbox.get(new)), (Some(sample(3)), None));
        assert!(outbox.update(old, &sample(3), Marks::default()));
        assert_eq!(outbox.marks(old), Some(Marks::default()));
        assert!(!outbox.drop_in_front_of(7, 1));
        assert!(outbox.drop_in_front_of(u16::MAX, 3));
        assert_eq!(outbox.len(), 3);
        // All of an earlier start is older than anything of this one.
        assert_eq!(outbox.drop_older_than(2), 2);
        assert_eq!(outbox.oldest().map(Cursor::number), Some(2));
    }

    #[test]
    fn it_does_what_a_plain_queue_does() {
        let seed = 0x6d6f_7465;
        let mut rng = Rng::new(seed);
        let mut outbox = ring(7);
        let mut plain: VecDeque<Sample> = VecDeque::new();
        let mut next_number = 1;
        for step in 0..20_000 {
            match rng.below(5) {
                0..=2 => {
                    // A hole may keep a slot that the plain queue does not have, so the ring may
                    // be full a little earlier; it then gives up its oldest all the same.
                    let dropped = outbox.overwrite(&sample(next_number));
                    if let Some(dropped) = dropped {
                        assert_eq!(Some(dropped), plain.pop_front(), "seed {seed} step {step}");
                    }
                    plain.push_back(sample(next_number));
                    next_number += 1;
                }
                3 => {
                    let oldest = outbox.oldest();
                    let removed = oldest.and_then(|c| outbox.remove(c));
                    assert_eq!(removed, plain.pop_front(), "seed {seed} step {step}");
                }
                _ => {
                    let newest = outbox.newest();
                    let removed = newest.and_then(|c| outbox.remove(c));
                    assert_eq!(removed, plain.pop_back(), "seed {seed} step {step}");
                }
            }
            assert_eq!(outbox.len(), plain.len(), "seed {seed} step {step}");
        }
    }

    #[test]
    fn older_ones_go_and_newer_ones_stay() {
        let mut outbox = ring(10);
        for number in 1..=6 {
            outbox.overwrite(&sample(number));
        }
        assert_eq!(outbox.drop_older_than(4), 3);
        assert_eq!(outbox.oldest().and_then(|c| outbox.get(c)), Some(sample(4)));
        assert!(outbox.any_of_this_start(|s| s.number == 6));
        assert!(!outbox.any_of_this_start(|s| s.number == 3));
        outbox.restore(&sample(9), 1, Marks::default());
        assert!(!outbox.any_of_this_start(|s| s.number == 9));
    }
}
