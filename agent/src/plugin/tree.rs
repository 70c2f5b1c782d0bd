//! What a plugin's processes use: the tree below its leader, from `/proc/PID/stat` (proc(5)).
//!
//! Memory is resident bytes, CPU milliseconds of user and system time, the start of a process in
//! clock ticks since boot. Where the kernel names children (`/proc/PID/task/TID/children`), only
//! the plugins' own processes are read; else one pass over all of /proc finds who is whose.
//!
//! A process that was handed to the agent, its subreaper, is found among the agent's own children.
//! A /proc of another PID namespace has other numbers: it is not used, and [`Tree::read`] gives
//! nothing, since a signal to a number from there would hit a stranger.

use std::fs::File;
use std::io::Read;

use nix::unistd::{Pid, SysconfVar, sysconf};

/// Processes that are looked at, all plugins together. A tree that has more is too large anyway.
pub(super) const MAX_PROCESSES: usize = 1024;
/// Processes of one tree that are looked at: more than any plugin may have.
const ENOUGH_PROCESSES: u32 = 2 * super::live::MAX_PROCESSES;
/// The unit of the times in `stat`, which the kernel has told programs for ever.
const TICKS_PER_S: u64 = 100;
/// The line has some 300 bytes; a program's name is at most 15 of them.
const STAT_BYTES: usize = 1024;

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// Its number.
    pub pid: i32,
    /// Whether it ended and waits to be reaped.
    pub is_zombie: bool,
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// User and system time, of its reaped children too, in milliseconds.
    pub cpu_ms: u64,
    /// Start, in ticks since boot.
    pub start_ticks: u64,
    /// Resident memory in pages.
    pub rss_pages: u64,
}

impl Stat {
    /// Reads the numbers of a process; `None` if there is none.
    pub(super) fn of(pid: i32) -> Option<Self> {
        let mut buffer = [0; STAT_BYTES];
        let mut file = File::open(format!("/proc/{pid}/stat")).ok()?;
        let length = file.read(&mut buffer).ok()?;
        Self::parse(pid, &buffer[..length])
    }

    fn parse(pid: i32, text: &[u8]) -> Option<Self> {
        // The name stands in parentheses and may hold anything, parentheses too.
        let after_name = text.iter().rposition(|byte| *byte == b')')? + 1;
        let text = str::from_utf8(text.get(after_name..)?).ok()?;
        let mut fields = text.split_ascii_whitespace();
        let state = fields.next()?;
        let mut numbers = [0_u64; 21];
        for number in &mut numbers {
            // Some may be negative (the terminal's group); none of those that are used is.
            *number = fields.next()?.parse().unwrap_or(0);
        }
        let [parent, group, session, ..] = numbers;
        let cpu_ticks = numbers[10..14].iter().sum::<u64>();
        let id = |number: u64| i32::try_from(number).unwrap_or(0);
        Some(Self {
            pid,
            is_zombie: state == "Z" || state == "X",
            parent: id(parent),
            group: id(group),
            session: id(session),
            cpu_ms: cpu_ticks.saturating_mul(1000 / TICKS_PER_S),
            start_ticks: numbers[18],
            rss_pages: numbers[20],
        })
    }
}

/// What a tree uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Resident memory of all its processes.
    pub rss_bytes: u64,
    /// CPU time since the tree's start, as far as its processes still tell.
    pub cpu_ms: u64,
    /// How many processes.
    pub processes: u32,
}

/// A look at who is whose, at one moment.
#[derive(Debug)]
pub(super) struct Tree {
    agent: i32,
    page_bytes: u64,
    /// All processes, where the kernel does not name children.
    scan: Option<Vec<Stat>>,
    left: usize,
}

impl Tree {
    /// Looks; `None` without a /proc that numbers processes as the agent does.
    pub(super) fn read() -> Option<Self> {
        let agent = Pid::this().as_raw();
        let self_link = std::fs::read_link("/proc/self").ok()?;
        if self_link.to_str()?.parse() != Ok(agent) {
            return None;
        }
        let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok()??;
        let names_children = File::open(format!("/proc/{agent}/task/{agent}/children")).is_ok();
        Some(Self {
            agent,
            page_bytes: u64::try_from(page_bytes).ok()?,
            scan: (!names_children).then(everything),
            left: MAX_PROCESSES,
        })
    }

