//! The thread at the door: opens and shuts it, lets connections in, sees them out.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::connection;
use super::door::Door;
use super::misbehave::Misbehaviour;
use super::shared::Shared;
use super::wire::Line;

/// Serves until the hub stops; then ends every connection and every thread.
pub(super) fn run(shared: &Arc<Shared>, door: &Door, mut woken: UnixStream) {
    let mut listener = None;
    let mut guests: Vec<JoinHandle<()>> = Vec::new();
    let mut connections = 0;
    while !shared.is_stopping() {
        if let Err(error) = move_door(shared, door, &mut listener) {
            // The address is reserved, so this is a machine out of sockets or memory.
            let words = format!("cannot listen: {error}");
            shared.with(|state| state.log.handshake_failed(words));
            break;
        }
        if wait(&woken, listener.as_ref()).is_err() {
            break;
        }
        // It never blocks, and what it says does not matter: it woke us.
        io::copy(&mut woken, &mut io::sink()).ok();
        if let Some(tcp) = listener
            .as_ref()
            .and_then(|listener| listener.accept().ok())
        {
            connections += 1;
            guests.retain(|guest| !guest.is_finished());
            guests.extend(admit(shared, tcp.0, connections));
        }
    }
    drop(listener);
    let lines: Vec<_> = shared.with(|state| state.lines.values().cloned().collect());
    for line in lines {
        line.cut();
    }
    for guest in guests {
        // A guest that panicked has said so on standard error.
        guest.join().ok();
    }
    shared.with(|state| state.is_open = false);
}

/// Opens or shuts the door as the mood wants it.
fn move_door(shared: &Shared, door: &Door, listener: &mut Option<TcpListener>) -> io::Result<()> {
    let wants_open = shared.with(|state| state.mood.standing != Misbehaviour::RefuseConnections);
    if wants_open == listener.is_some() {
        return Ok(());
    }
    *listener = if wants_open { Some(door.open()?) } else { None };
    shared.with(|state| {
        if !wants_open {
            state.lines.values().for_each(|line| line.cut_with_reset());
        }
        state.is_open = wants_open;
    });
    Ok(())
}

fn wait(woken: &UnixStream, listener: Option<&TcpListener>) -> io::Result<()> {
    let mut fds = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
    fds.extend(listener.map(|listener| PollFd::new(listener.as_fd(), PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Gives a connection a thread. None if it broke at once.
fn admit(shared: &Arc<Shared>, tcp: TcpStream, number: u64) -> Option<JoinHandle<()>> {
    tcp.set_nodelay(true).ok()?;
    let line = Arc::new(Line::new(&tcp).ok()?);
    shared.with(|state| {
        state.log.stats.connections += 1;
        state.lines.insert(number, Arc::clone(&line));
    });
    let shared = Arc::clone(shared);
    let guest = thread::Builder::new()
        .name(format!("hub connection {number}"))
        .spawn(move || {
            connection::serve(&shared, &line, tcp, number);
            shared.with(|state| state.lines.remove(&number));
        });
    guest.ok()
}
