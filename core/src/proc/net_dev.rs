//! `/proc/net/dev`: the bytes that each network interface received and sent.
//!
//! ```text
//! Inter-|   Receive                                                |  Transmit
//!  face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs ...
//!     lo:    3193      29    0    0    0     0          0         0     3193      29    0 ...
//!   eth0: 132135355    8262    0    0    0     0          0         0   543397    5162    0 ...
//! ```
//!
//! Kernel documentation: `Documentation/filesystems/proc.rst`, "Networking info in /proc/net".
//! Eight columns of what was received, eight of what was sent. On old kernels a large number
//! touches the colon, and an alias (`eth0:1`) has a colon in its name, so the last colon of the
//! line ends the name. Counters of 32-bit kernels wrap at 4 GiB: `network.rs` deals with that.
//!
//! Which interfaces count is not decided here, nor which are physical: sysfs knows, the agent asks.

use super::{decimal, fields, lines};
use crate::text::find;
use core::fmt;

/// The longest name that the kernel gives an interface, in bytes.
pub const NAME_MAX_BYTES: usize = 15;

const COLUMNS: usize = 16;
const RX_BYTES: usize = 0;
const TX_BYTES: usize = 8;

/// One interface's counters since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interface<'a> {
    /// As the kernel prints it: 1 to 15 bytes without blanks, not always UTF-8.
    pub name: &'a [u8],
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
}

/// Why a line could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetDevError {
    /// The line has no newline: the read ended within it.
    Cut,
    /// The line is neither a header nor does a colon end a name in it.
    NoColon,
    /// The name is empty, has a blank in it or is longer than the kernel allows.
    BadName,
    /// Fewer than 16 columns.
    MissingField,
    /// A column that is needed is not a decimal number of 64 bits.
    BadNumber,
}

/// One interface's line, of which every column can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns<'a> {
    /// As in [`Interface`].
    pub name: &'a [u8],
    columns: &'a [u8],
}

impl<'a> Columns<'a> {
    /// Reads one line without its newline; `Ok(None)` for the two header lines.
    pub fn parse(line: &'a [u8]) -> Result<Option<Self>, NetDevError> {
        let Some(Columns { name, columns }) = split_line(line)? else {
            return Ok(None);
        };
        let mut found = 0;
        for field in fields(columns) {
            decimal(field).ok_or(NetDevError::BadNumber)?;
            found += 1;
        }
        if found < COLUMNS {
            return Err(NetDevError::MissingField);
        }
        Ok(Some(Self { name, columns }))
    }

    /// A line that [`Columns::parse`] took before, split again without a second look at its
    /// numbers.
    pub fn parse_kept(line: &'a [u8]) -> Option<Self> {
        split_line(line).ok().flatten()
    }

    /// The columns, 16 or more: what was received as bytes, packets, errs, drop, fifo, frame,
    /// compressed, multicast; what was sent as bytes, packets, errs, drop, fifo, colls, carrier,
    /// compressed.
    pub fn numbers(&self) -> impl Iterator<Item = u64> {
        super::numbers(self.columns)
    }
}

/// The name and what stands behind it, not looked at; `Ok(None)` for the two header lines.
fn split_line(line: &[u8]) -> Result<Option<Columns<'_>>, NetDevError> {
    let Some(mut colon) = find(b':', line) else {
        // A name may hold a bar, but then a colon follows it.
        return if line.contains(&b'|') {
            Ok(None)
        } else {
            Err(NetDevError::NoColon)
        };
    };
    while let Some(next) = find(b':', &line[colon + 1..]) {
        colon += 1 + next;
    }
    let mut names = fields(&line[..colon]);
    let name = match (names.next(), names.next()) {
        (Some(name), None) if name.len() <= NAME_MAX_BYTES => name,
        _ => return Err(NetDevError::BadName),
    };
    let columns = &line[colon + 1..];
    Ok(Some(Columns { name, columns }))
}

/// Reads one line without its newline; `Ok(None)` for the two header lines.
// Every sample reads every interface's line: within a caller that is made for size it would be, too.
#[inline(never)]
pub fn parse_line(line: &[u8]) -> Result<Option<Interface<'_>>, NetDevError> {
    let Some(Columns { name, columns }) = split_line(line)? else {
        return Ok(None);
    };
    let mut interface = Interface {
        name,
        rx_bytes: 0,
        tx_bytes: 0,
    };
    let mut found = 0;
    for (column, field) in fields(columns).enumerate() {
        match column {
            RX_BYTES => interface.rx_bytes = decimal(field).ok_or(NetDevError::BadNumber)?,
            TX_BYTES => interface.tx_bytes = decimal(field).ok_or(NetDevError::BadNumber)?,
            _ => {}
        }
        found = column + 1;
    }
    if found < COLUMNS {
        return Err(NetDevError::MissingField);
    }
    Ok(Some(interface))
}

/// The interfaces of a whole read, in the kernel's order. A last line without newline is an error,
/// and so is each line that cannot be read; the lines after it are read all the same.
pub fn interfaces(text: &[u8]) -> impl Iterator<Item = Result<Interface<'_>, NetDevError>> {
    lines(text).filter_map(|line| line.map_or(Err(NetDevError::Cut), parse_line).transpose())
}

