//! Lines of the Prometheus text format that others wrote: checked, and put into one form.
//!
//! ```text
//! # HELP raid_failed Disks that failed.
//! # TYPE raid_failed gauge
//! raid_failed { array = "md0", } 1
//! ```
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>
//!
//! A line that passes can stand on a page of ours as it comes out: no blanks where none need be,
//! no comma at the end of the labels, valid UTF-8, only the three escapes that there are, a number
//! that every reader takes. Timestamps are refused: a file that is read over and over would give
//! the same old one each time.
//!
//! Lines are judged one by one. What they say together, and whether two say the same, is for who
//! reads the file.

use core::fmt;
use core::ops::Range;

use super::prometheus::Kind;

/// What a line says, as places in it: it was put into form there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Nothing: it is blank or a comment.
    Nothing,
    /// What a family is.
    Help {
        /// The family's name.
        name: Range<usize>,
        /// In words, escapes and all.
        text: Range<usize>,
    },
    /// What a family's numbers are.
    Type {
        /// The family's name.
        name: Range<usize>,
        /// What they are.
        kind: Kind,
    },
    /// A number.
    Sample {
        /// The end of the name, which is at the line's beginning.
        name_end: usize,
        /// The end of name and labels, which tell the series from all others.
        series_end: usize,
        /// The end of all.
        end: usize,
    },
}

/// Why a line is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpositionError {
    /// It is no UTF-8.
    NotUtf8,
    /// A name is missing or has a letter that names do not have.
    BadName,
    /// The labels are not `{name="value",…}`, or two have one name.
    BadLabels,
    /// A value has a backslash before something else than a backslash, a quote or an n.
    BadEscape,
    /// There is no number, or it is none.
    BadNumber,
    /// The number is followed by a timestamp or something else.
    Timestamp,
    /// The type is not counter, gauge, untyped, histogram or summary.
    BadType,
}

/// Reads one line without its newline, and puts it into form.
pub fn read(line: &mut [u8]) -> Result<Line, ExpositionError> {
    let text = core::str::from_utf8(line).map_err(|_| ExpositionError::NotUtf8)?;
    let start = text.len() - text.trim_start_matches(is_blank).len();
    if start == line.len() {
        return Ok(Line::Nothing);
    }
    if line[start] == b'#' {
        return comment(text, start);
    }
    let mut form = Form {
        line,
        from: start,
        to: 0,
    };
    form.name(b":")?;
    let name_end = form.to;
    form.skip_blanks();
    if form.next_is(b'{') {
        form.keep();
        form.labels()?;
    }
    let series_end = form.to;
    form.skip_blanks();
    let end = form
        .rest()
        .iter()
        .position(|byte| is_blank(char::from(*byte)))
        .unwrap_or(form.rest().len());
    let (number, behind) = form.rest().split_at(end);
    if !is_number(number) {
        return Err(ExpositionError::BadNumber);
    }
    if !behind.iter().all(|byte| is_blank(char::from(*byte))) {
        return Err(ExpositionError::Timestamp);
    }
    // The blank that must stand before the number is room for the one that is written.
    if form.from == 0 || !is_blank(char::from(form.line[form.from - 1])) {
        return Err(ExpositionError::BadNumber);
    }
    form.put(b' ');
    for _ in 0..end {
        form.keep();
    }
    Ok(Line::Sample {
        name_end,
        series_end,
        end: form.to,
    })
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r')
}

fn comment(text: &str, start: usize) -> Result<Line, ExpositionError> {
    // The next word and where it stands.
    let word = |from: usize| {
        let rest = &text[from..];
        let begin = from + rest.len() - rest.trim_start_matches(is_blank).len();
        let length = text[begin..].find(is_blank);
        begin..length.map_or(text.len(), |length| begin + length)
    };
    let keyword = word(start + 1);
    let is_help = match &text[keyword.clone()] {
        "HELP" => true,
        "TYPE" => false,
        _ => return Ok(Line::Nothing),
    };
    let name = word(keyword.end);
    if !is_name(&text.as_bytes()[name.clone()], b":") {
        return Err(ExpositionError::BadName);
    }
    let rest = word(name.end).start..text.trim_end_matches(is_blank).len();
    if is_help {
        let text = rest.start.min(rest.end)..rest.end;
        return Ok(Line::Help { name, text });
    }
    let kinds = [
        Kind::Counter,
        Kind::Gauge,
        Kind::Untyped,
        Kind::Histogram,
        Kind::Summary,
    ];
    let said = text.get(rest).unwrap_or_default();
    let kind = kinds.into_iter().find(|kind| kind.word() == said);
    let kind = kind.ok_or(ExpositionError::BadType)?;
    Ok(Line::Type { name, kind })
}

fn is_name(name: &[u8], also: &[u8]) -> bool {
    name.first().is_some_and(|byte| !byte.is_ascii_digit())
        && name.iter().all(|byte| is_of_name(*byte, also))
}

