//! What arrived on a connection and is not used yet, in memory as large as the answers need.
//!
//! The head of an answer is read from one piece of memory. [`INPUT_MAX_BYTES`] is what it may take,
//! but most answers are a few hundred bytes: so the input begins with [`INPUT_FIRST_BYTES`] and
//! doubles when it is full.

/// The largest head of an answer.
pub(super) const INPUT_MAX_BYTES: usize = 16 * 1024;
const INPUT_FIRST_BYTES: usize = 1024;

/// Input of a connection.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// What was read and not yet used is `bytes[used..filled]`.
    used: usize,
    filled: usize,
}

impl Input {
    /// What is there.
    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.used..self.filled]
    }

    /// Room behind what is there, for bytes that arrive; none if it is as large as it may be.
    pub(super) fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.used..self.filled, 0);
        self.filled -= self.used;
        self.used = 0;
        if self.filled == self.bytes.len() && self.bytes.len() < INPUT_MAX_BYTES {
            let larger = (self.bytes.len() * 2).clamp(INPUT_FIRST_BYTES, INPUT_MAX_BYTES);
            self.bytes.resize(larger, 0);
        }
        &mut self.bytes[self.filled..]
    }

    /// So many bytes arrived in the room.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    /// So many bytes were used.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(input: &mut Input, bytes: &[u8]) -> usize {
        let room = input.room();
        let taken = room.len().min(bytes.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        input.arrived(taken);
        taken
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut input = Input::default();
        let text: Vec<u8> = (0..40_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut given, mut got) = (0, Vec::new());
        while got.len() < text.len() {
            given += append(&mut input, &text[given..(given + 700).min(text.len())]);
            let take = input.rest().len() * 2 / 3 + 1;
            let take = take.min(input.rest().len());
            got.extend_from_slice(&input.rest()[..take]);
            input.consume(take);
        }
        assert!(got == text);
    }

    #[test]
    fn the_input_grows_to_its_limit_and_then_has_no_room() {
        let mut input = Input::default();
        let mut held = 0;
        loop {
            let taken = append(&mut input, &[7; 600]);
            if taken == 0 {
                break;
            }
            held += taken;
        }
        assert_eq!(held, INPUT_MAX_BYTES);
        assert_eq!(input.rest().len(), held);
        input.consume(1);
        assert_eq!(append(&mut input, &[8; 5]), 1);
    }

    #[test]
    fn a_short_answer_costs_one_kilobyte() {
        let mut input = Input::default();
        for _ in 0..1_000 {
            append(&mut input, &[7; 200]);
            input.consume(200);
        }
        assert_eq!(input.bytes.len(), INPUT_FIRST_BYTES);
    }
}
