//! Whether anything changed about the network's interfaces: their names, their state, their links.
//!
//! The kernel tells of every change (rtnetlink(7)), and asking whether it did costs one call. What
//! it told waits in the socket until then: nobody is woken for it, and what has no room there is a
//! change as well.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};

use crate::uplink::network;

/// Messages read in one go; with more of them it begins to listen anew.
const MESSAGES: usize = 64;

/// What the kernel tells.
#[derive(Debug)]
pub(super) struct LinkChanges {
    /// Whether what is read is what the kernel tells of: a tree of another device, or of a test, is
    /// not.
    is_own: bool,
    socket: Option<OwnedFd>,
}

impl LinkChanges {
    /// Of the interfaces below this folder.
    pub(super) fn below(sys_root: &Path) -> Self {
        Self {
            is_own: sys_root == Path::new("/sys"),
            socket: None,
        }
    }

    /// Whether something may have changed since this was asked last. Where nothing can be heard,
    /// that is always so.
    pub(super) fn are_there(&mut self) -> bool {
        let Some(socket) = &self.socket else {
            if self.is_own {
                self.socket = open().ok();
            }
            return true;
        };
        for count in 0..MESSAGES {
            // What is told does not matter here, and the rest of a message is dropped.
            match recv(socket.as_raw_fd(), &mut [0; 16], MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return count > 0,
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(_) => break,
            }
        }
        self.socket = None;
        true
    }
}

fn open() -> Result<OwnedFd, Errno> {
    let socket = network::open(libc::RTMGRP_LINK)?;
    // A few messages: the kernel makes its least of it.
    setsockopt(&socket, sockopt::RcvBuf, &0)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_new_while_the_kernel_tells_nothing() {
        let mut changes = LinkChanges::below(Path::new("/sys"));
        assert!(changes.are_there());
        // Where the machine's interfaces come and go, it becomes quiet in between.
        assert!((0..1_000).any(|_| !changes.are_there()));
    }

    #[test]
    fn of_another_tree_everything_may_always_be_new() {
        let mut changes = LinkChanges::below(Path::new("/host/sys"));
        assert!((0..3).all(|_| changes.are_there()));
    }
}
