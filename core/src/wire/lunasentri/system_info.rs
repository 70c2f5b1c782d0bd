//! What the device is, as the server shows it beside the figures.
//!
//! Texts are sent as they are found, sizes in the units that the server asks for. Whether it goes
//! along with a sample is the caller's choice. What is not known is left out: an empty text, no
//! processor, no memory.

use super::known;
use crate::time::{Rfc3339, UnixMs};
use serde::ser::{Serialize, SerializeStruct, Serializer};

/// What the device is: goes along with a sample now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemInfo<'a> {
    /// The device's name.
    pub hostname: &'a str,
    /// The distribution, such as `debian`.
    pub platform: &'a str,
    /// The distribution's version.
    pub platform_version: &'a str,
    /// The kernel's release.
    pub kernel_version: &'a str,
    /// Processors that are online.
    pub cpu_cores: u32,
    /// Memory, in units of 2^20 bytes.
    pub memory_total_mb: u64,
    /// The watched file system, in units of 2^30 bytes; many a router's is less than one.
    pub disk_total_gb: Option<u64>,
    /// When the kernel started, if the clock is known to be right.
    pub last_boot_time_ms: Option<UnixMs>,
}

impl Serialize for SystemInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut info = serializer.serialize_struct("SystemInfo", 8)?;
        for (key, text) in [
            ("hostname", self.hostname),
            ("platform", self.platform),
            ("platform_version", self.platform_version),
            ("kernel_version", self.kernel_version),
        ] {
            known(&mut info, key, Some(text).filter(|text| !text.is_empty()))?;
        }
        let memory_total_mb = Some(self.memory_total_mb).filter(|mb| *mb > 0);
        known(
            &mut info,
            "cpu_cores",
            Some(self.cpu_cores).filter(|cores| *cores > 0),
        )?;
        known(&mut info, "memory_total_mb", memory_total_mb)?;
        known(&mut info, "disk_total_gb", self.disk_total_gb)?;
        known(
            &mut info,
            "last_boot_time",
            self.last_boot_time_ms.map(Rfc3339),
        )?;
        info.end()
    }
}
