//! Which samples the state folder holds, read by a reader of its own.
//!
//! The file `data/state/backlog` is records one behind the other, numbers little-endian: 3 bytes of
//! length, 1 of kind, 8 of id, 4 of a check, the body, 4 of another check. Kind 1 says whose
//! samples follow under its id: its body begins with the folder's identity and the number of the
//! start. Kind 2 is samples of 48 bytes, each beginning with its number. Other kinds say what was
//! delivered meanwhile, which the server knows better.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use super::books::Key;

const ORIGIN: u8 = 1;
const SAMPLES: u8 = 2;
const SAMPLE_BYTES: usize = 48;

/// What is on the disk below this base directory. Nothing, if there is no file.
pub(super) fn read(base: &Path) -> io::Result<BTreeSet<Key>> {
    match fs::read(base.join("data/state/backlog")) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

fn parse(mut bytes: &[u8]) -> BTreeSet<Key> {
    let mut starts: BTreeMap<[u8; 8], u64> = BTreeMap::new();
    let mut keys = BTreeSet::new();
    // What a kill cut off at the end is no record.
    while let Some((record, rest)) = first_record(bytes) {
        bytes = rest;
        match record.kind {
            ORIGIN => starts.extend(number(record.body, 8).map(|start| (record.id, start))),
            SAMPLES => {
                let Some(start) = starts.get(&record.id) else {
                    continue;
                };
                let samples = record.body.chunks_exact(SAMPLE_BYTES);
                let words = samples.filter_map(|sample| number(sample, 0));
                keys.extend(words.map(|word| (*start, word & u64::from(u32::MAX))));
            }
            _ => {}
        }
    }
    keys
}

struct Record<'a> {
    kind: u8,
    id: [u8; 8],
    body: &'a [u8],
}

/// The first record, and what is behind it.
fn first_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let ([l0, l1, l2, kind, id @ .., _, _, _, _], rest) = bytes.split_first_chunk::<16>()?;
    let length = usize::from(*l0) | usize::from(*l1) << 8 | usize::from(*l2) << 16;
    let (body, rest) = rest.split_at_checked(length)?;
    let (_check, rest) = rest.split_first_chunk::<4>()?;
    let (kind, id) = (*kind, *id);
    Some((Record { kind, id, body }, rest))
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|it| u64::from_le_bytes(*it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_of(kind: u8, id: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![body.len() as u8, 0, 0, kind, id];
        bytes.extend([0; 7 + 4]);
        bytes.extend(body);
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn samples_are_those_of_the_start_whose_name_they_bear() {
        let mut sample = [0; SAMPLE_BYTES];
        // Above the number are other figures.
        sample[..8].copy_from_slice(&0x8000_1234_0000_0102_u64.to_le_bytes());
        let mut file = record_of(ORIGIN, 5, &[[9; 8], 7_u64.to_le_bytes()].concat());
        file.extend(record_of(SAMPLES, 5, &sample));
        file.extend(record_of(3, 5, &[1; 8]));
        file.extend(record_of(SAMPLES, 6, &sample));
        assert_eq!(parse(&file), BTreeSet::from([(7, 0x102)]));
        assert_eq!(parse(&file[..80]), BTreeSet::new());
        assert_eq!(parse(&[]), BTreeSet::new());
    }
}
