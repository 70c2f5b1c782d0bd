//! The black box of an outage: what failed while a server was away, by layer, and when.
//!
//! Arithmetic only: failures go in with the moment at which they were seen, milliseconds since the
//! device started, and moments do not go back. What was the same again and again is one [`Spell`],
//! so [`SPELLS`] of them tell the course of a long outage: what came first is kept, and of the rest
//! what came last. The counts are over all of it.
//!
//! One outage under way and the one before it are known. Never says what a code means in words:
//! that is the caller's, who knows the system.

use core::fmt;

/// Spells of an outage that are kept.
pub const SPELLS: usize = 8;

/// Codes of [`Layer::Http`] from here on are a server's answer; those below are `errno(3)`.
pub const FIRST_STATUS: u16 = 200;

/// How far an attempt got before it failed. Lower layers come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// The device has no address, or no route that leads there.
    Link,
    /// No address was found for the server's name.
    Dns,
    /// No connection.
    Tcp,
    /// The proxy did not connect through.
    Proxy,
    /// No handshake, or a certificate that is not to be trusted.
    Tls,
    /// No whole answer, or one that says no.
    Http,
}

impl Layer {
    /// All of them, lowest first.
    pub const ALL: [Self; 6] = [
        Self::Link,
        Self::Dns,
        Self::Tcp,
        Self::Proxy,
        Self::Tls,
        Self::Http,
    ];

    /// Its name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Http => "http",
        }
    }
}

/// One attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub layer: Layer,
    /// The HTTP status, or what the system called it (`errno(3)`); 0 if there is no number.
    pub code: u16,
    /// When, milliseconds since the device started.
    pub boot_ms: u64,
}

/// Failures that were the same, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spell {
    /// Where.
    pub layer: Layer,
    /// As in [`Failure::code`].
    pub code: u16,
    /// The first of them, milliseconds since the device started.
    pub first_ms: u64,
    /// The last of them, likewise.
    pub last_ms: u64,
    /// How many.
    pub count: u32,
}

impl Spell {
    const fn of(failure: Failure) -> Self {
        Self {
            layer: failure.layer,
            code: failure.code,
            first_ms: failure.boot_ms,
            last_ms: failure.boot_ms,
            count: 1,
        }
    }
}

/// The time from the first failure to the next delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The first failure, milliseconds since the device started.
    pub from_ms: u64,
    /// The last failure so far; the delivery that ended it, once it is over.
    pub to_ms: u64,
    /// Attempts that failed.
    pub failures: u32,
    by_layer: [u32; Layer::ALL.len()],
    first: Spell,
    /// Those after the first, oldest first.
    later: heapless::Vec<Spell, { SPELLS - 1 }>,
}

impl Outage {
    fn of(failure: Failure) -> Self {
        let mut outage = Self {
            from_ms: failure.boot_ms,
            to_ms: failure.boot_ms,
            failures: 0,
            by_layer: [0; Layer::ALL.len()],
            first: Spell::of(failure),
            later: heapless::Vec::new(),
        };
        outage.count(failure);
        outage
    }

    fn count(&mut self, failure: Failure) {
        self.to_ms = failure.boot_ms;
        self.failures = self.failures.saturating_add(1);
        let of_layer = &mut self.by_layer[failure.layer as usize];
        *of_layer = of_layer.saturating_add(1);
    }

    fn add(&mut self, failure: Failure) {
        self.count(failure);
        let latest = self.later.last_mut().unwrap_or(&mut self.first);
        if (latest.layer, latest.code) == (failure.layer, failure.code) {
            latest.last_ms = failure.boot_ms;
            latest.count = latest.count.saturating_add(1);
            return;
        }
        if self.later.is_full() {
            self.later.remove(0);
        }
        // There is room now.
        let _ = self.later.push(Spell::of(failure));
    }

    /// How long it lasts, or lasted, milliseconds.
    pub fn duration_ms(&self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }

    /// How many attempts failed in `layer`.
    pub fn failures_in(&self, layer: Layer) -> u32 {
        self.by_layer[layer as usize]
    }

    /// What it began with.
    pub fn first(&self) -> &Spell {
        &self.first
    }

    /// What came last.
    pub fn latest(&self) -> &Spell {
        self.later.last().unwrap_or(&self.first)
    }

    /// What is known of its course, oldest first; between the first and the second, others may
    /// have been forgotten.
    pub fn spells(&self) -> impl Iterator<Item = &Spell> {
        core::iter::once(&self.first).chain(&self.later)
    }

    /// The failures by layer, as in `dns 3, tcp 12`.
    pub fn layers(&self) -> Layers<'_> {
        Layers(self)
    }
}

/// Writes the failures of an outage by layer; layers without any are left out.
#[derive(Debug)]
pub struct Layers<'a>(&'a Outage);

impl fmt::Display for Layers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for layer in Layer::ALL {
            let count = self.0.failures_in(layer);
            if count > 0 {
                write!(f, "{comma}{} {count}", layer.as_str())?;
                comma = ", ";
            }
        }
        Ok(())
    }
}

/// What a server's outages were like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outages {
    current: Option<Outage>,
    last: Option<Outage>,
}

impl Outages {
    /// Nothing failed yet.
    pub const fn new() -> Self {
        Self {
            current: None,
            last: None,
        }
    }

    /// An attempt failed.
    pub fn failed(&mut self, failure: Failure) {
        match &mut self.current {
            Some(outage) => outage.add(failure),
            None => self.current = Some(Outage::of(failure)),
        }
    }

