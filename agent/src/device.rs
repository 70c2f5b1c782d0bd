//! What the device does by itself, server or not: takes samples on time and holds them.
//!
//! [`Device::turn`] is called by the reactor before it sleeps and whenever it wakes. It reads a
//! few files and puts a sample into the outbox; it never sends, never waits and never allocates.

use mote_core::backlog::Origin;
use mote_core::log_line::Value;
use mote_core::outbox::{Cursor, Outbox};
use mote_core::sample::Packed;
use mote_core::schedule::Schedule;

use crate::clock;
use crate::config::Settings;
use crate::log;
use crate::sampler::Sampler;

/// How long the CPU is watched before the first sample.
const FIRST_WINDOW_MS: u64 = 200;

/// Samples, in the memory of this process.
pub type Samples = Outbox<Vec<Packed>>;

/// What became of samples so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Taken.
    pub collected: u64,
    /// Taken by earlier starts, and found on disk.
    pub restored: u64,
    /// Delivered.
    pub sent: u64,
    /// Dropped because the outbox was full.
    pub dropped_full: u64,
    /// Dropped because the server refused them.
    pub dropped_refused: u64,
    /// Dropped because the server would file them at the wrong time.
    pub dropped_late: u64,
    /// Dropped because there is no telling when an earlier boot of the device took them.
    pub dropped_no_time: u64,
    /// Dropped because the disk no longer had what was written.
    pub dropped_unreadable: u64,
}

impl Counts {
    /// Dropped, whatever the reason.
    pub fn dropped(&self) -> u64 {
        self.dropped_full
            + self.dropped_refused
            + self.dropped_late
            + self.dropped_no_time
            + self.dropped_unreadable
    }
}

/// Takes samples and holds them.
#[derive(Debug)]
pub struct Device {
    sampler: Sampler,
    schedule: Schedule,
    interval_ms: u64,
    has_server: bool,
    /// What the server does not have yet.
    pub outbox: Samples,
    /// What became of samples.
    pub counts: Counts,
    /// The starts that took the restored ones: the first is origin 1. Each is as
    /// [`Origin::parse`] takes it.
    pub origins: Vec<Box<[u8]>>,
    /// A sample that the disk has was given another time.
    pub restamped: bool,
    last_number: u32,
    missed_said: u64,
    news: bool,
}

impl Device {
    /// Begins to watch at `now_ms`. `None` if the outbox is to hold nothing.
    pub fn new(settings: &Settings, now_ms: u64) -> Option<Self> {
        // Arrays of zeros come as fresh pages from the kernel, which are not there until used.
        // Nobody waits for samples without a metrics server: the newest is enough.
        let has_server = settings.server_url.is_some();
        let count = if has_server {
            settings.buffer_samples
        } else {
            1
        };
        let slots: Vec<Packed> = vec![[0; 6]; count];
        let mut sampler = Sampler::new(settings);
        sampler.begin();
        Some(Self {
            sampler,
            schedule: Schedule::new(now_ms + FIRST_WINDOW_MS, settings.interval_ms),
            interval_ms: settings.interval_ms,
            has_server,
            outbox: Outbox::new(slots)?,
            counts: Counts::default(),
            origins: Vec::new(),
            restamped: false,
            last_number: 0,
            missed_said: 0,
            news: false,
        })
    }

    /// Goes on with other settings; what is held and counted stays.
    pub fn reconfigure(&mut self, settings: &Settings, now_ms: u64) {
        self.sampler.reconfigure(settings);
        if settings.interval_ms != self.interval_ms {
            self.interval_ms = settings.interval_ms;
            self.schedule = Schedule::new(now_ms + settings.interval_ms, settings.interval_ms);
            self.missed_said = 0;
        }
    }

    /// Takes the sample if it is due; returns when the next one is.
    pub fn turn(&mut self, now_ms: u64) -> u64 {
        if self.schedule.due(now_ms) {
            self.tick();
        }
        self.schedule.next_ms()
    }

    /// What took the sample at `cursor`; `None` if it was this start.
    pub fn origin(&self, cursor: Cursor) -> Option<Origin<'_>> {
        let at = usize::from(cursor.origin()).checked_sub(1)?;
        Origin::parse(self.origins.get(at)?)
    }

    /// Whether a sample came since this was last asked.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Takes a sample and puts it into the outbox.
    pub fn tick(&mut self) {
        self.last_number = self.last_number.wrapping_add(1);
        let sample = self.sampler.take(self.last_number, clock::boot_ms());
        self.counts.collected += 1;
        if self.outbox.overwrite(&sample).is_some() && self.has_server {
            self.counts.dropped_full += 1;
        }
        self.news = true;
        let missed = self.schedule.missed();
        if missed > self.missed_said {
            log::warn(
                "Samples missed, the device was too busy or asleep",
                &[("missed", Value::Uint(missed - self.missed_said))],
            );
            self.missed_said = missed;
        }
    }
}
