//! One look at the device: the figures, when they were taken, and how a sample is kept.
//!
//! Shares are tenths of a percent, times are milliseconds, network figures are bytes. A figure
//! that could not be read is absent; nothing here makes a zero of it.
//!
//! A sample is kept in 48 bytes ([`Packed`]), which are all zero only in a slot that holds none,
//! so memory that was never used stays the untouched zero pages that the kernel gave:
//!
//! | word | bits 63..56 | bits 55..48 | bits 47..0 |
//! | --- | --- | --- | --- |
//! | 0 | the keeper's own | what is there | cpu (16), number (32) |
//! | 1 | memory (16) | | `boot_ms` |
//! | 2 | disk (16) | | `wall_ms` |
//! | 3 | `network.sent` | | |
//! | 4 | `network.recv` | | |
//! | 5 | free | | the keeper's own (16), `uptime_s` (32) |
//!
//! When a sample is taken, kept or sent is decided elsewhere.

/// A share in tenths of a percent, 0 to 1000, or absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenths(u16);

impl Tenths {
    /// The share is not known.
    pub const ABSENT: Self = Self(u16::MAX);

    const MAX: u16 = 1000;

    /// `part` of `whole`, rounded half up and at most the whole; absent when the whole is nothing.
    pub fn of(part: u64, whole: u64) -> Self {
        if whole == 0 {
            return Self::ABSENT;
        }
        let (part, whole) = (u128::from(part.min(whole)), u128::from(whole));
        let tenths = (part * u128::from(Self::MAX) + whole / 2) / whole;
        Self::from_raw(tenths as u16)
    }

    /// The tenths of a percent, if they are known.
    pub fn get(self) -> Option<u16> {
        (self.0 <= Self::MAX).then_some(self.0)
    }

    /// From what [`Tenths::raw`] gave; what is no share is absent.
    pub fn from_raw(raw: u16) -> Self {
        if raw <= Self::MAX {
            Self(raw)
        } else {
            Self::ABSENT
        }
    }

    /// As a number that can be kept.
    pub fn raw(self) -> u16 {
        self.0
    }
}

/// Running totals of what the device's interfaces carried, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NetBytes {
    /// Sent.
    pub sent: u64,
    /// Received.
    pub recv: u64,
}

/// One look at the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Counts the samples of this start of the agent, from 1.
    pub number: u32,
    /// Milliseconds since the kernel started, suspend included, when it was taken. 48 bits.
    pub boot_ms: u64,
    /// Unix milliseconds when it was taken. Given at its first sending, when the clock is most
    /// likely to be right, and then kept, so that a repeat is the same bytes. 48 bits.
    pub wall_ms: Option<u64>,
    /// The description of the device goes along with it. Decided at its first sending.
    pub with_info: bool,
    /// The busy share of all processors since the sample before.
    pub cpu: Tenths,
    /// The share of memory that could not be had without swapping.
    pub memory: Tenths,
    /// The used share of the file system that is watched.
    pub disk: Tenths,
    /// What the interfaces carried so far.
    pub network: Option<NetBytes>,
    /// How long the kernel had been running.
    pub uptime_s: Option<u32>,
}

/// A kept sample. All zero is an empty slot. The top byte of word 0 and bits 47 to 32 of word 5
/// belong to whoever keeps it: [`Sample::pack`] leaves them zero and [`Sample::unpack`] does not
/// look at them.
pub type Packed = [u64; 6];

const LOW_48: u64 = (1 << 48) - 1;

const IS_SAMPLE: u64 = 1 << 48;
const WITH_INFO: u64 = 1 << 49;
const HAS_WALL: u64 = 1 << 50;
const HAS_NETWORK: u64 = 1 << 51;
const HAS_UPTIME: u64 = 1 << 52;

impl Sample {
    /// As 48 bytes that are never all zero. Times beyond 48 bits, some 8,900 years, are clamped.
    pub fn pack(&self) -> Packed {
        let network = self.network.unwrap_or_default();
        let mut flags = IS_SAMPLE;
        for (is, flag) in [
            (self.with_info, WITH_INFO),
            (self.wall_ms.is_some(), HAS_WALL),
            (self.network.is_some(), HAS_NETWORK),
            (self.uptime_s.is_some(), HAS_UPTIME),
        ] {
            if is {
                flags |= flag;
            }
        }
        [
            flags | u64::from(self.cpu.raw()) << 32 | u64::from(self.number),
            u64::from(self.memory.raw()) << 48 | self.boot_ms.min(LOW_48),
            u64::from(self.disk.raw()) << 48 | self.wall_ms.unwrap_or(0).min(LOW_48),
            network.sent,
            network.recv,
            u64::from(self.uptime_s.unwrap_or(0)),
        ]
    }

    /// The sample that was packed; `None` for an empty slot.
    pub fn unpack(packed: &Packed) -> Option<Self> {
        let [head, boot, wall, sent, recv, uptime] = *packed;
        let has = |flag| head & flag != 0;
        has(IS_SAMPLE).then(|| Self {
            number: head as u32,
            boot_ms: boot & LOW_48,
            wall_ms: has(HAS_WALL).then_some(wall & LOW_48),
            with_info: has(WITH_INFO),
            cpu: Tenths::from_raw((head >> 32) as u16),
            memory: Tenths::from_raw((boot >> 48) as u16),
            disk: Tenths::from_raw((wall >> 48) as u16),
            network: has(HAS_NETWORK).then_some(NetBytes { sent, recv }),
            uptime_s: has(HAS_UPTIME).then_some(uptime as u32),
        })
    }

