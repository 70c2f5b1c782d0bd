//! Serves the agent's own page with a status and a history that a test has made.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;

#[derive(Debug)]
struct Told {
    page: Vec<u8>,
    /// The headers that the agent gives the page.
    policy: String,
    status: Mutex<Value>,
    history: Mutex<Value>,
    is_over: AtomicBool,
}

/// A server on a free port of loopback. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Stand {
    told: Arc<Told>,
    address: SocketAddr,
    reception: Option<JoinHandle<()>>,
}

impl Stand {
    /// `policy` is the page's `Content-Security-Policy`.
    pub(crate) fn start(page: Vec<u8>, policy: String, status: Value, history: Value) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Told {
            page,
            policy,
            status: Mutex::new(status),
            history: Mutex::new(history),
            is_over: AtomicBool::new(false),
        });
        let for_reception = Arc::clone(&told);
        let reception = thread::spawn(move || {
            for stream in listener.incoming() {
                if for_reception.is_over.load(Ordering::SeqCst) {
                    break;
                }
                let told = Arc::clone(&for_reception);
                // A browser opens connections before it has anything to ask; each ends with it.
                thread::spawn(move || stream.and_then(|stream| told.answer(stream)).ok());
            }
        });
        Self {
            told,
            address,
            reception: Some(reception),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Changes what the next question for the status is answered with.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut Value)) {
        change(&mut self.told.status.lock().unwrap());
    }
}

impl Told {
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let asked = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        while lines
            .next()
            .transpose()?
            .is_some_and(|line| !line.is_empty())
        {}
        let json = |value: &Mutex<Value>| value.lock().unwrap().to_string().into_bytes();
        let (kind, body) = match asked.split(' ').nth(1) {
            Some("/") => ("text/html; charset=utf-8", self.page.clone()),
            Some("/api/status") => ("application/json", json(&self.status)),
            Some(path) if path.starts_with("/api/history?span=") => {
                ("application/json", json(&self.history))
            }
            _ => return Ok(()),
        };
        let (policy, length) = (&self.policy, body.len());
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Security-Policy: {policy}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&body)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.told.is_over.store(true, Ordering::SeqCst);
        // Wakes the reception, which then sees that it is over.
        TcpStream::connect(self.address).ok();
        if let Some(reception) = self.reception.take() {
            reception.join().ok();
        }
    }
}
