//! A name server that answers from a table, or misbehaves.
//!
//! It speaks just enough DNS for a stub resolver: one question a message, A and AAAA, time to live
//! in seconds. Names are compared without regard to case or a final dot. A name that is not in the
//! table does not exist; one that has no address of the wanted kind exists and has no answer.
//!
//! It answers over TCP only when it is to, [`DnsManner::OverTcp`]; else who is told that an answer was
//! cut has nowhere to go.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::wait::{TimedOut, lock};

/// How often the thread looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const HEADER: usize = 12;

/// How queries are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DnsManner {
    /// From the table.
    #[default]
    Normal,
    /// Not at all.
    Silent,
    /// No name exists.
    NxDomain,
    /// From the table, but asked for AAAA no name exists, as some load balancers have it.
    NxDomainAaaa,
    /// The server failed.
    ServFail,
    /// From the table; asked for any other name the server failed.
    ServFailElse,
    /// With bytes that are no DNS message, under the right id.
    Garbage,
    /// From the table, under another query's id.
    WrongId,
    /// Nothing but the word that the answer was cut.
    Truncated,
    /// The same over UDP, and from the table over TCP.
    OverTcp,
    /// From the table, each answer so much later, as over a satellite.
    After(Duration),
}

/// A question that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In lower case, without a final dot.
    pub name: String,
    /// The record type: 1 is A, 28 is AAAA.
    pub kind: u16,
}

#[derive(Debug, Default)]
struct State {
    manner: DnsManner,
    table: HashMap<String, (Vec<IpAddr>, u32)>,
    queries: Vec<Query>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stopping: AtomicBool,
}

