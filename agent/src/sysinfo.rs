//! What the device is: read rarely, sent rarely.

use std::io::Read;
use std::path::Path;

use mote_core::os_release;
use mote_core::proc::meminfo::MemInfo;
use mote_core::proc::stat;
use mote_core::text;
use mote_core::wire::lunasentri::SystemInfo;
use nix::sys::statvfs::statvfs;

use crate::config::Settings;

/// Longest text of the inventory, in bytes.
const TEXT_BYTES: usize = 100;
/// Longest name of a device: that of a host (RFC 1035, section 2.3.4).
const HOSTNAME_BYTES: usize = 253;
/// Nothing that runs this program started before 2025; a clock that says so is not set yet.
const EARLIEST_BOOT_S: u64 = 1_735_689_600;
/// /proc/stat of a machine with thousands of interrupts and CPUs stays well below.
const FILE_BYTES: u64 = 512 * 1024;

/// System information as it was read once.
#[derive(Debug, Clone)]
pub struct Inventory {
    hostname: String,
    platform: String,
    platform_version: String,
    kernel_version: String,
    cpu_cores: u32,
    memory_total_mb: u64,
    disk_total_gb: Option<u64>,
    last_boot_ms: Option<u64>,
}

impl Inventory {
    /// Reads it. What the device does not tell stays empty, 0 or `None`.
    pub fn read(settings: &Settings, hostname: &str) -> Self {
        let stat = read(&settings.proc_root.join("stat"));
        let meminfo = MemInfo::parse(&read(&settings.proc_root.join("meminfo")));
        let (platform, platform_version) = platform(&settings.etc_dir());
        let disk = statvfs(&settings.disk_path());
        Self {
            hostname: hostname.to_owned(),
            platform,
            platform_version,
            kernel_version: line(&settings.proc_root.join("sys/kernel/osrelease")),
            cpu_cores: stat::count_cpus(&stat),
            memory_total_mb: meminfo.map_or(0, |memory| memory.total_kb / 1024),
            disk_total_gb: disk
                .ok()
                .map(|disk| disk.blocks().saturating_mul(disk.fragment_size()) >> 30),
            last_boot_ms: stat::boot_time_s(&stat)
                .filter(|seconds| *seconds >= EARLIEST_BOOT_S)
                .map(|seconds| seconds.saturating_mul(1000)),
        }
    }

    /// As the wire wants it.
    pub fn as_info(&self) -> SystemInfo<'_> {
        SystemInfo {
            hostname: &self.hostname,
            platform: &self.platform,
            platform_version: &self.platform_version,
            kernel_version: &self.kernel_version,
            cpu_cores: self.cpu_cores,
            memory_total_mb: self.memory_total_mb,
            disk_total_gb: self.disk_total_gb,
            last_boot_time_ms: self.last_boot_ms,
        }
    }
}

/// The device's name: from the configuration, from the host's /etc when in a container, or from
/// the kernel.
pub fn hostname(settings: &Settings) -> String {
    if let Some(name) = &settings.hostname {
        return text::cut(name, HOSTNAME_BYTES).to_owned();
    }
    let from_host = settings.etc.is_some() || settings.rootfs != Path::new("/");
    let candidates = [
        from_host.then(|| line(&settings.etc_dir().join("hostname"))),
        Some(line(&settings.proc_root.join("sys/kernel/hostname"))),
    ];
    let name = candidates
        .into_iter()
        .flatten()
        .find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "localhost".into());
    text::cut(&name, HOSTNAME_BYTES).to_owned()
}

/// `ID` and `VERSION_ID` of os-release(5).
fn platform(etc: &Path) -> (String, String) {
    let text = read(&etc.join("os-release"));
    let value = |name: &str| {
        let mut buffer = [0; 256];
        let found = os_release::value(&text, name.as_bytes(), &mut buffer);
        short(&String::from_utf8_lossy(found.unwrap_or_default()))
    };
    let id = value("ID");
    // os-release(5): without an ID it is "linux".
    (
        if id.is_empty() { "linux".into() } else { id },
        value("VERSION_ID"),
    )
}

fn line(path: &Path) -> String {
    short(String::from_utf8_lossy(&read(path)).trim())
}

fn short(words: &str) -> String {
    text::cut(words, TEXT_BYTES).to_owned()
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        // Half a file is as good as none: its readers refuse what was cut.
        let _ = file.take(FILE_BYTES).read_to_end(&mut bytes);
    }
    bytes
}
