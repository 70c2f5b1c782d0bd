//! Rust text with everything blanked out that is no code.
//!
//! Just enough of a lexer for the house rules: comments, nested ones too, and texts and characters
//! in quotes, raw ones too, become spaces. Line breaks stay, so that a line keeps its number.
//! Macros are not expanded; what a macro hides, the rules do not see.

/// The text without comments and without what is in quotes.
pub(crate) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_name = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let blank = blank_len(rest, after_name);
        if blank == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (hidden, remaining) = rest.split_at(blank);
            code.extend(hidden.chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = remaining;
        }
    }
    code
}

/// How many bytes at the start of `rest` are no code.
fn blank_len(rest: &str, after_name: bool) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return comment_len(rest);
    }
    if rest.starts_with('"') {
        return quoted_len(rest);
    }
    if rest.starts_with('\'') {
        return character_len(rest);
    }
    if !after_name && let Some(tail) = rest.strip_prefix("r").or(rest.strip_prefix("br")) {
        let hashes = tail.len() - tail.trim_start_matches('#').len();
        if tail[hashes..].starts_with('"') {
            let opening = rest.len() - tail.len() + hashes + 1;
            let closing = format!("\"{}", "#".repeat(hashes));
            let end = rest[opening..]
                .find(&closing)
                .map(|at| opening + at + closing.len());
            return end.unwrap_or(rest.len());
        }
    }
    0
}

fn comment_len(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let bytes = &rest.as_bytes()[at..];
        if bytes.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_len(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    rest.len()
}

/// The length of a character in quotes, or 0 for a lifetime.
fn character_len(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((after, _))) => {
            let from = after + rest[after..].chars().next().map_or(0, char::len_utf8);
            rest[from..]
                .find('\'')
                .map_or(rest.len(), |at| from + at + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 0,
    }
}

/// Code without the items marked `#[cfg(test)]`; takes what [`code_only`] gives.
pub(crate) fn without_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        kept.push_str(&rest[..at]);
        let item = at + item_len(&rest[at..]);
        kept.extend(rest[at..item].chars().filter(|c| *c == '\n'));
        rest = &rest[item..];
    }
    kept + rest
}

/// An item ends with the brace that closes its first, or with a semicolon before any.
fn item_len(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

/// Whether `word` is there as a word, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_name) && !line[at + word.len()..].starts_with(is_name)
    })
}

#[track_caller]
fn check(text: &str, visible: &str) {
    let code = code_only(text);
    assert_eq!(
        code.split_whitespace().collect::<Vec<_>>().join(" "),
        visible
    );
    assert_eq!(code.lines().count(), text.lines().count());
}

#[test]
fn comments_and_quotes_are_no_code() {
    check("a // x\nb", "a b");
    check("a /* x /* y */ \n z */ b", "a b");
    check(r#"f("x \" y // ", g)"#, "f( , g)");
    check("f(r#\"x \" y\"#, br\"z\\\", g)", "f( , , g)");
    check("for_r\"x\"", "for_r");
    check(
        r"['x', '\'', '\n', '\u{1f4}', 'é', b'y']",
        "[ , , , , , b ]",
    );
    check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
    check("\"no end", "");
}

#[test]
fn test_items_go_and_the_rest_stays_on_its_line() {
    let code =
        "#[cfg(test)]\nextern crate a;\nuse b;\n#[cfg(test)]\nmod t { fn x() {}\n}\nfn y() {}";
    assert_eq!(without_test_items(code), "\n\nuse b;\n\n\n\nfn y() {}");
}

#[test]
fn a_part_of_a_name_is_no_word() {
    assert!(has_word("a async{", "async") && has_word("async", "async"));
    assert!(!has_word("asyncx my_async", "async"));
}
