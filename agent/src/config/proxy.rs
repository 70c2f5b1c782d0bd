//! The proxy that requests go through, and the hosts that are reached without it.
//!
//! `http://user:password@host:port` as in `HTTPS_PROXY`: a proxy that is spoken to in the clear and
//! asked to `CONNECT` (RFC 9110, section 9.3.6), so what it carries is TLS from end to end. User
//! and password are percent-encoded. Words about a wrong one never quote it: there may be a
//! password in it.

use std::net::IpAddr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::Secret;
use super::server_url::is_loopback;
use super::value::list;

/// Where a URL says none.
const USUAL_PORT: u16 = 80;
/// The whole value: a request for a tunnel must fit into one line with room to spare.
const MAX_BYTES: usize = 2048;

/// A proxy.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its name or address; an IPv6 address is in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    credentials: Option<Secret>,
}

impl Proxy {
    /// Reads a proxy's URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |words: &str| {
            format!("proxy {words}: write it like http://proxy.example.com:3128, or leave it empty")
        };
        if text.len() > MAX_BYTES || text.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err(wrong(
                "is longer than 2 KiB, or has characters that a URL cannot have",
            ));
        }
        let rest = match text.split_once("://") {
            Some(("http", rest)) => rest,
            Some(_) => return Err(wrong("is not an http: proxy, and mote speaks to no other")),
            // As `HTTPS_PROXY` is written now and then.
            None => text,
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (credentials, authority) = match rest.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, rest),
        };
        let (host, port) = match authority.rsplit_once(':') {
            // A colon within brackets is part of an address.
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().ok().filter(|&port| port > 0);
                let port = port.ok_or_else(|| wrong("has no port from 1 to 65535 at its end"))?;
                (host, port)
            }
            _ => (authority, USUAL_PORT),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']')?.parse::<IpAddr>().ok())
            .is_some();
        if host.is_empty() || !(is_address || host.chars().all(is_name)) {
            return Err(wrong("has no host"));
        }
        let credentials = match credentials.map(percent_decoded) {
            Some(None) => {
                return Err(wrong(
                    "has a user or a password that cannot be read (write % as %25)",
                ));
            }
            Some(Some(decoded)) => Some(Secret::new(decoded)),
            None => None,
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            credentials,
        })
    }

    /// The value of `Proxy-Authorization`, if the proxy wants to know who asks (RFC 7617).
    pub fn authorization(&self) -> Option<String> {
        let credentials = self.credentials.as_ref()?.expose();
        let colon = if credentials.contains(':') { "" } else { ":" };
        let both = format!("{credentials}{colon}");
        Some(format!("Basic {}", BASE64_STANDARD.encode(both)))
    }
}

/// The hosts in `text`, with commas or blanks between them: `host.example.com`, a whole domain as
/// `example.com` or `.example.com`, an address, a network as `10.0.0.0/8`, or `*`. A port behind one
/// of them, as some programs know it, says nothing: a host is reached directly or not.
pub fn exempt(text: &str) -> Result<Vec<String>, String> {
    let mut entries = list(&text.replace(char::is_whitespace, ","));
    for entry in &mut entries {
        if let Some((address, bits)) = entry.split_once('/') {
            let most = match address.trim_matches(['[', ']']).parse() {
                Ok(IpAddr::V4(_)) => 32,
                Ok(IpAddr::V6(_)) => 128,
                Err(_) => 0,
            };
            if most == 0 || !bits.parse().is_ok_and(|bits: u8| bits <= most) {
                return Err(format!(
                    "{entry:?} is not a network: write it like 10.0.0.0/8"
                ));
            }
        } else if let Some((host, port)) = entry.rsplit_once(':')
            && (host.ends_with(']') || !host.contains(':'))
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            *entry = host.to_owned();
        }
    }
    // A lone dot or port names nobody, and would fit everybody.
    entries.retain(|entry| !entry.trim_matches('.').is_empty());
    Ok(entries)
}

/// Which hosts are reached through which proxy.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    proxy: Option<Proxy>,
    exempt: Vec<String>,
}

impl Proxies {
    /// All hosts through `proxy` but those that `exempt` names, as [`exempt`] gives them.
    pub fn new(proxy: Option<Proxy>, exempt: Vec<String>) -> Self {
        Self { proxy, exempt }
    }

    /// The proxy for `host`, which is as in a URL; `None` if it is reached directly.
    ///
    /// This device's own loopback is never reached through a proxy.
    pub fn for_host(&self, host: &str) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let address = bare.parse::<IpAddr>().ok();
        let is_exempt = || {
            let mut exempt = self.exempt.iter();
            exempt.any(|entry| match address {
                Some(address) => entry == "*" || holds(entry, address),
                None => names(entry, bare),
            })
        };
        (!is_loopback(host) && !is_exempt()).then_some(proxy)
    }
}

/// Whether `entry` is the name `host`, or a domain that it is in.
fn names(entry: &str, host: &str) -> bool {
    let entry = entry.strip_prefix('*').unwrap_or(entry);
    let domain = entry.strip_prefix('.').unwrap_or(entry);
    let host = host.strip_suffix('.').unwrap_or(host);
    let Some(front) = host.len().checked_sub(domain.len()) else {
        return false;
    };
    // Not at a letter's end if the name is none: then it is no domain either.
    let is_end = host
        .get(front..)
        .is_some_and(|end| end.eq_ignore_ascii_case(domain));
    is_end && (front == 0 || domain.is_empty() || host[..front].ends_with('.'))
}