fn is_of_name(byte: u8, also: &[u8]) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || also.contains(&byte)
}

/// What all readers of the format take: decimals with or without point and exponent, and the three
/// that are no numbers in the usual sense.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|b| b.is_ascii_digit()).count();
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        all => all,
    };
    if matches!(unsigned, b"Inf" | b"inf") || matches!(text, b"NaN" | b"nan") {
        return true;
    }
    let whole = digits(unsigned);
    let mut rest = &unsigned[whole..];
    let mut decimals = 0;
    if let Some(behind) = rest.strip_prefix(b".") {
        decimals = digits(behind);
        rest = &behind[decimals..];
    }
    if whole + decimals == 0 {
        return false;
    }
    match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', power @ ..] | [b'e' | b'E', power @ ..] => {
            !power.is_empty() && digits(power) == power.len()
        }
        _ => false,
    }
}

/// A line on its way into form: what is written never overtakes what is read.
struct Form<'l> {
    line: &'l mut [u8],
    from: usize,
    to: usize,
}

impl Form<'_> {
    fn rest(&self) -> &[u8] {
        &self.line[self.from..]
    }

    fn next_is(&self, byte: u8) -> bool {
        self.rest().first() == Some(&byte)
    }

    fn skip_blanks(&mut self) {
        while self
            .rest()
            .first()
            .is_some_and(|byte| is_blank(char::from(*byte)))
        {
            self.from += 1;
        }
    }

    fn put(&mut self, byte: u8) {
        self.line[self.to] = byte;
        self.to += 1;
    }

    fn keep(&mut self) {
        self.put(self.line[self.from]);
        self.from += 1;
    }

    fn name(&mut self, also: &[u8]) -> Result<(), ExpositionError> {
        let length = self
            .rest()
            .iter()
            .take_while(|byte| is_of_name(**byte, also))
            .count();
        if !is_name(&self.rest()[..length], also) {
            return Err(ExpositionError::BadName);
        }
        for _ in 0..length {
            self.keep();
        }
        Ok(())
    }

    /// What follows the opening brace, to the closing one.
    fn labels(&mut self) -> Result<(), ExpositionError> {
        let begin = self.to;
        loop {
            self.skip_blanks();
            if self.next_is(b'}') {
                // A comma may stand before the brace.
                if self.line[self.to - 1] == b',' {
                    self.to -= 1;
                }
                self.keep();
                return Ok(());
            }
            let label = self.to;
            self.name(b"")?;
            let end = self.to;
            if &self.line[label..end] == b"__name__" || self.has_label(begin..label, label..end) {
                return Err(ExpositionError::BadLabels);
            }
            self.skip_blanks();
            self.expect(b'=')?;
            self.skip_blanks();
            self.expect(b'"')?;
            self.quoted()?;
            self.skip_blanks();
            if self.next_is(b',') {
                self.keep();
            } else if !self.next_is(b'}') {
                return Err(ExpositionError::BadLabels);
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ExpositionError> {
        if !self.next_is(byte) {
            return Err(ExpositionError::BadLabels);
        }
        self.keep();
        Ok(())
    }

    /// A value behind its first quote, the last one included.
    fn quoted(&mut self) -> Result<(), ExpositionError> {
        loop {
            match self.rest() {
                [] => return Err(ExpositionError::BadLabels),
                [b'"', ..] => {
                    self.keep();
                    return Ok(());
                }
                [b'\\', b'\\' | b'"' | b'n', ..] => {
                    self.keep();
                    self.keep();
                }
                [b'\\', ..] => return Err(ExpositionError::BadEscape),
                _ => self.keep(),
            }
        }
    }

    /// Whether one of the labels in form has this name.
    fn has_label(&self, before: Range<usize>, name: Range<usize>) -> bool {
        let name = &self.line[name];
        let mut rest = &self.line[before];
        while let Some(equals) = rest.iter().position(|byte| *byte == b'=') {
            if &rest[..equals] == name {
                return true;
            }
            // Behind `="`, to the quote that no backslash stands before.
            let value = &rest[equals + 2..];
            let mut at = 0;
            while value.get(at).is_some_and(|byte| *byte != b'"') {
                at += if value[at] == b'\\' { 2 } else { 1 };
            }
            rest = value.get(at + 2..).unwrap_or_default();
        }
        false
    }
}

impl fmt::Display for ExpositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotUtf8 => "not UTF-8",
            Self::BadName => "no name: write letters, digits and underscores, no digit first",
            Self::BadLabels => "labels are not {name=\"value\"}, or one is there twice",
            Self::BadEscape => "a backslash must stand before a backslash, a quote or an n",
            Self::BadNumber => "no number behind the name",
            Self::Timestamp => "something behind the number: timestamps are not taken",
            Self::BadType => "a type is counter, gauge, untyped, histogram or summary",
        })
    }
}

