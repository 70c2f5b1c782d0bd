//! What the agent's process costs, under the names that every Prometheus client has for it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use mote_core::Full;
use mote_core::proc::sys;
use mote_core::wire::prometheus::{Kind, Lines, Number};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::unistd::{SysconfVar, sysconf};

use super::metrics::one;

/// The agent's own files: `proc_root` may be another device's.
const MEMORY: &str = "/proc/self/statm";
const FILES: &str = "/proc/self/fd";
/// Seven numbers.
const MEMORY_BYTES: usize = 256;

/// The process, and what is held open of what tells of it.
#[derive(Debug, Default)]
pub struct Process {
    memory: Option<File>,
    /// A folder.
    files: Option<File>,
}

/// Times of the process and of what is written, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// When it started, since the kernel started.
    pub started_ms: u64,
    /// Now, since the kernel started.
    pub now_ms: u64,
    /// Now, since 1970.
    pub wall_ms: u64,
}

impl Process {
    /// Writes its metrics.
    pub fn write(&mut self, times: &Times, out: &mut Lines<'_>) -> Result<(), Full> {
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let micros = |time: nix::sys::time::TimeVal| {
                let part = |part| u64::try_from(part).unwrap_or(0);
                part(time.tv_sec()) * 1_000_000 + part(time.tv_usec())
            };
            let spent = micros(usage.user_time()) + micros(usage.system_time());
            let help = "CPU time spent, user and system.";
            one(
                out,
                ["process_", "cpu_seconds_total"],
                Kind::Counter,
                help,
                Number::Decimal(spent, 6),
            )?;
        }
        if let Some([virtual_bytes, resident_bytes]) = self.memory() {
            one(
                out,
                ["process_", "resident_memory_bytes"],
                Kind::Gauge,
                "Memory that is resident.",
                resident_bytes,
            )?;
            one(
                out,
                ["process_", "virtual_memory_bytes"],
                Kind::Gauge,
                "Memory that is mapped.",
                virtual_bytes,
            )?;
        }
        let age_ms = times.now_ms.saturating_sub(times.started_ms);
        let started_ms = times.wall_ms.saturating_sub(age_ms);
        let help = "When the process started.";
        one(
            out,
            ["process_", "start_time_seconds"],
            Kind::Gauge,
            help,
            Number::Decimal(started_ms, 3),
        )?;
        if let Some(count) = self.open_files() {
            one(
                out,
                ["process_", "open_fds"],
                Kind::Gauge,
                "Descriptors that are open.",
                count,
            )?;
        }
        if let Ok((soft, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
            one(
                out,
                ["process_", "max_fds"],
                Kind::Gauge,
                "Descriptors that may be open.",
                soft,
            )?;
        }
        Ok(())
    }

    /// Mapped and resident bytes. Kernel documentation: `Documentation/filesystems/proc.rst`, "statm".
    fn memory(&mut self) -> Option<[u64; 2]> {
        if self.memory.is_none() {
            self.memory = File::open(MEMORY).ok();
        }
        let mut buffer = [0; MEMORY_BYTES];
        let bytes = self.memory.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let page = u64::try_from(sysconf(SysconfVar::PAGE_SIZE).ok()??).ok()?;
        let mut pages = buffer[..bytes].split(|byte| *byte == b' ').map(sys::number);
        let mut next = || u64::try_from(pages.next()??).ok()?.checked_mul(page);
        Some([next()?, next()?])
    }

    /// How many descriptors are open.
    fn open_files(&mut self) -> Option<u64> {
        if self.files.is_none() {
            self.files = File::open(FILES).ok();
        }
        // Since 6.2 the folder's size is their number, and before it is always 0.
        let told = self.files.as_ref()?.metadata().ok()?.len();
        if told > 0 {
            return Some(told);
        }
        // The one that is being read is one of them.
        let counted = fs::read_dir(FILES).ok()?.count() as u64;
        counted.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_file_is_one_more() {
        // Other tests open and close files meanwhile.
        let mut process = Process::default();
        let mut is_seen = || {
            let before = process.open_files().unwrap();
            let files = [(); 100].map(|()| File::open(MEMORY).unwrap());
            let with = process.open_files().unwrap();
            drop(files);
            with > before + 50 && process.open_files().unwrap() < with - 50
        };
        assert!((0..100).any(|_| is_seen()));
    }

    #[test]
    fn resident_memory_is_a_part_of_what_is_mapped() {
        let mut process = Process::default();
        for _ in 0..2 {
            let [mapped, resident] = process.memory().unwrap();
            assert!(resident > 0 && resident < mapped, "{resident} of {mapped}");
        }
    }
}
