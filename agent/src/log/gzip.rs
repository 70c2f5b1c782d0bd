//! A small gzip writer (RFC 1952 around RFC 1951), fed in blocks of at most [`BLOCK_BYTES`].
//!
//! Made for log lines on a device with little memory: matches are looked for within a block only,
//! by one hash of four bytes, and written in deflate's fixed code. That leaves a log of this
//! program at about a tenth of its size, needs 8 kB beside the caller's block instead of the
//! 300 kB of a general compressor, and is a page of code.
//!
//! Never reads gzip, and never keeps anything between two blocks but the last bits.

use std::io::{self, Write};

use mote_core::crc32::Crc32;

/// The most that one call takes: positions in a block are 16 bits, distances at most 32,768.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

const HASH_BITS: u32 = 12;
const MIN_MATCH: usize = 4;
const MAX_MATCH: usize = 258;
const MAX_DISTANCE: usize = 32 * 1024;
const END_OF_BLOCK: u32 = 256;
/// No name, no time, an unknown system (RFC 1952, 2.3).
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses what it is given into `out`.
#[derive(Debug)]
pub(super) struct Gzip<W: Write> {
    out: W,
    /// Bits that do not fill a byte yet, the first one lowest.
    bits: u64,
    bit_count: u32,
    crc: Crc32,
    /// Of what was given, modulo 2^32.
    length_bytes: u32,
    /// Where in the block four bytes with this hash were last seen.
    last_seen: Vec<u16>,
}

