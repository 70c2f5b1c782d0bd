//! Finds the addresses of a server without libc's resolver, which would block.
//!
//! They are asked for before every request, also when a kept connection is there, so that there are
//! good ones when it is not. So the usual answer must cost nothing: a literal address, /etc/hosts,
//! or what was looked up before. A name whose time is up is answered with the last good addresses
//! at once, and looked up anew beside; a kept connection waits for no look-up at all. So a name
//! server that falls silent never disturbs a connection that works.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use http::Uri;

use super::dns::{Addresses, Lookup, MAX_ADDRESSES};
use super::error::{DeliveryError, Phase};
use super::link::Link;
use crate::clock;
use crate::config::proxy::Proxies;

/// How long a name server is waited for that may know better than the last good addresses.
const SPARE_MS: u64 = 1_500;

/// As many as are tried.
pub type SocketAddrs = heapless::Vec<SocketAddr, MAX_ADDRESSES>;

/// Looks names up on the reactor.
#[derive(Debug)]
pub struct Names {
    link: Rc<Link>,
    proxies: Rc<Proxies>,
}

impl Names {
    /// Look-ups that wait on `link`.
    pub fn new(link: Rc<Link>, proxies: Rc<Proxies>) -> Self {
        Self { link, proxies }
    }

    /// Has the addresses for `uri` looked up beside, if they are old: somebody may need them soon.
    pub fn refresh(&self, uri: &Uri) {
        let (host, _) = self.place(uri);
        if literal(host).is_none() {
            // A failure is told to whoever waits for them.
            self.link.reactor().stub.look_up(host, clock::boot_ms());
        }
    }

    fn addresses(&self, host: &str) -> Result<Addresses, DeliveryError> {
        if let Some(address) = literal(host) {
            return Ok(Addresses::from_iter([address]));
        }
        let known = self.link.reactor().stub.look_up(host, clock::boot_ms());
        match known {
            Lookup::Known(addresses) => return Ok(addresses),
            Lookup::Asked { spare: false } => self.link.looked_up(u64::MAX)?,
            // The last good addresses may do: a name server that is gone does not get the time
            // that connecting to them takes.
            Lookup::Asked { spare: true } => {
                let now_ms = clock::boot_ms();
                let left_ms = self.link.deadline_ms().saturating_sub(now_ms);
                self.link.looked_up(now_ms + SPARE_MS.min(left_ms / 2))?;
            }
            Lookup::Failed(error) => return Err(error),
        }
        let mut reactor = self.link.reactor();
        reactor.stub.outcome(host)
    }

    /// Where to connect to for `uri`: the server's addresses, or its proxy's.
    pub fn resolve(&self, uri: &Uri) -> Result<SocketAddrs, DeliveryError> {
        self.link.enter(Phase::Dns);
        let (host, port) = self.place(uri);
        let addresses = self.addresses(host)?;
        let addresses = addresses.into_iter();
        Ok(addresses
            .map(|address| SocketAddr::new(address, port))
            .collect())
    }

    /// Host and port to connect to: the server's, or its proxy's, for behind one the server's own
    /// name may be known to the proxy alone.
    fn place<'a>(&'a self, uri: &'a Uri) -> (&'a str, u16) {
        let host = uri.host().unwrap_or_default();
        match self.proxies.for_host(host) {
            Some(proxy) => (&*proxy.host, proxy.port),
            None => (host, port_of(uri)),
        }
    }
}

/// The port of a URL, or the usual one of its scheme.
pub fn port_of(uri: &Uri) -> u16 {
    uri.port_u16().unwrap_or(usual_port(uri))
}

/// The usual port of a URL's scheme.
pub fn usual_port(uri: &Uri) -> u16 {
    match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    }
}

/// An address written in the URL.
fn literal(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(address));
    }
    let inner = host.strip_prefix('[')?.strip_suffix(']')?;
    inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_needs_no_look_up() {
        assert_eq!(literal("192.0.2.7"), Some("192.0.2.7".parse().unwrap()));
        assert_eq!(
            literal("[2001:db8::7]"),
            Some("2001:db8::7".parse().unwrap())
        );
        assert_eq!(literal("2001:db8::7"), None);
        assert_eq!(literal("example.com"), None);
        assert_eq!(literal("1.2.3"), None);
    }
}
