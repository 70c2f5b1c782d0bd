//! Tells the program what it is built for and when it was made, and the linker how to keep the
//! released musl binary small. Makes the page that the program carries.

#[path = "build/page.rs"]
mod page;

use std::env::var;
use std::path::Path;
use std::process::Command;
use std::time::UNIX_EPOCH;

const COMMITS: &str = "../.git/logs/HEAD";

fn main() {
    if let Err(error) = page::make() {
        println!("cargo:error=the page cannot be made: {error}");
    }
    println!("cargo:rerun-if-changed=link");
    let target = var("TARGET").unwrap_or_default();
    // `version` says it; the compiler itself tells a program only parts of it.
    println!("cargo:rustc-env=MOTE_TARGET={target}");

    println!("cargo:rerun-if-env-changed=SOURCE_DATE_EPOCH");
    // Each commit is noted there, and a checkout of another.
    if Path::new(COMMITS).exists() {
        println!("cargo:rerun-if-changed={COMMITS}");
    }
    println!("cargo:rustc-env=MOTE_BUILD_TIME_S={}", made_at_s());

    let upper = target.replace(['-', '.'], "_").to_uppercase();
    // Where the choice of a linker comes from; cargo does not run this again for it by itself.
    println!("cargo:rerun-if-changed=../.cargo/config.toml");
    println!("cargo:rerun-if-env-changed=CARGO_TARGET_{upper}_LINKER");

    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // Only a release aborts on a panic; a development build unwinds and needs its tables.
    if !is("CARGO_CFG_TARGET_ENV", "musl") || !is("PROFILE", "release") {
        return;
    }
    let folder = var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let mut arguments = vec![
        format!("-T{folder}/link/no_unwind.ld"),
        format!("-T{folder}/link/hot.ld"),
        "--no-eh-frame-hdr".to_owned(),
        // A relocation in a position-independent program is one bit instead of 24 bytes; musl
        // reads them since 1.2.4.
        "-zpack-relative-relocs".to_owned(),
    ];
    // A C compiler passes on what follows -Wl; rust-lld is the linker itself.
    let is_lld = var("RUSTC_LINKER").is_ok_and(|linker| linker.ends_with("lld"));
    let prefix = if is_lld { "" } else { "-Wl," };
    if is_lld {
        // Functions that came out alike are kept once. Nothing here tells them apart by address.
        arguments.push("--icf=all".to_owned());
    }
    for argument in arguments {
        println!("cargo:rustc-link-arg-bins={prefix}{argument}");
    }
}

/// When the program was made, seconds since 1970: no clock that is right is earlier.
///
/// It is the time of the sources and not of the compiler, so that two builds of the same commit
/// are the same bytes: what `SOURCE_DATE_EPOCH` says, else the commit, else the lock file.
fn made_at_s() -> u64 {
    let given = var("SOURCE_DATE_EPOCH").ok();
    let committed = || {
        let mut git = Command::new("git");
        let output = git.args(["log", "-1", "--format=%ct"]).output().ok()?;
        String::from_utf8(output.stdout).ok()
    };
    let seconds = |text: String| text.trim().parse().ok();
    let locked = || {
        let changed = std::fs::metadata("../Cargo.lock").ok()?.modified().ok()?;
        Some(changed.duration_since(UNIX_EPOCH).ok()?.as_secs())
    };
    given
        .and_then(seconds)
        .or_else(|| committed().and_then(seconds))
        .or_else(locked)
        .unwrap_or(0)
}
