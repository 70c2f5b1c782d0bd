//! What Prometheus does to an exporter: asks for everything, over a kept connection, in gzip.

use std::io::{self, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use super::super::LONG;
use super::http;
use crate::wait::{TimedOut, poll_until};

/// A connection to an exporter.
#[derive(Debug)]
pub(in crate::bench) struct Scraper {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Scraper {
    /// Connects as soon as the exporter listens.
    pub(in crate::bench) fn connect(address: SocketAddr) -> Result<Self, TimedOut> {
        let stream = poll_until("the exporter to listen", LONG, || {
            let stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(LONG)).ok()?;
            Some(BufReader::new(stream))
        })?;
        Ok(Self { address, stream })
    }

    pub(in crate::bench) fn scrape(&mut self) -> io::Result<()> {
        self.scrape_with("Accept-Encoding: gzip\r\n")
    }

    /// Without gzip, which would be a part of the cost for those who have it.
    pub(in crate::bench) fn scrape_plain(&mut self) -> io::Result<()> {
        self.scrape_with("")
    }

    fn scrape_with(&mut self, fields: &str) -> io::Result<()> {
        let address = self.address;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        match http::read_message(&mut self.stream)? {
            Some(status) if status.contains(" 200 ") => Ok(()),
            status => Err(io::Error::other(format!(
                "the exporter answered {status:?}"
            ))),
        }
    }
}
