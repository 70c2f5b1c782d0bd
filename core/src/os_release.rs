//! os-release: what the operating system calls itself.
//!
//! ```text
//! PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
//! ID=debian
//! VERSION_ID="12"
//! ```
//!
//! See os-release(5): assignments that a shell could read. Quotes and backslashes are taken away
//! as a shell would; nothing is expanded.

/// The value of `key`, without quotes and escapes, put into `out`; `None` if there is none or it
/// does not fit. Of several the last counts, as in a shell.
pub fn value<'o>(text: &[u8], key: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let raw = text.rsplit(|byte| *byte == b'\n').find_map(|line| {
        let line = line.trim_ascii();
        let line = line.strip_prefix(b"export ").unwrap_or(line);
        line.strip_prefix(key)?.strip_prefix(b"=")
    })?;
    unquote(raw, out)
}

fn unquote<'o>(raw: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let mut quote = None;
    let mut used = 0;
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        let kept = match (quote, byte) {
            (None, b'"' | b'\'') => {
                quote = Some(byte);
                continue;
            }
            (Some(open), _) if open == byte => {
                quote = None;
                continue;
            }
            (None, b' ' | b'\t' | b'\r') => break,
            (None | Some(b'"'), b'\\') => match bytes.next() {
                Some(escaped) => escaped,
                None => break,
            },
            _ => byte,
        };
        *out.get_mut(used)? = kept;
        used += 1;
    }
    Some(&out[..used])
}

/// The beginning of a version that is a number: `22.04.3` is 22.04.
pub fn major_minor(version: &[u8]) -> &[u8] {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let major = digits(version);
    if major == 0 || version.get(major) != Some(&b'.') {
        return &version[..major];
    }
    let minor = digits(&version[major + 1..]);
    // A point with nothing behind it is no part of a number.
    &version[..if minor == 0 { major } else { major + 1 + minor }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let mut out = [0; 16];
        let found = value(text.as_bytes(), b"ID", &mut out);
        assert_eq!(found, expected.map(str::as_bytes), "{text:?}");
    }

    #[test]
    fn quotes_and_escapes_are_taken_away() {
        check("NAME=x\nID=debian\n", Some("debian"));
        check("ID=\"a b\"\n", Some("a b"));
        check("ID='a \"b\\'\r\n", Some("a \"b\\"));
        check("ID=\"a\\\"\\$b\"", Some("a\"$b"));
        check("ID=a\\ b c", Some("a b"));
        check("ID=\n", Some(""));
        check("ID=a\nID=b", Some("b"));
        check("export ID=a", Some("a"));
        check("#ID=a\nID_LIKE=b\n", None);
        check("ID=seventeen-letters", None);
        check("ID=a\\", Some("a"));
    }

    #[test]
    fn a_version_begins_with_a_number_or_not() {
        for (version, expected) in [
            ("12", "12"),
            ("22.04", "22.04"),
            ("19.07.10", "19.07"),
            ("7.", "7"),
            ("r1", ""),
            ("", ""),
        ] {
            assert_eq!(major_minor(version.as_bytes()), expected.as_bytes());
        }
    }
}
