//! `/proc/stat`: where the processors' time went, how many there are, when the kernel started.
//!
//! ```text
//! cpu  9429 0 2792 155565 501 0 37 18 0 0
//! cpu0 2863 0 1206 80063 43 0 6 7 0 0
//! cpu1 6566 0 1585 75501 458 0 30 10 0 0
//! intr 514523 0 0 ...
//! ctxt 968514
//! btime 1763870580
//! ```
//!
//! Kernel documentation: `Documentation/filesystems/proc.rst`, "Miscellaneous kernel statistics
//! in /proc/stat". Times are ticks of `USER_HZ`, which is 100 a second wherever Linux runs.
//!
//! The sum of all processors is the first line, so a small read is enough for it; the number of
//! processors and the start time stand further back, behind an `intr` line that can be long, and
//! want the whole file. Nothing here remembers or subtracts: that is `cpu_meter.rs`.

use super::{decimal, fields, first_line, lines, numbers, split_field};
use core::fmt;

/// The time of all processors together since the kernel started, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTimes {
    /// In user mode, guests included: the kernel adds guest time here, so its own columns at the
    /// end of the line are not read.
    pub user: u64,
    /// In user mode at a low priority.
    pub nice: u64,
    /// In the kernel.
    pub system: u64,
    /// With nothing to do.
    pub idle: u64,
    /// With nothing to do but a disk to wait for. May go back, says the kernel's own page.
    pub iowait: u64,
    /// In hardware interrupts.
    pub irq: u64,
    /// In soft interrupts.
    pub softirq: u64,
    /// Wanted, but taken by the hypervisor for others.
    pub steal: u64,
}

/// Why the processors' times could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatError {
    /// The first line has no newline: the read ended within it.
    Cut,
    /// The file does not begin with the line `cpu`.
    NoCpuLine,
    /// Fewer than the four columns that every kernel has.
    MissingField,
    /// A column is not a decimal number of 64 bits.
    BadNumber,
}

impl CpuTimes {
    /// Reads the first line. Kernels before 2.6.11 have fewer columns; those they lack are zero.
    pub fn parse(text: &[u8]) -> Result<Self, StatError> {
        let line = first_line(text).ok_or(StatError::Cut)?;
        let mut fields = fields(line);
        if fields.next() != Some(b"cpu") {
            return Err(StatError::NoCpuLine);
        }
        let mut columns = [0_u64; 8];
        let mut found = 0;
        for (column, field) in columns.iter_mut().zip(fields) {
            *column = decimal(field).ok_or(StatError::BadNumber)?;
            found += 1;
        }
        if found < 4 {
            return Err(StatError::MissingField);
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal] = columns;
        Ok(Self {
            user,
            nice,
            system,
            idle,
            iowait,
            irq,
            softirq,
            steal,
        })
    }

    /// The ticks in which something was done, here or, as steal, by somebody else in our place.
    pub fn busy(&self) -> u64 {
        [
            self.user,
            self.nice,
            self.system,
            self.irq,
            self.softirq,
            self.steal,
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    }

    /// The ticks in which nothing was done, waiting for a disk included.
    pub fn idle_all(&self) -> u64 {
        self.idle.saturating_add(self.iowait)
    }
}

/// A line that tells of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// The time of one processor.
    Cpu(Cpu<'a>),
    /// `intr`, `ctxt`, `btime`, `processes`, `procs_running` or `procs_blocked`, with its first
    /// number: all interrupts together, not each.
    Figure(&'a [u8], u64),
}

/// The time of one processor since it came, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu<'a> {
    /// Its number, as digits.
    pub number: &'a [u8],
    columns: &'a [u8],
}

impl Cpu<'_> {
    /// User, nice, system, idle, iowait, irq, softirq, steal, guest, nice guests. Zero where the
    /// kernel has fewer.
    pub fn ticks(&self) -> impl Iterator<Item = u64> {
        numbers(self.columns).chain(core::iter::repeat(0))
    }
}

