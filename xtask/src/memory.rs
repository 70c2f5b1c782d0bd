//! How much memory a process holds, from `/proc/PID/smaps_rollup`.
//!
//! The kernel adds up all mappings there; its kB are 1024 bytes. A process of another user can be
//! read by root alone.

use std::fs;
use std::io;

use crate::shell;

/// The resident memory of a process in words, as the kernel adds it up.
pub(crate) fn in_words(pid: i32) -> io::Result<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let (Some(resident), Some(anonymous)) =
        (rolled_up(&text, "Rss"), rolled_up(&text, "Anonymous"))
    else {
        return Err(io::Error::other(
            "smaps_rollup has no Rss or Anonymous line",
        ));
    };
    let (resident, anonymous) = (shell::megabytes(resident), shell::megabytes(anonymous));
    Ok(format!("{resident} resident, {anonymous} of it anonymous"))
}

/// One figure of `smaps_rollup`, in bytes; the kernel's kB are 1024 of them.
fn rolled_up(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let number: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "55d0-7ffc ---p 0 00:00 0  [rollup]\nRss:      1508 kB\nPss_Anon: 9 kB\nAnonymous:   212 kB\n";
        assert_eq!(rolled_up(text, "Rss"), Some(1508 * 1024));
        assert_eq!(rolled_up(text, "Anonymous"), Some(212 * 1024));
        assert_eq!(rolled_up(text, "Swap"), None);
        assert_eq!(rolled_up("Rss: 15", "Rss"), None);
    }

    #[test]
    fn the_memory_of_this_process_can_be_read() {
        let words = in_words(std::process::id().cast_signed()).unwrap();
        assert!(
            words.contains("MB resident") && !words.starts_with("0.00"),
            "{words}"
        );
    }
}