impl fmt::Display for NetDevError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "/proc/net/dev: the last line was cut, read more of the file",
            Self::NoColon => "/proc/net/dev: a line names no interface",
            Self::BadName => "/proc/net/dev: an interface's name is not 1 to 15 bytes",
            Self::MissingField => "/proc/net/dev: a line has fewer than 16 columns",
            Self::BadNumber => "/proc/net/dev: a byte count is no number",
        })
    }
}

impl core::error::Error for NetDevError {}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    3193      29    0    0    0     0          0         0     3193      29    0    0    0     0       0          0
  eth0: 132135355    8262    0    0    0     0          0         0   543397    5162    0    0    0     0       0          0
eth0.100:12345678901    8262    0    0    0     0          0         0  99999999999 5162    0    0    0     0       0          0
";

    fn check(line: &str, expected: Result<Option<(&str, u64, u64)>, NetDevError>) {
        let expected = expected.map(|line| {
            line.map(|(name, rx_bytes, tx_bytes)| Interface {
                name: name.as_bytes(),
                rx_bytes,
                tx_bytes,
            })
        });
        assert_eq!(parse_line(line.as_bytes()), expected, "{line:?}");
    }

    #[test]
    fn a_line_is_a_name_and_sixteen_columns() {
        check(
            "  eth0: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0",
            Ok(Some(("eth0", 7, 9))),
        );
        check(
            "eth0:7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0 new",
            Ok(Some(("eth0", 7, 9))),
        );
        check(
            "eth0:1:7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0",
            Ok(Some(("eth0:1", 7, 9))),
        );
        check(
            "  a|b: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0",
            Ok(Some(("a|b", 7, 9))),
        );
        check(
            "fifteen-bytes-n: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0",
            Ok(Some(("fifteen-bytes-n", 7, 9))),
        );
    }

    #[test]
    fn the_headers_are_no_interfaces() {
        for header in WHOLE.lines().take(2) {
            check(header, Ok(None));
        }
    }

    #[test]
    fn damaged_text_is_refused_by_name() {
        use NetDevError::{BadName, BadNumber, MissingField, NoColon};
        check("", Err(NoColon));
        check("  eth0 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0", Err(NoColon));
        check(": 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0", Err(BadName));
        check("   : 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0", Err(BadName));
        check(
            "sixteen-bytes-na: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0",
            Err(BadName),
        );
        check("two words: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0", Err(BadName));
        check("eth0:", Err(MissingField));
        check("eth0: 7 0 0 0 0 0 0 0 9 0 0 0 0 0 0", Err(MissingField));
        check("eth0: -7 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0", Err(BadNumber));
        check("eth0: 7 0 0 0 0 0 0 0 9x 0 0 0 0 0 0 0", Err(BadNumber));
        check(
            "eth0: 18446744073709551616 0 0 0 0 0 0 0 9 0 0 0 0 0 0 0",
            Err(BadNumber),
        );
    }

    #[test]
    fn a_whole_file_gives_each_interface_once() {
        let all: Vec<_> = interfaces(WHOLE.as_bytes()).map(Result::unwrap).collect();
        let figures: Vec<_> = all
            .iter()
            .map(|i| (i.name, i.rx_bytes, i.tx_bytes))
            .collect();
        assert_eq!(
            figures,
            [
                (&b"lo"[..], 3193, 3193),
                (b"eth0", 132_135_355, 543_397),
                (b"eth0.100", 12_345_678_901, 99_999_999_999),
            ]
        );
    }

    #[test]
    fn every_column_can_be_had() {
        let line = b" eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        let columns = Columns::parse(line).unwrap().unwrap();
        assert_eq!(columns.name, b"eth0");
        assert!(columns.numbers().eq(1..=16));
        assert_eq!(Columns::parse_kept(line), Some(columns));
        assert_eq!(Columns::parse(b" face |bytes"), Ok(None));
        assert_eq!(
            Columns::parse(b"eth0: 1 2 3"),
            Err(NetDevError::MissingField)
        );
        assert_eq!(
            Columns::parse(b"eth0: 1 2 x 4 5 6 7 8 9 10 11 12 13 14 15 16"),
            Err(NetDevError::BadNumber)
        );
    }

    #[test]
    fn a_cut_read_is_refused_or_right() {
        let whole: Vec<_> = interfaces(WHOLE.as_bytes()).collect();
        for cut in 0..=WHOLE.len() {
            let part: Vec<_> = interfaces(&WHOLE.as_bytes()[..cut]).collect();
            let at_a_line_end = cut == 0 || WHOLE.as_bytes()[cut - 1] == b'\n';
            let (good, last) = if at_a_line_end {
                (&part[..], None)
            } else {
                let (last, good) = part.split_last().unwrap();
                (good, Some(*last))
            };
            assert_eq!(good, &whole[..good.len()], "cut at byte {cut}");
            assert!(
                matches!(last, None | Some(Err(NetDevError::Cut))),
                "cut at byte {cut}"
            );
        }
    }
}
