//! How one server is treated, and the paces that keep a whole fleet within bounds.

/// Whether held samples are sent once the server is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfill {
    /// If the server's last good answer had the documented body: such a server files a sample at
    /// its own time. One that answers with an empty body files it when it arrives: for it they are
    /// dropped and counted. After any other body they wait, see [`crate::wire::lunasentri::Filing`].
    Auto,
    /// Always.
    On,
    /// Never: they are dropped and counted.
    Off,
}

/// How one server is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// First delay after a failure.
    pub retry_first_ms: u64,
    /// Longest delay, before it is spread.
    pub retry_cap_ms: u64,
    /// How far a delay is spread either way, in thousandths.
    pub jitter_permille: u16,
    /// Failures after which it is called holding.
    pub max_retries: u32,
    /// Whether held samples are sent later.
    pub backfill: Backfill,
    /// Between two samples of the backlog.
    pub backfill_every_ms: u64,
}

impl Policy {
    /// What applies to a server where nothing else is configured, with a sample taken every
    /// `interval_ms`.
    pub const fn usual(interval_ms: u64) -> Self {
        Self {
            retry_first_ms: 5_000,
            retry_cap_ms: 300_000,
            jitter_permille: 500,
            max_retries: 3,
            backfill: Backfill::Auto,
            backfill_every_ms: backfill_every_ms(interval_ms),
        }
    }
}

/// The usual time between two samples of the backlog: two and a half intervals. With two, a fleet
/// that sends its backlog would be at half as much again as on a good day, and every connection
/// that is opened meanwhile would come on top.
pub const fn backfill_every_ms(interval_ms: u64) -> u64 {
    interval_ms.saturating_mul(5) / 2
}

/// How long a connection is kept without a request: longer than the interval, because shaking
/// hands is the dear part, but not much longer than a router's table of connections remembers one
/// that is silent.
pub const fn keep_ms(interval_ms: u64) -> u64 {
    let keep_ms = interval_ms.saturating_mul(2).saturating_add(60_000);
    if keep_ms < 240_000 { keep_ms } else { 240_000 }
}

/// Over how long the retries of a fleet are spread whose addresses appear together: ten intervals.
/// Each of these retries opens a connection; over one interval they would be two and more requests
/// for each of a good day.
pub const fn address_spread_ms(interval_ms: u64) -> u64 {
    interval_ms.saturating_mul(10)
}