/// Reads one line without its newline, or as much of it as holds its first number. `Ok(None)` for
/// those that tell of nothing here, the sum of all processors among them.
pub fn parse_line(line: &[u8]) -> Result<Option<Line<'_>>, StatError> {
    let Some((name, rest)) = split_field(line) else {
        return Ok(None);
    };
    if let Some(number) = name.strip_prefix(b"cpu") {
        if number.is_empty() {
            return Ok(None);
        }
        decimal(number).ok_or(StatError::BadNumber)?;
        let mut found = 0;
        for field in fields(rest) {
            decimal(field).ok_or(StatError::BadNumber)?;
            found += 1;
        }
        if found < 4 {
            return Err(StatError::MissingField);
        }
        return Ok(Some(Line::Cpu(Cpu {
            number,
            columns: rest,
        })));
    }
    match name {
        b"intr" | b"ctxt" | b"btime" | b"processes" | b"procs_running" | b"procs_blocked" => {
            let value = fields(rest).next().ok_or(StatError::MissingField)?;
            let value = decimal(value).ok_or(StatError::BadNumber)?;
            Ok(Some(Line::Figure(name, value)))
        }
        _ => Ok(None),
    }
}

/// The processors that are online: the lines `cpu0`, `cpu1`, … that arrived whole.
pub fn count_cpus(text: &[u8]) -> u32 {
    lines(text)
        .map_while(|line| line)
        .filter_map(|line| fields(line).next())
        .filter_map(|name| decimal(name.strip_prefix(b"cpu")?))
        .fold(0, |count, _| count + 1)
}

/// When the kernel started, in Unix seconds; `None` when the line is missing, cut or damaged.
pub fn boot_time_s(text: &[u8]) -> Option<u64> {
    let line = lines(text)
        .map_while(|line| line)
        .find(|line| line.starts_with(b"btime "))?;
    decimal(fields(line).nth(1)?)
}

impl fmt::Display for StatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "/proc/stat: the first line was cut, read more of the file",
            Self::NoCpuLine => "/proc/stat: no cpu line at its start",
            Self::MissingField => "/proc/stat: the cpu line has fewer than four columns",
            Self::BadNumber => "/proc/stat: the cpu line holds something that is no number",
        })
    }
}

