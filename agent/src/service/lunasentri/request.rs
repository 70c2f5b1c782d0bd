//! A held sample as a request: its payload, its key, and what its first sending gives it.
//!
//! The bytes of a sample are settled when they first leave the device, and a repeat is the same
//! bytes under the same key. One that an earlier start took is sent as that start would have.

use std::rc::Rc;

use mote_core::log_line::Value;
use mote_core::outbox::Cursor;
use mote_core::sample::Sample;
use mote_core::text;
use mote_core::wire::lunasentri::{EncodeError, Form, encode};

use super::MetricsServer;
use crate::agent::key_prefix;
use crate::clock;
use crate::device::Device;
use crate::log;
use crate::state::Start;
use crate::state::backlog::mended_ms;
use crate::uplink::link::Link;
use crate::uplink::{Answer, DeliveryError, Method, Request, Uplink};

impl MetricsServer {
    /// Sends the sample at `cursor`; `None` if it is gone, or cannot be written.
    pub fn post<'u>(
        &mut self,
        link: &Rc<Link>,
        uplink: &'u mut Uplink,
        cursor: Cursor,
    ) -> Option<Result<Answer<'u>, DeliveryError>> {
        // The bytes are copied out here: while the request runs, samples go on coming in.
        let (sample, length) = self.prepare(&mut link.reactor().device, cursor)?;
        let request = Request {
            method: Method::Post,
            uri: &self.uri,
            headers: &self.headers,
            key: Some(&self.key),
            body: &self.payload[..length],
        };
        let sent = uplink.send(&request);
        // What did not leave the device may still be said differently: a clock that is not set yet
        // will be.
        if link.has_left() {
            remember(&mut link.reactor().device, cursor, &sample);
        }
        Some(sent)
    }

    /// Writes the payload of a sample and its key; gives it as its first sending makes it, and the
    /// length. One that an earlier start took is sent as that start would have.
    fn prepare(&mut self, device: &mut Device, cursor: Cursor) -> Option<(Sample, usize)> {
        let outbox = &device.outbox;
        let mut sample = outbox.get(cursor)?;
        let (now_ms, wall_ms) = (clock::boot_ms(), clock::wall_ms());
        if sample.wall_ms.is_none() {
            sample.stamp(now_ms, wall_ms);
            sample.with_info = self.info_due && self.form != Form::Documented;
        } else if outbox.marks(cursor)?.provisional {
            let mended_ms = mended_ms(sample.boot_ms, sample.wall_ms, now_ms, wall_ms);
            sample.wall_ms = mended_ms.or(sample.wall_ms);
        }
        let this = self.inventory.as_info();
        self.key.clear();
        let (form, info) = if let Some(origin) = device.origin(cursor) {
            let start = Start {
                identity: format!("{:016x}", origin.identity),
                number: origin.start,
            };
            self.key = key_prefix(origin.info.hostname, &start);
            (origin.form, origin.info)
        } else {
            self.key.push_str(&self.key_prefix);
            (self.form, this)
        };
        let mut digits = [0; 20];
        let number = text::digits(sample.number.into(), &mut digits);
        self.key.extend(number.iter().copied().map(char::from));
        let encoded = encode(
            form,
            info.hostname,
            &sample,
            sample.with_info.then_some(&info),
            &mut self.payload[..],
        );
        match encoded {
            Ok(length) => Some((sample, length)),
            Err(error) => {
                let reason = match error {
                    EncodeError::Full => "its payload is larger than 8 KiB: shorten hostname",
                    EncodeError::NoTime => "it has no time",
                };
                log::error("Sample dropped", &[("error", Value::Str(reason))]);
                device.outbox.remove(cursor);
                device.counts.dropped_refused += 1;
                None
            }
        }
    }
}

/// Keeps what the first sending of a sample gave it.
fn remember(device: &mut Device, cursor: Cursor, sample: &Sample) {
    let Some(mut marks) = device.outbox.marks(cursor) else {
        return;
    };
    // The file must not give it another time either.
    let is_news = marks.provisional || device.outbox.get(cursor).as_ref() != Some(sample);
    device.restamped |= marks.saved && is_news;
    marks.provisional = false;
    device.outbox.update(cursor, sample, marks);
}
