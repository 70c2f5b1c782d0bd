//! The size of what ships, for each target: the full binary and the small one.
//!
//! Nothing is built for this. The target that is measured otherwise too is the binary of those
//! measurements; for the others it is what was built last, and what was never built is left out.

use std::fs;
use std::path::PathBuf;

use super::figure::count;
use super::place::targets;
use super::{Failure, Figure, Findings, Plan};
use crate::agent::mote_binary;
use crate::target_folder;

const BUDGET_BYTES: f64 = 2_000_000.0;
const BUDGET_SMALL_BYTES: f64 = 1_800_000.0;

pub(super) fn measure(_: &Plan) -> Result<Findings, Failure> {
    let measured = mote_binary()?;
    let measured_for = triple(&fs::read(&measured)?)
        .ok_or("the binary is no ELF file of a machine that mote is for")?;
    let folder = target_folder();
    let mut findings = Findings::default();
    for triple in targets()? {
        let full = if triple == measured_for {
            Some(measured.clone())
        } else {
            newest([
                folder.join(format!("dist/mote-{triple}")),
                folder.join(&triple).join("release/mote"),
            ])
        };
        let key = format!("binary_bytes.{triple}");
        let command = format!("build --target {triple}");
        findings.weigh(key, full, BUDGET_BYTES, &command)?;

        let small = newest([folder.join(format!("dist/mote-{triple}-small"))]);
        let key = format!("small_binary_bytes.{triple}");
        findings.weigh(key, small, BUDGET_SMALL_BYTES, "dist --small")?;
    }
    Ok(findings)
}

impl Findings {
    fn weigh(
        &mut self,
        key: String,
        binary: Option<PathBuf>,
        budget_bytes: f64,
        command: &str,
    ) -> Result<(), Failure> {
        let Some(binary) = binary else {
            let note = format!("{key} is left out: `cargo xtask {command}` makes it");
            self.notes.push(note);
            return Ok(());
        };
        let size = count(fs::metadata(binary)?.len());
        let figure = Figure::new(key, size, "bytes", 0).within(budget_bytes);
        self.figures.push(figure);
        Ok(())
    }
}

/// The file that was written last, of those that are there.
fn newest<const N: usize>(files: [PathBuf; N]) -> Option<PathBuf> {
    let there = files.into_iter().filter_map(|file| {
        let written = fs::metadata(&file).ok()?.modified().ok()?;
        Some((written, file))
    });
    there.max().map(|(_, file)| file)
}

/// The target that an ELF file is for, by its `e_machine`. What ships is linked with musl.
fn triple(elf: &[u8]) -> Option<&'static str> {
    let machine = elf.starts_with(b"\x7fELF").then(|| elf.get(18..20))??;
    match u16::from_le_bytes(machine.try_into().ok()?) {
        62 => Some("x86_64-unknown-linux-musl"),
        183 => Some("aarch64-unknown-linux-musl"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_target_is_read_from_the_file() {
        let mut elf = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\xb7\0";
        assert_eq!(triple(&elf), Some("aarch64-unknown-linux-musl"));
        assert_eq!(triple(&elf[..19]), None);
        elf[18] = 62;
        assert_eq!(triple(&elf), Some("x86_64-unknown-linux-musl"));
        elf[0] = 0;
        assert_eq!(triple(&elf), None);
    }

    #[test]
    fn the_newest_of_what_is_there_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new, none] = ["old", "new", "none"].map(|name| folder.path().join(name));
        assert_eq!(newest([none.clone()]), None);
        for (file, age_s) in [(&old, 60), (&new, 0)] {
            let file = fs::File::create(file).unwrap();
            let written = SystemTime::now() - Duration::from_secs(age_s);
            file.set_modified(written).unwrap();
        }
        assert_eq!(newest([new.clone(), old, none]), Some(new));
    }
}
