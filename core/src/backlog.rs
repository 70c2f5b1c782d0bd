//! What the records of a saved backlog say (`crate::record` is how they stand in the file).
//!
//! | kind | id | body, little-endian |
//! | --- | --- | --- |
//! | [`ORIGIN`] | its own | an [`Origin`] |
//! | [`SAMPLES`] | that of the origin in front | up to [`SAMPLES_PER_RECORD`] samples of 48 bytes |
//! | [`GONE`] | that of the origin | number of the oldest sample still held (4), how many are held (4) |
//!
//! A sample is its packed words; the highest bit of the first says that its wall time is
//! provisional. The texts of an origin have their length, at most 255 bytes, in front.
//!
//! With an origin, a sample is the same request again: same key, same bytes. Bytes in, values out;
//! the file, and what is restored, is the agent's.

use crate::Full;
use crate::outbox::Marks;
use crate::sample::{Packed, Sample};
use crate::wire::lunasentri::{Form, SystemInfo};

/// Which start of the agent took the samples that follow.
pub const ORIGIN: u8 = 1;
/// Samples.
pub const SAMPLES: u8 = 2;
/// Samples were delivered or dropped.
pub const GONE: u8 = 3;

/// A record of so many is little more than 3 kB.
pub const SAMPLES_PER_RECORD: usize = 64;
/// Bytes of a sample.
pub const SAMPLE_BYTES: usize = size_of::<Packed>();
/// The longest origin, in bytes.
pub const ORIGIN_BYTES: usize = FIXED_BYTES + 4 * 256;

const FIXED_BYTES: usize = 8 + 8 + 16 + 1 + 1 + 4 + 3 * 8;
const PROVISIONAL: u64 = 1 << 63;
const HAS_DISK: u8 = 1;
const HAS_BOOT_TIME: u8 = 2;

/// What a start of the agent puts into the requests of its samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Of the state folder.
    pub identity: u64,
    /// Which start it was.
    pub start: u64,
    /// The kernel's boot that it was in.
    pub boot_id: [u8; 16],
    /// The names in the payload.
    pub form: Form,
    /// What the device was, its name included.
    pub info: SystemInfo<'a>,
}

