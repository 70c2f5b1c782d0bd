//! The buffers of one connection, as large as the answers need and no larger.
//!
//! `ureq` reads the head of an answer from one piece of memory. [`INPUT_MAX_BYTES`] is what a head
//! may take, but most answers are a few hundred bytes, and pages that are never touched cost
//! nothing: so the input begins with [`INPUT_FIRST_BYTES`] and doubles when it is full.

use ureq::unversioned::transport::Buffers;

/// The largest head of an answer.
pub const INPUT_MAX_BYTES: usize = 16 * 1024;
const INPUT_FIRST_BYTES: usize = 1024;
/// Written at once: the head of a request, each of its lines whole, or a piece of its body.
const OUTPUT_BYTES: usize = 4 * 1024;

/// Input and output of a connection.
#[derive(Debug, Default)]
pub struct ConnectionBuffers {
    input: Vec<u8>,
    /// What was read and not yet used is `input[used..filled]`.
    used: usize,
    filled: usize,
    output: Vec<u8>,
    /// The last look at the input got on: what is left of it is worth another look.
    progress: bool,
}

impl ConnectionBuffers {
    /// Makes room behind what is there; none if it is as large as it may be.
    fn make_room(&mut self) {
        if self.used > 0 {
            self.input.copy_within(self.used..self.filled, 0);
            self.filled -= self.used;
            self.used = 0;
        }
        if self.filled == self.input.len() && self.input.len() < INPUT_MAX_BYTES {
            let larger = (self.input.len() * 2).clamp(INPUT_FIRST_BYTES, INPUT_MAX_BYTES);
            self.input.resize(larger, 0);
        }
    }

    fn make_output(&mut self) {
        if self.output.is_empty() {
            self.output = vec![0; OUTPUT_BYTES];
        }
    }
}

impl Buffers for ConnectionBuffers {
    fn output(&mut self) -> &mut [u8] {
        self.make_output();
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        &self.input[self.used..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.used += amount;
        self.progress = amount > 0;
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.make_room();
        self.make_output();
        (&mut self.input[self.filled..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.progress && self.used < self.filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(buffers: &mut ConnectionBuffers, bytes: &[u8]) -> usize {
        let room = buffers.input_append_buf();
        let taken = room.len().min(bytes.len());
        room[..taken].copy_from_slice(&bytes[..taken]);
        buffers.input_appended(taken);
        taken
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut buffers = ConnectionBuffers::default();
        let text: Vec<u8> = (0..40_000_u32).map(|n| (n % 251) as u8).collect();
        let (mut given, mut got) = (0, Vec::new());
        while got.len() < text.len() {
            given += append(&mut buffers, &text[given..(given + 700).min(text.len())]);
            let take = buffers.input().len() * 2 / 3 + 1;
            let take = take.min(buffers.input().len());
            got.extend_from_slice(&buffers.input()[..take]);
            buffers.input_consume(take);
        }
        assert!(got == text);
    }

    #[test]
    fn the_input_grows_to_its_limit_and_then_has_no_room() {
        let mut buffers = ConnectionBuffers::default();
        let mut held = 0;
        loop {
            let taken = append(&mut buffers, &[7; 600]);
            if taken == 0 {
                break;
            }
            held += taken;
        }
        assert_eq!(held, INPUT_MAX_BYTES);
        assert_eq!(buffers.input().len(), held);
        buffers.input_consume(1);
        assert_eq!(append(&mut buffers, &[8; 5]), 1);
    }

    #[test]
    fn a_short_answer_costs_one_kilobyte() {
        let mut buffers = ConnectionBuffers::default();
        for _ in 0..1_000 {
            append(&mut buffers, &[7; 200]);
            buffers.input_consume(200);
        }
        assert_eq!(buffers.input.len(), INPUT_FIRST_BYTES);
    }

    #[test]
    fn half_a_head_is_not_looked_at_twice() {
        let mut buffers = ConnectionBuffers::default();
        append(&mut buffers, b"HTTP/1.1 202");
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
        buffers.input_consume(4);
        assert!(buffers.can_use_input());
        buffers.input_consume(8);
        assert!(!buffers.can_use_input());
    }
}