/// A running name server. Dropping it closes its socket.
#[derive(Debug)]
pub struct FakeDns {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl FakeDns {
    /// Listens on any free port of 127.0.0.1.
    pub fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Listens on this address; resolvers that read `resolv.conf` want port 53.
    pub fn start_at(wanted: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind(wanted)?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared::default());
        // Without it those who come are refused, as by most name servers that cut nothing.
        if let Ok(listener) = TcpListener::bind(address) {
            let theirs = Arc::clone(&shared);
            // It ends with the program, or with the first guest after the name server is gone.
            thread::spawn(move || serve_streams(&listener, &theirs));
        }
        let theirs = Arc::clone(&shared);
        let serve = move || serve(&socket, &theirs);
        let thread = thread::Builder::new()
            .name("fake dns".into())
            .spawn(serve)?;
        Ok(Self {
            shared,
            address,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a name its addresses, in the order in which they are answered.
    pub fn set(&self, name: &str, addresses: &[IpAddr], ttl_s: u32) {
        let entry = (addresses.to_vec(), ttl_s);
        lock(&self.shared.state)
            .table
            .insert(plain_name(name), entry);
    }

    /// Takes a name away.
    pub fn remove(&self, name: &str) {
        lock(&self.shared.state).table.remove(&plain_name(name));
    }

    pub fn set_manner(&self, manner: DnsManner) {
        lock(&self.shared.state).manner = manner;
    }

    /// What was asked so far, answered or not.
    pub fn queries(&self) -> Vec<Query> {
        lock(&self.shared.state).queries.clone()
    }

    /// How often this name was asked for, whatever the record type.
    pub fn count(&self, name: &str) -> usize {
        let name = plain_name(name);
        lock(&self.shared.state)
            .queries
            .iter()
            .filter(|query| query.name == name)
            .count()
    }

    /// Waits until at least `n` queries came since the start.
    pub fn wait_for(&self, n: usize, timeout: Duration) -> Result<Vec<Query>, TimedOut> {
        let end = Instant::now() + timeout;
        let mut state = lock(&self.shared.state);
        while state.queries.len() < n {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let queries = &state.queries;
                let words = format!("waited {timeout:?} for {n} name queries, got {queries:?}");
                return Err(TimedOut(words));
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(state.queries.clone())
    }
}

impl Drop for FakeDns {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn serve_streams(listener: &TcpListener, shared: &Arc<Shared>) {
    for guest in listener.incoming().flatten() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        if lock(&shared.state).manner == DnsManner::OverTcp {
            let shared = Arc::clone(shared);
            thread::spawn(move || serve_stream(guest, &shared));
        }
    }
}

/// Answers one guest until it goes.
fn serve_stream(mut guest: TcpStream, shared: &Shared) -> Option<()> {
    loop {
        let mut length = [0; 2];
        guest.read_exact(&mut length).ok()?;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        guest.read_exact(&mut message).ok()?;
        let (query, question) = parse(&message)?;
        let answer = {
            let state = lock(&shared.state);
            let normal = State {
                manner: DnsManner::Normal,
                table: state.table.clone(),
                queries: Vec::new(),
            };
            answer(&normal, &query, question, [message[0], message[1]])?
        };
        let length = u16::try_from(answer.len()).ok()?;
        guest.write_all(&length.to_be_bytes()).ok()?;
        guest.write_all(&answer).ok()?;
    }
}

fn serve(socket: &UdpSocket, shared: &Shared) {
    let mut message = [0; 1500];
    let mut late: Vec<(Instant, SocketAddr, Vec<u8>)> = Vec::new();
    while !shared.stopping.load(Ordering::SeqCst) {
        let now = Instant::now();
        for (_, to, answer) in late.extract_if(.., |(due, ..)| *due <= now) {
            socket.send_to(&answer, to).ok();
        }
        // An error is the timeout, or an answer that nobody was there to take.
        let Ok((length, from)) = socket.recv_from(&mut message) else {
            continue;
        };
        let Some((query, question)) = parse(&message[..length]) else {
            continue;
        };
        let (manner, answer) = {
            let mut state = lock(&shared.state);
            state.queries.push(query.clone());
            let answer = answer(&state, &query, question, [message[0], message[1]]);
            (state.manner, answer)
        };
        shared.changed.notify_all();
        match (answer, manner) {
            (Some(answer), DnsManner::After(delay)) => {
                late.push((Instant::now() + delay, from, answer));
            }
            (Some(answer), _) => {
                socket.send_to(&answer, from).ok();
            }
            (None, _) => {}
        }
    }
}

/// The question of a query, and its bytes. None for what is not a query with one question.
fn parse(message: &[u8]) -> Option<(Query, &[u8])> {
    let is_query = message.get(2)? & 0x80 == 0;
    let one_question = message.get(4..6)? == [0, 1];
    if !is_query || !one_question {
        return None;
    }
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*message.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        // Compressed names have no place in a question.
        let label = message.get(at..at + length).filter(|_| length < 64)?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(std::str::from_utf8(label).ok()?);
        at += length;
    }
    let kind = u16::from_be_bytes(message.get(at..at + 2)?.try_into().ok()?);
    let question = message.get(HEADER..at + 4)?;
    Some((
        Query {
            name: plain_name(&name),
            kind,
        },
        question,
    ))
}

/// The answer to a query, if there is to be one.
fn answer(state: &State, query: &Query, question: &[u8], id: [u8; 2]) -> Option<Vec<u8>> {
    let id = match state.manner {
        DnsManner::Silent => return None,
        DnsManner::Garbage => {
            return Some([id.as_slice(), b"\xff\xff\xff\xff\xff\xffgarbage"].concat());
        }
        DnsManner::WrongId => [id[0], id[1] ^ 1],
        _ => id,
    };
    let found = state.table.get(&query.name);
    let (is_cut, code) = match state.manner {
        DnsManner::NxDomain => (false, 3),
        DnsManner::NxDomainAaaa if query.kind == TYPE_AAAA => (false, 3),
        DnsManner::ServFail => (false, 2),
        DnsManner::ServFailElse if found.is_none() => (false, 2),
        DnsManner::Truncated | DnsManner::OverTcp => (true, 0),
        _ => (false, if found.is_some() { 0 } else { 3 }),
    };
    let mut records = Vec::new();
    let mut count: u16 = 0;
    if let Some((addresses, ttl_s)) = found
        && code == 0
        && !is_cut
    {
        for address in addresses {
            let (kind, bytes) = match address {
                IpAddr::V4(v4) => (TYPE_A, v4.octets().to_vec()),
                IpAddr::V6(v6) => (TYPE_AAAA, v6.octets().to_vec()),
            };
            if kind == query.kind {
                count += 1;
                // The name is the one at the question's place; class IN.
                records.extend_from_slice(&[0xc0, HEADER as u8]);
                records.extend_from_slice(&kind.to_be_bytes());
                records.extend_from_slice(&[0, 1]);
                records.extend_from_slice(&ttl_s.to_be_bytes());
                records.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
                records.extend_from_slice(&bytes);
            }
        }
    }
    // An answer, cut or not; recursion was wanted and is available; one question, no authorities.
    let flags = [0x81 | if is_cut { 0x02 } else { 0 }, 0x80 | code];
    let counts = [[0, 1], count.to_be_bytes(), [0, 0], [0, 0]].concat();
    Some([id.as_slice(), &flags, &counts, question, &records].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for `box.test`, and gives the answer if one comes within the time.
    fn ask(dns: &FakeDns, kind: u16, patience_ms: u64) -> Option<Vec<u8>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(patience_ms)))
            .unwrap();
        let mut query =
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03Box\x04test\x00".to_vec();
        query.extend_from_slice(&kind.to_be_bytes());
        query.extend_from_slice(&[0, 1]);
        socket.send_to(&query, dns.address()).unwrap();
        let mut answer = [0; 1500];
        let length = socket.recv(&mut answer).ok()?;
        Some(answer[..length].to_vec())
    }

