//! The `/proc` files that a sample is made of, as any kernel might write them.
//!
//! Besides not panicking: what was read of a whole text is read of it again when a line is added
//! that no kernel has, and shares of it never exceed the whole.

use mote_core::cpu_meter::CpuMeter;
use mote_core::proc::loadavg::LoadAvg;
use mote_core::proc::meminfo::MemInfo;
use mote_core::proc::net_dev;
use mote_core::proc::stat::{CpuTimes, boot_time_s, count_cpus};
use mote_core::proc::uptime::Uptime;
use mote_core::sample::Tenths;

use crate::planted_bug;

pub(crate) fn stat(bytes: &[u8]) {
    count_cpus(bytes);
    let booted = boot_time_s(bytes);
    let parsed = CpuTimes::parse(bytes);
    let mut longer = bytes.to_vec();
    longer.extend(b"\nunknown 7\n");
    if let Ok(times) = parsed {
        assert_eq!(
            CpuTimes::parse(&longer),
            Ok(times),
            "a line of its own changed it"
        );
        let mut meter = CpuMeter::default();
        meter.update(CpuTimes::default());
        let share = meter.update(times);
        assert!(share.get().is_none_or(|tenths| tenths <= 1000));
        planted_bug(times.steal > times.user && booted.is_some());
    }
}

pub(crate) fn meminfo(bytes: &[u8]) {
    if let Ok(memory) = MemInfo::parse(bytes) {
        let used_kb = memory.total_kb.saturating_sub(memory.available_kb);
        assert!(
            Tenths::of(used_kb, memory.total_kb)
                .get()
                .is_none_or(|it| it <= 1000)
        );
        planted_bug(memory.available_kb > 0 && memory.total_kb < 1000);
    }
}

pub(crate) fn net_dev(bytes: &[u8]) {
    let mut found = 0;
    for interface in net_dev::interfaces(bytes).flatten() {
        assert!(!interface.name.is_empty());
        assert!(!interface.name.contains(&b'\n'));
        found += 1;
    }
    planted_bug(found >= 4);
}

pub(crate) fn loadavg(bytes: &[u8]) {
    if let Ok(load) = LoadAvg::parse(bytes) {
        planted_bug(load.hundredths[0] > 100_000);
    }
}

pub(crate) fn uptime(bytes: &[u8]) {
    if let Ok(uptime) = Uptime::parse(bytes) {
        planted_bug(uptime.up_hundredths % 100 == 99);
    }
}
