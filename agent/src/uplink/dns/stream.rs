//! The same questions over TCP (RFC 7766), for a name server whose answer did not fit into UDP.
//!
//! One connection, both questions at once, each message behind its length in two bytes. It never
//! waits: [`Stream::turn`] does what can be done, and the reactor watches [`Stream::socket`].

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use crate::uplink::dial::begin;

/// A longer message is not read: it holds hundreds of addresses, of which eight are kept.
const MESSAGE_BYTES: usize = 8 * 1024;

/// Pieces read in one turn: a server that never ends does not keep the agent from its work.
const PIECES: usize = 32;

/// A connection to a name server.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    /// What is still to be sent.
    output: Vec<u8>,
    /// What was read and is no whole message yet.
    input: Vec<u8>,
}

impl Stream {
    /// Begins to connect to `server`, to ask these questions.
    pub(super) fn ask<'q>(
        server: SocketAddr,
        questions: impl IntoIterator<Item = &'q [u8]>,
    ) -> io::Result<Self> {
        let mut output = Vec::new();
        for question in questions {
            let length = u16::try_from(question.len()).map_err(io::Error::other)?;
            output.extend_from_slice(&length.to_be_bytes());
            output.extend_from_slice(question);
        }
        Ok(Self {
            socket: TcpStream::from(begin(server)?.0),
            output,
            input: Vec::new(),
        })
    }

    /// What the reactor is to watch, and for what.
    pub(super) fn socket(&self) -> (BorrowedFd<'_>, PollFlags) {
        let wanted = if self.output.is_empty() {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        };
        (self.socket.as_fd(), wanted)
    }

    /// Sends and reads what can be, and gives each whole message to `take`; an error when nothing
    /// more will come.
    pub(super) fn turn(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        while !self.output.is_empty() {
            // While the connection is being made, the kernel takes nothing.
            let Some(sent) = unless_blocked(self.socket.write(&self.output))? else {
                return Ok(());
            };
            self.output.drain(..sent);
        }
        let mut piece = [0; 512];
        for _ in 0..PIECES {
            let Some(bytes) = unless_blocked(self.socket.read(&mut piece))? else {
                break;
            };
            if bytes == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.input.extend_from_slice(&piece[..bytes]);
            take_messages(&mut self.input, &mut take)?;
        }
        Ok(())
    }
}

/// Takes the whole messages off the front of `input`.
fn take_messages(input: &mut Vec<u8>, take: &mut impl FnMut(&[u8])) -> io::Result<()> {
    while let Some((length, rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        if length > MESSAGE_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        let Some(message) = rest.get(..length) else {
            break;
        };
        take(message);
        input.drain(..2 + length);
    }
    Ok(())
}

fn unless_blocked(done: io::Result<usize>) -> io::Result<Option<usize>> {
    match done {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_whole_however_they_are_cut() {
        let sent = b"\0\x03abc\0\0\0\x02de";
        for at in 0..=sent.len() {
            let (mut input, mut got) = (Vec::new(), Vec::new());
            for piece in [&sent[..at], &sent[at..]] {
                input.extend_from_slice(piece);
                take_messages(&mut input, &mut |message| got.push(message.to_vec())).unwrap();
            }
            let expected = [b"abc".as_slice(), b"", b"de"];
            assert_eq!(got, expected, "cut at byte {at}");
            assert!(input.is_empty());
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_refused_at_its_length() {
        let mut input = vec![0x20, 0x01];
        let refused = take_messages(&mut input, &mut |_| panic!("it is not here yet"));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidData);
        let mut input = vec![0x20, 0x00];
        assert!(take_messages(&mut input, &mut |_| panic!("it is not here yet")).is_ok());
    }
}
