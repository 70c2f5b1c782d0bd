//! Makes the device's page that is sent from the one that is read: a part of the build script.

use std::env::var;
use std::{fs, io};

/// Writes the page without what only its readers in the sources need: indentation, lines that are
/// comments, and in style sheet and script the blanks around most punctuation and the ends of most
/// lines.
pub(crate) fn make() -> io::Result<()> {
    const SOURCE: &str = "src/face/page/index.html";
    println!("cargo:rerun-if-changed={SOURCE}");
    let mut page = String::new();
    let mut is_code = false;
    for line in fs::read_to_string(SOURCE)?.lines().map(str::trim) {
        match line {
            "<style>" | "<script>" => is_code = true,
            "</style>" | "</script>" => is_code = false,
            _ => {}
        }
        if line.is_empty() || line.starts_with("// ") {
            continue;
        }
        if is_code {
            tighten(line, &mut page);
        } else {
            page.push_str(line);
        }
        // A line of code that ends so goes on in the next one.
        if !(is_code && line.ends_with([';', '{', ','])) {
            page.push('\n');
        }
    }
    fs::write(
        format!("{}/page.html", var("OUT_DIR").unwrap_or_default()),
        page,
    )
}

/// Adds a line of code without the blanks beside these marks, where no single quotes are around
/// them. They mean nothing there in CSS and in JavaScript, `+ +` apart, which the page has not.
fn tighten(line: &str, page: &mut String) {
    let is_mark = |c: char| "=+,;:?{}<>&|".contains(c);
    let mut is_quoted = false;
    for c in line.chars() {
        is_quoted ^= c == '\'';
        if !is_quoted && is_mark(c) && page.ends_with(' ') {
            page.pop();
        }
        if is_quoted || c != ' ' || !page.ends_with(is_mark) {
            page.push(c);
        }
    }
}
