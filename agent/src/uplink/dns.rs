//! A small stub resolver that lives in the reactor: asks, is woken by the answer, keeps it.
//!
//! It reads /etc/hosts and /etc/resolv.conf (hosts(5), resolv.conf(5)) when a look-up starts, asks
//! one name server after the other over UDP for A and AAAA apart (RFC 1035, RFC 3596), and keeps
//! what it learned for the time that the answer allows. Addresses that once worked are kept after
//! that time as the last good ones. Messages are built and read by the `domain` crate.
//!
//! It never waits: [`Stub::turn`] moves the look-up on, and the reactor watches
//! [`Stub::socket`]. A cut answer counts for what it holds; one that was cut to nothing is asked for
//! again over TCP (`stream`). There is no NSS and no mDNS.

mod stream;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use stream::Stream;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa};
use nix::errno::Errno;
use nix::poll::PollFlags;
use octseq::array::Array;
use ring::rand::{SecureRandom, SystemRandom};

use super::error::{DeliveryError, is_no_way_out};
use super::system_files::{ResolvConf, hosts_addresses, read_hosts, read_resolv_conf};

/// Addresses of one name that are kept and tried.
pub const MAX_ADDRESSES: usize = 8;
/// Addresses of one name.
pub type Addresses = heapless::Vec<IpAddr, MAX_ADDRESSES>;

/// Names that are kept. There are at most two servers.
const MAX_NAMES: usize = 4;
/// How long a name server may take before the next is asked.
const TRY_MS: u64 = 1_000;
/// How long it may take once all were asked: over some links, as a satellite's, every answer takes
/// longer than a first try.
const PATIENT_TRY_MS: u64 = 4_000;
/// How often each name server is asked.
const ROUNDS: usize = 2;
/// How long an AAAA answer may lag behind an A answer, or the other way round.
const LAG_MS: u64 = 200;
/// How long what /etc/hosts says is kept.
const HOSTS_KEPT_S: u32 = 60;
/// The range in which an answer's own time to live is believed.
const TTL_S: (u32, u32) = (5, 86_400);
/// After a failed look-up the last good addresses serve for this long before the next one.
const RETRY_MS: u64 = 10_000;
/// The largest answer without EDNS (RFC 1035, section 4.2.1), and some for servers that ignore it.
const MESSAGE_BYTES: usize = 1232;
/// Messages read in one go: whoever floods the port does not stop the sampling.
const MESSAGES: usize = 32;

/// What is known of a name.
#[derive(Debug)]
pub enum Lookup {
    /// These addresses.
    Known(Addresses),
    /// Nothing yet: the name servers are being asked.
    Asked {
        /// Addresses that once were good would serve if nobody answers.
        spare: bool,
    },
    /// It cannot even be asked.
    Failed(DeliveryError),
}

/// What one name server said about one name and type.
#[derive(Debug, PartialEq, Eq)]
pub enum Reply {
    /// Addresses, perhaps none, and how long they hold.
    Addresses(Addresses, u32),
    /// The name does not exist.
    NoSuchName,
    /// There is more, for those who ask over TCP.
    Cut,
    /// The name server cannot or will not say.
    Unwilling,
}

/// The resolver.
#[derive(Debug, Default)]
pub struct Stub {
    known: heapless::Vec<Known, MAX_NAMES>,
    query: Option<Query>,
    /// Why the last look-up failed, and of which name.
    failed: Option<(Box<str>, Why)>,
}

/// Why a look-up failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Unknown,
    Unanswered,
    CutOff(Errno),
}

#[derive(Debug)]
struct Known {
    host: Box<str>,
    addresses: Addresses,
    fresh_until_ms: u64,
    /// Where the server itself was last met.
    good: Option<IpAddr>,
}

