//! Hears when the network comes back: an address, a route, a cable (rtnetlink(7)).
//!
//! It listens only while no server can be reached, so it costs nothing while all is well. What it
//! hears is a hint that the next attempt may be worth while sooner, and no more: it keeps no table
//! of addresses, and never decides that an attempt is not worth while. Where the kernel or a
//! sandbox does not let it listen, the attempts follow their backoff.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

/// What is heard: links, addresses and routes of both families.
const GROUPS: i32 = libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV6_ROUTE;
/// What is read at once. A longer message is cut; what matters stands at its beginning.
const MESSAGE_BYTES: usize = 4096;
/// Messages read in one go: a router that learns a whole table does not stop the sampling.
const MESSAGES: usize = 32;
/// Of a message: length, type, flags, number, sender.
const HEAD_BYTES: usize = 16;

/// A socket that hears of changes of the network, while it is wanted.
#[derive(Debug, Default)]
pub struct NetworkWatch {
    socket: Option<OwnedFd>,
}

impl NetworkWatch {
    /// Begins to listen, or ends it.
    pub fn listen(&mut self, wanted: bool) {
        if !wanted {
            self.socket = None;
        } else if self.socket.is_none() {
            self.socket = open(GROUPS).ok();
        }
    }

    /// What the reactor is to watch.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Reads what arrived; whether something came that may lead to the server.
    pub fn is_back(&mut self) -> bool {
        let mut heard = false;
        for _ in 0..MESSAGES {
            let Some(socket) = &self.socket else { break };
            let mut buffer = [0; MESSAGE_BYTES];
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(bytes) => heard |= tells_of_a_way(&buffer[..bytes]),
                Err(Errno::EAGAIN) => break,
                Err(Errno::EINTR) => {}
                // So much changed that the kernel could not tell it all.
                Err(Errno::ENOBUFS) => heard = true,
                Err(_) => self.socket = None,
            }
        }
        heard
    }
}

/// A socket that hears what the kernel tells these groups (`RTMGRP_*`), and never blocks.
pub fn open(groups: i32) -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let route = SockProtocol::NetlinkRoute;
    let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, route)?;
    bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups.cast_unsigned()))?;
    Ok(fd)
}