impl core::error::Error for StatError {}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &[u8] = b"cpu  9429 1 2792 155565 501 2 37 18 5 6\n\
        cpu0 2863 0 1206 80063 43 0 6 7 0 0\n\
        cpu1 6566 0 1585 75501 458 0 30 10 0 0\n\
        intr 514523 0 9 0 0 14\n\
        ctxt 968514\n\
        btime 1763870580\n\
        processes 2174\n\
        procs_running 1\n\
        procs_blocked 0\n\
        softirq 123 0 1 2 3\n";

    fn check(text: &str, expected: Result<[u64; 8], StatError>) {
        let expected =
            expected.map(
                |[user, nice, system, idle, iowait, irq, softirq, steal]| CpuTimes {
                    user,
                    nice,
                    system,
                    idle,
                    iowait,
                    irq,
                    softirq,
                    steal,
                },
            );
        assert_eq!(CpuTimes::parse(text.as_bytes()), expected, "{text:?}");
    }

    #[test]
    fn the_first_line_is_read_by_its_columns() {
        check("cpu  1 2 3 4 5 6 7 8 9 10\n", Ok([1, 2, 3, 4, 5, 6, 7, 8]));
        check(
            "cpu  1 2 3 4 5 6 7 8 9 10 11 new\n",
            Ok([1, 2, 3, 4, 5, 6, 7, 8]),
        );
        check("cpu 1 2 3 4\n", Ok([1, 2, 3, 4, 0, 0, 0, 0]));
        check("cpu  1 2 3 4 5 6 7\n", Ok([1, 2, 3, 4, 5, 6, 7, 0]));
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        check("", Err(StatError::Cut));
        check("cpu  1 2 3 4", Err(StatError::Cut));
        check("\n", Err(StatError::NoCpuLine));
        check("cpu0 1 2 3 4\n", Err(StatError::NoCpuLine));
        check("intr 1\ncpu  1 2 3 4\n", Err(StatError::NoCpuLine));
        check("cpu  1 2 3\n", Err(StatError::MissingField));
        check("cpu\n", Err(StatError::MissingField));
        check("cpu  1 2 -3 4\n", Err(StatError::BadNumber));
        check("cpu  1 2 3 4 5 6 7 x\n", Err(StatError::BadNumber));
        check(
            "cpu  1 2 3 18446744073709551616\n",
            Err(StatError::BadNumber),
        );
    }

    #[test]
    fn guest_time_is_not_counted_twice() {
        let times = CpuTimes::parse(WHOLE).unwrap();
        assert_eq!(times.busy(), 9429 + 1 + 2792 + 2 + 37 + 18);
        assert_eq!(times.idle_all(), 155_565 + 501);
    }

    #[test]
    fn a_line_is_a_processor_or_a_figure() {
        let Ok(Some(Line::Cpu(cpu))) = parse_line(b"cpu12 1 2 3 4 5 6 7 8 9 10") else {
            panic!("no processor");
        };
        assert_eq!(cpu.number, b"12");
        assert!(cpu.ticks().take(11).eq([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0]));
        let figure = |line: &'static str| parse_line(line.as_bytes());
        assert_eq!(
            figure("intr 514523 0 7"),
            Ok(Some(Line::Figure(b"intr", 514_523)))
        );
        assert_eq!(
            figure("btime 1763870580"),
            Ok(Some(Line::Figure(b"btime", 1_763_870_580)))
        );
        for other in ["", "cpu  1 2 3 4", "softirq 1 2", "page 1 2"] {
            assert_eq!(figure(other), Ok(None), "{other:?}");
        }
        for (bad, error) in [
            ("cpu0 1 2 3", StatError::MissingField),
            ("cpu0 1 2 3 -4", StatError::BadNumber),
            ("cpux 1 2 3 4", StatError::BadNumber),
            ("ctxt", StatError::MissingField),
            ("ctxt x", StatError::BadNumber),
        ] {
            assert_eq!(figure(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        let whole = CpuTimes::parse(WHOLE).unwrap();
        let mut right = 0;
        for cut in 0..=WHOLE.len() {
            let part = &WHOLE[..cut];
            if let Ok(times) = CpuTimes::parse(part) {
                assert_eq!(times, whole, "cut at byte {cut}");
                right += 1;
            }
            if let Some(boot_s) = boot_time_s(part) {
                assert_eq!(boot_s, 1_763_870_580, "cut at byte {cut}");
            }
            assert!(count_cpus(part) <= 2, "cut at byte {cut}");
        }
        let first_line_bytes = WHOLE.iter().position(|&b| b == b'\n').unwrap() + 1;
        assert_eq!(right, WHOLE.len() + 1 - first_line_bytes);
    }

    #[test]
    fn processors_and_start_stand_further_back() {
        assert_eq!(count_cpus(WHOLE), 2);
        assert_eq!(count_cpus(b"cpu  1 2 3 4\ncpufreq 1\ncpu 3\n"), 0);
        assert_eq!(count_cpus(b"cpu0 1\ncpu1 1\ncpu17 1"), 2);
        assert_eq!(boot_time_s(WHOLE), Some(1_763_870_580));
        assert_eq!(boot_time_s(b"cpu  1 2 3 4\n"), None);
        assert_eq!(boot_time_s(b"btime 17638"), None);
        assert_eq!(boot_time_s(b"btime soon\n"), None);
        assert_eq!(boot_time_s(b"btime \n"), None);
    }

    #[test]
    fn sums_at_the_end_of_the_range_do_not_wrap() {
        let times = CpuTimes {
            user: u64::MAX,
            steal: 1,
            idle: u64::MAX,
            iowait: 1,
            ..CpuTimes::default()
        };
        assert_eq!(times.busy(), u64::MAX);
        assert_eq!(times.idle_all(), u64::MAX);
    }
}
