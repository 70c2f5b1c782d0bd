//! `LunaSentri`: one sample as the body of one request, and what the server's answer means.
//!
//! A body is a JSON object. The documented names (`cpu_percent`, …) and the names that the
//! published server reads (`cpu_pct`, …) differ; by default both are sent, since either server
//! ignores the other's. Percentages are numbers with one decimal, counters are bytes, the time is
//! RFC 3339 with milliseconds. A figure that is absent is left out, never sent as zero.
//!
//! The same sample gives the same bytes each time, so a repeat can be recognised. Sending,
//! waiting and giving up are the caller's; [`Verdict`] says only what an answer is worth.

use crate::sample::{Sample, Tenths};
use crate::text::percent;
use crate::time::{Rfc3339, UnixMs};
use core::fmt;
use serde::ser::{Serialize, SerializeStruct, Serializer};

mod answer;
mod system_info;

pub use answer::{Filing, Verdict, is_documented_acceptance};
pub use system_info::SystemInfo;

/// Which names a body carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The documented ones, then those of the published server.
    Both,
    /// The documented ones.
    Documented,
    /// Those that the published server reads.
    Live,
}

impl Form {
    /// The form's name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Documented => "documented",
            Self::Live => "live",
        }
    }

    /// The form of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Both, Self::Documented, Self::Live]
            .into_iter()
            .find(|form| form.as_str() == name)
    }
}

/// Why a body could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// The buffer is too small. What it holds now is worth nothing.
    Full,
    /// The sample has no wall time yet: stamp it first.
    NoTime,
}

/// Writes the body and gives its length. `info` goes along in the forms that have a place for it.
pub fn encode(
    form: Form,
    hostname: &str,
    sample: &Sample,
    info: Option<&SystemInfo<'_>>,
    buf: &mut [u8],
) -> Result<usize, EncodeError> {
    let wall_ms = sample.wall_ms.ok_or(EncodeError::NoTime)?;
    let body = Body {
        form,
        hostname,
        sample,
        wall_ms,
        info,
    };
    serde_json_core::to_slice(&body, buf).map_err(|_| EncodeError::Full)
}

struct Body<'a> {
    form: Form,
    hostname: &'a str,
    sample: &'a Sample,
    wall_ms: UnixMs,
    info: Option<&'a SystemInfo<'a>>,
}

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Sample {
            cpu,
            memory,
            disk,
            network,
            uptime_s,
            ..
        } = *self.sample;
        let timestamp = Rfc3339(self.wall_ms);
        let mut body = serializer.serialize_struct("Body", 14)?;
        if self.form != Form::Live {
            body.serialize_field("hostname", self.hostname)?;
            share(&mut body, "cpu_percent", cpu)?;
            share(&mut body, "memory_percent", memory)?;
            share(&mut body, "disk_percent", disk)?;
            known(
                &mut body,
                "network_bytes_sent",
                network.map(|bytes| bytes.sent),
            )?;
            known(
                &mut body,
                "network_bytes_recv",
                network.map(|bytes| bytes.recv),
            )?;
        }
        body.serialize_field("timestamp", &timestamp)?;
        if self.form != Form::Documented {
            share(&mut body, "cpu_pct", cpu)?;
            share(&mut body, "mem_used_pct", memory)?;
            share(&mut body, "disk_used_pct", disk)?;
            known(&mut body, "net_rx_bytes", network.map(|bytes| bytes.recv))?;
            known(&mut body, "net_tx_bytes", network.map(|bytes| bytes.sent))?;
            known(&mut body, "uptime_s", uptime_s)?;
            known(&mut body, "system_info", self.info)?;
        }
        body.end()
    }
}

/// Text that is a JSON number already.
struct Number<'a>(&'a str);

impl Serialize for Number<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // serde-json-core writes bytes as they are, so the number needs none of the machinery for
        // floating point, which is heavier than this whole file.
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

fn share<S: SerializeStruct>(
    body: &mut S,
    key: &'static str,
    value: Tenths,
) -> Result<(), S::Error> {
    known(body, key, percent(value, &mut [0; 5]).map(Number))
}

fn known<S: SerializeStruct, T: Serialize>(
    body: &mut S,
    key: &'static str,
    value: Option<T>,
) -> Result<(), S::Error> {
    match value {
        Some(value) => body.serialize_field(key, &value),
        None => Ok(()),
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => crate::Full.fmt(f),
            Self::NoTime => f.write_str("the sample has no time yet, stamp it first"),
        }
    }
}

