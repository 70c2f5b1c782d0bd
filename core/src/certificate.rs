//! Until when an X.509 certificate holds (RFC 5280, section 4.1), and no more of it.
//!
//! Enough of DER is read to find the one field; nothing is verified, since this is a certificate
//! that the device shows of itself and nobody's word is taken for it.

use crate::time::{UnixMs, parse_rfc3339};

const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When the certificate ends. `None` if this is none, or its end is no time.
pub fn not_after_ms(der: &[u8]) -> Option<UnixMs> {
    let (certificate, _) = take(der, SEQUENCE)?;
    let (mut fields, _) = take(certificate, SEQUENCE)?;
    if fields.first() == Some(&EXPLICIT_VERSION) {
        fields = any(fields)?.2;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        fields = any(fields)?.2;
    }
    let (validity, _) = take(fields, SEQUENCE)?;
    let (_, _, rest) = any(validity)?;
    let (tag, text, _) = any(rest)?;
    let mut time = *b"0000-00-00T00:00:00Z";
    let digits = match (tag, text.len()) {
        (GENERALIZED_TIME, 15) => {
            time[..2].copy_from_slice(&text[..2]);
            &text[2..]
        }
        (UTC_TIME, 13) => {
            // The century is as RFC 5280, section 4.1.2.5.1 has it.
            let is_this = text[0] < b'5';
            time[..2].copy_from_slice(if is_this { b"20" } else { b"19" });
            text
        }
        _ => return None,
    };
    let pairs = digits.strip_suffix(b"Z")?.chunks_exact(2);
    for (pair, at) in pairs.zip([2, 5, 8, 11, 14, 17]) {
        time[at..at + 2].copy_from_slice(pair);
    }
    parse_rfc3339(&time).ok()
}

/// What a value of this tag holds, and what follows it.
fn take(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, inside, rest) = any(der)?;
    (tag == wanted).then_some((inside, rest))
}

/// A value's tag, what it holds, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if !(1..=3).contains(&count) {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        let length = bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        (length, rest)
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((tag, inside, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, inside: &[u8]) -> Vec<u8> {
        let mut der = vec![tag];
        match inside.len() {
            length @ 0..=0x7f => der.push(length as u8),
            length => der.extend([0x82, (length >> 8) as u8, length as u8]),
        }
        der.extend_from_slice(inside);
        der
    }

    fn certificate(version: bool, end: Vec<u8>) -> Vec<u8> {
        let mut fields = Vec::new();
        if version {
            fields.extend(value(EXPLICIT_VERSION, &[2, 1, 2]));
        }
        fields.extend(value(2, &[0; 20]));
        fields.extend(value(SEQUENCE, &[6, 1, 1]));
        fields.extend(value(SEQUENCE, &[0; 200]));
        let begin = value(UTC_TIME, b"240101000000Z");
        fields.extend(value(SEQUENCE, &[begin, end].concat()));
        fields.extend(value(SEQUENCE, &[0; 60]));
        value(SEQUENCE, &value(SEQUENCE, &fields))
    }

    #[test]
    fn the_end_is_read_in_both_forms() {
        let utc = || value(UTC_TIME, b"251010163242Z");
        for version in [true, false] {
            let der = certificate(version, utc());
            assert_eq!(not_after_ms(&der), Some(1_760_113_962_000));
        }
        let der = certificate(true, value(GENERALIZED_TIME, b"20510101000000Z"));
        assert_eq!(not_after_ms(&der), Some(2_556_144_000_000));
        let der = certificate(true, value(UTC_TIME, b"990101000000Z"));
        assert_eq!(not_after_ms(&der), Some(915_148_800_000));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let der = certificate(true, value(UTC_TIME, b"251010163242Z"));
        for end in 0..der.len() {
            assert_eq!(not_after_ms(&der[..end]), None, "{end}");
        }
        for wrong in [
            &b"2510101632422"[..],
            b"25101016324aZ",
            b"251310163242Z",
            b"",
        ] {
            assert_eq!(
                not_after_ms(&certificate(true, value(UTC_TIME, wrong))),
                None
            );
        }
    }
}
