//! Guests at the agent's own port who mean no good: scrapes as fast as a thousand a second, each on
//! a connection of its own, and two hundred who send a byte a second.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const BETWEEN_SCRAPES: Duration = Duration::from_millis(1);
const BETWEEN_BYTES: Duration = Duration::from_secs(1);
const SLOW: usize = 200;
/// A server that takes longer for an answer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The crowd. It is there until dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    leaves: AtomicBool,
    answered: AtomicU64,
}

impl Shared {
    fn stays(&self) -> bool {
        !self.leaves.load(Ordering::Relaxed)
    }
}

impl Crowd {
    pub(super) fn gather(address: SocketAddr) -> Self {
        let shared = Arc::new(Shared::default());
        let hasty = Arc::clone(&shared);
        let slow = Arc::clone(&shared);
        let threads = vec![
            thread::spawn(move || scrape(address, &hasty)),
            thread::spawn(move || dawdle(address, &slow)),
        ];
        Self { shared, threads }
    }

    /// Scrapes that had an answer.
    pub(super) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.leaves.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            // It has nothing to say, and a panic of its own said itself.
            thread.join().ok();
        }
    }
}

fn scrape(address: SocketAddr, shared: &Shared) {
    let mut next = Instant::now();
    while shared.stays() {
        let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let mut answer = Vec::new();
        let answered = TcpStream::connect_timeout(&address, PATIENCE).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(request.as_bytes())?;
            stream.read_to_end(&mut answer)
        });
        if answered.is_ok() && answer.starts_with(b"HTTP/1.1 ") {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        next += BETWEEN_SCRAPES;
        thread::park_timeout(next.saturating_duration_since(Instant::now()));
    }
}

fn dawdle(address: SocketAddr, shared: &Shared) {
    let mut guests = Vec::new();
    while shared.stays() {
        guests.retain_mut(|guest: &mut TcpStream| guest.write_all(b"G").is_ok());
        while guests.len() < SLOW {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(guest) => guests.push(guest),
                // The agent has ended.
                Err(_) => break,
            }
        }
        thread::park_timeout(BETWEEN_BYTES);
    }
}
