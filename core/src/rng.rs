//! A small random source for spreading delays: `SplitMix64`.
//!
//! One word of state and a few instructions. The seed is the caller's, so a test can repeat a run.
//! Good enough to keep a fleet from coming in step; never to be used for keys or secrets.

/// The state.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Equal seeds give equal numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, any of 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The next number below `n`; 0 when `n` is 0. Scaled, not divided: the unevenness is at most
    /// `n` in 2^64.
    pub fn below(&mut self, n: u64) -> u64 {
        let scaled = u128::from(self.next_u64()) * u128::from(n);
        (scaled >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut rng = Rng::new(1_234_567);
        let numbers: [u64; 5] = core::array::from_fn(|_| rng.next_u64());
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ]
        );
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let mut rng = Rng::new(7);
        let mut hits = [0_u32; 6];
        for _ in 0..6_000 {
            hits[rng.below(6) as usize] += 1;
        }
        assert!(
            hits.iter().all(|&hits| (800..1200).contains(&hits)),
            "{hits:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert!((0..100).any(|_| rng.below(u64::MAX) > u64::MAX / 2));
    }
}
