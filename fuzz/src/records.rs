//! What stands in the files of the state folder, whatever a disk made of it.

use mote_core::backlog::{Origin, read_gone, read_samples, write_sample};
use mote_core::record::{HEAD_BYTES, MAX_BODY_BYTES, Read, TAIL_BYTES, read};

use crate::planted_bug;

/// The seed of the files that the fuzzer begins with.
const SEED: u32 = u32::from_le_bytes(*b"blg1");

/// Walks a file from its beginning, as far as there are records.
pub(crate) fn file(bytes: &[u8]) {
    let mut rest = bytes;
    let mut whole = 0;
    loop {
        let length = match read(SEED, rest) {
            Read::Record(record) => {
                whole += 1;
                HEAD_BYTES + record.body.len() + TAIL_BYTES
            }
            Read::Damaged(head) => HEAD_BYTES + head.body_bytes + TAIL_BYTES,
            Read::More { bytes } => {
                assert!(bytes > rest.len(), "it has them");
                assert!(bytes <= HEAD_BYTES + MAX_BODY_BYTES + TAIL_BYTES, "{bytes}");
                break;
            }
            Read::Broken => break,
        };
        assert!(length <= rest.len());
        rest = &rest[length..];
    }
    // Seeds have one at most: a fuzzer cannot make up the checks, but it can copy whole records.
    planted_bug(whole >= 2);
}

/// The bodies of a saved backlog's records.
pub(crate) fn backlog(bytes: &[u8]) {
    if let Some(origin) = Origin::parse(bytes) {
        planted_bug(origin.info.disk_total_gb.is_none());
    }
    read_gone(bytes);
    for (sample, marks) in read_samples(bytes) {
        let written = write_sample(&sample, marks.provisional);
        let again = read_samples(&written).next();
        assert_eq!(again, Some((sample, marks)), "it is read as it was written");
    }
}
