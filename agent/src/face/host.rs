//! Whether a request is meant for this device.
//!
//! A web page anywhere can have its own name point to 127.0.0.1 and so make a browser ask this
//! listener and read the answer (DNS rebinding). The browser then sends the name of that page, so
//! only names that belong to this device are answered: those of the loopback, the address that
//! the connection came in at, the device's own name, and the ones that the configuration allows.

use std::net::IpAddr;

/// Whether `host`, as a request gave it, names this device. `local` is the address that the
/// connection was made to.
pub fn is_ours(host: &str, local: IpAddr, hostname: &str, allowed: &[String]) -> bool {
    let Some(name) = without_port(host) else {
        return false;
    };
    let literal = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    if let Ok(address) = literal.parse::<IpAddr>() {
        let address = address.to_canonical();
        let is_listed = |entry: &String| {
            entry
                .parse::<IpAddr>()
                .is_ok_and(|entry| entry.to_canonical() == address)
        };
        return address.is_loopback()
            || address == local.to_canonical()
            || allowed.iter().any(is_listed);
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is = |ours: &str| name.eq_ignore_ascii_case(ours);
    is("localhost") || is(hostname) || allowed.iter().any(|entry| is(entry))
}

/// The name in front of `:port`, if that is one.
fn without_port(host: &str) -> Option<&str> {
    let end = match host.rfind(']') {
        Some(bracket) => bracket + 1,
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(end);
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    };
    (is_port && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(host: &str) -> bool {
        let allowed = ["gw.example.com".to_owned(), "203.0.113.5".to_owned()];
        is_ours(host, "192.0.2.7".parse().unwrap(), "gw-7", &allowed)
    }

    #[test]
    fn names_of_this_device_are_answered() {
        for host in [
            "localhost",
            "LocalHost:8080",
            "127.0.0.1:8080",
            "127.5.5.5",
            "[::1]:8080",
            "[::1]",
            "[::ffff:127.0.0.1]:80",
            "192.0.2.7:8080",
            "GW-7:1",
            "gw-7.",
            "gw.example.com:443",
            "203.0.113.5",
        ] {
            assert!(ours(host), "{host}");
        }
    }

    #[test]
    fn any_other_name_is_not() {
        for host in [
            "",
            ":8080",
            "evil.example",
            "evil.example:8080",
            "localhost.evil.example",
            "gw-7.evil.example",
            "192.0.2.8:8080",
            "localhost:x",
            "localhost:8080:8080",
            "user@localhost",
            "[::2]",
            "[::1]x",
            "127.0.0.1.evil.example",
            "2130706433",
        ] {
            assert!(!ours(host), "{host}");
        }
    }
}
