//! TLS by rustls over our socket, and what is trusted.
//!
//! Everything that rustls reads or writes goes through [`Socket`], which waits in the reactor, so
//! a handshake that hangs delays nothing. What rustls refuses is recorded in the attempt as what
//! it was.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use ureq::unversioned::transport::{Buffers, LazyBuffers, NextTimeout, Transport};

use super::dial::{Socket, note_answer, room};
use super::error::{DeliveryError, Phase};

/// How connections are protected.
#[derive(Debug, Clone)]
pub struct TlsSettings(Arc<ClientConfig>);

impl TlsSettings {
    /// Trusts the certificates in `ca_file`, or else the roots that are built in.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, Box<str>> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(path) => trust_file(&mut roots, path)?,
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // One or two servers: a ticket or two for each is enough to resume with.
        config.resumption = Resumption::in_memory_sessions(4);
        Ok(Self(Arc::new(config)))
    }
}

fn trust_file(roots: &mut RootCertStore, path: &Path) -> Result<(), Box<str>> {
    let place = path.display();
    let certificates = CertificateDer::pem_file_iter(path)
        .map_err(|error| format!("tls.ca_file {place}: {error}"))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| format!("tls.ca_file {place}: {error}"))?;
        roots.add(certificate).map_err(|error| {
            format!("tls.ca_file {place}: a certificate in it cannot be used: {error}")
        })?;
    }
    if roots.is_empty() {
        return Err(format!(
            "tls.ca_file {place}: no certificate in it: it must hold PEM, with lines like \
             \"-----BEGIN CERTIFICATE-----\""
        )
        .into());
    }
    Ok(())
}

/// HTTP over TLS.
pub struct TlsTransport {
    socket: Socket,
    tls: ClientConnection,
    buffers: LazyBuffers,
}

impl TlsTransport {
    /// Shakes hands with `host` over `socket`.
    pub fn connect(
        mut socket: Socket,
        settings: &TlsSettings,
        host: &str,
        buffers: LazyBuffers,
    ) -> Result<Self, ureq::Error> {
        socket.link().enter(Phase::Tls);
        // An IPv6 literal stands in brackets in a URL, and without them in a certificate.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(name) = ServerName::try_from(bare.to_owned()) else {
            let words = format!("{host} cannot be the name of a TLS server").into();
            return Err(socket.link().fail(DeliveryError::TlsSettings(words)));
        };
        let mut tls = match ClientConnection::new(Arc::clone(&settings.0), name) {
            Ok(tls) => tls,
            Err(error) => return Err(socket.link().fail(DeliveryError::Tls(error))),
        };
        while tls.is_handshaking() {
            if let Err(error) = tls.complete_io(&mut socket) {
                return Err(refused(&socket, error));
            }
        }
        Ok(Self {
            socket,
            tls,
            buffers,
        })
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        let output = &self.buffers.output()[..amount];
        let mut stream = Stream::new(&mut self.tls, &mut self.socket);
        let written = stream.write_all(output).and_then(|()| stream.flush());
        written.map_err(|error| refused(&self.socket, error))
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        let room = room(self.socket.link(), &mut self.buffers)?;
        let read = Stream::new(&mut self.tls, &mut self.socket).read(room);
        let bytes = read.map_err(|error| refused(&self.socket, error))?;
        note_answer(self.socket.link(), bytes);
        self.buffers.input_appended(bytes);
        Ok(bytes > 0)
    }

    fn is_open(&mut self) -> bool {
        // What arrives between requests is a session ticket or a change of keys, which rustls
        // takes in, or the end. Anything else makes the connection useless.
        while let Some(arrived) = self.socket.peek() {
            if !matches!(arrived, Ok(1..)) {
                return false;
            }
            let taken = self.tls.read_tls(&mut self.socket);
            if !matches!(taken, Ok(1..)) {
                return false;
            }
            match self.tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() == 0 && !state.peer_has_closed() => {}
                _ => return false,
            }
        }
        true
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TlsTransport").field(&self.socket).finish()
    }
}

/// What an error out of rustls's loops is: our socket's, rustls's own, or an end without notice.
///
/// An end without `close_notify` is never passed on as an end: a cut answer would look whole.
fn refused(socket: &Socket, error: io::Error) -> ureq::Error {
    let link = socket.link();
    let phase = link.attempt().phase;
    let kind = error.kind();
    let inner = error.into_inner();
    let recorded = match inner.map(<dyn Error + Send + Sync>::downcast::<rustls::Error>) {
        Some(Ok(tls)) => DeliveryError::Tls(*tls),
        // Ours: recorded already, this one is ignored.
        Some(Err(_)) | None if kind != io::ErrorKind::UnexpectedEof => {
            DeliveryError::Protocol(kind.to_string().into())
        }
        _ => DeliveryError::Closed(phase),
    };
    link.fail(recorded)
}
