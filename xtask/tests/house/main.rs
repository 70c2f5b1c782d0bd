//! The rules of the house, as far as a program can see them.
//!
//! Each rule is a test over the files of the project, and each is first shown a piece of code
//! that breaks it. Comments and texts in quotes are free to name what the rules forbid.

#![cfg(test)]

mod source;

use std::fs;
use std::path::{Path, PathBuf};

use source::{code_only, has_word, without_test_items};

/// Folders that hold no work of ours, or that must stay as some device wrote it.
const NOT_OURS: [&str; 3] = ["target", ".git", "fixtures"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All files below a folder of the project, in a settled order.
fn files(below: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if entry.file_type().unwrap().is_dir() {
                if !NOT_OURS.iter().any(|not_ours| *not_ours == name) {
                    folders.push(entry.path());
                }
            } else {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn rust_files(below: &str) -> Vec<PathBuf> {
    let files = files(below)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let files: Vec<PathBuf> = files.collect();
    assert!(!files.is_empty(), "no Rust in {below}");
    files
}

/// The Rust of a folder that goes into programs; modules of tests in files of their own are named
/// `tests`.
fn shipped_files(below: &str) -> Vec<PathBuf> {
    let mut paths = rust_files(below);
    paths.retain(|path| !is_test_file(path));
    paths
}

fn is_test_file(path: &Path) -> bool {
    path.strip_prefix(root())
        .unwrap_or(path)
        .iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

/// Code that goes into programs, without tests.
fn shipped_code(text: &str) -> String {
    without_test_items(&code_only(text))
}

/// Holds `is_bad` against each line of the files; `prepare` may blank out what does not count.
#[track_caller]
fn no_line(
    paths: &[PathBuf],
    rule: &str,
    prepare: impl Fn(&str) -> String,
    is_bad: impl Fn(&str) -> bool,
) {
    let mut complaints = Vec::new();
    for path in paths {
        let text = fs::read_to_string(path).unwrap();
        for (index, line) in prepare(&text).lines().enumerate() {
            if is_bad(line) {
                let place = path.strip_prefix(root()).unwrap().display();
                complaints.push(format!("{place}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}

fn is_unsafe(line: &str) -> bool {
    has_word(line, "unsafe")
}

fn needs_std(line: &str) -> bool {
    ["std", "alloc"].iter().any(|name| {
        line.contains("extern crate") && has_word(line, name)
            || line
                .match_indices(&format!("{name}::"))
                .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
    })
}

fn leaves_the_one_thread(line: &str) -> bool {
    line.contains("thread::") || has_word(line, "async") || has_word(line, "await")
}

fn sleeps(line: &str) -> bool {
    has_word(line, "sleep") || has_word(line, "sleep_ms")
}

fn ends_in_space(line: &str) -> bool {
    line.ends_with([' ', '\t', '\r'])
}

fn has_head(text: &str) -> bool {
    text.starts_with("//! ")
}

#[test]
fn unsafe_stays_in_the_sandbox_the_clock_and_the_unwinder() {
    assert!(is_unsafe("    unsafe { x() }") && is_unsafe("unsafe fn a() {}"));
    assert!(!is_unsafe("#![deny(unsafe_code)]"));
    for room in ["core", "agent", "xtask"] {
        let mut paths = shipped_files(room);
        paths.retain(|path| {
            // The file of a module, or what lies in its folder.
            let rooms = [Some(path.as_path()), path.parent()];
            let mut stems = rooms.into_iter().flatten().filter_map(Path::file_stem);
            !stems.any(|stem| stem == "sandbox" || stem == "clock" || stem == "unwinder")
        });
        no_line(
            &paths,
            "unsafe outside sandbox, clock and unwinder",
            code_only,
            is_unsafe,
        );
    }
}

#[test]
fn core_needs_neither_std_nor_alloc() {
    assert!(needs_std("use std::fmt;") && needs_std("extern crate alloc;"));
    assert!(needs_std("let x: ::alloc::vec::Vec<u8>;"));
    assert!(!needs_std("#![no_std]") && !needs_std("use my_std::a; let std = 1;"));
    assert!(is_test_file(Path::new("core/src/a/tests.rs")));
    assert!(!is_test_file(Path::new("core/src/contests.rs")));
    no_line(
        &shipped_files("core/src"),
        "std or alloc in core",
        shipped_code,
        needs_std,
    );
}

#[test]
fn the_agent_has_one_thread_and_never_sleeps() {
    assert!(leaves_the_one_thread("std::thread::spawn(f)"));
    assert!(leaves_the_one_thread("async fn a() {") && leaves_the_one_thread("a().await"));
    assert!(!leaves_the_one_thread("thread_local! {"));
    no_line(
        &shipped_files("agent/src"),
        "threads or async in the agent",
        shipped_code,
        leaves_the_one_thread,
    );
}

#[test]
fn tests_wait_for_conditions_and_never_sleep() {
    assert!(sleeps("thread::sleep(x)") && sleeps("use std::thread::{sleep, spawn};"));
    assert!(!sleeps("fn oversleep() {}"));
    no_line(&rust_files("tests"), "sleep in tests", code_only, sleeps);
}

#[test]
fn no_line_ends_in_space() {
    assert!(ends_in_space("a \t") && ends_in_space("a\r") && !ends_in_space("\ta"));
    let kinds = [
        "rs", "toml", "md", "lock", "sh", "yml", "yaml", "html", "service",
    ];
    let mut paths = files(".");
    paths.retain(|path| {
        path.extension()
            .is_some_and(|kind| kinds.iter().any(|known| kind == *known))
            || path.ends_with(".ci/run")
    });
    // `lines` takes a carriage return for a part of the line's end; split by hand to see it.
    let mut complaints = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).unwrap();
        for (index, _) in text
            .split('\n')
            .enumerate()
            .filter(|(_, line)| ends_in_space(line))
        {
            complaints.push(format!("{}:{}", path.display(), index + 1));
        }
    }
    assert!(
        complaints.is_empty(),
        "trailing space:\n{}",
        complaints.join("\n")
    );
}

#[test]
fn every_file_says_its_job_first() {
    assert!(has_head("//! Job.\n") && !has_head("\n//! Job.\n") && !has_head("use a;\n//! a"));
    for path in rust_files(".") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            has_head(&text),
            "{} starts without a module head",
            path.display()
        );
    }
}

#[test]
fn the_lock_file_is_committed() {
    assert!(root().join("Cargo.lock").is_file());
    // A copy of the sources outside git has the file, and that is all it can have.
    if root().join(".git").exists() {
        let mut git = std::process::Command::new("git");
        git.args(["ls-files", "--error-unmatch", "Cargo.lock"])
            .current_dir(root());
        let output = git.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn every_board_comes_with_what_is_expected_of_it() {
    let boards: Vec<PathBuf> = fs::read_dir(root().join("tests/fixtures"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert!(!boards.is_empty(), "no board in tests/fixtures");
    for board in boards {
        let length = fs::metadata(board.join("expected.json")).map_or(0, |file| file.len());
        assert!(
            length > 2,
            "{} has no expected.json, or an empty one",
            board.display()
        );
    }
}

/// The ids in the first cell of a row: one, or the first and the last of some.
fn ids(row: &str) -> Option<Vec<String>> {
    let cell = row.strip_prefix("| ")?.split(" | ").next()?;
    let (first, last) = cell.split_once('\u{2013}').unwrap_or((cell, cell));
    let number = |id: &str| id.get(1..)?.parse::<u32>().ok();
    let letter = first.chars().next().filter(char::is_ascii_uppercase)?;
    let numbers = number(first)?..=number(last)?;
    Some(
        numbers
            .map(|number| format!("{letter}{number}").to_lowercase())
            .collect(),
    )
}

#[test]
fn every_fault_that_is_listed_is_in_the_name_of_a_test() {
    assert_eq!(ids("| D1\u{2013}D3 | x | y |").unwrap(), ["d1", "d2", "d3"]);
    assert_eq!((ids("| id | x | y |"), ids("text")), (None, None));
    let list = fs::read_to_string(root().join("tests/README.md")).unwrap();
    let code: Vec<String> = ["tests", "agent", "core"]
        .iter()
        .flat_map(|folder| rust_files(folder))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let is_in_a_name = |id: &str| {
        let begins = |line: &str| {
            let name = line.trim_start().strip_prefix("fn ").unwrap_or_default();
            // A test may make more than one: their ids come first.
            let is_id = |part: &&str| part.ends_with(|last: char| last.is_ascii_digit());
            name.split('_').take_while(is_id).any(|part| part == id)
        };
        code.iter().any(|text| text.lines().any(begins))
    };
    // What has a command of its own has no name of a test.
    let rows = list
        .lines()
        .filter(|row| !row.ends_with("| `cargo xtask fuzz` |"));
    let listed: Vec<String> = rows.filter_map(ids).flatten().collect();
    assert!(listed.len() > 40, "{listed:?}");
    let missing: Vec<&String> = listed.iter().filter(|id| !is_in_a_name(id)).collect();
    assert!(missing.is_empty(), "no test has the id of {missing:?}");
}
