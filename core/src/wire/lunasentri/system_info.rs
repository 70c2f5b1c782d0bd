//! What the device is, as the server shows it beside the figures.
//!
//! Texts are sent as they are found, sizes in the units that the server asks for. Whether it goes
//! along with a sample is the caller's choice.

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
    /// The watched file system, in units of 2^30 bytes.
    pub disk_total_gb: u64,
    /// When the kernel started, if the clock is known to be right.
    pub last_boot_time_ms: Option<UnixMs>,
}

impl Serialize for SystemInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut info = serializer.serialize_struct("SystemInfo", 8)?;
        info.serialize_field("hostname", self.hostname)?;
        info.serialize_field("platform", self.platform)?;
        info.serialize_field("platform_version", self.platform_version)?;
        info.serialize_field("kernel_version", self.kernel_version)?;
        info.serialize_field("cpu_cores", &self.cpu_cores)?;
        info.serialize_field("memory_total_mb", &self.memory_total_mb)?;
        info.serialize_field("disk_total_gb", &self.disk_total_gb)?;
        known(
            &mut info,
            "last_boot_time",
            self.last_boot_time_ms.map(Rfc3339),
        )?;
        info.end()
    }
}
