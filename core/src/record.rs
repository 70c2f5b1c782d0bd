//! How mote keeps things in a file: records one behind the other, each with its length and checks.
//!
//! | bytes | what, little-endian |
//! | --- | --- |
//! | 3 | length of the body in bytes, at most [`MAX_BODY_BYTES`] |
//! | 1 | kind: its meaning is the file's |
//! | 8 | id: its meaning is the file's |
//! | 4 | CRC-32 of the file's seed and the 12 bytes before |
//! | | the body |
//! | 4 | CRC-32 of the file's seed, the 12 bytes and the body |
//!
//! The length has a check of its own, so that one spoiled body does not cost what is behind it.
//! Nothing is searched for behind a spoiled head: what looks like a record there may be a piece of
//! somebody's text. Each kind of file has its seed, so that a record of one is none in another, and
//! neither is a run of zeros, as power cuts leave them.
//!
//! Bytes in, records out. Files, and what is done about damage, are the agent's.

use crate::Full;
use crate::crc32::Crc32;

/// In front of a body.
pub const HEAD_BYTES: usize = 16;
/// Behind a body.
pub const TAIL_BYTES: usize = 4;
/// The longest body: an action's output of 64 KiB fits in any escaping that JSON has need of.
pub const MAX_BODY_BYTES: usize = 448 * 1024;

/// What was written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What it is, to the file.
    pub kind: u8,
    /// Its name, to the file.
    pub id: u64,
    /// What it says.
    pub body: &'a [u8],
}

/// What stands at the beginning of some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read<'a> {
    /// A record.
    Record(Record<'a>),
    /// The place of a record whose body is not the one that was written.
    Damaged(Head),
    /// Perhaps a record: this many bytes from the beginning would tell.
    More {
        /// More than were given, and at most those of the longest record.
        bytes: usize,
    },
    /// No record, and no telling where the next would begin.
    Broken,
}

/// What is in front of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// As in [`Record`].
    pub kind: u8,
    /// As in [`Record`].
    pub id: u64,
    /// Length of the body.
    pub body_bytes: usize,
}

impl Head {
    /// Reads a head.
    pub fn parse(seed: u32, bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let [l0, l1, l2, kind, id @ .., c0, c1, c2, c3] = *bytes;
        let head = Self {
            kind,
            id: u64::from_le_bytes(id),
            body_bytes: u32::from_le_bytes([l0, l1, l2, 0]) as usize,
        };
        let check = u32::from_le_bytes([c0, c1, c2, c3]);
        (head.check(seed).get() == check && head.body_bytes <= MAX_BODY_BYTES).then_some(head)
    }

    /// Bytes of the whole record.
    pub fn record_bytes(&self) -> usize {
        HEAD_BYTES + self.body_bytes + TAIL_BYTES
    }

    fn bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let length = (self.body_bytes as u32).to_le_bytes();
        bytes[..3].copy_from_slice(&length[..3]);
        bytes[3] = self.kind;
        bytes[4..].copy_from_slice(&self.id.to_le_bytes());
        bytes
    }

    fn check(&self, seed: u32) -> Crc32 {
        Crc32::new().and(&seed.to_le_bytes()).and(&self.bytes())
    }
}

impl Record<'_> {
    /// Bytes that it takes in a file.
    pub fn file_bytes(&self) -> usize {
        HEAD_BYTES + self.body.len() + TAIL_BYTES
    }

    /// Writes it to the beginning of `out`; returns its length there. A body that is longer than
    /// [`MAX_BODY_BYTES`] fits nowhere.
    pub fn encode(&self, seed: u32, out: &mut [u8]) -> Result<usize, Full> {
        if self.body.len() > MAX_BODY_BYTES {
            return Err(Full);
        }
        let head = Head {
            kind: self.kind,
            id: self.id,
            body_bytes: self.body.len(),
        };
        let out = out.get_mut(..self.file_bytes()).ok_or(Full)?;
        let (front, rest) = out.split_at_mut(HEAD_BYTES);
        let (body, tail) = rest.split_at_mut(self.body.len());
        let check = head.check(seed);
        front[..12].copy_from_slice(&head.bytes());
        front[12..].copy_from_slice(&check.get().to_le_bytes());
        body.copy_from_slice(self.body);
        tail.copy_from_slice(&check.and(self.body).get().to_le_bytes());
        Ok(self.file_bytes())
    }
}

