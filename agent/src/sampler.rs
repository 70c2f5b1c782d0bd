//! Reads the hot files of `/proc` and the watched file system, and makes a sample of them.
//!
//! The files are held open and read again from the start with `pread(2)` into one fixed buffer,
//! so that a sample costs a handful of system calls and no heap. What a kernel lacks stays absent
//! in the sample; a file that cannot be read is tried again at every sample, and said once.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mote_core::cpu_meter::CpuMeter;
use mote_core::log_line::Value;
use mote_core::network::NetTotals;
use mote_core::proc::meminfo::MemInfo;
use mote_core::proc::net_dev::{self, Interface};
use mote_core::proc::stat::CpuTimes;
use mote_core::proc::uptime::Uptime;
use mote_core::sample::{NetBytes, Sample, Tenths};
use mote_core::text::find;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};

use crate::config::Settings;
use crate::log;

/// Holds the first line of stat, all of meminfo's lines that count, and a good many interfaces.
const BUFFER_BYTES: usize = 8 * 1024;
/// The first line of /proc/stat is all that a sample needs of it.
const STAT_BYTES: usize = 512;
/// A read of /proc that gives less than this has come to the end: pages have at least 4 KiB, and no
/// line has 1 KiB.
const LAST_READ_BYTES: usize = 3 * 1024;
/// No device has this many bytes of interfaces; a file that goes on is not what it says it is.
const NET_DEV_BYTES: u64 = 1024 * 1024;
/// Interfaces that are remembered one by one.
const INTERFACES: usize = 64;
/// IFNAMSIZ, with its NUL byte.
const NAME_BYTES: usize = 16;

/// Takes samples.
#[derive(Debug)]
pub struct Sampler {
    stat: Source,
    meminfo: Source,
    net_dev: Source,
    /// Read until it could be, and not again.
    uptime: Source,
    uptime_ahead_ms: Option<i64>,
    disk: CString,
    disk_said: bool,
    cpu: CpuMeter,
    /// In a place of its own: it is most of a sampler, and samplers are moved when they are made.
    network: Box<Network>,
    buffer: Vec<u8>,
}

impl Sampler {
    /// Opens what `settings` point to. Nothing is read yet.
    pub fn new(settings: &Settings) -> Self {
        let source = |name: &'static str| Source::new(&settings.proc_root, name);
        Self {
            stat: source("stat"),
            meminfo: source("meminfo"),
            net_dev: source("net/dev"),
            uptime: source("uptime"),
            uptime_ahead_ms: None,
            disk: disk_path(settings),
            disk_said: false,
            cpu: CpuMeter::default(),
            network: Box::new(Network::new(settings)),
            // Zeros from the allocator are pages that are not there until used.
            buffer: vec![0; BUFFER_BYTES],
        }
    }

    /// Watches what `settings` say from now on. Totals go on where they can.
    pub fn reconfigure(&mut self, settings: &Settings) {
        self.disk = disk_path(settings);
        self.disk_said = false;
        if self.network.named != settings.interfaces {
            // The totals go on from where they are.
            let reported = self.network.totals.reported;
            *self.network = Network::new(settings);
            self.network.totals.reported = reported;
        }
    }

    /// Begins the window over which the first sample's CPU share is measured.
    pub fn begin(&mut self) {
        self.read_cpu();
    }

    /// Takes sample `number` at `boot_ms`.
    pub fn take(&mut self, number: u32, boot_ms: u64) -> Sample {
        Sample {
            // First: the disk may keep us waiting.
            uptime_s: self.uptime_s(boot_ms),
            number,
            boot_ms,
            wall_ms: None,
            with_info: false,
            cpu: self.read_cpu(),
            memory: self.read_memory(),
            disk: self.read_disk(),
            network: self.read_network(),
        }
    }

    fn read_cpu(&mut self) -> Tenths {
        let Some(text) = self.stat.read(&mut self.buffer[..STAT_BYTES]) else {
            return Tenths::ABSENT;
        };
        match CpuTimes::parse(text) {
            Ok(times) => {
                self.stat.said = false;
                self.cpu.update(times)
            }
            Err(error) => {
                self.stat.say(&error);
                Tenths::ABSENT
            }
        }
    }

    fn read_memory(&mut self) -> Tenths {
        let Some(text) = self.meminfo.read(&mut self.buffer[..]) else {
            return Tenths::ABSENT;
        };
        match MemInfo::parse(text) {
            Ok(memory) => {
                self.meminfo.said = false;
                Tenths::of(
                    memory.total_kb.saturating_sub(memory.available_kb),
                    memory.total_kb,
                )
            }
            Err(error) => {
                self.meminfo.say(&error);
                Tenths::ABSENT
            }
        }
    }