impl Known {
    /// What to try, in this order: the address that was good last comes first if it is among what
    /// was answered. If it is not, it comes last: the server may have moved, or the answer may be
    /// a lie.
    fn order(&self) -> Addresses {
        let Some(good) = self.good else {
            return self.addresses.clone();
        };
        let mut order = Addresses::new();
        let others = self.addresses.iter().filter(|address| **address != good);
        if self.addresses.contains(&good) {
            order.extend([good].into_iter().chain(others.copied()));
        } else {
            order.extend(others.copied().take(MAX_ADDRESSES - 1).chain([good]));
        }
        order
    }
}

/// A look-up under way.
#[derive(Debug)]
struct Query {
    host: Box<str>,
    conf: ResolvConf,
    /// Which of the names that `host` may stand for is being asked.
    candidate: usize,
    /// Servers asked so far, over all rounds.
    tries: usize,
    /// A name server could be asked.
    reached: bool,
    /// The last of those names that a name server would not tell of.
    untold: Option<usize>,
    socket: Option<UdpSocket>,
    /// Asked over TCP instead, because the answer was cut.
    stream: Option<Stream>,
    ids: [u16; 2],
    replies: [Option<Reply>; 2],
    /// When to go on without an answer.
    until_ms: u64,
}

const TYPES: [Rtype; 2] = [Rtype::A, Rtype::AAAA];

impl Stub {
    /// What is known of `host` now; starts a look-up if that is not enough.
    pub fn look_up(&mut self, host: &str, now_ms: u64) -> Lookup {
        let kept = self.known.iter().find(|known| &*known.host == host);
        if let Some(known) = kept.filter(|known| now_ms < known.fresh_until_ms) {
            return Lookup::Known(known.order());
        }
        let spare = kept.is_some();
        // Addresses that just failed are asked for anew first; they serve if nobody answers.
        let stale = kept
            .filter(|known| known.fresh_until_ms > 0)
            .map(Known::order);
        if let Some(addresses) = from_files(host) {
            self.keep(host, &addresses, HOSTS_KEPT_S, now_ms);
            return Lookup::Known(addresses);
        }
        // A look-up of another name can only be a refresh; a name that is waited for goes first.
        let asked = self.query.as_ref().map(|query| &*query.host);
        if asked != Some(host) {
            self.failed = None;
            self.query = Some(Query::new(host));
            self.advance(now_ms);
        }
        match stale {
            Some(addresses) => Lookup::Known(addresses),
            None if self.query.is_some() => Lookup::Asked { spare },
            None => match self.outcome(host) {
                Ok(addresses) => Lookup::Known(addresses),
                Err(error) => Lookup::Failed(error),
            },
        }
    }

    /// What came of a look-up that ended.
    pub fn outcome(&mut self, host: &str) -> Result<Addresses, DeliveryError> {
        if let Some(known) = self.known.iter().find(|known| &*known.host == host) {
            return Ok(known.order());
        }
        match self.failed.take() {
            Some((name, Why::Unknown)) => Err(DeliveryError::NoSuchName(name)),
            Some((name, Why::Unanswered)) => Err(DeliveryError::NoNameServer(name)),
            Some((name, Why::CutOff(errno))) => Err(DeliveryError::NoNetwork(name, errno)),
            None => Err(DeliveryError::NoNameServer(host.into())),
        }
    }

    /// Whether a look-up is under way.
    pub fn is_busy(&self) -> bool {
        self.query.is_some()
    }

    /// What the reactor is to watch.
    pub fn socket(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let query = self.query.as_ref()?;
        if let Some(stream) = &query.stream {
            return Some(stream.socket());
        }
        let socket = query.socket.as_ref()?;
        Some((socket.as_fd(), PollFlags::POLLIN))
    }

    /// No address of `host` answered: they count as old from now on.
    pub fn expire(&mut self, host: &str) {
        if let Some(known) = self.known.iter_mut().find(|known| &*known.host == host) {
            known.fresh_until_ms = 0;
        }
    }

