//! How late an agent's ticks were, from outside: the moments at which the kernel saw it begin to
//! read a file, and how far they lie behind their grid.
//!
//! Times are milliseconds since the first read. A file is read in pieces; only the piece at offset
//! 0 begins a sample. The descriptor of the first read is the one that samples are read from: a page
//! for Prometheus is made of the same file, and its reads are no ticks.
//!
//! A call during which another process of the agent's (a plugin that is being started, or ends) had
//! something to say stands in two lines: its begin, left unfinished, and its rest.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// Reads that fall into this share of the interval behind a grid point count as its punctual ones
/// when the grid is looked for.
const PUNCTUAL_SHARE: f64 = 0.05;

/// A read that comes this share of the interval before a grid point serves that point: the grid is
/// an estimate, and a read is not to be a whole interval off because it was a little in front.
const SLACK_SHARE: f64 = 0.25;

/// The begin of each read of `path` in a trace written by `strace -f -ttt -y -e trace=pread64`.
pub fn read_times_ms(trace: &Path, path: &Path) -> io::Result<Vec<f64>> {
    Ok(parse(&fs::read_to_string(trace)?, &path.to_string_lossy()))
}

/// Whether a trace of one process says how that ended, in its last line.
pub fn is_finished(trace: &str) -> bool {
    let last = trace.trim_end().lines().next_back().unwrap_or_default();
    last.ends_with("+++") && trace.ends_with('\n')
}

fn parse(trace: &str, path: &str) -> Vec<f64> {
    let mut unfinished = HashMap::new();
    let mut reads = trace
        .lines()
        .filter_map(|line| begin_of_read_us(line, path, &mut unfinished))
        .peekable();
    let samplers = reads.peek().map(|(descriptor, _)| *descriptor);
    let times_us: Vec<u64> = reads
        .filter(|(descriptor, _)| Some(*descriptor) == samplers)
        .map(|(_, at_us)| at_us)
        .collect();
    let first = times_us.first().copied().unwrap_or_default();
    times_us
        .iter()
        .map(|at| Duration::from_micros(at.saturating_sub(first)).as_secs_f64() * 1000.0)
        .collect()
}

/// Descriptor and time of a read, by process, of which the rest is to come.
type Unfinished<'t> = HashMap<&'t str, (&'t str, u64)>;

/// Descriptor and time of a line like `77 1760113962.118001 pread64(5</proc/stat>, ""..., 4096, 0) = 4096`,
/// or of the two into which it fell.
fn begin_of_read_us<'t>(
    line: &'t str,
    path: &str,
    unfinished: &mut Unfinished<'t>,
) -> Option<(&'t str, u64)> {
    let (process, rest) = line.split_once(' ')?;
    let (time, call) = rest.trim_start().split_once(' ')?;
    let (read, end) = if let Some(end) = call.strip_prefix("<... pread64 resumed>") {
        (unfinished.remove(process)?, end)
    } else {
        let (descriptor, end) = call
            .strip_prefix("pread64(")?
            .split_once(&format!("<{path}>"))?;
        let (seconds, micros) = time.split_once('.')?;
        let (seconds, micros) = (seconds.parse::<u64>().ok()?, micros.parse::<u64>().ok()?);
        ((descriptor, seconds * 1_000_000 + micros), end)
    };
    if end.ends_with("<unfinished ...>") {
        unfinished.insert(process, read);
        return None;
    }
    let arguments = end.rsplit_once(" = ")?.0.trim_end().strip_suffix(')')?;
    (arguments.rsplit(", ").next() == Some("0")).then_some(read)
}

