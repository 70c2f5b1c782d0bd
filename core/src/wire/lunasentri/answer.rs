//! What the server's answer says about the sample that was sent.
//!
//! The status decides. The body is looked at only to tell a server that files samples by their
//! timestamps from one that files them when they arrive.

/// What an answer's status is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server has the sample.
    Delivered,
    /// Not now: keep the sample and try again.
    Hold,
    /// This sample is at fault, and would be again.
    Refused,
    /// The key is at fault: no sample will pass until it is another.
    KeyRefused,
    /// The server is not there as configured. A bad deploy looks like that too, so nothing is
    /// given up for it.
    NotThere,
}

impl Verdict {
    /// The verdict on a status. Redirects are not followed, so they too mean "not there".
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::Delivered,
            400 | 413 | 422 => Self::Refused,
            401 | 403 => Self::KeyRefused,
            // Network authentication required: a captive portal answered, not the server.
            511 => Self::NotThere,
            408 | 429 | 500..=599 => Self::Hold,
            _ => Self::NotThere,
        }
    }
}

/// Under which time the server files a sample, as far as the body of a good answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filing {
    /// The sample's own: the body is the documented one.
    OwnTime,
    /// That of its arrival: there is no body, as from the published server.
    Arrival,
    /// There is no telling. Somebody else may have answered: a page for the time of an update does,
    /// and with 200.
    Unknown,
}

impl Filing {
    /// What `body` tells.
    pub fn of_body(body: &[u8]) -> Self {
        if body.trim_ascii().is_empty() {
            Self::Arrival
        } else if is_documented_acceptance(body) {
            Self::OwnTime
        } else {
            Self::Unknown
        }
    }
}

/// Whether a body is the documented one: a JSON object in which `status` is `accepted`. Values of
/// other members are passed over without being checked.
pub fn is_documented_acceptance(body: &[u8]) -> bool {
    final_status(body.trim_ascii()) == Some(b"accepted")
}

/// The text of the object's member `status`, the last if there are more. `None` if the object does
/// not end where the body ends.
fn final_status(body: &[u8]) -> Option<&[u8]> {
    let mut rest = body.strip_prefix(b"{")?;
    let mut status = None;
    loop {
        let (key, after) = split_string(rest.trim_ascii_start())?;
        let value = after
            .trim_ascii_start()
            .strip_prefix(b":")?
            .trim_ascii_start();
        let (value, after) = value.split_at_checked(value_bytes(value)?)?;
        if key == b"status" {
            status = match split_string(value) {
                Some((text, after)) if after.trim_ascii_start().is_empty() => Some(text),
                _ => None,
            };
        }
        match after.split_first()? {
            (b',', after) => rest = after,
            (b'}', []) => return status,
            _ => return None,
        }
    }
}

/// A string without its quotes, escapes as they are, and what follows it.
fn split_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some((&text[..at], &text[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// How far a member's value reaches. Depth is counted, not recursed into: a body of nothing but
/// brackets must not cost the stack.
fn value_bytes(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => at = text.len() - split_string(&text[at..])?.1.len(),
            b',' | b'}' if depth == 0 => return (at > 0).then_some(at),
            byte => {
                match byte {
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_its_verdict() {
        // The statuses that are named, and what the rest of their hundred means.
        let hundreds = [
            (100, Verdict::NotThere, &[][..]),
            (200, Verdict::Delivered, &[]),
            (300, Verdict::NotThere, &[]),
            (
                400,
                Verdict::NotThere,
                &[
                    (400, Verdict::Refused),
                    (401, Verdict::KeyRefused),
                    (403, Verdict::KeyRefused),
                    (408, Verdict::Hold),
                    (413, Verdict::Refused),
                    (422, Verdict::Refused),
                    (429, Verdict::Hold),
                ],
            ),
            (500, Verdict::Hold, &[(511, Verdict::NotThere)]),
            (600, Verdict::NotThere, &[]),
            (700, Verdict::NotThere, &[]),
            (800, Verdict::NotThere, &[]),
            (900, Verdict::NotThere, &[]),
        ];
        for (first, rest, named) in hundreds {
            for status in first..first + 100 {
                let named = named.iter().find(|&&(at, _)| at == status);
                let expected = named.map_or(rest, |&(_, verdict)| verdict);
                assert_eq!(Verdict::of_status(status), expected, "{status}");
            }
        }
        for status in (0..100).chain(1000..=u16::MAX) {
            assert_eq!(Verdict::of_status(status), Verdict::NotThere, "{status}");
        }
    }

    #[test]
    fn the_documented_answer_is_known() {
        for body in [
            r#"{"status":"accepted"}"#,
            " { \"status\" : \"accepted\" }\r\n",
            r#"{"id":17,"status":"accepted","next":null}"#,
            r#"{"a":{"status":"no","b":[1,{"c":"}"}]},"status":"accepted"}"#,
            r#"{"quote":"\"}","status":"accepted"}"#,
            r#"{"status":"pending","status":"accepted"}"#,
        ] {
            assert!(is_documented_acceptance(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn other_answers_are_not_the_documented_one() {
        for body in [
            "",
            "{}",
            "accepted",
            r#""accepted""#,
            r#"{"status":"pending"}"#,
            r#"{"status":"Accepted"}"#,
            r#"{"status":accepted}"#,
            r#"{"status":["accepted"]}"#,
            r#"{"status":"accepted" 1}"#,
            r#"{"status":"accepted","status":"pending"}"#,
            r#"{"state":"accepted"}"#,
            r#"{"inner":{"status":"accepted"}}"#,
            r#"["status","accepted"]"#,
            r#"[{"status":"accepted"}]"#,
            r#"{"status":"accepted"}}"#,
            r#"{"status":"accepted"} x"#,
            r#"{"status":"accepted",}"#,
            r#"{"a":,"status":"accepted"}"#,
            r#"{"a":]],"status":"accepted"}"#,
            r#"{"status" "accepted"}"#,
            r#"{status:"accepted"}"#,
            "<html>status accepted</html>",
        ] {
            assert!(!is_documented_acceptance(body.as_bytes()), "{body}");
        }
    }

    #[test]
    fn no_body_is_the_published_servers_and_another_one_tells_nothing() {
        for (body, filing) in [
            ("", Filing::Arrival),
            (" \r\n", Filing::Arrival),
            (r#"{"status":"accepted"}"#, Filing::OwnTime),
            ("{}", Filing::Unknown),
            ("<html>Back soon</html>", Filing::Unknown),
        ] {
            assert_eq!(Filing::of_body(body.as_bytes()), filing, "{body:?}");
        }
    }

    #[test]
    fn a_cut_answer_is_not_accepted() {
        let body = br#"{"a":"\\","status":"accepted"}"#;
        for cut in 0..body.len() {
            assert!(!is_documented_acceptance(&body[..cut]), "cut at byte {cut}");
        }
        assert!(is_documented_acceptance(body));
    }

    #[test]
    fn a_body_of_brackets_does_not_cost_the_stack() {
        let mut body = br#"{"a":"#.to_vec();
        body.extend(core::iter::repeat_n(b'[', 1_000_000));
        assert!(!is_documented_acceptance(&body));
        body.extend(core::iter::repeat_n(b']', 1_000_000));
        body.extend(br#","status":"accepted"}"#);
        assert!(is_documented_acceptance(&body));
    }
}
