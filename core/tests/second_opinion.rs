//! The parsers against the `procfs` crate: the same bytes, read by two that know nothing of each
//! other, on the four fixture trees and on the machine that runs the test.

use mote_core::proc::loadavg::LoadAvg;
use mote_core::proc::meminfo::MemInfo;
use mote_core::proc::net_dev::interfaces;
use mote_core::proc::stat::{CpuTimes, boot_time_s, count_cpus};
use mote_core::proc::uptime::Uptime;
use procfs::net::InterfaceDeviceStatus;
use procfs::prelude::{FromBufRead, FromRead, FromReadSI};
use procfs::{ExplicitSystemInfo, KernelStats, LoadAverage, Meminfo};
use std::path::{Path, PathBuf};

/// The `/proc` of every fixture tree, and the live one.
fn trees() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures");
    let mut trees: Vec<_> = ["x86-server", "raspberry-pi", "mips-router", "kernel-3.10"]
        .iter()
        .map(|board| fixtures.join(board).join("proc"))
        .collect();
    trees.push(PathBuf::from("/proc"));
    trees
}

fn read(tree: &Path, file: &str) -> Vec<u8> {
    let path = tree.join(file);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn stat_is_read_alike() {
    // Ticks are compared with ticks: the rate only matters to figures that are not looked at.
    let system = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4096,
        is_little_endian: cfg!(target_endian = "little"),
    };
    for tree in trees() {
        let text = read(&tree, "stat");
        let theirs = <KernelStats as FromReadSI>::from_read(&text[..], &system).unwrap();
        let total = &theirs.total;
        let expected = CpuTimes {
            user: total.user,
            nice: total.nice,
            system: total.system,
            idle: total.idle,
            iowait: total.iowait.unwrap_or(0),
            irq: total.irq.unwrap_or(0),
            softirq: total.softirq.unwrap_or(0),
            steal: total.steal.unwrap_or(0),
        };
        assert_eq!(CpuTimes::parse(&text), Ok(expected), "{}", tree.display());
        assert_eq!(
            count_cpus(&text) as usize,
            theirs.cpu_time.len(),
            "{}",
            tree.display()
        );
        assert_eq!(boot_time_s(&text), Some(theirs.btime), "{}", tree.display());
    }
}

#[test]
fn meminfo_is_read_alike() {
    for tree in trees() {
        let text = read(&tree, "meminfo");
        let theirs = Meminfo::from_buf_read(&text[..]).unwrap();
        let ours = MemInfo::parse(&text).unwrap();
        let available = theirs.mem_available.unwrap_or_else(|| {
            let kept = theirs.mem_free + theirs.buffers + theirs.cached;
            kept + theirs.s_reclaimable.unwrap() - theirs.shmem.unwrap()
        });
        assert_eq!(ours.total_kb * 1024, theirs.mem_total, "{}", tree.display());
        assert_eq!(ours.available_kb * 1024, available, "{}", tree.display());
    }
}

#[test]
fn net_dev_is_read_alike() {
    for tree in trees() {
        let text = read(&tree, "net/dev");
        let theirs = InterfaceDeviceStatus::from_buf_read(&text[..]).unwrap().0;
        let ours: Vec<_> = interfaces(&text).map(Result::unwrap).collect();
        assert!(!ours.is_empty(), "{}", tree.display());
        assert_eq!(ours.len(), theirs.len(), "{}", tree.display());
        for interface in ours {
            let name = std::str::from_utf8(interface.name).unwrap();
            let status = &theirs[name];
            assert_eq!(
                (interface.rx_bytes, interface.tx_bytes),
                (status.recv_bytes, status.sent_bytes),
                "{name} of {}",
                tree.display()
            );
        }
    }
}

#[test]
fn uptime_is_read_alike() {
    for tree in trees() {
        let text = read(&tree, "uptime");
        let theirs = procfs::Uptime::from_read(&text[..]).unwrap();
        let ours = Uptime::parse(&text).unwrap();
        assert_eq!(
            u128::from(ours.up_hundredths) * 10,
            theirs.uptime_duration().as_millis(),
            "{}",
            tree.display()
        );
    }
}

#[test]
fn loadavg_is_read_alike() {
    for tree in trees() {
        let text = read(&tree, "loadavg");
        let theirs = LoadAverage::from_read(&text[..]).unwrap();
        let ours = LoadAvg::parse(&text).unwrap();
        let averages = [theirs.one, theirs.five, theirs.fifteen].map(|load| format!("{load:.2}"));
        let expected = ours
            .hundredths
            .map(|load| format!("{}.{:02}", load / 100, load % 100));
        assert_eq!(averages, expected, "{}", tree.display());
    }
}
