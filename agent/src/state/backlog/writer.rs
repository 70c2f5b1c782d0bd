//! Puts samples into the records of a backlog, each behind the origin that they are of.

use std::io;

use mote_core::backlog::{
    GONE, ORIGIN, ORIGIN_BYTES, Origin, SAMPLE_BYTES, SAMPLES, SAMPLES_PER_RECORD, write_gone,
    write_sample,
};
use mote_core::outbox::Cursor;
use mote_core::record::Record;

use crate::device::Samples;
use crate::state::store::Store;

/// Puts samples into records, each with those of one origin.
pub(super) struct Writer<'a> {
    store: &'a mut Store,
    origin_ids: &'a [u64],
    /// This start's origin, if the file has it.
    pub(super) this: Option<(u64, Vec<u8>)>,
    pub(super) next_id: u64,
    /// The record under way, and the name of its origin.
    body: Vec<u8>,
    id: u64,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        store: &'a mut Store,
        origin_ids: &'a [u64],
        this: Option<(u64, Vec<u8>)>,
        next_id: u64,
    ) -> Self {
        Self {
            store,
            origin_ids,
            this,
            next_id,
            body: Vec::with_capacity(SAMPLES_PER_RECORD * SAMPLE_BYTES),
            id: 0,
        }
    }

    pub(super) fn put(
        &mut self,
        outbox: &Samples,
        cursor: Cursor,
        this: &Origin<'_>,
    ) -> io::Result<()> {
        let (Some(sample), Some(marks)) = (outbox.get(cursor), outbox.marks(cursor)) else {
            return Ok(());
        };
        let id = self.origin_id(cursor, this)?;
        if id != self.id || self.body.len() >= SAMPLES_PER_RECORD * SAMPLE_BYTES {
            self.end()?;
            self.id = id;
        }
        self.body.extend(write_sample(&sample, marks.provisional));
        Ok(())
    }

    /// Writes the record under way.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if !self.body.is_empty() {
            self.append(SAMPLES, self.id, None)?;
            self.body.clear();
        }
        Ok(())
    }

    pub(super) fn gone(
        &mut self,
        oldest: Cursor,
        held: usize,
        this: &Origin<'_>,
    ) -> io::Result<()> {
        let id = self.origin_id(oldest, this)?;
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        self.append(GONE, id, Some(&write_gone(oldest.number(), held)))
    }

    /// The name of the record that tells the origin of a sample.
    fn origin_id(&mut self, cursor: Cursor, this: &Origin<'_>) -> io::Result<u64> {
        if let Some(at) = usize::from(cursor.origin()).checked_sub(1) {
            return Ok(self.origin_ids.get(at).copied().unwrap_or(0));
        }
        let mut body = [0; ORIGIN_BYTES];
        let length = this
            .encode(&mut body)
            .map_err(|_| io::ErrorKind::InvalidInput)?;
        let body = &body[..length];
        if let Some((id, written)) = &self.this
            && written == body
        {
            return Ok(*id);
        }
        // The samples before it are another origin's.
        self.end()?;
        let id = self.next_id;
        self.next_id += 1;
        self.append(ORIGIN, id, Some(body))?;
        self.this = Some((id, body.to_vec()));
        Ok(id)
    }

    fn append(&mut self, kind: u8, id: u64, body: Option<&[u8]>) -> io::Result<()> {
        let body = body.unwrap_or(&self.body);
        self.store.append(&Record { kind, id, body }).map(drop)
    }
}