    /// The server itself was met at this address of `host`.
    pub fn confirm(&mut self, host: &str, address: IpAddr) {
        if let Some(known) = self.known.iter_mut().find(|known| &*known.host == host) {
            known.good = Some(address);
        }
    }

    /// Moves the look-up on; returns when to be called again at the latest.
    pub fn turn(&mut self, now_ms: u64) -> u64 {
        if let Some(query) = &mut self.query {
            let broken = query.receive(now_ms);
            if broken || query.is_answered() || now_ms >= query.until_ms {
                self.conclude(now_ms);
            }
        }
        self.query.as_ref().map_or(u64::MAX, |query| query.until_ms)
    }

    /// Takes what the replies so far amount to.
    fn conclude(&mut self, now_ms: u64) {
        let Some(query) = &mut self.query else { return };
        // Also if the other answer was whole: a device may have no way to the addresses in it.
        let was_cut = query.replies.contains(&Some(Reply::Cut));
        if was_cut && query.ask_in_full() {
            query.until_ms = now_ms + query.patience_ms();
            return;
        }
        let mut addresses = Addresses::new();
        let mut ttl_s = TTL_S.1;
        let mut found = [Addresses::new(), Addresses::new()];
        for (place, reply) in found.iter_mut().zip(query.replies.iter().flatten()) {
            if let Reply::Addresses(of_type, ttl) = reply
                && !of_type.is_empty()
            {
                ttl_s = ttl_s.min(*ttl);
                place.clone_from(of_type);
            }
        }
        // One of each kind in turn: a device that has only one of them finds its own early.
        for at in 0..MAX_ADDRESSES {
            for address in found.iter().filter_map(|of_type| of_type.get(at)) {
                // What does not fit is not tried.
                let _ = addresses.push(*address);
            }
        }
        if !addresses.is_empty() {
            let host = query.host.clone();
            self.query = None;
            self.keep(&host, &addresses, ttl_s, now_ms);
            return;
        }
        let exists_not =
            |reply: &Option<Reply>| matches!(reply, Some(Reply::NoSuchName | Reply::Addresses(..)));
        if query.replies.contains(&Some(Reply::Unwilling)) {
            query.untold = Some(query.candidate);
        }
        if query.replies.iter().all(exists_not) {
            // Both types are answered and neither has an address.
            self.next_name(now_ms);
        }
        self.advance(now_ms);
    }

    /// Goes on with the next name that the host may stand for, at the first server again.
    fn next_name(&mut self, now_ms: u64) {
        let Some(query) = &mut self.query else { return };
        query.candidate += 1;
        query.tries = 0;
        if query.candidate >= query.conf.candidates(&query.host) {
            let why = match query.untold {
                Some(_) => Why::Unanswered,
                None => Why::Unknown,
            };
            self.give_up(why, now_ms);
        }
    }

    /// Asks the next name server.
    fn advance(&mut self, now_ms: u64) {
        let mut no_way_out = None;
        while let Some(query) = &mut self.query {
            if query.tries >= query.conf.servers.len() * ROUNDS {
                // A searched domain whose own servers are broken does not hide the next one.
                if query.untold == Some(query.candidate) {
                    self.next_name(now_ms);
                    continue;
                }
                let why = match no_way_out {
                    Some(errno) if !query.reached => Why::CutOff(errno),
                    _ => Why::Unanswered,
                };
                self.give_up(why, now_ms);
                return;
            }
            let server = query.conf.servers[query.tries % query.conf.servers.len()];
            query.tries += 1;
            match query.ask(server) {
                Ok(()) => {
                    query.reached = true;
                    query.until_ms = now_ms + query.patience_ms();
                    return;
                }
                // Unreachable from here: the next one may not be.
                Err(AskError::Unreachable(errno)) if is_no_way_out(errno) => {
                    no_way_out = Some(errno);
                }
                Err(AskError::Unreachable(_)) => query.reached = true,
                // A searched domain that is no name says nothing of the next one.
                Err(AskError::BadName) => self.next_name(now_ms),
            }
        }
    }

