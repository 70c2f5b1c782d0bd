//! What an ELF file says about itself: whether it asks for a dynamic loader, whether it still
//! carries its symbol table, and (in [`contents`]) what its bytes are spent on.
//!
//! Reads both word sizes and both byte orders. Takes the bytes as they come: a cut or odd file is
//! an error, never a panic.

mod contents;

use std::fmt;

pub(crate) use contents::{Part, sections, symbols};

const PROGRAM_INTERPRETER: u32 = 3;
const SECTION_SYMBOLS: u32 = 2;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// A dynamic loader is asked for, so the binary is not static.
    pub(crate) has_interpreter: bool,
    pub(crate) has_symbols: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElfError {
    NotElf,
    Cut,
}

impl fmt::Display for ElfError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotElf => "not an ELF file",
            Self::Cut => "the ELF file is cut short",
        })
    }
}

impl Elf {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ElfError> {
        let file = File::open(bytes)?;
        // Where the header keeps each table's start, entry size and count, and where an entry of
        // that table keeps its kind.
        let (programs, sections) = if file.wide {
            ([0x20, 0x36, 0x38, 0], [0x28, 0x3a, 0x3c, 4])
        } else {
            ([0x1c, 0x2a, 0x2c, 0], [0x20, 0x2e, 0x30, 4])
        };
        Ok(Self {
            has_interpreter: file.table_has(programs, PROGRAM_INTERPRETER)?,
            has_symbols: file.table_has(sections, SECTION_SYMBOLS)?,
        })
    }
}

struct File<'a> {
    bytes: &'a [u8],
    wide: bool,
    little: bool,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, ElfError> {
        let &[0x7f, b'E', b'L', b'F', class, order, ..] = bytes else {
            return Err(ElfError::NotElf);
        };
        Ok(Self {
            bytes,
            wide: match class {
                1 => false,
                2 => true,
                _ => return Err(ElfError::NotElf),
            },
            little: match order {
                1 => true,
                2 => false,
                _ => return Err(ElfError::NotElf),
            },
        })
    }

    fn table_has(&self, places: [usize; 4], wanted: u32) -> Result<bool, ElfError> {
        let [start_at, size_at, count_at, kind_at] = places;
        let start = if self.wide {
            self.number(start_at, 8)?
        } else {
            self.number(start_at, 4)?
        };
        let size = self.number(size_at, 2)?;
        for index in 0..self.number(count_at, 2)? {
            let place = index
                .checked_mul(size)
                .and_then(|offset| offset.checked_add(start))
                .and_then(|entry| usize::try_from(entry).ok())
                .and_then(|entry| entry.checked_add(kind_at))
                .ok_or(ElfError::Cut)?;
            if self.number(place, 4)? == u64::from(wanted) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn number(&self, at: usize, len: usize) -> Result<u64, ElfError> {
        let end = at.checked_add(len).ok_or(ElfError::Cut)?;
        let bytes = self.bytes.get(at..end).ok_or(ElfError::Cut)?;
        let shift_in = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        Ok(if self.little {
            bytes.iter().rev().fold(0, shift_in)
        } else {
            bytes.iter().fold(0, shift_in)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header and one section header right behind it.
    fn tiny(wide: bool, little: bool, program: u8, section: u8) -> Vec<u8> {
        let mut file = vec![0_u8; 160];
        file[..4].copy_from_slice(b"\x7fELF");
        file[4] = if wide { 2 } else { 1 };
        file[5] = if little { 1 } else { 2 };
        let mut put = |at: usize, len: usize, value: u8| {
            file[if little { at } else { at + len - 1 }] = value;
        };
        // Start, entry size and count of the program headers, then of the section headers.
        let wide_fields = [
            (0x20, 8, 64),
            (0x36, 2, 56),
            (0x38, 2, 1),
            (0x28, 8, 120),
            (0x3a, 2, 40),
            (0x3c, 2, 1),
        ];
        let narrow_fields = [
            (0x1c, 4, 64),
            (0x2a, 2, 32),
            (0x2c, 2, 1),
            (0x20, 4, 120),
            (0x2e, 2, 40),
            (0x30, 2, 1),
        ];
        for (at, len, value) in if wide { wide_fields } else { narrow_fields } {
            put(at, len, value);
        }
        put(64, 4, program);
        put(124, 4, section);
        file
    }

    #[test]
    fn loader_and_symbols_are_seen_in_every_word_size_and_byte_order() {
        for (wide, little) in [(true, true), (true, false), (false, true), (false, false)] {
            for (program, section) in [(3, 2), (3, 1), (1, 2), (1, 1)] {
                let expected = Elf {
                    has_interpreter: program == 3,
                    has_symbols: section == 2,
                };
                assert_eq!(
                    Elf::parse(&tiny(wide, little, program, section)),
                    Ok(expected)
                );
            }
        }
    }

    #[test]
    fn the_test_itself_is_dynamic_and_has_symbols() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(
            Elf::parse(&bytes),
            Ok(Elf {
                has_interpreter: true,
                has_symbols: true
            })
        );
    }

    #[test]
    fn a_cut_file_is_refused() {
        let whole = tiny(true, true, 1, 1);
        for cut in 0..128 {
            assert!(Elf::parse(&whole[..cut]).is_err(), "cut at byte {cut}");
        }
        assert_eq!(Elf::parse(b"#!/bin/sh\n"), Err(ElfError::NotElf));
    }

    #[test]
    fn a_table_beyond_all_bounds_is_refused() {
        let mut file = tiny(true, true, 1, 1);
        file[0x20..0x28].fill(0xff);
        assert_eq!(Elf::parse(&file), Err(ElfError::Cut));
    }
}
