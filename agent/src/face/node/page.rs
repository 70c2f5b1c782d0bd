//! The page that is being made: families of numbers, one after the other.

use mote_core::Full;
use mote_core::wire::prometheus::{Kind, Lines, Number};

use super::scratch::Scratch;

/// All names begin with it.
pub(super) const PREFIX: &str = "node_";

/// A family: its name without the prefix, what its numbers are, and what it is, in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family(pub &'static str, pub Kind, pub &'static str);

impl Family {
    /// A counter.
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self(name, Kind::Counter, help)
    }

    /// A gauge.
    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self(name, Kind::Gauge, help)
    }
}

/// Families of the longest table.
const COLUMNS: usize = 17;
/// Records that are understood once and not again for each family: a device of the usual size has
/// no more disks or interfaces.
const ROWS: usize = 8;

/// A record that is understood.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'r> {
    /// As it was read.
    pub(super) record: &'r [u8],
    /// What its numbers are of.
    pub(super) name: &'r [u8],
    /// One for each family of the table, or none.
    numbers: [Option<Number>; COLUMNS],
}

impl<'r> Row<'r> {
    /// Its numbers are in the order of the table's families; those that are missing at the end
    /// are none.
    pub(super) fn new(
        record: &'r [u8],
        name: &'r [u8],
        numbers: impl Iterator<Item = Option<Number>>,
    ) -> Self {
        let mut row = Self {
            record,
            name,
            numbers: [None; COLUMNS],
        };
        for (place, number) in row.numbers.iter_mut().zip(numbers) {
            *place = number;
        }
        row
    }
}

/// Understands a record; none if it tells of nothing.
type ReadRow<'f> = &'f dyn for<'r> Fn(&'r [u8]) -> Option<Row<'r>>;
/// Writes a number of a record.
type WriteSample<'f> = &'f dyn Fn(&mut Page<'_, '_>, &Family, &Row<'_>, Number) -> Result<(), Full>;

/// Where in its part the writer was, so that the next piece need not begin at the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mark {
    /// The line with which a family begins.
    line: u32,
    /// Which family.
    family: usize,
}

/// A piece of a part.
#[derive(Debug)]
pub(super) struct Page<'p, 'b> {
    /// The lines.
    pub(super) out: &'p mut Lines<'b>,
    /// Where to go on.
    pub(super) mark: &'p mut Mark,
}

impl Page<'_, '_> {
    /// Writes `count` families, from the one that was under way.
    pub(super) fn families(
        &mut self,
        count: usize,
        write: &mut dyn FnMut(&mut Self, usize) -> Result<(), Full>,
    ) -> Result<(), Full> {
        let mut first = 0;
        if self.mark.line <= self.out.from_line() {
            self.out.pass_to(self.mark.line);
            first = self.mark.family;
        }
        for family in first..count {
            *self.mark = Mark {
                line: self.out.line(),
                family,
            };
            write(self, family)?;
        }
        Ok(())
    }

    /// The head of a family.
    pub(super) fn head(&mut self, family: &Family) -> Result<(), Full> {
        self.out.family([PREFIX, family.0], family.1, family.2)
    }

    /// A number of a family.
    pub(super) fn sample(
        &mut self,
        family: &Family,
        labels: &[(&str, &[u8])],
        number: Number,
    ) -> Result<(), Full> {
        self.out.sample([PREFIX, family.0], labels, number)
    }

    /// A table of families that have one number each, or none.
    pub(super) fn figures(
        &mut self,
        table: &[Family],
        figures: &[Option<Number>],
    ) -> Result<(), Full> {
        self.families(table.len(), &mut |page, at| {
            let Some(number) = figures.get(at).copied().flatten() else {
                return Ok(());
            };
            let Family(name, kind, help) = table[at];
            page.out.single([PREFIX, name], kind, help, number)
        })
    }

    /// A table of families that have one number, or none, for each record: `read` understands
    /// one, and `write` writes one of its numbers. A family without numbers has no head either.
    pub(super) fn table(
        &mut self,
        table: &[Family],
        scratch: &Scratch,
        read: ReadRow<'_>,
        write: WriteSample<'_>,
    ) -> Result<(), Full> {
        debug_assert!(table.len() <= COLUMNS);
        let mut records = scratch.records();
        let first: heapless::Vec<_, ROWS> = records.by_ref().take(ROWS).map(read).collect();
        self.families(table.len(), &mut |page, at| {
            let mut has_head = false;
            let mut add = |row: Option<&Row<'_>>| {
                let Some((row, number)) = row.and_then(|row| Some((row, row.numbers[at]?))) else {
                    return Ok(());
                };
                if !has_head {
                    page.head(&table[at])?;
                }
                has_head = true;
                write(page, &table[at], row, number)
            };
            first.iter().try_for_each(|row| add(row.as_ref()))?;
            records
                .clone()
                .try_for_each(|record| add(read(record).as_ref()))
        })
    }
}
