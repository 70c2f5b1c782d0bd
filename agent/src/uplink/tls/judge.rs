//! How a server is verified: its certificates in one of several ways, its signature always in the
//! same.
//!
//! A [`Judge`] says whether what a server shows is good. That the server holds the key of what it
//! shows is proved by a signature in the handshake, which [`Verifier`] checks for all of them.

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// What a server shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain<'a> {
    /// Its own certificate.
    pub(super) leaf: &'a CertificateDer<'a>,
    /// Those that it sends along.
    pub(super) others: &'a [CertificateDer<'a>],
    /// The name that it must have.
    pub(super) name: &'a ServerName<'a>,
}

/// Says whether what a server shows is good at a moment.
pub(super) trait Judge: Debug + Send + Sync {
    fn judge(&self, chain: Chain<'_>, at: UnixTime) -> Result<(), Error>;
}

/// The usual way: the chain leads up to a trusted authority, and names and dates are right.
impl Judge for Arc<WebPkiServerVerifier> {
    fn judge(&self, chain: Chain<'_>, at: UnixTime) -> Result<(), Error> {
        self.verify_server_cert(chain.leaf, chain.others, chain.name, &[], at)
            .map(drop)
    }
}

/// What rustls asks.
#[derive(Debug)]
pub(super) struct Verifier {
    judge: Box<dyn Judge>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    pub(super) fn new(judge: Box<dyn Judge>, provider: Arc<CryptoProvider>) -> Self {
        Self { judge, provider }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = Chain { leaf, others, name };
        self.judge.judge(chain, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
