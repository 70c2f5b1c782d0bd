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
use crate::vitals::Vitals;

/// How long the CPU is watched before the first sample.
const FIRST_WINDOW_MS: u64 = 200;

/// An outbox that held no more keeps its memory: 16 kB, for an hour without the server.
const KEPT_SLOTS: usize = 340;

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
    /// What the server does not have yet.
    pub outbox: Samples,
    /// What became of samples.
    pub counts: Counts,
    /// The starts that took the restored ones: the first is origin 1. Each is as
    /// [`Origin::parse`] takes it.
    pub origins: Vec<Box<[u8]>>,
    /// A sample that the disk has was given another time.
    pub restamped: bool,
    /// Whether samples go into the outbox: where nobody is to get them, they do not.
    pub holds: bool,
    vitals: Option<Vitals>,
    last_number: u32,
    last_ms: Option<u64>,
    missed_said: u64,
    /// Missed on grids before this one.
    missed_before: u64,
    news: bool,
}

impl Device {
    /// Begins to watch at `now_ms`. `None` if the outbox is to hold nothing.
    pub fn new(settings: &Settings, now_ms: u64) -> Option<Self> {
        // Arrays of zeros come as fresh pages from the kernel, which are not there until used.
        let slots: Vec<Packed> = vec![[0; 6]; settings.buffer_samples];
        let mut sampler = Sampler::new(settings);
        sampler.begin();
        Some(Self {
            sampler,
            schedule: Schedule::new(now_ms + FIRST_WINDOW_MS, settings.interval_ms),
            interval_ms: settings.interval_ms,
            outbox: Outbox::new(slots)?,
            counts: Counts::default(),
            origins: Vec::new(),
            restamped: false,
            holds: true,
            vitals: settings
                .health_enabled
                .then(|| Vitals::new(settings))
                .flatten(),
            last_number: 0,
            last_ms: None,
            missed_said: 0,
            missed_before: 0,
            news: false,
        })
    }

    /// Gives back the memory that a long outage took, once nothing is held any more.
    pub fn give_back(&mut self) {
        if !self.outbox.is_empty() || self.outbox.reached() <= KEPT_SLOTS {
            return;
        }
        // The old one goes first: a kernel that promises no more memory than it has may not have both.
        for slots in [1, self.outbox.capacity()] {
            if let Some(outbox) = Outbox::new(vec![[0; 6]; slots]) {
                self.outbox = outbox;
            }
        }
    }

    /// Goes on with other settings; what is held and counted stays.
    pub fn reconfigure(&mut self, settings: &Settings, now_ms: u64) {
        self.sampler.reconfigure(settings);
        if !settings.health_enabled {
            self.vitals = None;
        } else if self.vitals.is_none() {
            self.vitals = Vitals::new(settings);
        }
        if settings.interval_ms != self.interval_ms {
            self.interval_ms = settings.interval_ms;
            self.missed_before = self.missed();
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

    /// When the next sample is due.
    pub fn next_ms(&self) -> u64 {
        self.schedule.next_ms()
    }

    /// Between two samples.
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// Samples that were not taken because the device was too busy or asleep.
    pub fn missed(&self) -> u64 {
        self.missed_before + self.schedule.missed()
    }

    /// When the last sample was taken; none before the first.
    pub fn last_ms(&self) -> Option<u64> {
        self.last_ms
    }

    /// The device now and lately, if anybody can look at it here.
    pub fn vitals(&self) -> Option<&Vitals> {
        self.vitals.as_ref()
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
        self.last_ms = Some(sample.boot_ms);
        if let Some(vitals) = &mut self.vitals {
            vitals.add(&sample, self.interval_ms);
        }
        if self.holds && self.outbox.overwrite(&sample).is_some() {
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

#[cfg(test)]
mod tests {
    use mote_core::sample::{Sample, Tenths};

    use super::*;

    #[test]
    fn the_memory_of_an_outage_is_given_back_when_all_is_delivered() {
        let settings = Settings::default();
        let mut device = Device::new(&settings, 0).unwrap();
        let fill = |device: &mut Device, count: u32| {
            for number in 1..=count {
                device.outbox.overwrite(&Sample {
                    number,
                    boot_ms: 0,
                    wall_ms: None,
                    with_info: false,
                    cpu: Tenths::ABSENT,
                    memory: Tenths::ABSENT,
                    disk: Tenths::ABSENT,
                    network: None,
                    uptime_s: None,
                });
            }
        };
        for (count, kept) in [(340, 340), (5_000, 0)] {
            fill(&mut device, count);
            device.give_back();
            assert_eq!(device.outbox.len(), count as usize, "what is held stays");
            device.outbox.drop_older_than(u32::MAX);
            device.give_back();
            assert_eq!(device.outbox.reached(), kept);
            assert_eq!(device.outbox.capacity(), settings.buffer_samples);
        }
    }
}
