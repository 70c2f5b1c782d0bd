//! Shows what the bytes of the release binaries are spent on.
//!
//! Usage: cargo xtask size [--save]
//!
//! For each file of `cross/`: the bytes of the binary, of its sections, of the crates whose
//! functions and data weigh the most, and of the modules of mote's own crates. With --save the
//! figures are kept in target/size.tsv; later calls show the change since then.
//!
//! Crates and modules come from a second build, which keeps its symbols, in target/size. A function
//! belongs to the crate that its path begins with; code that a crate makes of another crate's
//! generic type counts for the one that wrote the function, and what the compiler put into a caller
//! counts there. What no symbol names (texts, tables of the linker) is the last of the crates.

mod saved;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::args;
use crate::build;
use crate::cross::Cross;
use crate::elf::{self, ElfError, Part};
use crate::failure::Failure;
use crate::prerequisites::Needs;
use crate::shell;
use saved::{Figure, Saved};

/// Crates that are shown; the others are one line.
const CRATES_SHOWN: usize = 15;
/// Everything that is not Rust.
const C: &str = "(C of ring and musl)";
/// Crates whose modules are shown.
const OWN: [&str; 2] = ["mote", "mote_core"];

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (save, rest) = args::switch(args, "--save");
    args::nothing_else(&rest)?;
    let targets = Cross::all()?;
    Needs::of_builds(&targets).ensure()?;
    let saved = Saved::load()?;
    let mut figures = Vec::new();
    for cross in &targets {
        let of_target = measure(cross)?;
        print!("{}", table(&cross.triple, &of_target, &saved));
        figures.extend(of_target);
    }
    if save {
        let place = Saved::store(&figures)?;
        println!("{}", place.display());
    }
    Ok(())
}

fn measure(cross: &Cross) -> Result<Vec<Figure>, Failure> {
    let (binary, total_bytes) = build::built(&mut build::command(cross))?;
    let mut with_symbols = build::command(cross);
    with_symbols
        .arg("--target-dir")
        .arg(shell::target_dir().join("size"))
        .env("CARGO_PROFILE_RELEASE_STRIP", "none");
    let with_symbols = shell::build_binary(&mut with_symbols)?;
    let sections = parts(&binary, elf::sections)?;
    let symbols = parts(&with_symbols, elf::symbols)?;
    let crates = by_crate(&symbols, total_bytes);
    let modules = by_module(&symbols);
    let figure = |kind: &str, part: Part| Figure {
        triple: cross.triple.clone(),
        kind: kind.to_owned(),
        name: part.name,
        bytes: part.bytes,
    };
    let total = Part {
        name: "all".to_owned(),
        bytes: total_bytes,
    };
    let sections = sections.into_iter().map(|part| figure("section", part));
    let crates = crates.into_iter().map(|part| figure("crate", part));
    let modules = modules.into_iter().map(|part| figure("module", part));
    let figures = [figure("binary", total)].into_iter();
    Ok(figures
        .chain(sections)
        .chain(crates)
        .chain(modules)
        .collect())
}

fn parts(
    binary: &Path,
    read: fn(&[u8]) -> Result<Vec<Part>, ElfError>,
) -> Result<Vec<Part>, Failure> {
    let place = binary.display();
    let bytes = fs::read(binary)
        .map_err(|error| Failure::Failed(format!("cannot read {place}: {error}")))?;
    read(&bytes).map_err(|error| Failure::Failed(format!("{place}: {error}")))
}

/// The crates that weigh the most, then the others together, then what has no symbol.
fn by_crate(symbols: &[Part], total_bytes: u64) -> Vec<Part> {
    let mut crates = summed(symbols, |symbol| Some(crate_of(symbol)));
    let named_bytes: u64 = crates.iter().map(|part| part.bytes).sum();
    let others = crates.split_off(crates.len().min(CRATES_SHOWN));
    crates.push(Part {
        name: "(other crates)".to_owned(),
        bytes: others.iter().map(|part| part.bytes).sum(),
    });
    crates.push(Part {
        name: "(no symbol)".to_owned(),
        bytes: total_bytes.saturating_sub(named_bytes),
    });
    crates
}

/// The modules right below the roots of [`OWN`].
fn by_module(symbols: &[Part]) -> Vec<Part> {
    summed(symbols, module_of)
}

/// The sums of those that `name` gives a common name, the largest first.
fn summed(symbols: &[Part], name: impl Fn(&str) -> Option<String>) -> Vec<Part> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for symbol in symbols {
        if let Some(name) = name(&symbol.name) {
            *sums.entry(name).or_default() += symbol.bytes;
        }
    }
    let parts = sums.into_iter().map(|(name, bytes)| Part { name, bytes });
    let mut parts: Vec<Part> = parts.collect();
    parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
    parts
}

