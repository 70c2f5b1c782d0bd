//! A small client: sends bytes, reads one answer strictly, over TLS or without.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use mote_tests::hub::Hub;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::LONG;

/// A request, right until something is changed.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) line: String,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Post {
    /// The documented sample number `n`.
    pub(crate) fn sample(n: u32) -> Self {
        let body = format!(
            "{{\"hostname\":\"box\",\"cpu_percent\":12.5,\"memory_percent\":45,\"disk_percent\":70.1,\
             \"network_bytes_sent\":{n},\"network_bytes_recv\":{n},\
             \"timestamp\":\"2025-10-10T16:32:42.118Z\"}}"
        );
        let headers = [
            ("Host", "127.0.0.1"),
            ("Authorization", "Bearer demo-key"),
            ("Content-Type", "application/json"),
            ("User-Agent", "mote/0.1.0"),
            ("Idempotency-Key", &format!("box-1-{n}")),
        ];
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        Self {
            line: "POST /agent/metrics HTTP/1.1".into(),
            headers,
            body,
        }
    }

    /// Sets a header; an empty value takes it away.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        if !value.is_empty() {
            self.headers.push((name.into(), value.into()));
        }
        self
    }

    /// Adds a header, whether or not there is one of its name.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn with_line(self, line: &str) -> Self {
        Self {
            line: line.into(),
            ..self
        }
    }

    pub(crate) fn with_body(self, body: &str) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{}\r\n", self.line);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text + &format!("Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

/// An answer that came whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Client")
    }
}

/// A client's settings that trust the hub's authority and nothing else.
pub(crate) fn trusting(hub: &Hub) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(hub.ca_pem_path()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

impl Client {
    /// Connects; over TLS the handshake is done, and the hub's name checked, when it returns.
    pub(crate) fn connect(hub: &Hub) -> io::Result<Self> {
        let tcp = connect_tcp(hub)?;
        if hub.is_plain() {
            return Ok(Self {
                stream: Box::new(tcp),
            });
        }
        Self::handshake(tcp, trusting(hub), "127.0.0.1")
    }

    pub(crate) fn handshake(
        mut tcp: TcpStream,
        config: Arc<ClientConfig>,
        name: &'static str,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name).unwrap();
        let mut tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(Self {
            stream: Box::new(StreamOwned::new(tls, tcp)),
        })
    }

    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes())?;
        self.stream.flush()
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, post: &Post) -> io::Result<Reply> {
        self.send(&post.to_text())?;
        self.reply()
    }

    /// One byte; none at a clean end.
    pub(crate) fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.stream.read(&mut byte)? == 1).then_some(byte[0]))
    }

    /// Exactly this many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).map(|()| bytes)
    }

    /// Bytes until the empty line, that included.
    pub(crate) fn head(&mut self) -> io::Result<String> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.byte()?.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        String::from_utf8(head).map_err(io::Error::other)
    }

    /// Reads one answer whose body has a length.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let head = self.head()?;
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let status = status.ok_or_else(|| io::Error::other(format!("no status: {head}")))?;
        let mut reply = Reply {
            status,
            headers,
            body: String::new(),
        };
        let length = reply
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let body = self.bytes(length.unwrap_or_default())?;
        reply.body = String::from_utf8(body).map_err(io::Error::other)?;
        Ok(reply)
    }
}

pub(crate) fn connect_tcp(hub: &Hub) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(hub.address())?;
    tcp.set_read_timeout(Some(LONG))?;
    tcp.set_write_timeout(Some(LONG))?;
    Ok(tcp)
}
