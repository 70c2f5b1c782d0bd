//! What the kernel and other programs say of the device, as the page for Prometheus reads it.
//!
//! Besides not panicking: what was read is read again from what was kept of it, and a text by
//! another reader of the same form.

use mote_core::glob;
use mote_core::os_release;
use mote_core::proc::diskstats::{self, Disk};
use mote_core::proc::mounts::{self, FsKind, Mount};
use mote_core::proc::pressure::Pressure;
use mote_core::proc::{sys, vmstat};
use mote_core::wire::exposition::{self, Line};

use crate::planted_bug;

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n')
}

pub(crate) fn diskstats(bytes: &[u8]) {
    for line in lines(bytes) {
        let Ok(disk) = Disk::parse(line) else {
            continue;
        };
        assert_eq!(Disk::parse_kept(line), Some(disk));
        assert!(!disk.name.is_empty() && !disk.name.contains(&b' '));
        assert!(disk.numbers().count() >= 11);
        diskstats::is_minor(disk.name);
        // No kernel has 18 columns yet.
        planted_bug(disk.numbers().nth(17).is_some());
    }
}

pub(crate) fn vmstat(bytes: &[u8]) {
    for line in lines(bytes) {
        if let Ok(counter) = vmstat::parse_line(line) {
            assert!(!counter.name.is_empty());
            // Most are passed over by how the whole line begins.
            let is_watched = vmstat::is_watched(counter.name);
            let is_passed_over = line.starts_with(counter.name) && !vmstat::is_watched(line);
            assert!(!(is_watched && is_passed_over));
            planted_bug(is_watched && counter.value % 1000 == 777);
        }
    }
}

pub(crate) fn pressure(bytes: &[u8]) {
    if let Ok(pressure) = Pressure::parse(bytes) {
        let longer = [bytes, b"most avg10=0.00 total=7\n"].concat();
        assert_eq!(
            Pressure::parse(&longer),
            Ok(pressure),
            "a line of its own changed it"
        );
        let both = pressure.full_us.zip(pressure.some_us);
        planted_bug(both.is_some_and(|(full_us, some_us)| full_us > some_us));
    }
}

pub(crate) fn mounts(bytes: &[u8]) {
    let all = || lines(bytes).filter_map(|line| Mount::parse(line).ok());
    let is_foreign = |mount: &Mount<'_>| FsKind::of(mount.fs_type) == FsKind::Foreign;
    for mount in all() {
        let mut point = mount.point.to_vec();
        let point = mounts::unescape(&mut point);
        assert!(point.starts_with(b"/") && point.len() <= mount.point.len());
        let mut escaped: Vec<u8> = point.iter().flat_map(|byte| escape(*byte)).collect();
        assert_eq!(
            mounts::unescape(&mut escaped),
            point,
            "it is read as it was written"
        );
        mounts::is_minor(point);
        mount.is_read_only();

        let mut path = mounts::Path::to(mount.point);
        all().for_each(|other| path.see(&other));
        assert!(!path.may_block() || all().any(|other| is_foreign(&other)));
        planted_bug(path.may_block() && !is_foreign(&mount));
    }
}

/// As the kernel writes a byte of a mount point.
fn escape(byte: u8) -> Vec<u8> {
    if b" \t\n\\".contains(&byte) {
        format!("\\{byte:03o}").into_bytes()
    } else {
        vec![byte]
    }
}

/// Files of one line.
pub(crate) fn sysctl(bytes: &[u8]) {
    let value = sys::value(bytes);
    assert_eq!(sys::value(value), value);
    let number = sys::number(bytes);
    if let Some(number) = number {
        assert_eq!(sys::number(number.to_string().as_bytes()), Some(number));
    }
    sys::file_nr(bytes);
    planted_bug(number.is_some_and(|number| number < -1));
}

pub(crate) fn os_release(bytes: &[u8]) {
    let mut buffer = [0; 64];
    let mut again = [0; 64];
    for key in ["ID", "VERSION_ID", "PRETTY_NAME"] {
        let Some(value) = os_release::value(bytes, key.as_bytes(), &mut buffer) else {
            continue;
        };
        assert!(value.starts_with(os_release::major_minor(value)));
        if !value.contains(&b'\n') {
            let quoted: Vec<u8> = value.iter().flat_map(|byte| [b'\\', *byte]).collect();
            let line = [b"\n", key.as_bytes(), b"=\"", &quoted, b"\"\n"].concat();
            let longer = [bytes, &line].concat();
            let last = os_release::value(&longer, key.as_bytes(), &mut again);
            assert_eq!(last, Some(value), "it is read as it was written");
        }
        planted_bug(value.contains(&b'"'));
    }
}

/// The pattern, a newline, the name.
pub(crate) fn glob(bytes: &[u8]) {
    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let (pattern, name) = (&bytes[..at], &bytes[at + 1..]);
    let is_match = glob::matches(pattern, name);
    if pattern.len().max(name.len()) <= 128 {
        assert_eq!(is_match, matches_by_table(pattern, name));
    }
    planted_bug(is_match && name.len() > 3 && pattern.contains(&b'?') && pattern.contains(&b'*'));
}

/// The slow way: for each beginning of the pattern, which beginnings of the name it describes.
fn matches_by_table(pattern: &[u8], name: &[u8]) -> bool {
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    for byte in pattern {
        let before = row.clone();
        row[0] = before[0] && *byte == b'*';
        for at in 1..row.len() {
            row[at] = match byte {
                b'*' => before[at] || row[at - 1],
                b'?' => before[at - 1],
                other => before[at - 1] && *other == name[at - 1],
            };
        }
    }
    row[name.len()]
}

pub(crate) fn exposition(bytes: &[u8]) {
    for line in lines(bytes) {
        let mut form = line.to_vec();
        match exposition::read(&mut form) {
            Ok(Line::Sample {
                name_end,
                series_end,
                end,
            }) => {
                assert!(0 < name_end && name_end <= series_end && series_end < end);
                assert!(str::from_utf8(&form[..end]).is_ok());
                let number = str::from_utf8(&form[series_end + 1..end]).unwrap_or_default();
                assert!(number.parse::<f64>().is_ok(), "{number}");
                let mut again = form[..end].to_vec();
                let same = Line::Sample {
                    name_end,
                    series_end,
                    end,
                };
                assert_eq!(exposition::read(&mut again), Ok(same));
                assert_eq!(again, form[..end], "its form is not stable");
                // One with labels, and another value than those of the seeds.
                let is_new = !["1", "-1.5e-3"].contains(&number);
                planted_bug(series_end > name_end + 2 && is_new);
            }
            Ok(Line::Help { name, text }) => {
                assert!(!form[name].is_empty());
                assert!(form.get(text).is_some());
            }
            Ok(Line::Type { name, .. }) => assert!(!form[name].is_empty()),
            Ok(Line::Nothing) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