impl<W: Write> Gzip<W> {
    /// Writes the header.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self {
            out,
            bits: 0,
            bit_count: 0,
            crc: Crc32::new(),
            length_bytes: 0,
            last_seen: vec![0; 1 << HASH_BITS],
        })
    }

    /// Where it goes.
    pub(super) fn out(&self) -> &W {
        &self.out
    }

    /// Compresses one block; nothing, if there is nothing in it.
    pub(super) fn block(&mut self, block: &[u8]) -> io::Result<()> {
        debug_assert!(block.len() <= BLOCK_BYTES);
        if block.is_empty() {
            return Ok(());
        }
        self.crc = self.crc.and(block);
        self.length_bytes = self.length_bytes.wrapping_add(block.len() as u32);
        // Not the last block, in the fixed code.
        self.put(0b010, 3)?;
        let mut at = 0;
        while at < block.len() {
            let (length, distance) = self.find(block, at);
            if length < MIN_MATCH {
                self.symbol(block[at].into())?;
                at += 1;
            } else {
                self.length(length)?;
                self.distance(distance)?;
                at += length;
            }
        }
        self.symbol(END_OF_BLOCK)
    }

    /// Ends the stream; gives the writer back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        // An empty last block, then zeros up to a whole byte.
        self.put(0b011, 3)?;
        self.symbol(END_OF_BLOCK)?;
        self.put(0, 7)?;
        self.out.write_all(&self.crc.get().to_le_bytes())?;
        self.out.write_all(&self.length_bytes.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// The length of what stands at `at` and stood `distance` before; 0 if there is nothing.
    fn find(&mut self, block: &[u8], at: usize) -> (usize, usize) {
        let Some(four) = block[at..].first_chunk::<MIN_MATCH>() else {
            return (0, 0);
        };
        let hash = u32::from_le_bytes(*four).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
        let before = usize::from(self.last_seen[hash as usize]);
        self.last_seen[hash as usize] = at as u16;
        // What an earlier block left in the table only costs a comparison.
        if before >= at || at - before > MAX_DISTANCE {
            return (0, 0);
        }
        let pairs = block[before..].iter().zip(&block[at..]).take(MAX_MATCH);
        (pairs.take_while(|(a, b)| a == b).count(), at - before)
    }

    /// Writes a literal, the end of a block, or a length's symbol in the fixed code (3.2.6).
    fn symbol(&mut self, symbol: u32) -> io::Result<()> {
        let (code, width) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xc0 + symbol - 280, 8),
        };
        self.code(code, width)
    }

    /// Writes a length of 3 to 258 (3.2.5).
    fn length(&mut self, length: usize) -> io::Result<()> {
        let rest = length as u32 - 3;
        if length == MAX_MATCH {
            return self.symbol(285);
        }
        if rest < 8 {
            return self.symbol(257 + rest);
        }
        let power = rest.ilog2();
        self.symbol(257 + 4 * (power - 1) + (rest >> (power - 2) & 3))?;
        self.put(rest & ((1 << (power - 2)) - 1), power - 2)
    }

    /// Writes a distance of 1 to 32,768 (3.2.5).
    fn distance(&mut self, distance: usize) -> io::Result<()> {
        let rest = distance as u32 - 1;
        if rest < 4 {
            return self.code(rest, 5);
        }
        let power = rest.ilog2();
        self.code(2 * power + (rest >> (power - 1) & 1), 5)?;
        self.put(rest & ((1 << (power - 1)) - 1), power - 1)
    }

    /// Writes a code, which goes highest bit first (3.1.1).
    fn code(&mut self, code: u32, width: u32) -> io::Result<()> {
        self.put(code.reverse_bits() >> (32 - width), width)
    }

    /// Writes a number, lowest bit first.
    fn put(&mut self, value: u32, width: u32) -> io::Result<()> {
        self.bits |= u64::from(value) << self.bit_count;
        self.bit_count += width;
        while self.bit_count >= 8 {
            self.out.write_all(&[self.bits as u8])?;
            self.bits >>= 8;
            self.bit_count -= 8;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn compressed(bytes: &[u8], block_bytes: usize) -> Vec<u8> {
        let mut gzip = Gzip::new(Vec::new()).unwrap();
        for block in bytes.chunks(block_bytes) {
            gzip.block(block).unwrap();
        }
        gzip.finish().unwrap()
    }

    /// What the system's own gzip makes of it.
    fn unpacked(packed: Vec<u8>) -> Vec<u8> {
        let mut gzip = Command::new("gzip")
            .arg("-dc")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = gzip.stdin.take().unwrap();
        let feeder = std::thread::spawn(move || input.write_all(&packed));
        let output = gzip.wait_with_output().unwrap();
        feeder.join().unwrap().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    /// Numbers that are the same in each run.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn gzip_reads_what_was_written() {
        let mut repeats = Vec::new();
        for length in 1..300 {
            // Matches of every length, at many distances, ending in something new.
            repeats.extend_from_slice(&noise(700)[..length]);
            repeats.push((length % 251) as u8);
        }
        let cases = [
            Vec::new(),
            vec![0],
            (0..=255).collect(),
            vec![b'a'; 200_000],
            noise(150_000),
            repeats,
        ];
        for bytes in cases {
            for block_bytes in [1000, 65_535, BLOCK_BYTES] {
                let packed = compressed(&bytes, block_bytes);
                assert!(unpacked(packed) == bytes, "{} bytes", bytes.len());
            }
        }
    }

    #[test]
    fn distances_up_to_the_farthest_are_right() {
        for distance in [1, 4, 5, 256, 257, 32_767, 32_768, 32_769, 65_000] {
            let mut bytes = vec![0; distance + 40];
            let words = b"these words come twice";
            bytes[..words.len()].copy_from_slice(words);
            bytes[distance..distance + words.len()].copy_from_slice(words);
            assert!(unpacked(compressed(&bytes, BLOCK_BYTES)) == bytes);
        }
    }

    #[test]
    fn log_lines_shrink_to_less_than_an_eighth() {
        let line = |(at, byte): (usize, u8)| {
            format!(
                "{{\"timestamp\":\"2025-10-10T{:02}:{:02}:{:02}.{byte:03}Z\",\"level\":\"info\",\
                 \"msg\":\"Metrics sent successfully\",\"api_key_hash\":\"0a1b2c3d\",\
                 \"status_code\":202,\"cpu_pct\":\"{}.{}\",\"took_ms\":{}}}\n",
                at / 360 % 24,
                at / 6 % 60,
                at % 6 * 10,
                byte % 9,
                byte % 10,
                byte / 10
            )
        };
        let lines: Vec<String> = noise(2000).into_iter().enumerate().map(line).collect();
        let lines = lines.concat();
        let packed = compressed(lines.as_bytes(), BLOCK_BYTES);
        assert!(
            packed.len() * 8 < lines.len(),
            "{} of {}",
            packed.len(),
            lines.len()
        );
    }
}
