//! What the kernel counts for a process, beyond its memory.

use std::fs;
use std::io;

use super::figure::count;

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

fn missing(what: &str) -> io::Error {
    io::Error::other(format!("the kernel gives no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