impl<'a> Origin<'a> {
    /// Writes it; returns the length. Texts are at most 255 bytes, or it is full.
    pub fn encode(&self, out: &mut [u8; ORIGIN_BYTES]) -> Result<usize, Full> {
        let mut writer = Writer { out, at: 0 };
        let info = &self.info;
        let (disk, boot_time) = (info.disk_total_gb, info.last_boot_time_ms);
        let flags =
            (u8::from(disk.is_some()) * HAS_DISK) | (u8::from(boot_time.is_some()) * HAS_BOOT_TIME);
        writer.put(&self.identity.to_le_bytes())?;
        writer.put(&self.start.to_le_bytes())?;
        writer.put(&self.boot_id)?;
        writer.put(&[form_code(self.form), flags])?;
        writer.put(&info.cpu_cores.to_le_bytes())?;
        for number in [
            info.memory_total_mb,
            disk.unwrap_or(0),
            boot_time.unwrap_or(0),
        ] {
            writer.put(&number.to_le_bytes())?;
        }
        for text in [
            info.hostname,
            info.platform,
            info.platform_version,
            info.kernel_version,
        ] {
            writer.put(&[u8::try_from(text.len()).map_err(|_| Full)?])?;
            writer.put(text.as_bytes())?;
        }
        Ok(writer.at)
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` if `bytes` are not that.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let (identity, start) = (reader.number()?, reader.number()?);
        let boot_id = reader.array()?;
        let [form, flags] = reader.array()?;
        let cpu_cores = u32::from_le_bytes(reader.array()?);
        let memory_total_mb = reader.number()?;
        let (disk, boot_time) = (reader.number()?, reader.number()?);
        let info = SystemInfo {
            hostname: reader.text()?,
            platform: reader.text()?,
            platform_version: reader.text()?,
            kernel_version: reader.text()?,
            cpu_cores,
            memory_total_mb,
            disk_total_gb: (flags & HAS_DISK != 0).then_some(disk),
            last_boot_time_ms: (flags & HAS_BOOT_TIME != 0).then_some(boot_time),
        };
        reader.0.is_empty().then_some(Self {
            identity,
            start,
            boot_id,
            form: form_of(form)?,
            info,
        })
    }
}

/// A sample as it is kept.
pub fn write_sample(sample: &Sample, provisional: bool) -> [u8; SAMPLE_BYTES] {
    let mut packed = sample.pack();
    packed[0] |= u64::from(provisional) * PROVISIONAL;
    let mut bytes = [0; SAMPLE_BYTES];
    for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(packed) {
        *place = word.to_le_bytes();
    }
    bytes
}

/// The samples of a record's body, oldest first, marked as saved. Bytes that no sample was packed
/// into are passed over, and so are fewer than [`SAMPLE_BYTES`] at the end.
pub fn read_samples(body: &[u8]) -> impl Iterator<Item = (Sample, Marks)> {
    let samples = body.as_chunks::<SAMPLE_BYTES>().0;
    samples.iter().filter_map(|bytes| {
        let mut packed = Packed::default();
        for (word, bytes) in packed.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let marks = Marks {
            saved: true,
            provisional: packed[0] & PROVISIONAL != 0,
        };
        Some((Sample::unpack(&packed)?, marks))
    })
}

/// The body of a [`GONE`]: the oldest sample that is held, and how many are.
pub fn write_gone(number: u32, held: u32) -> [u8; 8] {
    (u64::from(held) << 32 | u64::from(number)).to_le_bytes()
}

/// Reads what [`write_gone`] wrote: the number, and how many; `None` if the body is not of its length.
pub fn read_gone(body: &[u8]) -> Option<(u32, u32)> {
    let both = u64::from_le_bytes(body.try_into().ok()?);
    Some((both as u32, (both >> 32) as u32))
}

fn form_code(form: Form) -> u8 {
    match form {
        Form::Both => 0,
        Form::Documented => 1,
        Form::Live => 2,
    }
}

fn form_of(code: u8) -> Option<Form> {
    [Form::Both, Form::Documented, Form::Live]
        .into_iter()
        .find(|form| form_code(*form) == code)
}

struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        let place = self.out.get_mut(self.at..end).ok_or(Full)?;
        place.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_first()?;
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::sample::Tenths;

    fn origin() -> Origin<'static> {
        Origin {
            identity: u64::MAX - 5,
            start: 7,
            boot_id: [9; 16],
            form: Form::Live,
            info: SystemInfo {
                hostname: "gw-7",
                platform: "debian",
                platform_version: "",
                kernel_version: "6.1 ü",
                cpu_cores: 4,
                memory_total_mb: 924,
                disk_total_gb: Some(0),
                last_boot_time_ms: None,
            },
        }
    }

    fn sample(number: u32) -> Sample {
        Sample {
            number,
            boot_ms: 5,
            wall_ms: Some(1_770_000_000_000),
            with_info: true,
            cpu: Tenths::of(1, 3),
            memory: Tenths::ABSENT,
            disk: Tenths::of(1, 1),
            network: None,
            uptime_s: Some(u32::MAX),
        }
    }

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        let mut out = [0; ORIGIN_BYTES];
        for form in [Form::Both, Form::Documented, Form::Live] {
            let origin = Origin { form, ..origin() };
            let length = origin.encode(&mut out).unwrap();
            assert_eq!(Origin::parse(&out[..length]), Some(origin));
        }
    }

    #[test]
    fn a_cut_or_longer_origin_is_refused() {
        let mut out = [0; ORIGIN_BYTES];
        let length = origin().encode(&mut out).unwrap();
        for cut in (0..length).chain([length + 1]) {
            assert_eq!(Origin::parse(&out[..cut]), None, "cut at byte {cut}");
        }
        out[32] = 3;
        assert_eq!(Origin::parse(&out[..length]), None, "an unknown form");
    }

    #[test]
    fn the_longest_texts_fit_and_longer_ones_are_refused() {
        let mut out = [0; ORIGIN_BYTES];
        let text = "x".repeat(256);
        let mut origin = origin();
        for info in [
            &mut origin.info.hostname,
            &mut origin.info.platform,
            &mut origin.info.platform_version,
            &mut origin.info.kernel_version,
        ] {
            *info = &text[..255];
        }
        let length = origin.encode(&mut out).unwrap();
        assert_eq!(length, FIXED_BYTES + 4 * 256);
        assert_eq!(Origin::parse(&out[..length]), Some(origin));
        origin.info.platform = &text;
        assert_eq!(origin.encode(&mut out), Err(Full));
    }

    #[test]
    fn samples_are_read_as_they_were_written() {
        let written = [(sample(1), false), (sample(u32::MAX), true)];
        let mut body: Vec<u8> = Vec::new();
        for (sample, provisional) in &written {
            body.extend(write_sample(sample, *provisional));
        }
        let read: Vec<_> = read_samples(&body).collect();
        for ((sample, marks), (written, provisional)) in read.iter().zip(&written) {
            assert_eq!((sample, marks.provisional), (written, *provisional));
            assert!(marks.saved);
        }
        assert_eq!(read.len(), 2);
        assert_eq!(read_samples(&body[..95]).count(), 1);
        assert_eq!(read_samples(&[0; 480]).count(), 0);
    }

    #[test]
    fn what_is_gone_is_read_as_it_was_written() {
        let body = write_gone(3, u32::MAX);
        assert_eq!(read_gone(&body), Some((3, u32::MAX)));
        assert_eq!(read_gone(&body[..7]), None);
        assert_eq!(read_gone(&[0; 9]), None);
    }
}