    /// An attempt was good. Gives the outage that it ended, if there was one.
    pub fn delivered(&mut self, now_ms: u64) -> Option<&Outage> {
        let mut over = self.current.take()?;
        over.to_ms = now_ms;
        Some(self.last.insert(over))
    }

    /// The outage under way.
    pub fn current(&self) -> Option<&Outage> {
        self.current.as_ref()
    }

    /// The outage before it, which is over.
    pub fn last(&self) -> Option<&Outage> {
        self.last.as_ref()
    }

    /// Whether the last attempt failed and not by a word of the server: it may never have got there.
    pub fn is_unanswered(&self) -> bool {
        self.current().is_some_and(|outage| {
            let latest = outage.latest();
            latest.layer != Layer::Http || latest.code < FIRST_STATUS
        })
    }

    /// Where the last attempt failed; `None` if it was good.
    pub fn last_layer(&self) -> Option<Layer> {
        Some(self.current()?.latest().layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(layer: Layer, code: u16, boot_ms: u64) -> Failure {
        Failure {
            layer,
            code,
            boot_ms,
        }
    }

    fn course(outage: &Outage) -> Vec<(Layer, u16, u64, u64, u32)> {
        let tuple = |s: &Spell| (s.layer, s.code, s.first_ms, s.last_ms, s.count);
        outage.spells().map(tuple).collect()
    }

    #[test]
    fn an_outage_is_told_from_its_first_failure_to_the_delivery_that_ended_it() {
        let mut outages = Outages::new();
        assert_eq!(outages.delivered(500), None);
        for (layer, code, at_ms) in [
            (Layer::Link, 101, 1_000),
            (Layer::Link, 101, 6_000),
            (Layer::Dns, 0, 16_000),
            (Layer::Http, 503, 36_000),
            (Layer::Http, 502, 76_000),
        ] {
            outages.failed(failure(layer, code, at_ms));
        }
        let current = outages.current().unwrap();
        assert_eq!((current.from_ms, current.to_ms), (1_000, 76_000));
        assert_eq!(outages.last_layer(), Some(Layer::Http));
        let over = outages.delivered(80_000).unwrap();
        assert_eq!((over.duration_ms(), over.failures), (79_000, 5));
        assert_eq!(over.layers().to_string(), "link 2, dns 1, http 2");
        assert_eq!(
            course(over),
            [
                (Layer::Link, 101, 1_000, 6_000, 2),
                (Layer::Dns, 0, 16_000, 16_000, 1),
                (Layer::Http, 503, 36_000, 36_000, 1),
                (Layer::Http, 502, 76_000, 76_000, 1)
            ]
        );
        assert_eq!(over.first().layer, Layer::Link);
        assert_eq!(over.latest().code, 502);
        assert_eq!(outages.last_layer(), None);
        assert_eq!(outages.last().unwrap().failures, 5);
    }

    #[test]
    fn a_long_outage_keeps_its_first_and_its_last_spells_and_counts_them_all() {
        let mut outages = Outages::new();
        outages.failed(failure(Layer::Link, 0, 0));
        for n in 1..=10_000_u32 {
            let layer = Layer::ALL[n as usize % 2 + 1];
            outages.failed(failure(layer, (n % 7) as u16, u64::from(n)));
        }
        let outage = outages.current().unwrap();
        assert_eq!(outage.failures, 10_001);
        assert_eq!(outage.layers().to_string(), "link 1, dns 5000, tcp 5000");
        let course = course(outage);
        assert_eq!(course.len(), SPELLS);
        assert_eq!(course[0], (Layer::Link, 0, 0, 0, 1));
        let later: Vec<u64> = course[1..].iter().map(|spell| spell.2).collect();
        assert_eq!(later, (9_994..=10_000).collect::<Vec<u64>>());
    }

    #[test]
    fn the_last_outage_stays_known_while_the_next_is_under_way() {
        let mut outages = Outages::new();
        outages.failed(failure(Layer::Tcp, 111, 10));
        outages.delivered(20);
        outages.failed(failure(Layer::Tls, 0, 30));
        assert_eq!(outages.last().map(|outage| outage.to_ms), Some(20));
        assert_eq!(outages.current().map(|outage| outage.from_ms), Some(30));
    }

    #[test]
    fn a_server_that_said_no_was_reached_and_one_that_said_nothing_perhaps_not() {
        for (layer, code, unanswered) in [
            (Layer::Link, 101, true),
            (Layer::Proxy, 407, true),
            (Layer::Tls, 0, true),
            (Layer::Http, 110, true),
            (Layer::Http, 0, true),
            (Layer::Http, 302, false),
            (Layer::Http, 503, false),
        ] {
            let mut outages = Outages::new();
            assert!(!outages.is_unanswered());
            outages.failed(failure(layer, code, 0));
            assert_eq!(outages.is_unanswered(), unanswered, "{layer:?} {code}");
            outages.delivered(1);
            assert!(!outages.is_unanswered());
        }
    }

    #[test]
    fn layers_are_counted_under_their_own_places() {
        for (place, layer) in Layer::ALL.into_iter().enumerate() {
            assert_eq!(layer as usize, place);
            let mut outages = Outages::new();
            outages.failed(failure(layer, 0, 0));
            let only = outages.current().unwrap().layers().to_string();
            assert_eq!(only, format!("{} 1", layer.as_str()));
        }
    }

    #[test]
    fn a_black_box_is_less_than_a_kilobyte() {
        assert!(size_of::<Outages>() < 1024, "{}", size_of::<Outages>());
    }
}