    fn read_disk(&mut self) -> Tenths {
        match statvfs(self.disk.as_c_str()) {
            Ok(disk) => {
                self.disk_said = false;
                // As df counts: blocks that only root may fill are neither used nor available.
                let used = disk.blocks().saturating_sub(disk.blocks_free());
                Tenths::of(used, used.saturating_add(disk.blocks_available()))
            }
            Err(error) => {
                if !self.disk_said {
                    self.disk_said = true;
                    let path = self.disk.to_string_lossy();
                    log::warn(
                        "Cannot read the file system, its figures are left out",
                        &[
                            ("path", Value::Str(&path)),
                            ("error", Value::Str(error.desc())),
                        ],
                    );
                }
                Tenths::ABSENT
            }
        }
    }

    fn read_network(&mut self) -> Option<NetBytes> {
        self.network.begin();
        let mut offset = 0;
        let mut held = 0;
        loop {
            let bytes = self.net_dev.read_at(&mut self.buffer[held..], offset)?;
            offset += bytes as u64;
            let text = &self.buffer[..held + bytes];
            let whole = text
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let mut lines = &text[..whole];
            while let Some(end) = find(b'\n', lines) {
                let line = &lines[..end];
                lines = &lines[end + 1..];
                if line.is_empty() {
                    continue;
                }
                match net_dev::parse_line(line) {
                    Ok(Some(interface)) => self.network.add(&interface),
                    Ok(None) => {}
                    Err(error) => {
                        self.net_dev.say(&error);
                        return None;
                    }
                }
            }
            let rest = text.len() - whole;
            self.buffer.copy_within(whole..whole + rest, 0);
            held = rest;
            // The kernel fills a page with whole lines; one that leaves this much room was the last.
            if bytes < LAST_READ_BYTES {
                break;
            }
            if held == BUFFER_BYTES || offset > NET_DEV_BYTES {
                self.net_dev.say(&"not a list of interfaces");
                return None;
            }
        }
        if held > 0 {
            self.net_dev.say(&"the last line was cut");
            return None;
        }
        self.net_dev.said = false;
        self.network.finish()
    }

    /// Whole seconds since the device started, as its `/proc/uptime` counts them: where that was
    /// when it was read, and what `CLOCK_BOOTTIME` has gone on since. Both are the same clock, but a
    /// container's file may begin with the container.
    fn uptime_s(&mut self, boot_ms: u64) -> Option<u32> {
        let ahead_ms = match self.uptime_ahead_ms {
            Some(ahead_ms) => ahead_ms,
            None => self.read_uptime(boot_ms)?,
        };
        u32::try_from(boot_ms.checked_add_signed(ahead_ms)? / 1000).ok()
    }

    /// By how much the file is ahead of `boot_ms`.
    fn read_uptime(&mut self, boot_ms: u64) -> Option<i64> {
        let text = self.uptime.read(&mut self.buffer[..])?;
        match Uptime::parse(text) {
            Ok(uptime) => {
                let up_ms = uptime.up_hundredths.saturating_mul(10);
                self.uptime.file = None;
                self.uptime_ahead_ms = up_ms.checked_signed_diff(boot_ms);
                self.uptime_ahead_ms
            }
            Err(error) => {
                self.uptime.say(&error);
                None
            }
        }
    }
}

fn disk_path(settings: &Settings) -> CString {
    // A path from the configuration has no NUL byte: its reader refuses that.
    CString::new(settings.disk_path().as_os_str().as_bytes()).unwrap_or_default()
}

/// A file that is read over and over.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: Option<File>,
    said: bool,
}

impl Source {
    /// The file of that name below `root`. It is opened when it is read.
    pub(crate) fn new(root: &Path, name: &str) -> Self {
        Self {
            path: root.join(name),
            file: None,
            said: false,
        }
    }