    /// The agent's children: leaders, and those that were handed to it; also who ended and was not
    /// reaped yet.
    pub(super) fn adopted(&mut self) -> Vec<Stat> {
        let mut found = Vec::new();
        self.children(self.agent, &mut found);
        let stats = found.into_iter().filter_map(|pid| self.stat(pid));
        stats.collect()
    }

    /// Adds the tree below `root` to `usage`; calls `each` with every process in it.
    pub(super) fn add(&mut self, root: i32, usage: &mut Usage, each: &mut dyn FnMut(&Stat)) {
        let mut open = vec![root];
        while let Some(pid) = open.pop() {
            if self.left == 0 || usage.processes > ENOUGH_PROCESSES {
                return;
            }
            self.left -= 1;
            let Some(stat) = self.stat(pid) else {
                continue;
            };
            usage.processes += 1;
            usage.cpu_ms += stat.cpu_ms;
            usage.rss_bytes += stat.rss_pages.saturating_mul(self.page_bytes);
            each(&stat);
            self.children(pid, &mut open);
        }
    }

    fn stat(&self, pid: i32) -> Option<Stat> {
        match &self.scan {
            Some(all) => all.iter().find(|stat| stat.pid == pid).copied(),
            None => Stat::of(pid),
        }
    }

    fn children(&self, pid: i32, found: &mut Vec<i32>) {
        if let Some(all) = &self.scan {
            let own = all.iter().filter(|stat| stat.parent == pid);
            found.extend(own.map(|stat| stat.pid));
            return;
        }
        // Each thread has the children that it made.
        let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
            return;
        };
        for thread in threads.flatten().take(MAX_PROCESSES) {
            let mut text = String::new();
            let file = File::open(thread.path().join("children"));
            // Numbers of at most 7 digits: more than this many are too many.
            let limit = 8 * MAX_PROCESSES as u64;
            if file.is_ok_and(|file| file.take(limit).read_to_string(&mut text).is_ok()) {
                found.extend(
                    text.split_ascii_whitespace()
                        .filter_map(|pid| pid.parse::<i32>().ok()),
                );
            }
        }
    }
}

/// Every process that /proc shows.
pub(super) fn everything() -> Vec<Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 12 3 4 1 20 0 1 0 1234 \
                        5000000 300 18446744073709551615 0 0\n";

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = Stat::parse(42, LINE.as_bytes()).unwrap();
        assert_eq!(
            stat,
            Stat {
                pid: 42,
                is_zombie: false,
                parent: 7,
                group: 42,
                session: 42,
                cpu_ms: 200,
                start_ticks: 1234,
                rss_pages: 300,
            }
        );
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        let whole = Stat::parse(42, LINE.as_bytes());
        // All that is read ends before the address that comes next.
        let needed = LINE.find(" 300").unwrap() + 4;
        for cut in 0..LINE.len() {
            let part = Stat::parse(42, &LINE.as_bytes()[..cut]);
            if cut >= needed {
                assert_eq!(part, whole, "cut at byte {cut}");
            } else if part.is_some() {
                // The last number alone may be cut.
                assert_eq!(part.unwrap().start_ticks, 1234, "cut at byte {cut}");
            }
        }
    }

    #[test]
    fn this_process_is_found_with_its_memory() {
        let mut tree = Tree::read().unwrap();
        let mut usage = Usage::default();
        let mut seen = Vec::new();
        let pid = Pid::this().as_raw();
        tree.add(pid, &mut usage, &mut |stat| seen.push(stat.pid));
        assert!(
            usage.rss_bytes > 100_000 && usage.processes >= 1,
            "{usage:?}"
        );
        assert_eq!(seen[0], pid);
        assert!(everything().iter().any(|stat| stat.pid == pid));
    }
}
