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
/// And no more dots than this in `ndots`.
const MAX_DOTS: usize = 15;

/// What resolv.conf says.
#[derive(Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// Whom to ask, in this order. Never empty.
    pub servers: heapless::Vec<SocketAddr, MAX_SERVERS>,
    search: heapless::Vec<Box<str>, MAX_SEARCH>,
    /// A name with so many dots is asked for as it is first.
    dots: usize,
}

impl ResolvConf {
    /// Reads the text of a resolv.conf.
    pub fn parse(text: &str) -> Self {
        let mut conf = Self {
            servers: heapless::Vec::new(),
            search: heapless::Vec::new(),
            dots: 1,
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
                Some("options") => {
                    let mut dots =
                        words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    conf.dots = dots.next_back().unwrap_or(conf.dots).min(MAX_DOTS);
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

    /// How many names `host` may stand for. One that ends with a dot stands for itself.
    pub fn candidates(&self, host: &str) -> usize {
        if host.ends_with('.') {
            1
        } else {
            self.search.len() + 1
        }
    }

    /// The name to ask for: in each searched domain, and as it is; that first if it has the dots of
    /// a full name, else last.
    pub fn candidate(&self, host: &str, at: usize) -> Box<str> {
        let is_full = host.matches('.').count() >= self.dots || host.ends_with('.');
        let domain = at.checked_sub(usize::from(is_full));
        match domain.and_then(|at| self.search.get(at)) {
            Some(domain) => format!("{host}.{domain}").into(),
            None => host.into(),
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

    /// All that `host` may stand for.
    fn names(conf: &str, host: &str) -> Vec<Box<str>> {
        let conf = ResolvConf::parse(conf);
        let all = 0..conf.candidates(host);
        all.map(|at| conf.candidate(host, at)).collect()
    }

    #[test]
    fn a_short_name_is_searched_first_and_a_full_one_last() {
        let conf = "domain old\nsearch lan example.com\n";
        let short = ["hub.lan", "hub.example.com", "hub"];
        assert_eq!(names(conf, "hub"), short.map(Box::from));
        let full = ["hub.lan", "hub.lan.lan", "hub.lan.example.com"];
        assert_eq!(names(conf, "hub.lan"), full.map(Box::from));
        let conf = "search . lan\n";
        assert_eq!(names(conf, "hub"), ["hub.lan", "hub"].map(Box::from));
    }

    #[test]
    fn as_many_dots_as_are_asked_for_make_a_full_name() {
        let conf = "options ndots:2 timeout:1\nsearch lan\noptions rotate ndots:5\n";
        let searched = ["hub.mon.svc.lan", "hub.mon.svc"];
        assert_eq!(names(conf, "hub.mon.svc"), searched.map(Box::from));
        assert_eq!(&*names(conf, "a.b.c.d.e.f")[0], "a.b.c.d.e.f");
        assert_eq!(names(conf, "hub.mon.svc."), [Box::from("hub.mon.svc.")]);
        // What is no number changes nothing, and more than the most is the most.
        let conf = "search lan\noptions ndots:99 ndots:x ndots: debug\n";
        let dotted = ["a."; 15].concat() + "b";
        assert_eq!(&*names(conf, &dotted)[0], dotted);
        assert_eq!(&*names(conf, &dotted[2..])[1], &dotted[2..]);
        let conf = "search lan\noptions ndots:0\n";
        assert_eq!(names(conf, "hub"), ["hub", "hub.lan"].map(Box::from));
    }
}
