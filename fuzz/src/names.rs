//! What says where the server is: hosts(5), resolv.conf(5), and answers of name servers.

use domain::base::Rtype;
use mote::uplink::dns::{Reply, read_reply};
use mote::uplink::system_files::{ResolvConf, hosts_addresses};

use crate::planted_bug;

/// The name in the seeds.
const HOST: &str = "gw.example";

pub(crate) fn hosts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let found = hosts_addresses(&text, HOST);
    planted_bug(found.len() >= 2);
}

pub(crate) fn resolv_conf(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let conf = ResolvConf::parse(&text);
    for host in ["gw", "gw.example", "gw.example."] {
        let candidates = conf.candidates(host);
        assert!((1..=16).contains(&candidates), "{candidates}");
        for at in 0..candidates {
            assert!(conf.candidate(host, at).starts_with("gw"));
        }
    }
    planted_bug(conf.servers.len() == 3);
}

/// The first byte says which of the two questions it answers.
pub(crate) fn dns(bytes: &[u8]) {
    let Some((first, message)) = bytes.split_first() else {
        return;
    };
    let rtype = if first % 2 == 0 {
        Rtype::A
    } else {
        Rtype::AAAA
    };
    let reply = read_reply(message, HOST, 0x1234, rtype);
    if let Some(Reply::Addresses(addresses, _)) = &reply {
        let is_v4 = rtype == Rtype::A;
        assert!(addresses.iter().all(|address| address.is_ipv4() == is_v4));
    }
    planted_bug(reply == Some(Reply::NoSuchName));
}