    /// The start of the file, as much as `buffer` holds.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let bytes = self.read_at(buffer, 0)?;
        Some(&buffer[..bytes])
    }

    /// The same of a file that need not be there.
    pub(crate) fn read_silently<'b>(&mut self, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let bytes = self.try_read_at(buffer, 0).ok()?;
        Some(&buffer[..bytes])
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Option<usize> {
        match self.try_read_at(buffer, offset) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.say(&error);
                None
            }
        }
    }

    fn try_read_at(&mut self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let read = match &self.file {
            Some(file) => file.read_at(buffer, offset),
            None => File::open(&self.path).and_then(|file| {
                let bytes = file.read_at(buffer, offset);
                self.file = Some(file);
                bytes
            }),
        };
        if read.is_err() {
            self.file = None;
        }
        read
    }

    /// Says what is wrong with the file, unless that was said already.
    pub(crate) fn say(&mut self, error: &dyn std::fmt::Display) {
        if self.said {
            return;
        }
        self.said = true;
        let (path, error) = (self.path.to_string_lossy(), error.to_string());
        log::warn(
            "Cannot read the kernel's figures, they are left out",
            &[("path", Value::Str(&path)), ("error", Value::Str(&error))],
        );
    }
}

/// Which interfaces count, and their sum.
#[derive(Debug)]
struct Network {
    /// Those named in the configuration; if empty, the physical ones.
    named: Vec<String>,
    /// `<sys>/class/net/`.
    folder: Vec<u8>,
    /// What sysfs said of interfaces, so that it is asked once for each.
    kinds: heapless::Vec<Kind, INTERFACES>,
    chosen: NetTotals<INTERFACES>,
    /// All but loopback: what counts where nothing is physical, as in a container.
    others: NetTotals<INTERFACES>,
    any_chosen: bool,
    /// That none of the named ones is there was said.
    is_missing: bool,
    totals: RunTotals,
}

/// The sums that are reported: they only grow, whichever interfaces they are made of.
#[derive(Debug, Default)]
struct RunTotals {
    reported: Option<NetBytes>,
    last: NetBytes,
    /// Whether the last sums were of the chosen interfaces or of all others; none before a reading.
    of_chosen: Option<bool>,
}

impl RunTotals {
    /// Takes the sums of a reading. When they are of other interfaces than before, what those had
    /// counted already does not count again.
    fn update(&mut self, now: NetBytes, of_chosen: bool) -> NetBytes {
        let reported = match self.reported {
            None => now,
            Some(reported) if self.of_chosen != Some(of_chosen) => reported,
            Some(reported) => NetBytes {
                sent: reported
                    .sent
                    .saturating_add(now.sent.saturating_sub(self.last.sent)),
                recv: reported
                    .recv
                    .saturating_add(now.recv.saturating_sub(self.last.recv)),
            },
        };
        self.reported = Some(reported);
        (self.last, self.of_chosen) = (now, Some(of_chosen));
        reported
    }
}

#[derive(Debug)]
struct Kind {
    name: [u8; NAME_BYTES],
    physical: bool,
    seen: bool,
}

impl Network {
    fn new(settings: &Settings) -> Self {
        let mut folder = settings
            .sys_root
            .join("class/net")
            .into_os_string()
            .into_encoded_bytes();
        folder.push(b'/');
        Self {
            named: settings.interfaces.clone(),
            folder,
            kinds: heapless::Vec::new(),
            chosen: NetTotals::new(),
            others: NetTotals::new(),
            any_chosen: false,
            is_missing: false,
            totals: RunTotals::default(),
        }
    }

    fn begin(&mut self) {
        self.chosen.begin();
        self.others.begin();
        for kind in &mut self.kinds {
            kind.seen = false;
        }
    }

    fn add(&mut self, interface: &Interface<'_>) {
        let is_chosen = if self.named.is_empty() {
            self.is_physical(interface.name)
        } else {
            let mut named = self.named.iter();
            named.any(|name| name.as_bytes() == interface.name)
        };
        if is_chosen {
            self.any_chosen = true;
            self.chosen.add(interface);
        } else if self.named.is_empty() && interface.name != b"lo" {
            self.others.add(interface);
        }
    }

    /// The sums; none while no interface was there that is named.
    fn finish(&mut self) -> Option<NetBytes> {
        // An interface that is made anew under its old name may be of another kind.
        self.kinds.retain(|kind| kind.seen);
        let (chosen, others) = (self.chosen.finish(), self.others.finish());
        let of_chosen = self.any_chosen;
        if !of_chosen && !self.named.is_empty() {
            if !std::mem::replace(&mut self.is_missing, true) {
                log::warn(
                    "No such network interface, its figures are left out: check interfaces",
                    &[("interfaces", Value::Str(&self.named.join(",")))],
                );
            }
            return None;
        }
        let sums = if of_chosen { chosen } else { others };
        Some(self.totals.update(sums, of_chosen))
    }

