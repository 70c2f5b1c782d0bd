//! What /etc/hosts and /etc/resolv.conf say (hosts(5), resolv.conf(5)).
//!
//! Both are read when a look-up starts, so a change is seen without a restart. A line that cannot
//! be understood is passed over, as every resolver does; without a usable name server the one on
//! this device is asked, as resolv.conf(5) says.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};

use nix::net::if_::if_nametoindex;

use super::dns::Addresses;

/// More of either file is not read.
const FILE_BYTES: u64 = 64 * 1024;
/// resolv.conf(5) allows three name servers.
const MAX_SERVERS: usize = 3;
/// And six domains to search.
const MAX_SEARCH: usize = 6;

/// What resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// Whom to ask, in this order. Never empty.
    pub servers: heapless::Vec<SocketAddr, MAX_SERVERS>,
    search: heapless::Vec<Box<str>, MAX_SEARCH>,
}

impl ResolvConf {
    /// Reads the text of a resolv.conf.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: heapless::Vec::new(),
            search: heapless::Vec::new(),
        };
        for line in text.lines() {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => {
                    if let Some(server) = words.next().and_then(name_server) {
                        // The fourth is not asked.
                        let _ = conf.servers.push(server);
                    }
                }
                Some("search" | "domain") => {
                    // The last such line wins.
                    // A domain that is only a dot is the root: the name as it is, which is asked for
                    // anyway.
                    let domains = words.filter(|domain| *domain != ".");
                    conf.search = domains.map(Box::from).take(MAX_SEARCH).collect();
                }
                _ => {}
            }
        }
        if conf.servers.is_empty() {
            let _ = conf
                .servers
                .push(SocketAddr::from((Ipv4Addr::LOCALHOST, 53)));
        }
        conf
    }

    /// How many names `host` may stand for.
    pub fn candidates(&self, host: &str) -> usize {
        if is_short(host) {
            self.search.len() + 1
        } else {
            1
        }
    }

    /// The name to ask for: a name without a dot is tried in each searched domain first.
    pub fn candidate(&self, host: &str, at: usize) -> Box<str> {
        match self.search.get(at) {
            Some(domain) if is_short(host) => format!("{host}.{domain}").into(),
            _ => host.into(),
        }
    }
}

/// A name server's address. That of a link, as in `fe80::1%eth0`, has the link's name or number
/// (RFC 4007, section 11); a router that announces itself (RFC 8106) often gives no other.
fn name_server(word: &str) -> Option<SocketAddr> {
    let Some((address, zone)) = word.split_once('%') else {
        return Some(SocketAddr::new(word.parse().ok()?, 53));
    };
    let number = zone.parse().ok().or_else(|| if_nametoindex(zone).ok())?;
    Some(SocketAddrV6::new(address.parse().ok()?, 53, 0, number).into())
}

fn is_short(host: &str) -> bool {
    !host.contains('.')
}

/// The text of /etc/hosts.
pub fn read_hosts() -> Option<String> {
    read("/etc/hosts")
}

/// What /etc/resolv.conf says now.
pub fn read_resolv_conf() -> ResolvConf {
    ResolvConf::parse(&read("/etc/resolv.conf").unwrap_or_default())
}

fn read(path: &str) -> Option<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(FILE_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The addresses that the text of a hosts file gives for `host`.
pub fn hosts_addresses(text: &str, host: &str) -> Addresses {
    let bare = host.trim_end_matches('.');
    let mut addresses = Addresses::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else {
            continue;
        };
        if words.any(|name| name.eq_ignore_ascii_case(bare)) {
            // What does not fit is not tried.
            let _ = addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_hosts_file_gives_all_addresses_of_a_name() {
        let text = "127.0.0.1 localhost # me\n10.0.0.5\tHub hub.lan\nbroken line\n\
                    ::1 localhost\n# 10.0.0.6 hub\n2001:db8::5 hub\n";
        assert_eq!(
            hosts_addresses(text, "hub"),
            [
                "10.0.0.5".parse::<IpAddr>().unwrap(),
                "2001:db8::5".parse().unwrap()
            ]
        );
        assert_eq!(
            hosts_addresses(text, "HUB.lan."),
            ["10.0.0.5".parse::<IpAddr>().unwrap()]
        );
        assert!(hosts_addresses(text, "me").is_empty());
        assert!(hosts_addresses(text, "10.0.0.5").is_empty());
    }

    #[test]
    fn a_hosts_file_of_many_addresses_gives_the_first_ones() {
        use std::fmt::Write;
        let mut text = String::new();
        for n in 0..100 {
            writeln!(text, "10.0.0.{n} hub").unwrap();
        }
        assert_eq!(
            hosts_addresses(&text, "hub").len(),
            super::super::dns::MAX_ADDRESSES
        );
    }

    #[test]
    fn name_servers_come_in_their_order_and_three_at_most() {
        let conf = ResolvConf::parse(
            "# by dhcp\nnameserver 10.0.0.1\nnameserver bogus\nnameserver fe80::1%gone0\n\
             nameserver 2001:db8::53\noptions ndots:1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[2001:db8::53]:53", "10.0.0.2:53"]);
    }

    #[test]
    fn a_name_server_of_a_link_is_asked_on_that_link() {
        let conf = ResolvConf::parse(
            "nameserver fe80::1%lo\nnameserver fe80::2%7\nnameserver fe80::3%no/../such\n\
             nameserver 10.0.0.1%lo\nnameserver fe80::4%\nnameserver fe80::5\n",
        );
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(
            servers,
            ["[fe80::1%1]:53", "[fe80::2%7]:53", "[fe80::5]:53"]
        );
    }

    #[test]
    fn without_a_name_server_this_device_is_asked() {
        for text in ["", "search lan\n", "nameserver\n", "\u{0}\u{0}"] {
            assert_eq!(
                ResolvConf::parse(text).servers,
                ["127.0.0.1:53".parse().unwrap()]
            );
        }
    }

    #[test]
    fn a_short_name_is_searched_and_a_full_one_is_not() {
        let conf = ResolvConf::parse("domain old\nsearch lan example.com\n");
        let names: Vec<_> = (0..conf.candidates("hub"))
            .map(|at| conf.candidate("hub", at))
            .collect();
        assert_eq!(
            names,
            [
                "hub.lan".into(),
                "hub.example.com".into(),
                Box::<str>::from("hub")
            ]
        );
        let conf = ResolvConf::parse("search . lan\n");
        assert_eq!(conf.candidates("hub"), 2);
        assert_eq!(&*conf.candidate("hub", 0), "hub.lan");
        assert_eq!(&*conf.candidate("hub", 1), "hub");
        assert_eq!(conf.candidates("hub.lan"), 1);
        assert_eq!(&*conf.candidate("hub.lan", 0), "hub.lan");
    }
}
