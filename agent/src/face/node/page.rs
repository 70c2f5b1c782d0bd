//! The page that is being made: families of numbers, one after the other.

use mote_core::Full;
use mote_core::wire::prometheus::{Kind, Lines, Number};

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

/// Writes the number of one record.
type WriteSample<'f, 'r> =
    &'f dyn Fn(&mut Page<'_, '_>, &Family, &'r [u8], Number) -> Result<(), Full>;

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
            page.head(&table[at])?;
            page.sample(&table[at], &[], number)
        })
    }

    /// A table of families that have one number, or none, for each record: `value` gives it, of
    /// the family's place in the table and the record, and `write` writes it. A family without
    /// numbers has no head either.
    pub(super) fn table<'r, R: Iterator<Item = &'r [u8]>>(
        &mut self,
        table: &[Family],
        records: impl Fn() -> R,
        value: &dyn Fn(usize, &'r [u8]) -> Option<Number>,
        write: WriteSample<'_, 'r>,
    ) -> Result<(), Full> {
        self.families(table.len(), &mut |page, at| {
            let mut has_head = false;
            for record in records() {
                if let Some(number) = value(at, record) {
                    if !has_head {
                        page.head(&table[at])?;
                    }
                    has_head = true;
                    write(page, &table[at], record, number)?;
                }
            }
            Ok(())
        })
    }
}
