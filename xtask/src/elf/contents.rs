//! What the bytes of an ELF file are spent on: its sections, and the functions and data that its
//! symbol table names.
//!
//! Sizes are bytes in the file; what only takes memory when the program runs (`.bss`) is left out.
//! Several names of the same place count once. A stripped file has sections and no symbols.

use std::collections::BTreeMap;

use super::{ElfError, File};

const SYMBOL_TABLE: u64 = 2;
/// Takes no bytes in the file.
const NO_BITS: u64 = 8;
const DATA_SYMBOL: u64 = 1;
const FUNCTION_SYMBOL: u64 = 2;

/// A section, or what a symbol names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) bytes: u64,
}

/// The sections that take bytes, in the order of the file.
pub(crate) fn sections(bytes: &[u8]) -> Result<Vec<Part>, ElfError> {
    let file = File::open(bytes)?;
    let headers = file.headers()?;
    let names = file.number(if file.wide { 0x3e } else { 0x32 }, 2)?;
    let names = entry(&headers, names)?;
    let mut parts = Vec::new();
    for header in &headers {
        if header.takes_bytes() {
            let name = file.text(names, header.name)?;
            let bytes = header.size;
            parts.push(Part { name, bytes });
        }
    }
    Ok(parts)
}

/// The functions and data with a name, the largest first.
pub(crate) fn symbols(bytes: &[u8]) -> Result<Vec<Part>, ElfError> {
    let file = File::open(bytes)?;
    let headers = file.headers()?;
    let mut by_place = BTreeMap::new();
    for table in headers.iter().filter(|header| header.kind == SYMBOL_TABLE) {
        let names = entry(&headers, table.link)?;
        // An entry's length, and where its name, kind, section, address and size are.
        let (len, [kind_at, section_at, address_at, size_at]) = if file.wide {
            (24, [4, 6, 8, 16])
        } else {
            (16, [12, 14, 4, 8])
        };
        let word = if file.wide { 8 } else { 4 };
        for index in 0..table.size / len {
            let at = place(table.offset, index * len)?;
            let kind = file.number(at + kind_at, 1)? & 0xf;
            let section = file.number(at + section_at, 2)?;
            let bytes = file.number(at + size_at, word)?;
            let is_wanted = kind == DATA_SYMBOL || kind == FUNCTION_SYMBOL;
            // Section 0 means that it is defined elsewhere, a number beyond the table that it is
            // in no section.
            let header = usize::try_from(section).ok().and_then(|at| headers.get(at));
            if is_wanted && section != 0 && header.is_some_and(Header::takes_bytes) {
                let name = file.text(names, file.number(at, 4)?)?;
                let address = file.number(at + address_at, word)?;
                let part = Part { name, bytes };
                let known: &mut Part = by_place.entry(address).or_insert_with(|| part.clone());
                if known.bytes < part.bytes {
                    *known = part;
                }
            }
        }
    }
    let mut parts: Vec<Part> = by_place.into_values().collect();
    parts.sort_by(|one, other| (other.bytes, &one.name).cmp(&(one.bytes, &other.name)));
    Ok(parts)
}

/// What of a section's header is used.
#[derive(Debug, Clone, Copy)]
struct Header {
    name: u64,
    kind: u64,
    offset: u64,
    size: u64,
    link: u64,
}

impl Header {
    fn takes_bytes(&self) -> bool {
        self.kind != NO_BITS && self.size > 0
    }
}

fn entry(headers: &[Header], index: u64) -> Result<Header, ElfError> {
    let header = usize::try_from(index).ok().and_then(|at| headers.get(at));
    header.copied().ok_or(ElfError::Cut)
}

fn place(start: u64, offset: u64) -> Result<usize, ElfError> {
    let sum = start.checked_add(offset).ok_or(ElfError::Cut)?;
    // Room for what is added within an entry.
    usize::try_from(sum)
        .ok()
        .filter(|at| *at <= usize::MAX / 2)
        .ok_or(ElfError::Cut)
}

impl File<'_> {
    fn headers(&self) -> Result<Vec<Header>, ElfError> {
        let (word, [start_at, len_at, count_at], [offset_at, size_at, link_at]) = if self.wide {
            (8, [0x28, 0x3a, 0x3c], [0x18, 0x20, 0x28])
        } else {
            (4, [0x20, 0x2e, 0x30], [0x10, 0x14, 0x18])
        };
        let start = self.number(start_at, word)?;
        let len = self.number(len_at, 2)?;
        (0..self.number(count_at, 2)?)
            .map(|index| {
                let at = place(start, index * len)?;
                Ok(Header {
                    name: self.number(at, 4)?,
                    kind: self.number(at + 4, 4)?,
                    offset: self.number(at + offset_at, word)?,
                    size: self.number(at + size_at, word)?,
                    link: self.number(at + link_at, 4)?,
                })
            })
            .collect()
    }

    /// A text of a table of texts, each of which ends with a zero.
    fn text(&self, table: Header, offset: u64) -> Result<String, ElfError> {
        let start = place(table.offset, offset)?;
        let end = place(table.offset, table.size)?;
        let rest = self.bytes.get(start..end).ok_or(ElfError::Cut)?;
        let len = rest.iter().position(|byte| *byte == 0);
        let text = rest.get(..len.ok_or(ElfError::Cut)?).unwrap_or_default();
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_bytes() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn sections_are_named_and_fit_into_the_file() {
        let bytes = own_bytes();
        let parts = sections(&bytes).unwrap();
        let sum: u64 = parts.iter().map(|part| part.bytes).sum();
        assert!(sum > 0 && sum < bytes.len() as u64, "{sum}");
        let has = |name: &str| parts.iter().any(|part| part.name == name);
        assert!(has(".text") && has(".rodata") && !has(".bss"), "{parts:?}");
    }

    #[test]
    fn this_function_is_among_the_symbols_and_each_place_counts_once() {
        let bytes = own_bytes();
        let parts = symbols(&bytes).unwrap();
        let me = "this_function_is_among_the_symbols";
        assert!(parts.iter().any(|part| part.name.contains(me)));
        assert!(parts.is_sorted_by(|one, other| one.bytes >= other.bytes));
        let sum: u64 = parts.iter().map(|part| part.bytes).sum();
        assert!(sum < bytes.len() as u64, "{sum}");
    }

    #[test]
    fn a_cut_file_is_refused_or_right() {
        let bytes = own_bytes();
        let (whole_sections, whole_symbols) = (sections(&bytes).unwrap(), symbols(&bytes).unwrap());
        let cuts = (0..64).map(|part| bytes.len() / 64 * part);
        let mut refused = 0;
        for cut in cuts.chain(0..100) {
            match sections(&bytes[..cut]) {
                Ok(parts) => assert_eq!(parts, whole_sections, "cut at byte {cut}"),
                Err(_) => refused += 1,
            }
            match symbols(&bytes[..cut]) {
                Ok(parts) => assert_eq!(parts, whole_symbols, "cut at byte {cut}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0);
    }
}
