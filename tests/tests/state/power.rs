//! Power cuts: an ext4 file system is shut down without its log, mounted again, and the agent
//! started. Needs root and loop devices.

#![expect(unsafe_code, reason = "this ioctl has no safe wrapper")]

use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Instant;

use mote_core::rng::Rng;
use mote_tests::namespace::{Own, enter, mount_ext4, unmount};
use nix::libc;

use super::*;

/// `EXT4_IOC_SHUTDOWN` of the kernel's fs/ext4/ext4.h, without flushing the log.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
const WITHOUT_LOG: u32 = 2;

#[test]
fn d6_a_power_cut_at_any_moment_loses_at_most_what_came_since_the_last_save() {
    let name = "power::d6_a_power_cut_at_any_moment_loses_at_most_what_came_since_the_last_save";
    if !enter(Own::Mounts, name) {
        return;
    }
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut rng = Rng::new(seed);
    let hub = hub_away();
    let builder = hurried(&hub);
    let (image, base) = (builder.dir().join("image"), builder.base_dir());
    fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
    let made = Command::new("mkfs.ext4")
        .arg("-q")
        .arg(&image)
        .status()
        .unwrap();
    assert!(made.success());
    fs::create_dir(&base).unwrap();
    mount_ext4(&image, &base);
    let mut held = 0;
    for cut in 0..tries(15) {
        let mut agent = builder.start().unwrap();
        // From before the first save to after the second.
        let until = Instant::now() + Duration::from_millis(rng.below(2_600));
        let is_time = || (Instant::now() >= until).then_some(());
        poll_until("the moment of the cut", LONG, is_time).unwrap();
        // A signal that comes before the agent heeds any would end it.
        let is_up = times_said(&agent, "System info collected") > 0;
        let taken = is_up.then(|| count(&ask_status(&mut agent), "collected"));
        let folder = fs::File::open(&base).unwrap();
        let without_log = WITHOUT_LOG;
        // SAFETY: the call reads the four bytes of the argument, which live as long as it.
        let done =
            unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN as _, &raw const without_log) };
        assert_eq!(done, 0, "{}", io::Error::last_os_error());
        drop(folder);
        agent.signal(Signal::SIGKILL).unwrap();
        agent.wait_exit(LONG).unwrap();
        unmount(&base);
        mount_ext4(&image, &base);
        forget_pace(&builder);
        let mut agent = builder.start().unwrap();
        wait_for_held(&agent, 1);
        let stopped = stop(&mut agent);
        // A second is ten samples; a busy machine saves a few later.
        let restored = count(&stopped, "restored");
        let least = held + taken.unwrap_or(0).saturating_sub(15);
        assert!(restored >= least, "cut {cut}: {} of {least}", stopped.text);
        assert_eq!(count(&stopped, "dropped"), 0, "cut {cut}: {}", stopped.text);
        held = count(&stopped, "held");
    }
    unmount(&base);
}