    fn give_up(&mut self, why: Why, now_ms: u64) {
        let Some(Query { host, .. }) = self.query.take() else {
            return;
        };
        if let Some(known) = self.known.iter_mut().find(|known| known.host == host) {
            known.fresh_until_ms = now_ms + RETRY_MS;
        }
        self.failed = Some((host, why));
    }

    fn keep(&mut self, host: &str, addresses: &Addresses, ttl_s: u32, now_ms: u64) {
        let fresh_until_ms = now_ms + u64::from(ttl_s.clamp(TTL_S.0, TTL_S.1)) * 1000;
        if let Some(known) = self.known.iter_mut().find(|known| &*known.host == host) {
            known.addresses.clone_from(addresses);
            known.fresh_until_ms = fresh_until_ms;
            return;
        }
        let known = Known {
            host: host.into(),
            addresses: addresses.clone(),
            fresh_until_ms,
            good: None,
        };
        if self.known.is_full() {
            self.known.remove(0);
        }
        // There is room now.
        let _ = self.known.push(known);
    }
}

/// Why a name server was not asked.
enum AskError {
    Unreachable(Errno),
    BadName,
}

impl Query {
    fn new(host: &str) -> Self {
        Self {
            host: host.into(),
            conf: read_resolv_conf(),
            candidate: 0,
            tries: 0,
            reached: false,
            untold: None,
            socket: None,
            stream: None,
            ids: [0; 2],
            replies: [None, None],
            until_ms: 0,
        }
    }

    /// How long the try under way may take.
    fn patience_ms(&self) -> u64 {
        if self.tries <= self.conf.servers.len() {
            TRY_MS
        } else {
            PATIENT_TRY_MS
        }
    }