/// What stands at the beginning of `bytes`.
pub fn read(seed: u32, bytes: &[u8]) -> Read<'_> {
    let Some(front) = bytes.first_chunk() else {
        return Read::More { bytes: HEAD_BYTES };
    };
    let Some(head) = Head::parse(seed, front) else {
        return Read::Broken;
    };
    let whole = head.record_bytes();
    let Some(rest) = bytes.get(HEAD_BYTES..whole) else {
        return Read::More { bytes: whole };
    };
    let (body, tail) = rest.split_at(head.body_bytes);
    if head.check(seed).and(body).get().to_le_bytes() != tail {
        return Read::Damaged(head);
    }
    Read::Record(Record {
        kind: head.kind,
        id: head.id,
        body,
    })
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::rng::Rng;

    const SEED: u32 = 0x0bad_cafe;

    /// The records that a reader finds, as the agent reads: over what is damaged, up to what is
    /// broken or cut.
    fn read_all(mut bytes: &[u8]) -> Vec<(u8, u64, Vec<u8>)> {
        let mut found = Vec::new();
        loop {
            match read(SEED, bytes) {
                Read::Record(record) => {
                    found.push((record.kind, record.id, record.body.to_vec()));
                    bytes = &bytes[record.file_bytes()..];
                }
                Read::Damaged(head) => bytes = &bytes[head.record_bytes()..],
                Read::More { bytes: more } => {
                    assert!(more > bytes.len());
                    return found;
                }
                Read::Broken => return found,
            }
        }
    }

    fn write_all(records: &[(u8, u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = Vec::new();
        for (kind, id, body) in records {
            let record = Record {
                kind: *kind,
                id: *id,
                body,
            };
            let at = file.len();
            file.resize(at + record.file_bytes(), 0xa5);
            assert_eq!(
                record.encode(SEED, &mut file[at..]),
                Ok(record.file_bytes())
            );
        }
        file
    }

    fn some_records() -> Vec<(u8, u64, Vec<u8>)> {
        let mut inner = vec![0; 64];
        let text = Record {
            kind: 9,
            id: 9,
            body: b"never written as a record",
        };
        let length = text.encode(SEED, &mut inner).unwrap();
        inner.truncate(length);
        vec![
            (0, 0, Vec::new()),
            (1, 7, b"one".to_vec()),
            // A body that looks like a record.
            (2, u64::MAX, inner),
            (3, 8, vec![0; 40]),
            (255, 9, vec![0xff; 40]),
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let records = some_records();
        assert_eq!(read_all(&write_all(&records)), records);
    }

    #[test]
    fn cut_at_any_byte_it_yields_the_records_before_the_cut() {
        let records = some_records();
        let file = write_all(&records);
        for cut in 0..file.len() {
            let found = read_all(&file[..cut]);
            assert!(found.len() < records.len(), "cut at byte {cut}");
            assert_eq!(found, records[..found.len()], "cut at byte {cut}");
        }
    }

    #[test]
    fn with_any_bits_of_any_byte_flipped_it_yields_only_what_was_written() {
        let records = some_records();
        let file = write_all(&records);
        for at in 0..file.len() {
            for flip in 1..=255 {
                let mut file = file.clone();
                file[at] ^= flip;
                let found = read_all(&file);
                assert!(found.len() < records.len(), "byte {at} by {flip}");
                let mut left = records.iter();
                for record in &found {
                    let is_written = left.any(|written| written == record);
                    assert!(is_written, "byte {at} by {flip}: {record:?}");
                }
            }
        }
    }

    #[test]
    fn a_spoiled_body_costs_that_record_alone() {
        let records = some_records();
        let mut file = write_all(&records);
        file[HEAD_BYTES + TAIL_BYTES + HEAD_BYTES] ^= 1;
        let found = read_all(&file);
        assert_eq!(found[0], records[0]);
        assert_eq!(found[1..], records[2..]);
    }

    #[test]
    fn zeros_ones_and_another_files_records_are_broken() {
        for fill in [0, 0xff] {
            assert_eq!(read(SEED, &[fill; 100]), Read::Broken);
            assert_eq!(read(0, &[fill; 100]), Read::Broken);
        }
        let file = write_all(&some_records());
        assert_eq!(read(SEED + 1, &file), Read::Broken);
    }

    #[test]
    fn noise_is_never_a_record() {
        let seed = 0x006e_6f69_7365;
        println!("seed {seed}");
        let mut rng = Rng::new(seed);
        for _ in 0..20_000 {
            let mut noise = [0; 64];
            noise.fill_with(|| rng.next_u64() as u8);
            let length = rng.below(65) as usize;
            let found = read(SEED, &noise[..length]);
            assert!(!matches!(found, Read::Record(_) | Read::Damaged(_)));
        }
    }

    #[test]
    fn what_has_no_room_or_is_too_long_is_not_written() {
        let record = Record {
            kind: 1,
            id: 2,
            body: b"abc",
        };
        let mut out = [0xa5; HEAD_BYTES + 3 + TAIL_BYTES];
        for room in 0..out.len() {
            assert_eq!(record.encode(SEED, &mut out[..room]), Err(Full));
        }
        assert_eq!(out, [0xa5; 23]);
        let long = vec![0; MAX_BODY_BYTES + 1];
        let mut out = vec![0; MAX_BODY_BYTES + 100];
        let record = Record {
            body: &long,
            ..record
        };
        assert_eq!(record.encode(SEED, &mut out), Err(Full));
    }
}