impl core::error::Error for EncodeError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::NetBytes;

    const SAMPLE: Sample = Sample {
        number: 7,
        boot_ms: 1,
        wall_ms: Some(1_760_113_962_118),
        with_info: false,
        cpu: Tenths::ABSENT,
        memory: Tenths::ABSENT,
        disk: Tenths::ABSENT,
        network: None,
        uptime_s: None,
    };

    const INFO: SystemInfo<'_> = SystemInfo {
        hostname: "pi-4",
        platform: "debian",
        platform_version: "12",
        kernel_version: "6.6.31+rpt-rpi-v8",
        cpu_cores: 4,
        memory_total_mb: 3794,
        disk_total_gb: Some(29),
        last_boot_time_ms: Some(1_760_000_000_000),
    };

    fn full() -> Sample {
        Sample {
            cpu: Tenths::from_raw(123),
            memory: Tenths::from_raw(0),
            disk: Tenths::from_raw(1000),
            network: Some(NetBytes {
                sent: 5,
                recv: u64::MAX,
            }),
            uptime_s: Some(86_400),
            ..SAMPLE
        }
    }

    fn check(form: Form, sample: &Sample, info: Option<&SystemInfo<'_>>, expected: &str) {
        let mut buf = [0xa5; 1024];
        let used = encode(form, "pi-\"4\"", sample, info, &mut buf).unwrap();
        assert_eq!(core::str::from_utf8(&buf[..used]).unwrap(), expected);
        // It fits exactly, and into nothing smaller.
        let mut exact = vec![0xa5; used];
        assert_eq!(encode(form, "pi-\"4\"", sample, info, &mut exact), Ok(used));
        assert_eq!(exact, &buf[..used]);
        for room in 0..used {
            let got = encode(form, "pi-\"4\"", sample, info, &mut exact[..room]);
            assert_eq!(got, Err(EncodeError::Full), "{room} bytes");
        }
    }

    #[test]
    fn the_documented_body_has_its_seven_fields() {
        let expected = concat!(
            r#"{"hostname":"pi-\"4\"","cpu_percent":12.3,"memory_percent":0.0,"#,
            r#""disk_percent":100.0,"network_bytes_sent":5,"#,
            r#""network_bytes_recv":18446744073709551615,"#,
            r#""timestamp":"2025-10-10T16:32:42.118Z"}"#
        );
        check(Form::Documented, &full(), None, expected);
        check(Form::Documented, &full(), Some(&INFO), expected);
    }

    #[test]
    fn the_live_body_begins_with_the_time() {
        let expected = concat!(
            r#"{"timestamp":"2025-10-10T16:32:42.118Z","cpu_pct":12.3,"mem_used_pct":0.0,"#,
            r#""disk_used_pct":100.0,"net_rx_bytes":18446744073709551615,"net_tx_bytes":5,"#,
            r#""uptime_s":86400}"#
        );
        check(Form::Live, &full(), None, expected);
    }

    #[test]
    fn both_is_the_one_and_then_the_other() {
        let expected = concat!(
            r#"{"hostname":"pi-\"4\"","cpu_percent":12.3,"memory_percent":0.0,"#,
            r#""disk_percent":100.0,"network_bytes_sent":5,"#,
            r#""network_bytes_recv":18446744073709551615,"#,
            r#""timestamp":"2025-10-10T16:32:42.118Z","cpu_pct":12.3,"mem_used_pct":0.0,"#,
            r#""disk_used_pct":100.0,"net_rx_bytes":18446744073709551615,"net_tx_bytes":5,"#,
            r#""uptime_s":86400,"system_info":{"hostname":"pi-4","platform":"debian","#,
            r#""platform_version":"12","kernel_version":"6.6.31+rpt-rpi-v8","cpu_cores":4,"#,
            r#""memory_total_mb":3794,"disk_total_gb":29,"#,
            r#""last_boot_time":"2025-10-09T08:53:20.000Z"}}"#
        );
        check(Form::Both, &full(), Some(&INFO), expected);
    }

    #[test]
    fn what_is_absent_is_left_out() {
        let nothing = r#"{"hostname":"pi-\"4\"","timestamp":"2025-10-10T16:32:42.118Z"}"#;
        check(Form::Both, &SAMPLE, None, nothing);
        let unsure = SystemInfo {
            last_boot_time_ms: None,
            ..INFO
        };
        let expected = concat!(
            r#"{"timestamp":"2025-10-10T16:32:42.118Z","system_info":{"hostname":"pi-4","#,
            r#""platform":"debian","platform_version":"12","kernel_version":"6.6.31+rpt-rpi-v8","#,
            r#""cpu_cores":4,"memory_total_mb":3794,"disk_total_gb":29}}"#
        );
        check(Form::Live, &SAMPLE, Some(&unsure), expected);
        let unknown = SystemInfo {
            hostname: "pi-4",
            platform: "",
            platform_version: "",
            kernel_version: "",
            cpu_cores: 0,
            memory_total_mb: 0,
            disk_total_gb: None,
            last_boot_time_ms: None,
        };
        let expected =
            r#"{"timestamp":"2025-10-10T16:32:42.118Z","system_info":{"hostname":"pi-4"}}"#;
        check(Form::Live, &SAMPLE, Some(&unknown), expected);
    }

    #[test]
    fn a_sample_without_time_is_refused() {
        let sample = Sample {
            wall_ms: None,
            ..full()
        };
        let got = encode(Form::Both, "pi", &sample, None, &mut [0; 1024]);
        assert_eq!(got, Err(EncodeError::NoTime));
    }

    #[test]
    fn forms_are_known_by_name() {
        for form in [Form::Both, Form::Documented, Form::Live] {
            assert_eq!(Form::parse(form.as_str()), Some(form));
        }
        assert_eq!(Form::parse("Both"), None);
    }
}