    fn ask(&mut self, server: SocketAddr) -> Result<(), AskError> {
        self.replies = [None, None];
        self.stream = None;
        let mut random = [0; 4];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| AskError::Unreachable(Errno::EIO))?;
        self.ids = [
            u16::from_be_bytes([random[0], random[1]]),
            // Never the same as the first.
            u16::from_be_bytes([random[0], random[1]])
                ^ u16::from_be_bytes([random[2], random[3]]).max(1),
        ];
        let name = self.conf.candidate(&self.host, self.candidate);
        let any: SocketAddr = if server.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let unreachable = |error: std::io::Error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            AskError::Unreachable(errno)
        };
        // A new socket has a new port, and once connected takes answers from this server alone.
        let socket = UdpSocket::bind(any).map_err(unreachable)?;
        socket.set_nonblocking(true).map_err(unreachable)?;
        socket.connect(server).map_err(unreachable)?;
        for (id, rtype) in self.ids.into_iter().zip(TYPES) {
            let question = write_question(&name, id, rtype).ok_or(AskError::BadName)?;
            socket.send(question.as_slice()).map_err(unreachable)?;
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// Asks the same server over TCP, unless it was; whether that was begun.
    fn ask_in_full(&mut self) -> bool {
        let server = self.socket.as_ref().map(UdpSocket::peer_addr);
        let (Some(Ok(server)), None) = (server, &self.stream) else {
            return false;
        };
        let name = self.conf.candidate(&self.host, self.candidate);
        let [a, aaaa] = [0, 1].map(|at| write_question(&name, self.ids[at], TYPES[at]));
        let questions = a.iter().chain(&aaaa).map(Array::as_slice);
        self.stream = Stream::ask(server, questions).ok();
        for reply in &mut self.replies {
            // What was whole serves if nothing comes of this.
            reply.take_if(|reply| *reply == Reply::Cut);
        }
        self.stream.is_some()
    }

    fn receive_in_full(&mut self, stream: &mut Stream) -> bool {
        let name = self.conf.candidate(&self.host, self.candidate);
        let taken = stream.turn(|message| {
            for (at, (id, rtype)) in self.ids.into_iter().zip(TYPES).enumerate() {
                if let Some(reply) = read_reply(message, &name, id, rtype) {
                    self.replies[at] = Some(reply);
                }
            }
        });
        taken.is_err()
    }

    /// Takes what arrived; `true` if this server will not answer.
    fn receive(&mut self, now_ms: u64) -> bool {
        if let Some(mut stream) = self.stream.take() {
            let is_over = self.receive_in_full(&mut stream);
            self.stream = Some(stream);
            return is_over;
        }
        let Some(socket) = &self.socket else {
            return true;
        };
        let mut buffer = [0; MESSAGE_BYTES];
        for _ in 0..MESSAGES {
            match socket.recv(&mut buffer) {
                Ok(bytes) => {
                    let name = self.conf.candidate(&self.host, self.candidate);
                    for (at, (id, rtype)) in self.ids.into_iter().zip(TYPES).enumerate() {
                        if let Some(reply) = read_reply(&buffer[..bytes], &name, id, rtype) {
                            if matches!(&reply, Reply::Addresses(found, _) if !found.is_empty()) {
                                self.until_ms = self.until_ms.min(now_ms + LAG_MS);
                            }
                            self.replies[at] = Some(reply);
                        }
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // Nothing listens there (ICMP), or the link went.
                Err(_) => return true,
            }
        }
        false
    }

    fn is_answered(&self) -> bool {
        self.replies.iter().all(Option::is_some)
    }
}

/// What needs no name server: /etc/hosts, and the name that is always this device (RFC 6761).
fn from_files(host: &str) -> Option<Addresses> {
    let addresses = read_hosts()
        .map(|text| hosts_addresses(&text, host))
        .unwrap_or_default();
    if !addresses.is_empty() {
        return Some(addresses);
    }
    let bare = host.trim_end_matches('.');
    let is_local =
        bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost");
    is_local.then(|| Addresses::from_iter([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]))
}

/// A question for `name`, or `None` if that is no name.
fn write_question(name: &str, id: u16, rtype: Rtype) -> Option<Array<512>> {
    let name: Name<Array<255>> = name.parse().ok()?;
    let mut message = MessageBuilder::from_target(Array::<512>::new()).ok()?;
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut question = message.question();
    question.push((&name, rtype)).ok()?;
    Some(question.finish())
}

/// What `message` says about `name`, or `None` if it is no answer to this question.
pub fn read_reply(message: &[u8], name: &str, id: u16, rtype: Rtype) -> Option<Reply> {
    let message = Message::from_octets(message).ok()?;
    let header = message.header();
    if header.id() != id || !header.qr() {
        return None;
    }
    let asked: Name<Array<255>> = name.parse().ok()?;
    let question = message.sole_question().ok()?;
    if question.qtype() != rtype || *question.qname() != asked {
        return None;
    }
    match header.rcode() {
        Rcode::NOERROR => {}
        Rcode::NXDOMAIN => return Some(Reply::NoSuchName),
        _ => return Some(Reply::Unwilling),
    }
    // All records of the type count, whatever name they carry: the server followed the aliases.
    let mut addresses = Addresses::new();
    let answer = message.answer().ok()?;
    if rtype == Rtype::A {
        for record in answer.limit_to::<A>().flatten() {
            let _ = addresses.push(IpAddr::V4(record.data().addr()));
        }
    } else {
        for record in answer.limit_to::<Aaaa>().flatten() {
            let _ = addresses.push(IpAddr::V6(record.data().addr()));
        }
    }
    // An alias is often the shorter-lived: moving it is how a server is moved.
    let times = answer.flatten().map(|record| record.ttl().as_secs());
    let ttl_s = times.fold(TTL_S.1, u32::min);
    if addresses.is_empty() && header.tc() {
        return Some(Reply::Cut);
    }
    Some(Reply::Addresses(addresses, ttl_s))
}

#[cfg(test)]
mod tests;
