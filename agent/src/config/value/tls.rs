//! Values that are about TLS: versions, cipher suites, pins.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{list, must_be};
use crate::config::settings::TlsVersion;

/// A TLS version.
pub fn tls_version(text: &str) -> Result<TlsVersion, String> {
    match text {
        "1.2" => Ok(TlsVersion::V1_2),
        "1.3" => Ok(TlsVersion::V1_3),
        _ => Err(must_be(text, "1.2 or 1.3")),
    }
}

/// Hashes of public keys, as `sha256/` and 44 letters of base64 (RFC 7469, section 2.4).
pub fn pins(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let words = list(text);
    if words.is_empty() {
        // Not the same as no pins: whoever writes the key wants it to hold.
        return Err("is empty: leave the key out, or give a pin".into());
    }
    words.iter().map(|word| pin(word)).collect()
}

fn pin(word: &str) -> Result<[u8; 32], String> {
    let wrong = || {
        format!(
            "{word:?} is not a pin: write sha256/ and the base64 of the key's SHA-256, as from \
             openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | \
             openssl dgst -sha256 -binary | base64"
        )
    };
    // curl writes two strokes; the second may also be the first letter.
    let forms = ["sha256/", "sha256//"].into_iter();
    let mut hashes = forms.filter_map(|form| {
        let hash = BASE64_STANDARD.decode(word.strip_prefix(form)?).ok()?;
        hash.try_into().ok()
    });
    hashes.next().ok_or_else(wrong)
}

/// The suites that there are, by their names and numbers (IANA, TLS Cipher Suites).
const CIPHER_SUITES: [(&str, u16); 9] = [
    ("TLS_AES_256_GCM_SHA384", 0x1302),
    ("TLS_AES_128_GCM_SHA256", 0x1301),
    ("TLS_CHACHA20_POLY1305_SHA256", 0x1303),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 0xc02c),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 0xc02b),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca9),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", 0xc030),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", 0xc02f),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", 0xcca8),
];

/// Cipher suites by their names.
pub fn cipher_suites(text: &str) -> Result<Vec<u16>, String> {
    let number = |name: &String| {
        let known = CIPHER_SUITES.iter().find(|(known, _)| known == name);
        known.map(|(_, number)| *number).ok_or_else(|| {
            let names: Vec<_> = CIPHER_SUITES.iter().map(|(name, _)| *name).collect();
            format!("{name:?} is not one of {}", names.join(", "))
        })
    };
    list(text).iter().map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_the_base64_of_a_hash() {
        // SHA-256 of nothing.
        let words = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let pins = pins(words).unwrap();
        assert_eq!(pins[0][..4], [0xe3, 0xb0, 0xc4, 0x42]);
        assert_eq!(pins[0][30..], [0xb8, 0x55]);
        let as_curl = words.replacen('/', "//", 1);
        assert_eq!(super::pins(&as_curl), Ok(pins));
        for wrong in [
            "sha256/",
            "47DEQpj8",
            "sha256/47DEQpj8HBSa=",
            "sha1/47DEQpj8=",
            "sha256/!=",
        ] {
            assert!(
                super::pins(wrong).unwrap_err().contains("openssl"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_cipher_suite_that_is_not_there_is_answered_with_those_that_are() {
        assert_eq!(
            cipher_suites("TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256"),
            Ok(vec![0x1301, 0x1303])
        );
        assert_eq!(cipher_suites(""), Ok(vec![]));
        let words = cipher_suites("TLS_RSA_WITH_RC4_128_MD5").unwrap_err();
        assert!(words.contains("TLS_AES_256_GCM_SHA384"), "{words}");
    }
}
