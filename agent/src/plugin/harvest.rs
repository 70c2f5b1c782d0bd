//! What plugins brought in and nobody took yet: events and finished actions.

use std::collections::VecDeque;

use mote_core::json::Object;
use mote_core::rng::Rng;

use super::action::Finished;
use super::event::{self, Seen, Sender};

/// Bytes of events from which on no trigger is asked. One answer more may come on top.
const HELD_BYTES: usize = 64 * 1024;

/// What waits to be taken, and what is needed to bring more in.
#[derive(Debug)]
pub(super) struct Harvest {
    /// Actions that ended.
    pub finished: VecDeque<Finished>,
    /// For ids and delays.
    pub rng: Rng,
    /// Triggers that are asked right now.
    pub detecting: usize,
    /// No process is started before: fork and exec make a sample late that is due meanwhile.
    pub start_from_ms: u64,
    /// How many may be.
    pub max_detecting: usize,
    /// Whoever takes events has no room for more.
    pub is_held: bool,
    events: VecDeque<Vec<u8>>,
    event_bytes: usize,
    sender: Sender,
    seen: Seen,
}

impl Harvest {
    /// Nothing so far. Events are reported for `sender`.
    pub(super) fn new(sender: Sender, max_detecting: usize, seed: u64) -> Self {
        Self {
            finished: VecDeque::new(),
            rng: Rng::new(seed),
            detecting: 0,
            start_from_ms: 0,
            max_detecting,
            is_held: false,
            events: VecDeque::new(),
            event_bytes: 0,
            sender,
            seen: Seen::default(),
        }
    }

    /// Whether one more trigger may be asked.
    pub(super) fn may_detect(&self) -> bool {
        !self.is_held && self.event_bytes < HELD_BYTES && self.detecting < self.max_detecting
    }

    /// Completes an event and keeps it; false if it was there before.
    pub(super) fn take_event(
        &mut self,
        event: Object<'_>,
        plugin: &str,
    ) -> Result<bool, &'static str> {
        let complete = event::complete(event, plugin, &self.sender, &mut self.seen, &mut self.rng)?;
        let Some(event) = complete else {
            return Ok(false);
        };
        self.event_bytes += event.len();
        self.events.push_back(event);
        Ok(true)
    }

    /// The oldest event that is still here.
    pub(super) fn next_event(&mut self) -> Option<Vec<u8>> {
        let event = self.events.pop_front()?;
        self.event_bytes -= event.len();
        Some(event)
    }

    /// Whether there is something to take.
    pub(super) fn has_news(&self) -> bool {
        !self.events.is_empty() || !self.finished.is_empty()
    }
}
