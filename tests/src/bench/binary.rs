//! The size of what ships.

use std::fs;

use super::figure::count;
use super::{Failure, Figure, Findings, Plan};
use crate::agent::mote_binary;

const BUDGET_BYTES: f64 = 2_200_000.0;

pub(super) fn measure(_: &Plan) -> Result<Findings, Failure> {
    let path = mote_binary()?;
    let bytes = fs::read(path)?;
    let triple = triple(&bytes).ok_or("the binary is no ELF file of a machine that mote is for")?;
    let size = count(bytes.len() as u64);
    let figure = Figure::new(format!("binary_bytes.{triple}"), size, "bytes", 0);
    Ok(vec![figure.within(BUDGET_BYTES)].into())
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
}
