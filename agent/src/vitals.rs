//! The device now and lately, for whoever looks at it on the device itself.
//!
//! Each sample that is taken anyway comes through here: network totals become rates, load and
//! temperature are added, and all of it goes into the history. Rates are bytes a second, shares
//! tenths of a percent, the load hundredths, temperatures tenths of a degree Celsius.
//!
//! Load and temperature are read at most every 10 seconds. The temperature is that of the first
//! thermal zone that says something plausible; which that is, is looked for again when it falls
//! silent. Nothing here is sent to a server.

use std::path::{Path, PathBuf};

use mote_core::history::{Figures, History, Span, WORDS};
use mote_core::proc::loadavg::LoadAvg;
use mote_core::sample::Sample;

use crate::config::Settings;
use crate::sampler::Source;

/// Between two readings of what only people look at.
const READ_EVERY_MS: u64 = 10_000;
/// Between two searches for a thermal zone, where there is none.
const SEARCH_EVERY_MS: u64 = 600_000;
/// Zones that are tried.
const ZONES: u32 = 16;
/// What silicon lives through, in thousandths of a degree.
const PLAUSIBLE: std::ops::RangeInclusive<i64> = -55_000..=150_000;

/// What was seen last.
#[derive(Debug, Clone, Copy)]
pub struct Latest {
    /// The sample.
    pub sample: Sample,
    /// Received, bytes a second.
    pub received: Option<u64>,
    /// Sent, bytes a second.
    pub sent: Option<u64>,
    /// Tasks that ran or wanted to over a minute, hundredths.
    pub load: Option<u32>,
    /// Tenths of a degree Celsius.
    pub temperature: Option<i64>,
}

/// The device now and lately.
#[derive(Debug)]
pub struct Vitals {
    history: History<Vec<u32>>,
    latest: Option<Latest>,
    loadavg: Source,
    thermal: PathBuf,
    zone: Option<Source>,
    read_next_ms: u64,
    search_next_ms: u64,
}

impl Vitals {
    /// Nothing was seen yet.
    pub fn new(settings: &Settings) -> Option<Self> {
        Some(Self {
            history: History::new(vec![0; WORDS])?,
            latest: None,
            loadavg: Source::new(&settings.proc_root, "loadavg"),
            thermal: settings.sys_root.join("class/thermal"),
            zone: None,
            read_next_ms: 0,
            search_next_ms: 0,
        })
    }

    /// What was seen last.
    pub fn latest(&self) -> Option<&Latest> {
        self.latest.as_ref()
    }

    /// What was seen lately.
    pub fn history(&self) -> &History<Vec<u32>> {
        &self.history
    }

    /// Takes in a sample, which stands for the `interval_ms` before it; the first stands for its
    /// moment alone, since nobody looked before.
    pub fn add(&mut self, sample: &Sample, interval_ms: u64) {
        let before = self.latest.map(|latest| latest.sample);
        let [received, sent] = rates(before.as_ref(), sample);
        let mut load = self.latest.and_then(|latest| latest.load);
        let mut temperature = self.latest.and_then(|latest| latest.temperature);
        if sample.boot_ms >= self.read_next_ms {
            self.read_next_ms = sample.boot_ms + READ_EVERY_MS;
            load = self.read_load();
            temperature = self.read_temperature(sample.boot_ms);
        }
        let latest = Latest {
            sample: *sample,
            received,
            sent,
            load,
            temperature,
        };
        let window_ms = before.map_or(0, |_| interval_ms);
        self.history
            .add(sample.boot_ms, window_ms, &latest.figures());
        self.latest = Some(latest);
    }

    fn read_load(&mut self) -> Option<u32> {
        let mut buffer = [0; 128];
        let text = self.loadavg.read(&mut buffer)?;
        match LoadAvg::parse(text) {
            Ok(load) => Some(load.hundredths[0]),
            Err(error) => {
                self.loadavg.say(&error);
                None
            }
        }
    }

    fn read_temperature(&mut self, now_ms: u64) -> Option<i64> {
        if let Some(zone) = &mut self.zone {
            let found = read_zone(zone);
            if found.is_none() {
                self.zone = None;
            }
            return found;
        }
        if now_ms < self.search_next_ms {
            return None;
        }
        for number in 0..ZONES {
            let Some(mut zone) = open_zone(&self.thermal, number) else {
                break;
            };
            if let Some(found) = read_zone(&mut zone) {
                self.zone = Some(zone);
                return Some(found);
            }
        }
        self.search_next_ms = now_ms + SEARCH_EVERY_MS;
        None
    }
}

impl Latest {
    fn figures(&self) -> Figures {
        let share = |share: mote_core::sample::Tenths| share.get().map(i64::from);
        let rate = |rate: Option<u64>| rate.map(|rate| i64::try_from(rate).unwrap_or(i64::MAX));
        [
            share(self.sample.cpu),
            share(self.sample.memory),
            share(self.sample.disk),
            self.load.map(i64::from),
            self.temperature,
            rate(self.received),
            rate(self.sent),
        ]
    }
}

/// The number of the newest point of a span at `now_ms`, filled or not.
pub fn newest_point(span: Span, now_ms: u64) -> u64 {
    now_ms / span.step_ms()
}

