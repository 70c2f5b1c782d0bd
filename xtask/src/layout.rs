//! Measures which functions a running agent executes, so that the linker can put them together.
//!
//! Usage: cargo xtask layout
//!
//! Builds the release binary with its symbols into target/layout, lets the profiling program of
//! `tests/` watch it at work under valgrind, and writes what was called into agent/link/hot.ld,
//! which every later build of the agent takes. A page fault maps 64 KiB around it: functions that
//! are used, lying among those that are not, make the whole file resident.
//!
//! Worth repeating after larger changes. A name in the file that is no more does no harm, a
//! function that is missing there costs memory and nothing else, and the file serves every target.

use std::collections::BTreeSet;
use std::fs;

use crate::build;
use crate::cross::Cross;
use crate::failure::Failure;
use crate::prerequisites::Needs;
use crate::shell;

const SCRIPT: &str = "agent/link/hot.ld";
const HEAD: &str = "\
/* Functions that a running agent executes, side by side, so that few pages are resident; those of
   every delivery first and in their order, so that a sleeper finds them with few cache misses.
   Made by `cargo xtask layout` from a profile. */
SECTIONS
{
  .text.hot : {
";
/// What comes before `main` goes by another name under valgrind. Assembler has no section for
/// each function; and which of ring's is executed is the processor's affair.
const TAIL: &str = concat!(
    "    *(.text.__libc_start_main .text.libc_start_main_stage2 .text.libc_start_init)\n",
    "    *liblibc*.rlib:*(.text)\n",
    "    *libring*.rlib:*(.text .text.*)\n",
    "  }\n}\nINSERT BEFORE .text;\n",
);

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = args.first() {
        return Err(Failure::Usage(format!(
            "`{unknown}` is not understood; nothing goes with layout"
        )));
    }
    let cross = Cross::native()?;
    Needs::of_builds(std::slice::from_ref(&cross))
        .tools([("valgrind", "valgrind"), ("nm", "binutils")])
        .ensure()?;
    let folder = shell::target_dir().join("layout");
    let mut command = build::command(&cross);
    command
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env("CARGO_TARGET_DIR", &folder);
    let mote = shell::build_binary(&mut command)?;
    let mut command = shell::cargo(&["run", "--release", "--package", "mote-tests"]);
    command.args(["--bin", "profile"]).env("MOTE_BIN", &mote);
    let names = shell::output_of(&mut command)?;
    let script = script(&names);
    fs::write(SCRIPT, &script)
        .map_err(|error| Failure::Failed(format!("cannot write {SCRIPT}: {error}")))?;
    println!("{SCRIPT}: {} functions", names.lines().count());
    Ok(())
}

/// The linker script that puts functions of these names first. Those that the compiler takes for
/// unlikely are in sections of another beginning.
fn script(names: &str) -> String {
    let mut known = BTreeSet::new();
    let patterns = names.lines().map(pattern);
    let patterns = patterns.filter(|it| known.insert(it.clone()));
    let lines = patterns.map(|it| format!("    *(.text*.{it})\n"));
    [HEAD.to_owned()]
        .into_iter()
        .chain(lines)
        .chain([TAIL.to_owned()])
        .collect()
}

/// What a function's section is called in any build: without the hashes that the compiler makes
/// of versions and flags.
fn pattern(name: &str) -> String {
    // Rust's older names end in `17h`, 16 hexadecimal digits and `E`.
    if name.starts_with("_ZN")
        && let Some((stem, _)) = name.rsplit_once("17h")
    {
        return format!("{stem}17h*");
    }
    // Numbers behind a dot tell copies apart that the optimizer made.
    let stem = name.split('.').next().unwrap_or(name);
    if !name.starts_with("_R") {
        let copies = if stem.len() < name.len() { "*" } else { "" };
        return format!("{stem}{copies}");
    }
    // Rust's newer names have a crate's hash as `Cs`, letters and digits, `_`.
    let mut pattern = String::new();
    let mut rest = stem;
    while let Some((before, after)) = rest.split_once("Cs") {
        pattern.push_str(before);
        pattern.push_str("Cs");
        rest = after;
        if let Some((hash, after)) = after.split_once('_')
            && hash.bytes().all(|byte| byte.is_ascii_alphanumeric())
        {
            pattern.push_str("*_");
            rest = after;
        }
    }
    pattern + rest + "*"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_no_hash() {
        for (name, expected) in [
            (
                "_ZN4mote5agent3run17h0123456789abcdefE",
                "_ZN4mote5agent3run17h*",
            ),
            (
                "_RNvCsfLfy6EI15iL_7___rustc12___rust_alloc",
                "_RNvCs*_7___rustc12___rust_alloc*",
            ),
            (
                "_RNvNtNtCs7BliBxkEZsN_4core3str9from_utf8.1453",
                "_RNvNtNtCs*_4core3str9from_utf8*",
            ),
            ("memcpy", "memcpy"),
            ("fiat.constprop.0", "fiat*"),
        ] {
            assert_eq!(pattern(name), expected);
        }
    }

    #[test]
    fn a_script_names_each_pattern_once_in_the_order_given() {
        let script = script("memcpy\n_ZN1a1b17haaE\nabs\n_ZN1a1b17hbbE\n");
        assert_eq!(script.matches("_ZN1a1b17h*").count(), 1);
        let at = |name| script.find(name).unwrap();
        assert!(at("memcpy") < at("_ZN1a1b17h*") && at("_ZN1a1b17h*") < at("abs"));
        assert!(script.starts_with(HEAD) && script.ends_with(TAIL));
    }
}
