//! A server that takes whatever is posted to it, and counts.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::http;
use crate::wait::{TimedOut, lock};

const ANSWER: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\n\
    Content-Length: 21\r\n\r\n{\"status\":\"accepted\"}";

/// Listens on loopback until dropped.
#[derive(Debug)]
pub(super) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    posts: Mutex<u64>,
    grown: Condvar,
    closed: AtomicBool,
}

impl Sink {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        thread::Builder::new().spawn(move || theirs.listen(&listener))?;
        Ok(Self { address, shared })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many whole requests came.
    pub(super) fn posts(&self) -> u64 {
        *lock(&self.shared.posts)
    }

    /// Waits until there were so many.
    pub(super) fn wait_for(&self, posts: u64, timeout: Duration) -> Result<(), TimedOut> {
        let fewer = |count: &mut u64| *count < posts;
        let guard = lock(&self.shared.posts);
        let waited = self.shared.grown.wait_timeout_while(guard, timeout, fewer);
        let count = *waited.unwrap_or_else(PoisonError::into_inner).0;
        if count < posts {
            let words = format!("waited {timeout:?} for {posts} requests, {count} came");
            return Err(TimedOut(words));
        }
        Ok(())
    }
}

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.closed.load(Ordering::Relaxed) {
                return;
            }
            let shared = Arc::clone(&self);
            if let Ok(stream) = stream {
                // A client that goes away in the midst of a request is not counted, and no error.
                thread::spawn(move || shared.serve(&stream).ok());
            }
        }
    }

    fn serve(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream);
        while http::read_message(&mut reader)?.is_some() {
            stream.write_all(ANSWER)?;
            *lock(&self.posts) += 1;
            self.grown.notify_all();
        }
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        // Wakes the listener. If that fails, it has ended.
        TcpStream::connect(self.address).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn whole_requests_are_answered_and_counted() {
        let sink = Sink::start().unwrap();
        let mut client = TcpStream::connect(sink.address).unwrap();
        for posts in 1..=2 {
            client
                .write_all(b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
                .unwrap();
            let mut answer = [0; ANSWER.len()];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, ANSWER);
            sink.wait_for(posts, Duration::from_secs(5)).unwrap();
        }
        client.write_all(b"POST /a HTTP/1.1\r\n").unwrap();
        assert!(sink.wait_for(3, Duration::from_millis(20)).is_err());
        assert_eq!(sink.posts(), 2);
    }
}
