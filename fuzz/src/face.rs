//! What anybody may send to the device's own listener.

use std::net::{IpAddr, Ipv4Addr};

use http::uri::Authority;
use mote::face::host::is_ours;
use mote::face::request::{Parsed, parse};

use crate::planted_bug;

/// Longer ones are not cut at every byte.
const CUT_BYTES: usize = 256;
/// The address that the request came in at, and the names that are answered to.
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const NAMES: [&str; 3] = ["localhost", "gw-7", "gw.example.com"];

/// The first byte says whether there is room for more.
pub(crate) fn request(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else {
        return;
    };
    let is_full = first % 2 == 1;
    let longer = [bytes, b"GET / HTTP/1.1\r\n"].concat();
    match parse(bytes, is_full) {
        Parsed::Partial => assert!(!is_full, "it would wait for ever"),
        Parsed::Whole(request, length) => {
            assert!(length <= bytes.len());
            let (path, query) = (request.path, request.query);
            assert!(path.starts_with('/') && !path.contains('?'), "{path:?}");
            for text in [path, query] {
                assert!(!text.contains([' ', '\r', '\n', '\0']), "{text:?}");
            }
            assert!(request.host.is_some() || !request.is_1_1);
            assert!(request.is_1_1 || request.close);
            let is_odd = path.len() == 4;
            assert_eq!(
                parse(&longer, is_full),
                Parsed::Whole(request, length),
                "what comes behind it changed it"
            );
            for cut in 0..length.min(CUT_BYTES) {
                assert_eq!(parse(&bytes[..cut], false), Parsed::Partial, "{cut}");
            }
            planted_bug(is_odd);
        }
        Parsed::Refused(refusal) if !is_full => assert_eq!(
            parse(&longer, false),
            Parsed::Refused(refusal),
            "more of it made it better"
        ),
        Parsed::Refused(_) => {}
    }
}

/// A host that is taken for this device is this device to another reader of names too.
pub(crate) fn host(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let allowed = [NAMES[2].to_owned()];
    if !is_ours(text, LOCAL, NAMES[1], &allowed) {
        return;
    }
    assert!(
        !is_ours(&format!("x{text}"), LOCAL, NAMES[1], &allowed),
        "another name: x{text}"
    );
    if let Ok(authority) = text.parse::<Authority>() {
        let name = authority.host().trim_matches(['[', ']']);
        let is_ours = if let Ok(address) = name.parse::<IpAddr>() {
            let address = address.to_canonical();
            address.is_loopback() || address == LOCAL
        } else {
            let name = name.strip_suffix('.').unwrap_or(name);
            NAMES.iter().any(|ours| ours.eq_ignore_ascii_case(name))
        };
        assert!(is_ours && !text.contains('@'), "{text:?} is {name}");
    }
    // Of the seeds, none that is ours has another port.
    let port = text.rsplit_once(':').map_or("", |(_, port)| port);
    planted_bug(!["", "80", "8080", "9180"].contains(&port));
}
