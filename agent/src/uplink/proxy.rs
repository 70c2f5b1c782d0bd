//! Asks a proxy to connect through to the server (RFC 9110, section 9.3.6).
//!
//! What goes through afterwards is TLS, in which the server speaks second: so whatever follows the
//! proxy's head is not the server's, and the connection is given up.

use std::fmt::Write as _;
use std::io::{Read, Write};

use super::dial::Socket;
use super::error::{DeliveryError, Phase};
use crate::config::proxy::Proxy;

/// The largest head of a proxy's answer.
const HEAD_BYTES: usize = 8 * 1024;
/// Most are far smaller.
const PIECE_BYTES: usize = 512;

/// Turns `socket`, which is connected to `proxy`, into one that is connected to `host`.
pub(super) fn tunnel(
    socket: &mut Socket,
    proxy: &Proxy,
    host: &str,
    port: u16,
) -> Result<(), DeliveryError> {
    socket.link().enter(Phase::Proxy);
    let request = request(proxy, host, port);
    socket
        .write_all(request.as_bytes())
        .map_err(|error| socket.what_failed(&error))?;
    let mut head: Vec<u8> = Vec::with_capacity(PIECE_BYTES);
    loop {
        let mut piece = [0; PIECE_BYTES];
        let bytes = socket
            .read(&mut piece)
            .map_err(|error| socket.what_failed(&error))?;
        if bytes == 0 {
            return Err(DeliveryError::Closed(Phase::Proxy));
        }
        head.extend_from_slice(&piece[..bytes]);
        if let Some(verdict) = verdict(&head) {
            return verdict;
        }
    }
}

fn request(proxy: &Proxy, host: &str, port: u16) -> String {
    let mut text = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
    if let Some(authorization) = proxy.authorization() {
        // Writing to a String does not fail.
        let _ = write!(text, "Proxy-Authorization: {authorization}\r\n");
    }
    text.push_str("\r\n");
    text
}

/// What the answer so far amounts to; `None` if its head is not whole yet.
fn verdict(head: &[u8]) -> Option<Result<(), DeliveryError>> {
    const PREFIX: &[u8] = b"HTTP/1.";
    let known = head.len().min(PREFIX.len());
    if head[..known] != PREFIX[..known] {
        return Some(Err(DeliveryError::ProxyBroken));
    }
    let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
        return (head.len() >= HEAD_BYTES).then_some(Err(DeliveryError::ProxyBroken));
    };
    // `HTTP/1.1 200 Connection established`
    let digits = head.get(PREFIX.len() + 2..PREFIX.len() + 5);
    let status = digits
        .and_then(|digits| str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    Some(match status {
        Some(200..=299) if end + 4 == head.len() => Ok(()),
        Some(status @ 300..=999) => Err(DeliveryError::ProxyRefused(status)),
        _ => Err(DeliveryError::ProxyBroken),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_the_server_and_who_asks() {
        let proxy = Proxy::parse("http://Aladdin:open%20sesame@proxy.lan").unwrap();
        assert_eq!(
            request(&proxy, "hub.example.com", 443),
            "CONNECT hub.example.com:443 HTTP/1.1\r\nHost: hub.example.com:443\r\n\
             Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n"
        );
        let proxy = Proxy::parse("proxy.lan:3128").unwrap();
        assert_eq!(
            request(&proxy, "[2001:db8::7]", 8443),
            "CONNECT [2001:db8::7]:8443 HTTP/1.1\r\nHost: [2001:db8::7]:8443\r\n\r\n"
        );
    }

    fn refused(head: &[u8]) -> DeliveryError {
        verdict(head).unwrap().unwrap_err()
    }

    #[test]
    fn a_tunnel_is_a_good_status_and_nothing_behind_it() {
        let whole = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n";
        assert!(matches!(verdict(whole), Some(Ok(()))));
        for cut in 0..whole.len() {
            assert!(verdict(&whole[..cut]).is_none(), "cut at byte {cut}");
        }
        let more = [whole.as_slice(), b"\x16"].concat();
        assert!(matches!(refused(&more), DeliveryError::ProxyBroken));
        assert!(matches!(verdict(b"HTTP/1.0 200\r\n\r\n"), Some(Ok(()))));
    }

    #[test]
    fn a_refusal_has_its_status_and_what_is_no_proxy_is_told() {
        let denied = b"HTTP/1.1 407 Who are you\r\nContent-Length: 2\r\n\r\nno";
        assert!(matches!(refused(denied), DeliveryError::ProxyRefused(407)));
        for head in [
            b"SSH-2.0-OpenSSH_9.2\r\n".as_slice(),
            b"H\x00",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
        ] {
            assert!(matches!(refused(head), DeliveryError::ProxyBroken));
        }
        let mut endless = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
        endless.resize(HEAD_BYTES, b'a');
        assert!(matches!(refused(&endless), DeliveryError::ProxyBroken));
    }
}