/// The crate of a symbol. What has no path is C or assembler: ring's share of it and the C library
/// cannot be told apart by name.
fn crate_of(symbol: &str) -> String {
    path_of(symbol).map_or_else(|| C.to_owned(), |(name, _)| name)
}

/// The module of a symbol of mote's own crates; the crate itself for what is in none.
fn module_of(symbol: &str) -> Option<String> {
    let (name, rest) = path_of(symbol)?;
    if !OWN.contains(&&*name) {
        return None;
    }
    let end = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
    let (next, behind) = rest.split_at(end);
    let is_module = behind.starts_with("::");
    Some(if is_module {
        format!("{name}::{next}")
    } else {
        name
    })
}

/// The crate that the path of a symbol begins with, and what follows it.
fn path_of(symbol: &str) -> Option<(String, String)> {
    let path = format!("{:#}", rustc_demangle::demangle(symbol));
    // An implementation is written `<Type as Trait>::function` and belongs to the crate of the
    // type; that of a built-in type (`<&str as ...>`) to the trait's.
    path.split(" as ").find_map(|place| {
        let name = place.trim_start_matches(|c: char| !is_name(c));
        let (first, rest) = name.split_once("::")?;
        let first = first.rsplit(|c: char| !is_name(c)).next()?;
        (!first.is_empty()).then(|| (first.to_owned(), rest.to_owned()))
    })
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn table(triple: &str, figures: &[Figure], saved: &Saved) -> String {
    let lines = figures.iter().map(|figure| {
        let change = saved
            .bytes(figure)
            .map_or_else(String::new, |before| change(before, figure.bytes));
        let (kind, name, bytes) = (&figure.kind, &figure.name, figure.bytes);
        let line = format!("  {kind:<8} {name:<26} {bytes:>9} {change:>9}");
        format!("{}\n", line.trim_end())
    });
    [format!("{triple}\n")].into_iter().chain(lines).collect()
}

/// `+12`, `-3`, or nothing.
fn change(before: u64, now: u64) -> String {
    match now.cmp(&before) {
        std::cmp::Ordering::Less => format!("-{}", before - now),
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Greater => format!("+{}", now - before),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(symbol: &str, expected: &str) {
        assert_eq!(crate_of(symbol), expected);
    }

    #[test]
    fn a_symbol_belongs_to_the_crate_its_path_begins_with() {
        check(
            "_ZN6rustls6client2hs9ExpectAll17h0123456789abcdefE",
            "rustls",
        );
        check(
            "_ZN61_$LT$alloc..vec..Vec$LT$T$GT$$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
            "alloc",
        );
        check(
            "_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
            "core",
        );
        check("_RNvCs4fqI2P2rA04_4mote4main", "mote");
        check("ring_core_0_17_14__ChaCha20_ctr32", C);
        check("memcpy", C);
    }

    #[test]
    fn a_symbol_of_our_own_belongs_to_a_module_or_to_the_crate_itself() {
        let check = |symbol, expected| assert_eq!(module_of(symbol).as_deref(), expected);
        check(
            "_ZN4mote6plugin7by_hand3run17h0123456789abcdefE",
            Some("mote::plugin"),
        );
        check(
            "_ZN58_$LT$mote_core..ring..Ring$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE",
            Some("mote_core::ring"),
        );
        check("_RNvCs4fqI2P2rA04_4mote4main", Some("mote"));
        check("_ZN6rustls6client2hs9ExpectAll17h0123456789abcdefE", None);
        check("memcpy", None);
    }

    #[test]
    fn the_crates_and_what_has_no_symbol_make_up_the_whole() {
        let symbols: Vec<Part> = (0..20)
            .map(|number| Part {
                name: format!("_ZN3c{number:02}1f17h0123456789abcdefE"),
                bytes: 100 + number,
            })
            .collect();
        let crates = by_crate(&symbols, 5000);
        assert_eq!(crates.len(), CRATES_SHOWN + 2);
        assert_eq!((&*crates[0].name, crates[0].bytes), ("c19", 119));
        assert_eq!(crates.iter().map(|part| part.bytes).sum::<u64>(), 5000);
    }

    #[test]
    fn a_change_is_shown_with_its_sign() {
        assert_eq!(change(10, 12), "+2");
        assert_eq!(change(12, 10), "-2");
        assert_eq!(change(12, 12), "");
    }
}