/// The worst delay of a tick behind the grid that fits best, in milliseconds.
///
/// The grid has the interval's spacing and begins where the densest cluster of reads begins. A read
/// serves the first grid point after the one that the read before it served: a tick that was
/// skipped makes the next one late. None for fewer than three reads, which fit any grid.
pub fn lateness_ms(times_ms: &[f64], interval_ms: f64) -> Option<f64> {
    if times_ms.len() < 3 || interval_ms <= 0.0 {
        return None;
    }
    let punctual = |phase: f64| {
        let is_punctual =
            |at: &&f64| (**at - phase).rem_euclid(interval_ms) < interval_ms * PUNCTUAL_SHARE;
        times_ms.iter().filter(is_punctual).count()
    };
    let phases = times_ms.iter().map(|at| at.rem_euclid(interval_ms));
    let phase = phases.max_by_key(|phase| punctual(*phase))?;
    let worst = times_ms.windows(2).map(|pair| {
        let served = ((pair[0] - phase) / interval_ms + SLACK_SHARE).floor();
        pair[1] - (phase + (served + 1.0) * interval_ms)
    });
    // Two reads within one interval would make the second early: it is not late.
    Some(worst.fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_begin_of_a_read_of_the_file_counts() {
        let trace = "\
77    1760113962.118001 pread64(5</proc/stat>, \"\"..., 4096, 0) = 4096
77    1760113962.118201 pread64(5</proc/stat>, \"\"..., 4096, 4096) = 120
77    1760113962.118301 pread64(6</proc/meminfo>, \"\"..., 4096, 0) = 1400
77    1760113962.198501 pread64(17</proc/stat>, \"\"..., 65536, 0)  = 1216
77    1760113962.218501 pread64(5</proc/stat>, \"\"..., 4096, 0)    = 4096
77    1760113963.118001 pread64(5</proc/stat>, 0x7ffe, 4096, 0) = -1 EIO (Input/output error)
77    1760113963.300000 +++ exited with 0 +++
";
        assert_eq!(parse(trace, "/proc/stat"), [0.0, 100.5, 1000.0]);
        assert!(is_finished(trace));
        assert!(!is_finished(&trace[..trace.len() - 1]) && !is_finished(""));
    }

    #[test]
    fn a_read_in_two_lines_began_with_the_first() {
        let trace = "\
77    1760113962.118001 pread64(5</proc/stat>,  <unfinished ...>
80    1760113962.118011 +++ exited with 0 +++
81    1760113962.118012 pread64(5</proc/stat>,  <unfinished ...>
77    1760113962.118201 <... pread64 resumed>\"\"..., 4096, 0) = 4096
81    1760113962.118212 <... pread64 resumed>\"\"..., 4096, 4096) = 7
77    1760113962.218501 pread64(5</proc/stat>, \"\"..., 4096, 0)    = 4096
77    1760113962.218601 pread64(6</proc/meminfo>,  <unfinished ...>
77    1760113962.218611 <... pread64 resumed>\"\"..., 4096, 0) = 1400
";
        assert_eq!(parse(trace, "/proc/stat"), [0.0, 100.5]);
    }

    /// Ticks of 100 ms, and what is to come out.
    fn check(times_ms: &[f64], expected: f64) {
        let late = lateness_ms(times_ms, 100.0).unwrap();
        assert!(
            (late - expected).abs() < 1e-6,
            "{times_ms:?}: {late}, not {expected}"
        );
    }

    #[test]
    fn lateness_is_the_distance_to_the_grid_point_that_was_due() {
        check(&[0.0, 100.0, 200.0, 300.0], 0.0);
        check(&[7.0, 107.5, 207.0, 309.0], 2.0);
        check(&[0.0, 100.0, 290.0, 300.0, 400.0], 90.0);
    }

    #[test]
    fn a_skipped_tick_makes_the_next_one_late() {
        check(&[0.0, 100.0, 200.0, 450.0, 500.0, 600.0], 150.0);
        check(&[0.0, 100.0, 200.0, 400.0, 500.0], 100.0);
    }

    #[test]
    fn a_read_in_front_of_its_grid_point_does_not_make_the_next_one_late() {
        check(&[0.0, 108.0, 208.0, 308.0, 408.0, 508.0], 0.0);
        check(&[10.0, 100.0, 210.0, 311.0, 410.0], 1.0);
    }

    #[test]
    fn too_few_reads_have_no_grid() {
        assert_eq!(lateness_ms(&[0.0, 100.0], 100.0), None);
    }
}
