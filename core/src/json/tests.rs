//! Good documents are walked to their leaves; bad ones are refused with their place.

use super::*;
use crate::Full;
use crate::rng::Rng;

/// As large as the tests' documents get.
const ROOM: usize = 1 << 20;

const GOOD: &str = r#"{ "instruction" : {"id":"0aeb8570","agent_id":"65bb","created_by":null,
  "plugin_configuration":{"entrypoint":"main.py","arguments":["-v","\u00e4\ud83d\ude00","x\/y"]},
  "timeout_seconds":300, "share":-2.5e-3, "execution_log":[], "empty":{}, "deep":[[[{"a":[1,2]}]]]},
  "status":"instruction_delivered","next_poll_interval":5, "done" : true, "failed":false }
"#;

fn good(text: &str) -> Object<'_> {
    read(text.as_bytes(), ROOM).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn bad(text: impl AsRef<[u8]>, at: usize, fault: Fault) {
    assert_eq!(read(text.as_ref(), ROOM), Err(JsonError { at, fault }));
}

#[test]
fn members_come_in_their_order_and_raw() {
    let object = good(r#" {"a" : [1, {"b":"]}"}] ,"c":"\"}", "d":-0.5e+3,"e":null} "#);
    let members: Vec<(&str, &str)> = object
        .members()
        .map(|(key, value)| (key.raw(), value.raw()))
        .collect();
    assert_eq!(
        members,
        [
            (r#""a""#, r#"[1, {"b":"]}"}]"#),
            (r#""c""#, r#""\"}""#),
            (r#""d""#, "-0.5e+3"),
            (r#""e""#, "null"),
        ]
    );
}

#[test]
fn a_document_is_walked_to_its_leaves() {
    let object = good(GOOD);
    let instruction = object.get("instruction").unwrap().as_object().unwrap();
    assert!(
        instruction
            .get("id")
            .unwrap()
            .as_str()
            .unwrap()
            .is("0aeb8570")
    );
    assert!(instruction.get("created_by").unwrap().is_null());
    assert_eq!(instruction.present("created_by"), None);
    assert_eq!(instruction.get("nothing"), None);
    assert!(
        instruction
            .get("empty")
            .unwrap()
            .as_object()
            .unwrap()
            .is_empty()
    );
    let configuration = instruction.get("plugin_configuration").unwrap();
    let arguments = configuration.as_object().unwrap().get("arguments").unwrap();
    let texts: Vec<String> = arguments
        .as_array()
        .unwrap()
        .elements()
        .map(|value| value.as_str().unwrap().chars().collect())
        .collect();
    assert_eq!(texts, ["-v", "ä😀", "x/y"]);
    let none = instruction
        .get("execution_log")
        .unwrap()
        .as_array()
        .unwrap();
    assert_eq!(none.elements().count(), 0);
    assert_eq!(object.get("done").unwrap().as_bool(), Some(true));
    assert_eq!(object.get("failed").unwrap().as_bool(), Some(false));
    let seconds = object
        .get("next_poll_interval")
        .unwrap()
        .as_number()
        .unwrap();
    assert_eq!(seconds.as_u64(), Some(5));
}

#[test]
fn every_cut_of_a_good_document_is_refused() {
    let whole = GOOD.trim_end().len();
    for end in 0..whole {
        assert!(read(&GOOD.as_bytes()[..end], ROOM).is_err(), "{end}");
    }
    assert!(read(&GOOD.as_bytes()[..whole], ROOM).is_ok());
}

#[test]
fn a_cut_inside_a_token_says_that_it_was_cut() {
    for text in [
        "",
        " ",
        "{",
        r#"{"a"#,
        r#"{"a""#,
        r#"{"a":"#,
        r#"{"a":tr"#,
        r#"{"a":-"#,
        r#"{"a":1."#,
        r#"{"a":1e"#,
        r#"{"a":1"#,
        r#"{"a":""#,
        r#"{"a":"\"#,
        r#"{"a":"\u00"#,
        r#"{"a":"\ud83d"#,
        r#"{"a":"\ud83d\"#,
        r#"{"a":"\ud83d\ude"#,
        r#"{"a":1,"#,
        r#"{"a":[1"#,
        r#"{"a":[1,"#,
    ] {
        // An escape is refused from its backslash on.
        let escape = text.find("\"\\").map(|quote| quote + 1);
        bad(text, escape.unwrap_or(text.len()), Fault::Cut);
    }
    bad(b"{\"a\xe2\x82", 3, Fault::Cut);
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    bad("[]", 0, Fault::Expected("an object"));
    bad("\u{feff}{}", 0, Fault::Expected("an object"));
    bad("{} x", 3, Fault::Trailing);
    bad("{}{}", 2, Fault::Trailing);
    bad("{a:1}", 1, Fault::Expected("a key in quotes"));
    bad("{'a':1}", 1, Fault::Expected("a key in quotes"));
    bad(r#"{"a":1,}"#, 7, Fault::Expected("a key in quotes"));
    bad(r#"{"a" 1}"#, 5, Fault::Expected("a colon"));
    bad(r#"{"a":}"#, 5, Fault::Expected("a value"));
    bad(r#"{"a":NaN}"#, 5, Fault::Expected("a value"));
    bad(r#"{"a":Infinity}"#, 5, Fault::Expected("a value"));
    bad(r#"{"a":nul1}"#, 5, Fault::Expected("a value"));
    bad(r#"{"a":[1,]}"#, 8, Fault::Expected("a value"));
    bad(
        r#"{"a":1 "b":2}"#,
        7,
        Fault::Expected("a comma or a closing brace"),
    );
    bad(
        r#"{"a":[1 2]}"#,
        8,
        Fault::Expected("a comma or a closing bracket"),
    );
    bad(
        r#"{"a":trues}"#,
        9,
        Fault::Expected("a comma or a closing brace"),
    );
    bad(
        r#"{"a":01}"#,
        6,
        Fault::Expected("a number without a leading zero"),
    );
    bad(r#"{"a":-}"#, 6, Fault::Expected("a digit"));
    bad(r#"{"a":1.}"#, 7, Fault::Expected("a digit"));
    bad(r#"{"a":1e+}"#, 8, Fault::Expected("a digit"));
    bad(r#"{"a":+1}"#, 5, Fault::Expected("a value"));
    bad("{\"a\":\"x\ny\"}", 7, Fault::Control);
    bad("{\"a\":\"\0\"}", 6, Fault::Nul);
    bad("{\0}", 1, Fault::Expected("a key in quotes"));
    bad(r#"{"a":"\u0000"}"#, 6, Fault::Nul);
    bad(r#"{"a":"\x41"}"#, 6, Fault::Escape);
    bad(r#"{"a":"\u00g0"}"#, 6, Fault::Escape);
    bad(r#"{"a":"\ude00"}"#, 6, Fault::Surrogate);
    bad(r#"{"a":"\ud83dx"}"#, 6, Fault::Surrogate);
    bad(r#"{"a":"\ud83d\u0041"}"#, 6, Fault::Surrogate);
    bad(b"{\"a\":\"\xff\"}", 6, Fault::NotUtf8);
    assert_eq!(
        read(b"{}    ", 4).unwrap_err().to_string(),
        "byte 4: longer than is accepted"
    );
    assert_eq!(
        read(br#"{"a":}"#, ROOM).unwrap_err().to_string(),
        "byte 5: expected a value"
    );
}

#[test]
fn a_key_is_there_once_however_it_is_written() {
    bad(r#"{"a":1,"b":2,"a":3}"#, 13, Fault::DuplicateKey);
    bad(r#"{"a":1,"\u0061":3}"#, 7, Fault::DuplicateKey);
    bad(r#"{"x":{"a":1,"a":2}}"#, 12, Fault::DuplicateKey);
    bad(r#"{"x":{"a":1},"b":2,"x":0}"#, 19, Fault::DuplicateKey);
    good(r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}],"A":1,"":0}"#);
}

#[test]
fn keys_of_open_objects_are_bounded_and_closed_ones_forgotten() {
    let object = |count: usize| {
        let members: Vec<String> = (0..count).map(|n| format!("\"k{n}\":{n}")).collect();
        format!("{{{}}}", members.join(","))
    };
    good(&object(MAX_OPEN_KEYS));
    let too_many = object(MAX_OPEN_KEYS + 1);
    bad(
        &too_many,
        too_many.rfind("\"k").unwrap(),
        Fault::TooManyKeys,
    );
    let full = object(MAX_OPEN_KEYS - 1);
    good(&format!("{{\"a\":[{full},{full},{full}]}}"));
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let inner = depth - 1;
        format!("{{\"a\":{}{}}}", "[".repeat(inner), "]".repeat(inner))
    };
    good(&nested(MAX_DEPTH));
    bad(nested(MAX_DEPTH + 1), 5 + MAX_DEPTH - 1, Fault::TooDeep);
    bad(nested(10_000), 5 + MAX_DEPTH - 1, Fault::TooDeep);
    bad("{\"a\":".repeat(10_000), 5 * MAX_DEPTH, Fault::TooDeep);
}

#[test]
fn numbers_are_finite_as_the_standard_parser_says() {
    for text in [
        "0",
        "-0",
        "1e400",
        "-1e400",
        "1e308",
        "1.7976931348623157e308",
        "1.8e308",
        "9e308",
        "17976931348623157e292",
        "17976931348623157000e289",
        "0.00001e313",
        "0.00001e314",
        "1e309",
        "0e999999999999999999999",
        "1e-400",
        "0.0000e400",
        "1e999999999999999999999",
        "1e-999999999999999999999",
        "123456789e300",
        "123456789e301",
        "1.79769313486231580793e308",
        "100000000000000000000000000000000000000000000000000000000000000000000",
    ] {
        let document = format!("{{\"n\":{text}}}");
        let is_finite = text.parse::<f64>().unwrap().is_finite();
        // Between the largest f64 and the first that rounds to infinity the verdict may be stricter.
        let is_edge = text.starts_with("1.797693134862315807");
        let accepted = read(document.as_bytes(), ROOM).is_ok();
        assert_eq!(accepted, is_finite && !is_edge, "{text}");
    }
}

#[test]
fn whole_numbers_are_read_in_every_form() {
    let number = |text: &str| {
        let document = format!("{{\"n\":{text}}}");
        let value = good(&document).get("n").unwrap().as_number().unwrap();
        (value.as_u64(), value.scaled(3))
    };
    assert_eq!(number("5"), (Some(5), Some(5_000)));
    assert_eq!(number("5.0"), (Some(5), Some(5_000)));
    assert_eq!(number("5e2"), (Some(500), Some(500_000)));
    assert_eq!(number("0.5e1"), (Some(5), Some(5_000)));
    assert_eq!(number("2.5"), (None, Some(2_500)));
    assert_eq!(number("0.0015"), (None, Some(1)));
    assert_eq!(number("1e-9"), (None, Some(0)));
    assert_eq!(number("-0"), (Some(0), Some(0)));
    assert_eq!(number("-0.5"), (None, None));
    assert_eq!(number("-1"), (None, None));
    assert_eq!(number("18446744073709551615"), (Some(u64::MAX), None));
    assert_eq!(number("18446744073709551616"), (None, None));
    assert_eq!(number("1e300"), (None, None));
    assert_eq!(number("0e300"), (Some(0), Some(0)));
}

#[test]
fn a_string_is_unescaped_or_the_buffer_is_too_small() {
    let object = good(r#"{"s":"a\"\\\/\b\f\n\r\t\u20ac\ud83d\ude00z","p":"plain €","e":""}"#);
    let text = object.get("s").unwrap().as_str().unwrap();
    let expected = "a\"\\/\u{8}\u{c}\n\r\t€😀z";
    assert!(text.is(expected));
    assert!(!text.is("a"));
    assert_eq!(text.plain(), None);
    let mut buf = [0xa5; 64];
    assert_eq!(text.unescape(&mut buf), Ok(expected));
    for size in 0..expected.len() {
        assert_eq!(text.unescape(&mut buf[..size]), Err(Full), "{size}");
    }
    assert_eq!(text.unescape(&mut buf[..expected.len()]), Ok(expected));
    let plain = object.get("p").unwrap().as_str().unwrap();
    assert_eq!(plain.plain(), Some("plain €"));
    assert!(object.get("e").unwrap().as_str().unwrap().is_empty());
}

#[test]
fn a_damaged_document_is_refused_or_walked_to_its_end() {
    let seed = std::env::var("SEED").map_or(0x6d6f_7465, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut rng = Rng::new(seed);
    let marks = b"{}[]\",:\\u0019eE+-. \n\x00\xfftn";
    for _ in 0..20_000 {
        let mut bytes = GOOD.as_bytes().to_vec();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len() as u64) as usize;
            let mark = marks[rng.below(marks.len() as u64) as usize];
            match rng.below(3) {
                0 => bytes[at] = mark,
                1 => bytes.insert(at, mark),
                _ => drop(bytes.remove(at)),
            }
        }
        match read(&bytes, ROOM) {
            Ok(object) => assert_eq!(walk(Value::Object(object)), object.raw().len()),
            Err(error) => assert!(error.at <= bytes.len(), "{error}"),
        }
    }
}

/// Visits everything in `value`; gives its length, to see that the pieces lie inside.
fn walk(value: Value<'_>) -> usize {
    let raw = value.raw();
    let inside = |piece: &str| {
        let outer = raw.as_bytes().as_ptr_range();
        let inner = piece.as_bytes().as_ptr_range();
        assert!(outer.start <= inner.start && inner.end <= outer.end || piece.len() < 6);
    };
    match value {
        Value::Object(object) => {
            for (key, member) in object.members() {
                inside(key.raw());
                inside(member.raw());
                assert_eq!(object.get(&key.chars().collect::<String>()), Some(member));
                walk(member);
            }
        }
        Value::Array(array) => array.elements().for_each(|element| {
            inside(element.raw());
            walk(element);
        }),
        Value::Str(text) => assert!(text.chars().all(|character| character != '\0')),
        Value::Number(number) => assert!(number.raw().parse::<f64>().unwrap().is_finite()),
        Value::Null | Value::Bool(_) => {}
    }
    raw.len()
}