    fn dns_with_box() -> FakeDns {
        let dns = FakeDns::start().unwrap();
        dns.set(
            "box.test.",
            &["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
            60,
        );
        dns
    }

    #[test]
    fn an_address_of_the_asked_kind_is_answered_with_its_time_to_live() {
        let dns = dns_with_box();
        let answer = ask(&dns, TYPE_A, 5000).unwrap();
        assert_eq!(
            answer[..12],
            *b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00"
        );
        assert!(
            answer.ends_with(b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07")
        );
        let answer = ask(&dns, TYPE_AAAA, 5000).unwrap();
        assert!(answer.ends_with(b"\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"));
        // A text record: the name exists, the answer is empty.
        assert_eq!(
            ask(&dns, 16, 5000).unwrap()[2..8],
            *b"\x81\x80\x00\x01\x00\x00"
        );
        assert_eq!(dns.count("box.test"), 3);
        dns.remove("BOX.test");
        assert_eq!(ask(&dns, TYPE_A, 5000).unwrap()[3] & 0x0f, 3);
    }

    #[test]
    fn each_manner_is_what_it_says() {
        let dns = dns_with_box();
        let flags_and_count = |manner| {
            dns.set_manner(manner);
            let answer = ask(&dns, TYPE_A, 5000).unwrap();
            (
                answer[..2].to_vec(),
                answer[2] & 0x02,
                answer[3] & 0x0f,
                answer[7],
            )
        };
        let id = b"\x12\x34".to_vec();
        assert_eq!(flags_and_count(DnsManner::Normal), (id.clone(), 0, 0, 1));
        assert_eq!(flags_and_count(DnsManner::NxDomain), (id.clone(), 0, 3, 0));
        assert_eq!(
            flags_and_count(DnsManner::NxDomainAaaa),
            (id.clone(), 0, 0, 1)
        );
        assert_eq!(ask(&dns, TYPE_AAAA, 5000).unwrap()[3] & 0x0f, 3);
        assert_eq!(flags_and_count(DnsManner::ServFail), (id.clone(), 0, 2, 0));
        assert_eq!(flags_and_count(DnsManner::Truncated), (id.clone(), 2, 0, 0));
        assert_eq!(
            flags_and_count(DnsManner::WrongId),
            (b"\x12\x35".to_vec(), 0, 0, 1)
        );
        dns.set_manner(DnsManner::Garbage);
        assert!(ask(&dns, TYPE_A, 5000).unwrap().ends_with(b"garbage"));
        dns.set_manner(DnsManner::Silent);
        assert_eq!(ask(&dns, TYPE_A, 200), None);
        assert_eq!(dns.wait_for(9, Duration::from_secs(5)).unwrap().len(), 9);
        assert!(dns.wait_for(10, Duration::from_millis(20)).is_err());
    }
}