/// Received and sent, bytes a second between two samples.
fn rates(before: Option<&Sample>, now: &Sample) -> [Option<u64>; 2] {
    let both = before.and_then(|before| Some((before, before.network?, now.network?)));
    let Some((before, from, to)) = both else {
        return [None; 2];
    };
    let took_ms = now.boot_ms.saturating_sub(before.boot_ms);
    let rate = |from: u64, to: u64| {
        let bytes = to.saturating_sub(from);
        bytes.saturating_mul(1_000).checked_div(took_ms)
    };
    [rate(from.recv, to.recv), rate(from.sent, to.sent)]
}

/// `None` where there is no zone of this number.
fn open_zone(thermal: &Path, number: u32) -> Option<Source> {
    let folder = thermal.join(format!("thermal_zone{number}"));
    folder.exists().then(|| Source::new(&folder, "temp"))
}

/// A temperature in tenths, if it is one. Kernel documentation: `Documentation/driver-api/thermal/sysfs-api.rst`.
fn read_zone(zone: &mut Source) -> Option<i64> {
    let mut buffer = [0; 32];
    // A zone whose sensor sleeps fails to be read: that is no trouble to speak of.
    let text = zone.read_silently(&mut buffer)?;
    let text = str::from_utf8(text).ok()?.strip_suffix('\n')?;
    let thousandths: i64 = text.parse().ok()?;
    // A sensor that is not there says 0.
    let is_plausible = PLAUSIBLE.contains(&thousandths) && thousandths != 0;
    is_plausible.then_some((thousandths + 50).div_euclid(100))
}

#[cfg(test)]
mod tests {
    use mote_core::history::Series;
    use mote_core::sample::{NetBytes, Tenths};

    use super::*;

    fn sample(boot_ms: u64, recv: u64) -> Sample {
        Sample {
            number: 1,
            boot_ms,
            wall_ms: None,
            with_info: false,
            cpu: Tenths::from_raw(123),
            memory: Tenths::ABSENT,
            disk: Tenths::ABSENT,
            network: Some(NetBytes { sent: 0, recv }),
            uptime_s: None,
        }
    }

    /// Settings whose kernel says this.
    fn settings(files: &[(&str, &str)]) -> (Settings, PathBuf) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "mote-vitals-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&root).unwrap();
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let settings = Settings {
            proc_root: root.clone(),
            sys_root: root.clone(),
            ..Settings::default()
        };
        (settings, root)
    }

    #[test]
    fn the_first_plausible_zone_is_the_temperature() {
        let (settings, root) = settings(&[
            ("loadavg", "0.42 0.15 0.07 1/87 6183\n"),
            ("class/thermal/thermal_zone0/temp", "0\n"),
            ("class/thermal/thermal_zone1/temp", "-274000\n"),
            ("class/thermal/thermal_zone2/temp", "48251\n"),
            ("class/thermal/thermal_zone3/temp", "90000\n"),
        ]);
        let mut vitals = Vitals::new(&settings).unwrap();
        vitals.add(&sample(1_000, 0), 1_000);
        let latest = vitals.latest().unwrap();
        assert_eq!((latest.load, latest.temperature), (Some(42), Some(483)));
        // Not read again before its time, and then found gone.
        std::fs::remove_dir_all(&root).unwrap();
        vitals.add(&sample(2_000, 0), 1_000);
        assert_eq!(vitals.latest().unwrap().temperature, Some(483));
        let history = vitals.history();
        let point = newest_point(Span::TenMinutes, 2_000);
        let get = |series| history.get(Span::TenMinutes, point, series);
        assert_eq!(get(Series::Cpu), Some(123));
        assert_eq!(get(Series::Temperature), Some(483));
        assert_eq!(get(Series::Memory), None);
    }

    #[test]
    fn a_device_without_sensors_has_no_temperature() {
        let (settings, root) = settings(&[]);
        let mut vitals = Vitals::new(&settings).unwrap();
        vitals.add(&sample(1_000, 0), 1_000);
        let latest = vitals.latest().unwrap();
        assert_eq!((latest.load, latest.temperature), (None, None));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn nothing_is_told_of_the_time_before_the_first_sample() {
        let (settings, root) = settings(&[]);
        let mut vitals = Vitals::new(&settings).unwrap();
        vitals.add(&sample(600_000, 0), 60_000);
        vitals.add(&sample(660_000, 0), 60_000);
        let get = |point| vitals.history().get(Span::TenMinutes, point, Series::Cpu);
        let known: Vec<u64> = (0..=66).filter(|point| get(*point).is_some()).collect();
        assert_eq!(known, (60..=66).collect::<Vec<u64>>());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn rates_are_of_the_time_between_two_samples() {
        assert_eq!(rates(None, &sample(1, 1)), [None; 2]);
        let (before, now) = (sample(1_000, 500), sample(3_000, 2_500));
        assert_eq!(rates(Some(&before), &now), [Some(1_000), Some(0)]);
        assert_eq!(rates(Some(&now), &now), [None; 2]);
        // Totals that went back are no traffic.
        assert_eq!(rates(Some(&now), &sample(4_000, 0)), [Some(0), Some(0)]);
    }
}
