//! What the kernel counts for a process, beyond its memory.

use std::fs;
use std::io;

use super::figure::count;

/// `/proc` counts CPU time in hundredths of a second, on every machine that Linux runs on today.
const TICK_US: f64 = 10_000.0;

/// CPU time of `/proc/PROCESS` in microseconds, user and system, from `schedstat`. Exact for a
/// process that sleeps; one that runs may have a few milliseconds that are not counted yet.
pub(super) fn cpu_us(process: &str) -> io::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat"))?;
    let first = text.split(' ').next();
    let nanos = first.and_then(|it| it.parse().ok());
    nanos
        .map(|nanos| count(nanos) / 1000.0)
        .ok_or_else(|| missing("CPU time in schedstat"))
}

/// How often a process went to sleep, and so was woken, of its own will.
pub(super) fn sleeps(process: &str) -> io::Result<u64> {
    const NAME: &str = "voluntary_ctxt_switches:";
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let rest = text.lines().find_map(|line| line.strip_prefix(NAME));
    let number = rest.and_then(|rest| rest.trim().parse().ok());
    number.ok_or_else(|| missing(NAME))
}

/// CPU time of a process in microseconds: all its threads, and the children that ended and that it
/// waited for, with theirs. The children's part is counted in hundredths of a second.
pub(super) fn cpu_us_of_family(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let children_us = waited_for_us(&stat).ok_or_else(|| missing("CPU time of children"))?;
    let mut sum_us = children_us;
    for thread in threads(pid)? {
        sum_us += cpu_us(&thread)?;
    }
    Ok(sum_us)
}

/// The name of the program is the only field that may hold blanks and brackets.
fn waited_for_us(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(13);
    let mut next = || fields.next()?.parse().ok();
    let (user, system): (u64, u64) = (next()?, next()?);
    Some(count(user + system) * TICK_US)
}

/// Resident memory of a process and its descendants, in units of 1024 bytes. What they share is
/// counted for each of them.
pub(super) fn rss_kib_of_family(pid: u32) -> io::Result<u64> {
    let mut sum = rss_kib(pid)?;
    for thread in threads(pid)? {
        let children = fs::read_to_string(format!("/proc/{thread}/children"))?;
        for child in children.split_whitespace().filter_map(|it| it.parse().ok()) {
            // A child that has ended meanwhile holds nothing.
            sum += rss_kib_of_family(child).unwrap_or(0);
        }
    }
    Ok(sum)
}

fn rss_kib(pid: u32) -> io::Result<u64> {
    const NAME: &str = "Rss:";
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let rest = rollup.lines().find_map(|line| line.strip_prefix(NAME));
    let number = rest.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| missing(NAME))
}

/// The threads of a process, as paths below `/proc`.
fn threads(pid: u32) -> io::Result<Vec<String>> {
    let folder = fs::read_dir(format!("/proc/{pid}/task"))?;
    folder
        .map(|entry| Ok(format!("{pid}/task/{}", entry?.file_name().display())))
        .collect()
}

fn missing(what: &str) -> io::Error {
    io::Error::other(format!("the kernel gives no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::poll_until;
    use std::process::{Command, Stdio, id};
    use std::thread;
    use std::time::{Duration, Instant};

    #[test]
    fn work_costs_cpu_time_and_waiting_is_a_sleep() {
        const THIS: &str = "thread-self";
        let (cpu_before, sleeps_before) = (cpu_us(THIS).unwrap(), sleeps(THIS).unwrap());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        thread::park_timeout(Duration::from_millis(1));
        // How much of the time this thread had the processor is up to the machine.
        assert!(cpu_us(THIS).unwrap() > cpu_before);
        assert!(sleeps(THIS).unwrap() > sleeps_before);
    }

    #[test]
    fn children_that_were_waited_for_are_counted() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 0 0 0 0 0 30 40 5 6 20 0 1 0 99";
        assert_eq!(waited_for_us(stat), Some(110_000.0));
        assert_eq!(waited_for_us("7 (a) S 1"), None);
        let own_us = cpu_us("thread-self").unwrap();
        assert!(cpu_us_of_family(id()).unwrap() >= own_us);
    }

    #[test]
    fn a_child_adds_its_memory() {
        let mut shell = Command::new("sh")
            .args(["-c", "cat; true"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = shell.id();
        let more = poll_until("a child in the sum", Duration::from_secs(5), || {
            (rss_kib_of_family(pid).ok()? > rss_kib(pid).ok()?).then_some(())
        });
        // The child's input ends, and then both do.
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(more, Ok(()));
        assert!(rss_kib_of_family(pid).is_err());
    }
}
