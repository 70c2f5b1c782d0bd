//! Builds what is released: one binary for each file of `cross/`, with checksums.
//!
//! Usage: cargo xtask dist [--small]
//!
//! Writes target/dist/mote-TRIPLE for each target, install.sh beside them, and SHA256SUMS over all
//! binaries that are there; `sha256sum --check SHA256SUMS` takes it. Prints the sizes, and fails if
//! a binary is not static and stripped or is over its budget of 2.0 MB.
//!
//! With --small it writes target/dist/mote-TRIPLE-small instead, for devices with a tiny flash;
//! the budget is 1.8 MB. Everything is compiled for size, std too, and a panic ends the program
//! without a word. That takes parts of cargo that are not stable yet. They are unlocked in the
//! compiler that builds everything else (`RUSTC_BOOTSTRAP`), so that both kinds of binary come from
//! the same one and no second compiler has to be there; only std's source is added (rustup's
//! rust-src).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args;
use crate::build;
use crate::cross::Cross;
use crate::failure::Failure;
use crate::prerequisites::Needs;
use crate::shell;

const SUMS: &str = "SHA256SUMS";
const INSTALLER: &str = "install.sh";
/// What `Cargo.toml` compiles for speed: a tiny flash is worth a page for Prometheus that takes a
/// little longer.
const FASTER: [&str; 2] = ["mote-core", "serde-json-core"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Small,
}

impl Kind {
    fn budget_bytes(self) -> u64 {
        match self {
            Self::Full => 2_000_000,
            Self::Small => 1_800_000,
        }
    }

    fn file_name(self, triple: &str) -> String {
        match self {
            Self::Full => format!("mote-{triple}"),
            Self::Small => format!("mote-{triple}-small"),
        }
    }

    fn command(self, cross: &Cross) -> Command {
        let mut command = build::command(cross);
        if self == Self::Small {
            // A folder of its own: the other kind's binary would be replaced by this one.
            command.arg("--target-dir");
            command.arg(shell::target_dir().join("small"));
            command.args([
                "-Zbuild-std=std,panic_abort",
                "-Zbuild-std-features=optimize_for_size",
                "-Zpanic-immediate-abort",
            ]);
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_PROFILE_RELEASE_PANIC", "immediate-abort");
            for package in FASTER {
                let as_small = format!("profile.release.package.{package}.opt-level=\"z\"");
                command.args(["--config", &as_small]);
            }
        }
        command
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let (small, rest) = args::switch(args, "--small");
    args::nothing_else(&rest)?;
    let kind = if small { Kind::Small } else { Kind::Full };
    let targets = Cross::all()?;
    let needs = Needs::of_builds(&targets).tools([("sha256sum", "coreutils")]);
    match kind {
        Kind::Full => needs.ensure()?,
        Kind::Small => needs.std_source().ensure()?,
    }
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|error| cannot("make", &folder, &error))?;
    let mut sizes = Vec::new();
    for cross in &targets {
        let (binary, size_bytes) = build::built(&mut kind.command(cross))?;
        let name = kind.file_name(&cross.triple);
        let place = folder.join(&name);
        fs::copy(&binary, &place).map_err(|error| cannot("write", &place, &error))?;
        sizes.push((name, size_bytes));
    }
    let installer = folder.join(INSTALLER);
    fs::copy(INSTALLER, &installer).map_err(|error| cannot("write", &installer, &error))?;
    write_sums(&folder)?;
    print!("{}", table(&sizes, kind.budget_bytes()));
    println!("{}", folder.display());
    within(&sizes, kind.budget_bytes())
}

/// Where the binaries are put.
pub(crate) fn folder() -> PathBuf {
    shell::target_dir().join("dist")
}

/// The released binary for a target, which [`run`] writes there.
pub(crate) fn binary(triple: &str) -> PathBuf {
    folder().join(Kind::Full.file_name(triple))
}

fn write_sums(folder: &Path) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(|error| cannot("read", folder, &error))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("mote-"))
        .collect();
    names.sort();
    let mut command = Command::new("sha256sum");
    command.args(names).current_dir(folder);
    shell::announce(&command);
    let sums = shell::output_of(&mut command)?;
    let place = folder.join(SUMS);
    fs::write(&place, sums).map_err(|error| cannot("write", &place, &error))
}

fn table(sizes: &[(String, u64)], budget_bytes: u64) -> String {
    let head = format!(
        "{:<38} {:>9} {:>9} {:>9}\n",
        "binary", "bytes", "", "budget"
    );
    let lines = sizes.iter().map(|(name, bytes)| {
        let size = shell::megabytes(*bytes);
        format!("{name:<38} {bytes:>9} {size:>9} {budget_bytes:>9}\n")
    });
    [head].into_iter().chain(lines).collect()
}

fn within(sizes: &[(String, u64)], budget_bytes: u64) -> Result<(), Failure> {
    let over: Vec<String> = sizes
        .iter()
        .filter(|(_, bytes)| *bytes > budget_bytes)
        .map(|(name, bytes)| {
            format!(
                "{name} has {bytes} bytes, {} too many",
                bytes - budget_bytes
            )
        })
        .collect();
    if over.is_empty() {
        Ok(())
    } else {
        let over = over.join("; ");
        Err(Failure::Failed(format!(
            "over the budget of {budget_bytes} bytes: {over}"
        )))
    }
}

fn cannot(do_what: &str, place: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot {do_what} {}: {error}", place.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_over_the_budget_is_named_with_its_numbers() {
        let sizes = [("mote-a".to_owned(), 100), ("mote-b".to_owned(), 108)];
        assert_eq!(within(&sizes, 108), Ok(()));
        let Err(Failure::Failed(text)) = within(&sizes, 101) else {
            panic!("108 is more than 101")
        };
        assert_eq!(
            text,
            "over the budget of 101 bytes: mote-b has 108 bytes, 7 too many"
        );
    }

    #[test]
    fn sums_are_over_all_binaries_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("xtask-sums-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in [("mote-b", "b"), ("mote-a-small", "a"), (SUMS, "old")] {
            fs::write(folder.join(name), text).unwrap();
        }
        let written = write_sums(&folder);
        let sums = fs::read_to_string(folder.join(SUMS)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(written, Ok(()));
        assert_eq!(
            sums,
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  mote-a-small\n\
             3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  mote-b\n"
        );
    }

    #[test]
    fn everything_that_is_compiled_for_speed_is_made_small_again() {
        let manifest = include_str!("../../Cargo.toml");
        let faster: Vec<&str> = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("[profile.release.package."))
            .filter_map(|rest| rest.strip_suffix(']'))
            .collect();
        assert_eq!(faster, FASTER);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (args, word) in [
            (&["--tiny"][..], "`--tiny`"),
            (&["--small", "more"], "`more`"),
        ] {
            let args: Vec<String> = args.iter().map(ToString::to_string).collect();
            let Err(Failure::Usage(text)) = run(&args) else {
                panic!("{args:?}")
            };
            assert!(text.contains(word), "{text}");
        }
    }
}