    /// Gives the sample the wall time at which it was taken, unless it has one: `now` on the wall
    /// less its age on the clock that no one sets. Never before 1970.
    pub fn stamp(&mut self, now_boot_ms: u64, now_wall_ms: u64) {
        let age_ms = now_boot_ms.saturating_sub(self.boot_ms);
        self.wall_ms
            .get_or_insert(now_wall_ms.saturating_sub(age_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const EMPTY: Sample = Sample {
        number: 0,
        boot_ms: 0,
        wall_ms: None,
        with_info: false,
        cpu: Tenths(0),
        memory: Tenths(0),
        disk: Tenths(0),
        network: None,
        uptime_s: None,
    };

    #[test]
    fn a_share_is_rounded_half_up() {
        for (part, whole, tenths) in [
            (0, 1, 0),
            (1, 1, 1000),
            (1, 3, 333),
            (2, 3, 667),
            (1, 2000, 1),
            (1, 2001, 0),
            (9995, 10_000, 1000),
            (9_994_999, 10_000_000, 999),
            (u64::MAX / 2, u64::MAX, 500),
            (u64::MAX, u64::MAX, 1000),
            (7, 5, 1000),
        ] {
            assert_eq!(
                Tenths::of(part, whole).get(),
                Some(tenths),
                "{part} of {whole}"
            );
        }
    }

    #[test]
    fn a_share_of_nothing_is_absent() {
        assert_eq!(Tenths::of(0, 0), Tenths::ABSENT);
        assert_eq!(Tenths::of(5, 0), Tenths::ABSENT);
        assert_eq!(Tenths::ABSENT.get(), None);
    }

    #[test]
    fn what_is_no_share_is_read_as_absent() {
        for raw in 0..=u16::MAX {
            let share = Tenths::from_raw(raw);
            assert_eq!(share.get(), (raw <= 1000).then_some(raw));
            assert_eq!(Tenths::from_raw(share.raw()), share);
        }
    }

    #[test]
    fn packing_and_unpacking_give_the_same_sample() {
        let seed = 0x5a4d_504c;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..10_000 {
            let share = |rng: &mut Rng| Tenths::from_raw(rng.below(1100) as u16);
            let sample = Sample {
                number: rng.next_u64() as u32,
                boot_ms: rng.next_u64() & LOW_48,
                wall_ms: (rng.below(2) == 0).then_some(rng.next_u64() & LOW_48),
                with_info: rng.below(2) == 0,
                cpu: share(&mut rng),
                memory: share(&mut rng),
                disk: share(&mut rng),
                network: (rng.below(2) == 0).then_some(NetBytes {
                    sent: rng.next_u64(),
                    recv: rng.next_u64(),
                }),
                uptime_s: (rng.below(2) == 0).then_some(rng.next_u64() as u32),
            };
            let mut packed = sample.pack();
            assert_eq!(packed[0] >> 56, 0, "{sample:?}");
            assert_eq!(Sample::unpack(&packed), Some(sample));
            assert_eq!(packed[5] >> 32, 0, "{sample:?}");
            packed[0] |= rng.below(256) << 56;
            packed[5] |= rng.below(1 << 16) << 32;
            assert_eq!(
                Sample::unpack(&packed),
                Some(sample),
                "what is the keeper's is not looked at"
            );
        }
    }

    #[test]
    fn the_emptiest_sample_is_not_an_empty_slot() {
        assert_ne!(EMPTY.pack(), Packed::default());
        assert_eq!(Sample::unpack(&EMPTY.pack()), Some(EMPTY));
        assert_eq!(Sample::unpack(&Packed::default()), None);
        assert_eq!(Sample::unpack(&[0xff << 56, 0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn times_that_do_not_fit_are_clamped() {
        let sample = Sample {
            boot_ms: u64::MAX,
            wall_ms: Some(u64::MAX),
            ..EMPTY
        };
        let kept = Sample::unpack(&sample.pack()).unwrap();
        assert_eq!((kept.boot_ms, kept.wall_ms), (LOW_48, Some(LOW_48)));
        assert_eq!((kept.memory, kept.disk), (EMPTY.memory, EMPTY.disk));
    }

    #[test]
    fn the_wall_time_is_given_once_and_stays() {
        let mut sample = Sample {
            boot_ms: 5_000,
            ..EMPTY
        };
        sample.stamp(7_500, 1_000_000);
        assert_eq!(sample.wall_ms, Some(997_500));
        sample.stamp(9_999, 2_000_000);
        assert_eq!(sample.wall_ms, Some(997_500));
    }

    #[test]
    fn a_stamp_is_never_before_1970_nor_in_the_future() {
        let mut old = Sample {
            boot_ms: 1_000,
            ..EMPTY
        };
        old.stamp(90_000, 10);
        assert_eq!(old.wall_ms, Some(0));
        let mut ahead = Sample {
            boot_ms: 90_000,
            ..EMPTY
        };
        ahead.stamp(1_000, 500_000);
        assert_eq!(ahead.wall_ms, Some(500_000));
    }

    #[test]
    fn a_kept_sample_is_48_bytes() {
        assert_eq!(size_of::<Packed>(), 48);
        assert!(size_of::<Sample>() <= 72, "{}", size_of::<Sample>());
    }
}