    /// Whether hardware is behind it: sysfs then has a `device` in its folder.
    fn is_physical(&mut self, name: &[u8]) -> bool {
        let mut key = [0; NAME_BYTES];
        let Some(place) = key
            .get_mut(..name.len())
            .filter(|_| name.len() < NAME_BYTES)
        else {
            return false;
        };
        place.copy_from_slice(name);
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.name == key) {
            kind.seen = true;
            return kind.physical;
        }
        let mut path: heapless::Vec<u8, 512> = heapless::Vec::new();
        let whole = [&self.folder[..], name, b"/device"];
        let fits = whole
            .iter()
            .all(|part| path.extend_from_slice(part).is_ok());
        let physical = fits && access(path.as_slice(), AccessFlags::F_OK).is_ok();
        // With more interfaces than places, the rest are looked up at every sample.
        let _ = self.kinds.push(Kind {
            name: key,
            physical,
            seen: true,
        });
        physical
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn bytes(sent: u64, recv: u64) -> NetBytes {
        NetBytes { sent, recv }
    }

    #[test]
    fn totals_only_grow_whichever_interfaces_they_are_of() {
        let mut totals = RunTotals::default();
        assert_eq!(totals.update(bytes(5_000, 100), false), bytes(5_000, 100));
        assert_eq!(totals.update(bytes(5_010, 120), false), bytes(5_010, 120));
        // The first physical interface appears, with little on its counters.
        assert_eq!(totals.update(bytes(12, 7), true), bytes(5_010, 120));
        assert_eq!(totals.update(bytes(20, 10), true), bytes(5_018, 123));
    }

    #[test]
    fn uptime_goes_on_from_where_its_file_was() {
        let root = std::env::temp_dir().join(format!("mote-uptime-{}", std::process::id()));
        std::fs::create_dir_all(&root).unwrap();
        let mut sampler = Sampler::new(&Settings {
            proc_root: root.clone(),
            ..Settings::default()
        });
        assert_eq!(sampler.uptime_s(5_000), None);
        std::fs::write(root.join("uptime"), "107.99 12.00\n").unwrap();
        assert_eq!(sampler.uptime_s(6_000), Some(107));
        std::fs::remove_dir_all(root).unwrap();
        assert_eq!(sampler.uptime_s(6_010), Some(108));
        assert_eq!(sampler.uptime_s(16_000), Some(117));
    }

    #[test]
    fn named_interfaces_that_were_never_there_have_no_figures() {
        let mut network = Network::new(&Settings {
            interfaces: vec!["wwan0".into(), "eth1".into()],
            ..Settings::default()
        });
        let mut read = |names: &[&'static str]| {
            network.begin();
            for name in names {
                network.add(&Interface {
                    name: name.as_bytes(),
                    rx_bytes: 0,
                    tx_bytes: 0,
                });
            }
            (network.finish(), network.is_missing)
        };
        assert_eq!(read(&["lo", "eth0"]), (None, true));
        let none = Some(bytes(0, 0));
        assert_eq!(read(&["eth0", "wwan0"]).0, none);
        // It went again: its bytes were counted.
        assert_eq!(read(&["eth0"]).0, none);
    }

    #[test]
    fn totals_go_on_from_where_they_are_whichever_interfaces_a_reload_names() {
        let root = std::env::temp_dir().join(format!("mote-sampler-{}", std::process::id()));
        let write = |received: u64| {
            let columns = "0 0 0 0 0 0 0 100 0 0 0 0 0 0 0";
            let text = format!("  eth0: {received} {columns}\n");
            std::fs::write(root.join("net/dev"), text).unwrap();
        };
        for folder in ["net", "class/net/eth0/device"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        write(5_000);
        let mut settings = Settings {
            proc_root: root.clone(),
            sys_root: root.clone(),
            ..Settings::default()
        };
        let mut sampler = Sampler::new(&settings);
        assert_eq!(sampler.read_network(), Some(bytes(100, 5_000)));
        for (named, before, after) in [(&["eth0"][..], 6_000, 6_500), (&[][..], 7_000, 7_300)] {
            write(before);
            sampler.read_network();
            settings.interfaces = named.iter().map(|name| (*name).to_owned()).collect();
            sampler.reconfigure(&settings);
            // What was counted between the last reading and the reload is not known apart.
            let reported = sampler.read_network().unwrap();
            write(after);
            let grown = NetBytes {
                recv: reported.recv + after - before,
                ..reported
            };
            assert_eq!(sampler.read_network(), Some(grown), "{named:?}");
            assert!(grown.recv <= after, "{named:?}: {grown:?}");
        }
        std::fs::remove_dir_all(root).unwrap();
    }
}
