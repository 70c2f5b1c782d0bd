//! Tells the linker how to keep the released musl binary small.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=link/no_unwind.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // Only a release aborts on a panic; a development build unwinds and needs its tables.
    if !is("CARGO_CFG_TARGET_ENV", "musl") || !is("PROFILE", "release") {
        return;
    }
    let folder = var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let arguments = [
        format!("-T{folder}/link/no_unwind.ld"),
        "--no-eh-frame-hdr".to_owned(),
        // A relocation in a position-independent program is one bit instead of 24 bytes; musl
        // reads them since 1.2.4.
        "-zpack-relative-relocs".to_owned(),
    ];
    // A C compiler passes on what follows -Wl; rust-lld is the linker itself.
    let direct = var("RUSTC_LINKER").is_ok_and(|linker| linker.ends_with("lld"));
    for argument in arguments {
        let prefix = if direct { "" } else { "-Wl," };
        println!("cargo:rustc-link-arg-bins={prefix}{argument}");
    }
}
