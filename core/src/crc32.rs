//! CRC-32 as gzip and Ethernet have it (RFC 1952, section 8).
//!
//! Finds every error that touches no more than 32 bits in a row, and all but one in 2^32 of the
//! others. It finds accidents; it is no protection against somebody who wants to deceive.

/// The check of the bytes so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crc32(u32);

/// The polynomial, lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What four bits do: 64 bytes, where a table for eight would have a thousand.
const NIBBLES: [u32; 16] = {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let mut crc = nibble as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[nibble] = crc;
        nibble += 1;
    }
    table
};

impl Crc32 {
    /// Of no bytes.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Goes on with more bytes.
    #[must_use]
    pub fn and(self, bytes: &[u8]) -> Self {
        let step = |crc: u32, nibble: u32| (crc >> 4) ^ NIBBLES[((crc ^ nibble) & 15) as usize];
        Self(bytes.iter().fold(self.0, |crc, byte| {
            let byte = u32::from(*byte);
            step(step(crc, byte), byte >> 4)
        }))
    }

    /// The check.
    pub const fn get(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_check_that_others_compute() {
        for (bytes, check) in [
            (&b""[..], 0),
            (b"a", 0xe8b7_be43),
            // The check value of the catalogues of CRCs.
            (b"123456789", 0xcbf4_3926),
            (&[0; 32], 0x190a_55ad),
            (&[0xff; 32], 0xff6c_ab0b),
        ] {
            assert_eq!(Crc32::new().and(bytes).get(), check, "{bytes:?}");
        }
    }

    #[test]
    fn in_pieces_it_is_the_same() {
        let bytes = *b"the quick brown fox jumps over the lazy dog";
        let whole = Crc32::new().and(&bytes);
        for cut in 0..=bytes.len() {
            assert_eq!(Crc32::new().and(&bytes[..cut]).and(&bytes[cut..]), whole);
        }
    }
}