/// Whether `entry` is `address`, or a network that it is in.
fn holds(entry: &str, address: IpAddr) -> bool {
    let (network, bits) = match entry.split_once('/') {
        Some((network, bits)) => (network, bits.parse::<u32>().ok()),
        None => (entry, Some(u32::MAX)),
    };
    let network = network.trim_start_matches('[').trim_end_matches(']');
    let Some(bits) = bits else { return false };
    match (network.parse(), address) {
        (Ok(IpAddr::V4(network)), IpAddr::V4(address)) => {
            let differs = u32::from(network) ^ u32::from(address);
            differs.leading_zeros() >= bits.min(32)
        }
        (Ok(IpAddr::V6(network)), IpAddr::V6(address)) => {
            let differs = u128::from(network) ^ u128::from(address);
            differs.leading_zeros() >= bits.min(128)
        }
        _ => false,
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        // A sign would pass for a digit below.
        let digits = str::from_utf8(digits)
            .ok()
            .filter(|d| !d.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, u16, Option<String>) {
        let proxy = Proxy::parse(text).unwrap();
        let authorization = proxy.authorization();
        (proxy.host, proxy.port, authorization)
    }

    #[test]
    fn a_proxy_is_read_as_it_is_written_in_the_wild() {
        for (text, host, port, authorization) in [
            ("http://proxy.lan:3128", "proxy.lan", 3128, None),
            ("http://proxy.lan/", "proxy.lan", 80, None),
            ("proxy.lan:8080", "proxy.lan", 8080, None),
            ("http://[2001:db8::7]:3128", "[2001:db8::7]", 3128, None),
            ("http://[2001:db8::7]", "[2001:db8::7]", 80, None),
            // The example of RFC 7617, section 2.
            (
                "http://Aladdin:open%20sesame@192.0.2.7:8080",
                "192.0.2.7",
                8080,
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
            ("http://a%40b:@p:1", "p", 1, Some("Basic YUBiOg==")),
            ("http://user@p:1", "p", 1, Some("Basic dXNlcjo=")),
        ] {
            let expected = (host.to_owned(), port, authorization.map(str::to_owned));
            assert_eq!(parsed(text), expected, "{text}");
        }
    }

    #[test]
    fn a_wrong_one_is_told_without_its_password() {
        for text in [
            "socks5://s3cret:s3cret@proxy.lan:1080",
            "https://s3cret@proxy.lan",
            "http://s3cret@",
            "http://s3cret@proxy.lan:0",
            "http://s3cret@proxy.lan:99999",
            "http://s3cret@proxy.lan:3128/path",
            "http://s3cret%zz@proxy.lan",
            "http://s3cret%+1@proxy.lan",
            "http://s3cret%e4@proxy.lan",
            "http://s3cret@pro xy.lan",
            "http://s3cret@proxy.lan\r\nX: y",
            "http://[proxy.lan]:1",
            "",
        ] {
            let words = Proxy::parse(text).unwrap_err();
            assert!(words.starts_with("proxy "), "{words}");
            assert!(words.contains("write it like http://"), "{words}");
            assert!(!words.contains("s3cret"), "{words}");
        }
        assert!(Proxy::parse(&"a".repeat(MAX_BYTES + 1)).is_err());
    }

    #[test]
    fn a_proxy_does_not_show_its_password() {
        let proxy = Proxy::parse("http://user:s3cret@proxy.lan").unwrap();
        let shown = format!("{proxy:?}");
        assert!(shown.contains("proxy.lan") && !shown.contains("s3cret"));
    }

    #[test]
    fn exempt_hosts_are_read_as_they_are_written_in_the_wild() {
        let text =
            "hub.lan:8443 , 10.0.0.0/8,.lan\tb.lan [2001:db8::7]:443,2001:db8::7,10.1.2.3/32";
        let entries = [
            "hub.lan",
            "10.0.0.0/8",
            ".lan",
            "b.lan",
            "[2001:db8::7]",
            "2001:db8::7",
            "10.1.2.3/32",
        ];
        assert_eq!(exempt(text).unwrap(), entries);
        assert_eq!(exempt(". a.lan :443,..").unwrap(), ["a.lan"]);
        for text in [
            "10.1.2.3/33",
            "a.lan,10.0.0.0/x",
            "2001:db8::/129",
            "hub/8",
            "10.0.0.0/",
        ] {
            let words = exempt(text).unwrap_err();
            assert!(words.contains("write it like 10.0.0.0/8"), "{words}");
        }
    }

    #[test]
    fn exempt_hosts_and_this_device_are_reached_directly() {
        let proxy = Proxy::parse("proxy.lan:3128").unwrap();
        let through = |exempt: &[&str], host: &str| {
            let exempt = exempt.iter().map(|&entry| entry.to_owned()).collect();
            let proxies = Proxies::new(Some(proxy.clone()), exempt);
            proxies.for_host(host).is_some()
        };
        for host in ["localhost", "Localhost.", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(!through(&[], host), "{host}");
        }
        for (entry, host, direct) in [
            ("hub.example.com", "hub.example.com", true),
            ("Example.COM", "hub.example.com.", true),
            (".example.com", "hub.example.com", true),
            (".example.com", "example.com", true),
            ("*.example.com", "hub.example.com", true),
            ("example.com", "notexample.com", false),
            ("hub.example.com", "example.com", false),
            ("*", "hub.example.com", true),
            ("*", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/29", "192.0.2.8", false),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("2001:db8::/32", "[2001:db8::7]", true),
            ("2001:db8::7", "[2001:db8::8]", false),
            ("192.0.2.0/x", "192.0.2.0", false),
            ("2.7", "192.0.2.7", false),
        ] {
            assert_eq!(!through(&[entry], host), direct, "{entry} {host}");
        }
        assert!(Proxies::default().for_host("hub.example.com").is_none());
    }
}
