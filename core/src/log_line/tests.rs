//! Lines are read back by a small strict reader of JSON, at the end of this file.

use super::*;

const NOW_MS: u64 = 1_760_113_962_118;

fn unbounded(msg: &str, key_hash: &str, fields: &[(&str, Value<'_>)]) -> String {
    let mut out = [0xa5; 2048];
    let mut rest = &mut out[..];
    write_line(&mut rest, NOW_MS, Level::Info, msg, key_hash, fields).unwrap();
    let used = 2048 - rest.len();
    String::from_utf8(out[..used].to_vec()).unwrap()
}

fn bounded(room: usize, msg: &str, fields: &[(&str, Value<'_>)]) -> String {
    let mut buf = vec![0xa5; room];
    let used = write_line_bounded(&mut buf, NOW_MS, Level::Info, msg, "0a1b2c3d", fields);
    String::from_utf8(buf[..used].to_vec()).unwrap()
}

#[test]
fn a_line_has_its_fields_in_order() {
    let line = unbounded(
        "Metrics sent successfully",
        "0a1b2c3d",
        &[
            ("status_code", Value::Uint(202)),
            ("cpu_pct", Value::Tenths(Tenths::from_raw(123))),
            ("disk_pct", Value::Tenths(Tenths::ABSENT)),
            ("offset_ms", Value::Int(-5)),
            ("repeat", Value::Bool(false)),
            ("said", Value::Str("a \"b\"\n")),
        ],
    );
    assert_eq!(
        line,
        concat!(
            r#"{"timestamp":"2025-10-10T16:32:42.118Z","level":"info","#,
            r#""msg":"Metrics sent successfully","api_key_hash":"0a1b2c3d","#,
            r#""status_code":202,"cpu_pct":"12.3","offset_ms":-5,"repeat":false,"#,
            r#""said":"a \"b\"\n"}"#,
            "\n"
        )
    );
}

#[test]
fn without_a_key_there_is_no_hash() {
    let line = unbounded("m", "", &[("n", Value::Int(i64::MIN))]);
    assert!(
        line.ends_with("\"msg\":\"m\",\"n\":-9223372036854775808}\n"),
        "{line}"
    );
}

#[test]
fn a_line_that_fits_is_not_touched() {
    let fields = [("a", Value::Str("some words")), ("b", Value::Uint(7))];
    let whole = unbounded("message", "0a1b2c3d", &fields);
    assert_eq!(bounded(whole.len(), "message", &fields), whole);
    assert_ne!(bounded(whole.len() - 1, "message", &fields), whole);
}

#[test]
fn the_longest_texts_are_shortened_first() {
    let long = "x".repeat(5_000);
    let longer = "y".repeat(9_000);
    let fields = [
        ("short", Value::Str("kept")),
        ("x", Value::Str(&long)),
        ("y", Value::Str(&longer)),
    ];
    let line = bounded(512, "kept as well", &fields);
    assert!((508..=512).contains(&line.len()), "{}", line.len());
    assert!(line.contains(r#""msg":"kept as well""#) && line.contains(r#""short":"kept""#));
    let count = |c: char| line.matches(c).count();
    assert_eq!(count('…'), 2);
    assert!(
        count('x') > 100 && count('x').abs_diff(count('y')) <= 3,
        "{line}"
    );
}

#[test]
fn a_shortened_text_keeps_to_its_limit_mark_included() {
    let text = "ab€cdefgh";
    let expected = [
        "…",
        "…",
        "…",
        "…",
        "a…",
        "ab…",
        "ab…",
        "ab…",
        "ab€…",
        "ab€c…",
        "ab€cd…",
        text,
    ];
    for (max_bytes, expected) in expected.into_iter().enumerate() {
        let mut buf = [0; 32];
        let mut rest = &mut buf[..];
        write_shortened(&mut rest, text, max_bytes).unwrap();
        let used = 32 - rest.len();
        assert_eq!(core::str::from_utf8(&buf[..used]), Ok(expected));
    }
}

#[test]
fn in_every_room_the_line_is_whole_json() {
    let hostile = "\u{1b}\"\\😀€\u{2028}".repeat(40);
    let fields = [
        ("body", Value::Str(&hostile)),
        ("code", Value::Uint(u64::MAX)),
        ("words", Value::Str("short words")),
        ("on", Value::Bool(true)),
    ];
    let mut last_len = 0;
    for room in 0..1_500 {
        let line = bounded(room, "a message of some length", &fields);
        assert!(line.len() <= room);
        if line.is_empty() {
            assert!(room < 128, "{room} bytes hold a line");
            continue;
        }
        assert!(
            line.ends_with("}\n") && !line[..line.len() - 1].contains('\n'),
            "{line}"
        );
        assert_eq!(
            json_end(line.as_bytes()),
            Some(line.len() - 1),
            "{room}: {line}"
        );
        last_len = line.len();
    }
    assert_eq!(
        last_len,
        unbounded("a message of some length", "0a1b2c3d", &fields).len()
    );
}

fn for_people(room: usize, msg: &str, fields: &[(&str, Value<'_>)], colour: bool) -> String {
    let mut buf = vec![0xa5; room];
    let level = Level::Warn;
    let used = write_text_line_bounded(&mut buf, NOW_MS, level, msg, "0a1b2c3d", fields, colour);
    String::from_utf8(buf[..used].to_vec()).unwrap()
}

#[test]
fn a_line_for_people_has_the_same_in_the_same_order() {
    let fields = [
        ("status_code", Value::Uint(202)),
        ("cpu_pct", Value::Tenths(Tenths::from_raw(123))),
        ("disk_pct", Value::Tenths(Tenths::ABSENT)),
        ("offset_ms", Value::Int(-5)),
        ("repeat", Value::Bool(true)),
        ("host", Value::Str("pi-4.local")),
    ];
    assert_eq!(
        for_people(300, "Metrics sent", &fields, false),
        "2025-10-10T16:32:42Z WARN  Metrics sent api_key_hash=0a1b2c3d status_code=202 \
         cpu_pct=12.3 offset_ms=-5 repeat=true host=pi-4.local\n"
    );
}

#[test]
fn a_value_for_people_is_quoted_where_a_reader_would_stumble() {
    let check = |text: &str, expected: &str| {
        let line = for_people(200, "m", &[("v", Value::Str(text))], false);
        assert_eq!(line.split_once(" v=").unwrap().1, format!("{expected}\n"));
    };
    check("", r#""""#);
    check("äöü-€/x", "äöü-€/x");
    check("two words", r#""two words""#);
    check("a=b", r#""a=b""#);
    check("\u{a0}", "\"\u{a0}\"");
    check("say \"x\"\n", r#""say \"x\"\n""#);
    check("back\\slash", r#""back\\slash""#);
    check("\u{1b}[31m\u{9b}\u{202e}", r#""\u001b[31m\u009b\u202e""#);
}

#[test]
fn only_the_level_is_coloured() {
    let fields = [("v", Value::Str("\u{1b}[0m"))];
    let plain = for_people(200, "bad \u{1b}[5m\n news", &fields, false);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
    let coloured = for_people(200, "bad \u{1b}[5m\n news", &fields, true);
    let level = "\u{1b}[33mWARN \u{1b}[0m";
    assert_eq!(coloured.replace(level, "WARN "), plain);
    assert_eq!(coloured.matches('\u{1b}').count(), 2);
}

#[test]
fn in_every_room_the_line_for_people_is_whole() {
    let hostile = "\u{1b}\"\\😀€\u{2028}".repeat(40);
    let fields = [
        ("body", Value::Str(&hostile)),
        ("code", Value::Uint(u64::MAX)),
        ("words", Value::Str("short words")),
    ];
    let mut last = String::new();
    for room in 0..1_300 {
        let line = for_people(room, "a message of some length", &fields, false);
        assert!(line.len() <= room);
        assert!(line.is_empty() || line.ends_with('\n') && line.lines().count() == 1);
        assert!(!line.is_empty() || room < 60, "{room} bytes hold a line");
        // Quotes that are not escaped stand for themselves, so they come in pairs.
        assert_eq!(
            line.replace("\\\\", "")
                .replace("\\\"", "")
                .matches('"')
                .count()
                % 2,
            0
        );
        assert!(
            line.is_empty() || line.contains(" api_key_hash=0a1b2c3d"),
            "{line}"
        );
        last = line;
    }
    assert!(
        last.contains("words=\"short words\"") && !last.contains('…'),
        "{last}"
    );
}

#[test]
fn levels_are_ordered_and_known_by_name() {
    assert!(Level::Debug < Level::Info && Level::Info < Level::Warn);
    assert!(Level::Warn < Level::Error);
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        assert_eq!(Level::parse(level.as_str()), Some(level));
    }
    assert_eq!(Level::parse("INFO"), None);
}

/// Where a flat JSON object with string keys ends, or `None` when it is not one.
fn json_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    if text.first() != Some(&b'{') {
        return None;
    }
    loop {
        at = string_end(text, at)?;
        at += usize::from(*text.get(at)? == b':');
        at = match text.get(at)? {
            b'"' => string_end(text, at)?,
            _ => {
                at + text[at..]
                    .iter()
                    .position(|b| !b.is_ascii_alphanumeric() && *b != b'-')?
            }
        };
        match text.get(at)? {
            b',' => at += 1,
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn string_end(text: &[u8], start: usize) -> Option<usize> {
    if text.get(start)? != &b'"' {
        return None;
    }
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => match text.get(at + 1)? {
                b'"' | b'\\' | b'n' | b'r' | b't' | b'b' | b'f' => at += 2,
                b'u' if text.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) => at += 6,
                _ => return None,
            },
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}
