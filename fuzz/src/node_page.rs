//! The whole page for Prometheus of a device one of whose files anybody wrote.
//!
//! One bad line costs a reader all of the page. So every line of it must be one that a reader takes;
//! of what other programs left, no series may be there twice.

use std::cell::RefCell;
use std::collections::HashSet;
use std::fs;

use mote::config::settings::Settings;
use mote::face::node::Node;
use mote::log;
use mote_core::log_line::Level;
use mote_core::wire::exposition::{self, Line};
use mote_core::wire::prometheus::Lines;

use crate::folder::Folder;
use crate::planted_bug;

/// The first byte says which of them it is.
const FILES: [&str; 14] = [
    "text/one.prom",
    "proc/diskstats",
    "proc/vmstat",
    "proc/meminfo",
    "proc/stat",
    "proc/1/mounts",
    "proc/net/dev",
    "proc/loadavg",
    "proc/pressure/memory",
    "proc/sys/fs/file-nr",
    "etc/os-release",
    "sys/class/net/eth0/operstate",
    "sys/class/thermal/thermal_zone0/type",
    "sys/class/thermal/thermal_zone0/temp",
];
/// Of them, those whose lines are somebody's own and may say anything twice.
const TEXT: usize = 0;
/// Larger than any part.
const PART_BYTES: usize = 1024 * 1024;

pub(crate) fn page(bytes: &[u8]) {
    let Some((first, text)) = bytes.split_first() else {
        return;
    };
    let which = usize::from(*first) % FILES.len();
    let folder = Folder::new();
    folder.put(
        "proc/net/dev",
        b"x\ny\n  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
    );
    folder.put("sys/class/net/eth0/mtu", b"1500\n");
    folder.put("sys/class/thermal/thermal_zone0/temp", b"41000\n");
    folder.put("sys/class/thermal/thermal_zone0/type", b"cpu\n");
    folder.put(FILES[which], text);
    let shown = written(&folder);
    // Nothing that is there now was there when the page began.
    drop(folder);

    let mut series = HashSet::new();
    for line in shown.split(|byte| *byte == b'\n') {
        let mut form = line.to_vec();
        match exposition::read(&mut form) {
            Ok(Line::Sample {
                series_end, end, ..
            }) => {
                assert_eq!(&form[..end], line, "not in the form of others");
                let is_new = series.insert(form[..series_end].to_vec());
                let name = String::from_utf8_lossy(line);
                assert!(is_new || which != TEXT, "there twice: {name}");
            }
            Ok(_) => {}
            Err(error) => panic!("{error}: {}", String::from_utf8_lossy(line)),
        }
    }
    // A series of the seeds has another value than there.
    let is_new = |line: &[u8]| line.starts_with(b"a_sum ") && line != b"a_sum 4";
    planted_bug(shown.split(|byte| *byte == b'\n').any(is_new));
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; PART_BYTES]);
}

/// The page of a device whose files are all in `folder`.
fn written(folder: &Folder) -> Vec<u8> {
    log::set_level(Level::Error);
    let root = folder.path();
    let _ = fs::create_dir(root.join("text"));
    let mut node = Node::new(&Settings {
        proc_root: root.join("proc"),
        sys_root: root.join("sys"),
        rootfs: root.to_owned(),
        metrics_interfaces_include: vec!["*".into()],
        metrics_textfile_dir: Some(root.join("text")),
        ..Settings::default()
    });
    let mut page = Vec::new();
    BUFFER.with_borrow_mut(|buffer| {
        for part in 0..Node::PARTS {
            let mut out = Lines::new(buffer, 0);
            assert!(node.write(part, &mut out).is_ok(), "part {part} is endless");
            let used = out.len();
            page.extend_from_slice(&buffer[..used]);
        }
    });
    page
}