/// Whether one of the messages in `datagram` tells of an address, a route or a link that can carry
/// a request.
fn tells_of_a_way(mut datagram: &[u8]) -> bool {
    while let Some((head, rest)) = datagram.split_at_checked(HEAD_BYTES) {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let Some(body_bytes) = length.checked_sub(HEAD_BYTES) else {
            return false;
        };
        let body = &rest[..body_bytes.min(rest.len())];
        let is_way = match kind {
            libc::RTM_NEWADDR => is_usable_address(body),
            libc::RTM_NEWROUTE => is_usable_route(body),
            libc::RTM_NEWLINK => is_usable_link(body),
            _ => false,
        };
        if is_way {
            return true;
        }
        // Messages begin at multiples of four bytes.
        datagram = rest
            .get(body_bytes.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    false
}

/// `struct ifaddrmsg`: family, prefix length, flags, scope, index.
fn is_usable_address(body: &[u8]) -> bool {
    let [_, _, flags, scope, ..] = *body else {
        return false;
    };
    // An address that is still being checked for doubles (RFC 4862) is told of again.
    let is_ready = u32::from(flags) & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) == 0;
    is_ready && scope < libc::RT_SCOPE_LINK
}

/// `struct rtmsg`: family, lengths of destination and source, TOS, table, protocol, scope, type.
fn is_usable_route(body: &[u8]) -> bool {
    let [family, destination_bits, _, _, _, protocol, _, kind, ..] = *body else {
        return false;
    };
    // Everything, or a network that an address of ours is in. In IPv6 every link has one of those
    // by itself, which leads nowhere.
    let is_own = protocol == libc::RTPROT_KERNEL && i32::from(family) == libc::AF_INET;
    kind == libc::RTN_UNICAST && (destination_bits == 0 || is_own)
}

/// `struct ifinfomsg`: family, padding, type (2), index (4), flags (4), change (4).
fn is_usable_link(body: &[u8]) -> bool {
    let Some(flags) = body.get(8..12) else {
        return false;
    };
    let flags = u32::from_ne_bytes([flags[0], flags[1], flags[2], flags[3]]).cast_signed();
    let has_carrier = libc::IFF_UP | libc::IFF_LOWER_UP;
    flags & has_carrier == has_carrier && flags & libc::IFF_LOOPBACK == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEAD_BYTES + body.len()) as u32;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&[0; 10]);
        message.extend_from_slice(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    fn address(flags: u32, scope: u8) -> Vec<u8> {
        let body = [2, 24, flags as u8, scope, 3, 0, 0, 0];
        message(libc::RTM_NEWADDR, &body)
    }

    fn route(bits: u8, protocol: u8, kind: u8) -> Vec<u8> {
        route_of(libc::AF_INET, bits, protocol, kind)
    }

    fn route_of(family: i32, bits: u8, protocol: u8, kind: u8) -> Vec<u8> {
        let family = u8::try_from(family).unwrap();
        let body = [family, bits, 0, 0, 254, protocol, 0, kind, 0, 0, 0, 0];
        message(libc::RTM_NEWROUTE, &body)
    }

    fn link(flags: i32) -> Vec<u8> {
        let mut body = [0; 16];
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        message(libc::RTM_NEWLINK, &body)
    }

    #[test]
    fn what_may_lead_to_a_server_is_told_from_what_may_not() {
        let up = libc::IFF_UP | libc::IFF_LOWER_UP;
        for (datagram, expected) in [
            (address(0, libc::RT_SCOPE_UNIVERSE), true),
            (address(libc::IFA_F_TENTATIVE, 0), false),
            (address(0, libc::RT_SCOPE_LINK), false),
            (address(0, libc::RT_SCOPE_HOST), false),
            (route(0, 3, libc::RTN_UNICAST), true),
            (route(24, libc::RTPROT_KERNEL, libc::RTN_UNICAST), true),
            (route_of(libc::AF_INET6, 0, 9, libc::RTN_UNICAST), true),
            (
                route_of(libc::AF_INET6, 64, libc::RTPROT_KERNEL, libc::RTN_UNICAST),
                false,
            ),
            (route(24, 186, libc::RTN_UNICAST), false),
            (route(32, libc::RTPROT_KERNEL, libc::RTN_LOCAL), false),
            (link(up), true),
            (link(libc::IFF_UP), false),
            (link(up | libc::IFF_LOOPBACK), false),
            (
                message(libc::RTM_DELADDR, &[2, 24, 0, 0, 3, 0, 0, 0]),
                false,
            ),
        ] {
            assert_eq!(tells_of_a_way(&datagram), expected, "{datagram:?}");
        }
    }

    #[test]
    fn every_message_of_a_datagram_counts_and_damage_ends_it() {
        let mut datagram = address(0, libc::RT_SCOPE_HOST);
        datagram.extend(message(libc::RTM_DELROUTE, &[1, 2, 3, 4, 5]));
        let without = datagram.clone();
        datagram.extend(address(0, 0));
        assert!(tells_of_a_way(&datagram));
        assert!(!tells_of_a_way(&without));
        for cut in 0..datagram.len() - 8 {
            assert!(!tells_of_a_way(&datagram[..cut]), "cut at byte {cut}");
        }
        for length in [0_u32, 1, 15, u32::MAX] {
            let mut damaged = link(0);
            damaged[..4].copy_from_slice(&length.to_ne_bytes());
            damaged.extend(link(0));
            assert!(!tells_of_a_way(&damaged), "length {length}");
        }
    }

    #[test]
    fn it_listens_only_while_it_is_wanted() {
        let mut watch = NetworkWatch::default();
        assert!(watch.socket().is_none());
        watch.listen(true);
        assert!(watch.socket().is_some());
        watch.is_back();
        watch.listen(false);
        assert!(watch.socket().is_none());
        assert!(!watch.is_back());
    }
}