impl core::error::Error for ExpositionError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> Result<String, ExpositionError> {
        let mut line = text.as_bytes().to_vec();
        match read(&mut line)? {
            Line::Sample {
                name_end,
                series_end,
                end,
            } => {
                assert!(name_end <= series_end && series_end < end);
                Ok(String::from_utf8(line[..end].to_vec()).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_sample_is_put_into_one_form() {
        for (text, expected) in [
            ("a 1", "a 1"),
            ("  a:b_9\t 1e5 \r", "a:b_9 1e5"),
            ("a{} 1", "a{} 1"),
            ("a { b = \"c\" , d=\"\", } -1.5", "a{b=\"c\",d=\"\"} -1.5"),
            (
                "a{b=\"\\\\x\\\"y\\n{},=\"} +Inf",
                "a{b=\"\\\\x\\\"y\\n{},=\"} +Inf",
            ),
            ("a{b=\"\u{e9}\"} NaN", "a{b=\"\u{e9}\"} NaN"),
            ("a{b=\"x,b=\\\"\"} .5E-3", "a{b=\"x,b=\\\"\"} .5E-3"),
        ] {
            assert_eq!(sample(text), Ok(expected.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_a_reader_might_not_take_is_refused_by_name() {
        use ExpositionError::*;
        for (text, expected) in [
            ("9a 1", BadName),
            ("a-b 1", BadNumber),
            ("{b=\"c\"} 1", BadName),
            ("a{9=\"c\"} 1", BadName),
            ("a{b:c=\"c\"} 1", BadLabels),
            ("a{b=c} 1", BadLabels),
            ("a{b=\"c} 1", BadLabels),
            ("a{b=\"c\" d=\"e\"} 1", BadLabels),
            ("a{b=\"c\",b=\"d\"} 1", BadLabels),
            ("a{x=\"b=\",b=\"c\",b=\"d\"} 1", BadLabels),
            ("a{__name__=\"c\"} 1", BadLabels),
            ("a{,} 1", BadName),
            ("a{b=\"\\t\"} 1", BadEscape),
            ("a", BadNumber),
            ("a{}", BadNumber),
            ("a one", BadNumber),
            ("a 0x1p3", BadNumber),
            ("a 1_000", BadNumber),
            ("a 1e", BadNumber),
            ("a .", BadNumber),
            ("a --1", BadNumber),
            ("a 1 1395066363000", Timestamp),
            ("a 1 # x", Timestamp),
            (" a+1", BadNumber),
            (" a{}1", BadNumber),
        ] {
            assert_eq!(sample(text), Err(expected), "{text:?}");
        }
        assert_eq!(read(&mut b"a{b=\"\xff\"} 1".to_vec()), Err(NotUtf8));
    }

    #[test]
    fn comments_are_nothing_but_for_two() {
        for text in ["", " \t", "#", "# ", "# words", "#HELPER a", "# TYPES a b"] {
            assert_eq!(read(&mut text.as_bytes().to_vec()), Ok(Line::Nothing));
        }
        let text = "# HELP a  some \\n words ";
        let Ok(Line::Help { name, text: words }) = read(&mut text.as_bytes().to_vec()) else {
            panic!("no help");
        };
        assert_eq!((&text[name], &text[words]), ("a", "some \\n words"));
        let empty = read(&mut b"# HELP a".to_vec());
        assert!(matches!(empty, Ok(Line::Help { text, .. }) if text.is_empty()));
        let kind = read(&mut b"#\tTYPE a histogram\r".to_vec());
        assert!(matches!(
            kind,
            Ok(Line::Type {
                kind: Kind::Histogram,
                ..
            })
        ));
        for (text, expected) in [
            ("# TYPE a", ExpositionError::BadType),
            ("# TYPE a gauges", ExpositionError::BadType),
            ("# TYPE a gauge b", ExpositionError::BadType),
            ("# TYPE", ExpositionError::BadName),
            ("# HELP a-b c", ExpositionError::BadName),
        ] {
            assert_eq!(
                read(&mut text.as_bytes().to_vec()),
                Err(expected),
                "{text:?}"
            );
        }
    }

    #[test]
    fn no_bytes_make_it_panic_and_its_form_is_stable() {
        let mut rng = crate::rng::Rng::new(20_260_718);
        for _ in 0..200_000 {
            let letters = b"a{}=\"\\n, #1.e+\tHELP TYPE\xff";
            let length = rng.below(24);
            let mut line: Vec<u8> = (0..length)
                .map(|_| letters[rng.below(letters.len() as u64) as usize])
                .collect();
            let before = line.clone();
            if let Ok(Line::Sample { end, .. }) = read(&mut line) {
                let mut again = line[..end].to_vec();
                let read_again = read(&mut again);
                assert!(
                    matches!(read_again, Ok(Line::Sample { end: same, .. }) if same == end),
                    "{before:?}"
                );
                assert_eq!(again, line[..end]);
            }
        }
    }
}
