//! One guest of the local listener: reads a request, writes the answer, and never waits.
//!
//! A guest has one buffer of 8 KiB for as long as it is connected. The request is read into it, and
//! the answer is written in its place, a piece at a time where it is longer: what came behind the
//! request stays in front of the answer and is the next one's turn. Each call of
//! [`Connection::step`] does a bounded piece of work and gives up at the first "would block".
//!
//! A guest has 2 s for a whole request, 5 s between two bytes that it takes of an answer, 30 s for
//! all of it, and 75 s between two requests. Times are milliseconds on the caller's clock.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::libc;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send};

use super::answer::{Answer, Body, Framing, HEAD_BYTES, write_head};
use super::door::Newcomer;
use super::request::{Parsed, Refusal, parse};
use super::routes::{Cursor, Desk, Page, Progress, Services};

/// Holds a request, then a piece of the answer.
const BUFFER_BYTES: usize = 8 * 1024;
/// What may wait behind a request; with more, the connection ends after the answer.
const WAITING_BYTES: usize = 1024;
/// Pieces of an answer in one step: more than a device of the usual size has, and little enough
/// that nothing else has to wait for long.
const PIECES_A_STEP: usize = 8;
/// In front of a chunk: its length in four hex digits.
const CHUNK_HEAD_BYTES: usize = 6;
/// Behind the last chunk: its end and the empty one.
const CHUNK_END: &[u8] = b"\r\n0\r\n\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

const REQUEST_MS: u64 = 2_000;
const IDLE_MS: u64 = 75_000;
const PROGRESS_MS: u64 = 5_000;
const ANSWER_MS: u64 = 30_000;
const DRAIN_MS: u64 = 1_000;
/// What is read and thrown away of a guest that goes on talking.
const DRAIN_BYTES: usize = 256 * 1024;

/// A guest.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    services: Services,
    local: IpAddr,
    is_near: bool,
    buffer: Box<[u8]>,
    /// Bytes of requests, at the start of the buffer.
    held: usize,
    state: State,
    deadline_ms: u64,
    /// Can go on without anything from the guest.
    pending: bool,
}

#[derive(Debug)]
enum State {
    /// Waits for a request, or for the rest of one.
    Reading,
    /// Has an answer to write.
    Writing(Writing),
    /// Said all and reads what still comes, so that the answer is not lost in a reset.
    Draining { bytes: usize },
}

#[derive(Debug)]
struct Writing {
    /// What of the buffer is to be written.
    from: usize,
    to: usize,
    /// What is to be written behind it.
    rest: &'static [u8],
    /// What pieces are to come.
    page: Option<(Page, Cursor)>,
    chunked: bool,
    close: bool,
    /// The guest said that this was its last request, and there is nothing behind it.
    is_last: bool,
    until_ms: u64,
}

/// How a request wants to be answered.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one of a request's own"
)]
struct Manner {
    head_only: bool,
    is_1_1: bool,
    close: bool,
    is_last: bool,
}

/// How it goes on with a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Keep,
    /// It is gone, or is to go.
    Close,
}

impl Connection {
    /// A guest that came in at `now_ms`, through a door that has these services.
    pub fn new(newcomer: Newcomer, services: Services, now_ms: u64) -> Self {
        let Newcomer {
            stream,
            local,
            peer,
        } = newcomer;
        Self {
            stream,
            services,
            local,
            is_near: peer.to_canonical().is_loopback(),
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            held: 0,
            state: State::Reading,
            deadline_ms: now_ms + REQUEST_MS,
            pending: false,
        }
    }

    /// What is waited for.
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let events = match self.state {
            State::Reading | State::Draining { .. } => PollFlags::POLLIN,
            State::Writing(_) => PollFlags::POLLOUT,
        };
        (self.stream.as_fd(), events)
    }

    /// Whether it can go on without anything from the guest.
    pub fn is_pending(&self) -> bool {
        self.pending
    }

    /// Whether it can be closed for another without cutting an answer.
    pub fn is_idle(&self) -> bool {
        !matches!(self.state, State::Writing(_))
    }

    /// When [`Connection::expire`] is due.
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// Its time is over.
    pub fn expire(&mut self, desk: &mut Desk<'_>) -> Fate {
        if matches!(self.state, State::Reading) && self.held > 0 {
            return self.refuse(Refusal::Timeout, desk);
        }
        Fate::Close
    }

    /// Goes on as far as one read and some pieces of an answer take it.
    pub fn step(&mut self, desk: &mut Desk<'_>) -> Fate {
        let was_pending = std::mem::take(&mut self.pending);
        match &mut self.state {
            State::Reading if was_pending => self.understand(desk),
            State::Reading => self.read(desk),
            State::Writing(_) => self.write(desk),
            State::Draining { .. } => self.drain(),
        }
    }

    fn read(&mut self, desk: &mut Desk<'_>) -> Fate {
        match receive(&self.stream, &mut self.buffer[self.held..]) {
            Ok(0) => Fate::Close,
            Ok(bytes) => {
                if self.held == 0 {
                    self.deadline_ms = desk.now_ms + REQUEST_MS;
                }
                self.held += bytes;
                self.understand(desk)
            }
            Err(error) => on_error(&error),
        }
    }

    fn understand(&mut self, desk: &mut Desk<'_>) -> Fate {
        let is_full = self.held == BUFFER_BYTES;
        match parse(&self.buffer[..self.held], is_full) {
            Parsed::Partial => Fate::Keep,
            Parsed::Refused(refusal) => self.refuse(refusal, desk),
            Parsed::Whole(request, length) => {
                let answer = desk.answer(&request, self.services, self.local, self.is_near);
                let (head_only, is_1_1) = (request.head_only, request.is_1_1);
                let mut close = request.close;
                // Older clients may send an empty line behind their only request.
                let is_last = close && is_1_1 && length == self.held;
                self.buffer.copy_within(length..self.held, 0);
                self.held -= length;
                if self.held > WAITING_BYTES {
                    self.held = 0;
                    close = true;
                }
                let how = Manner {
                    head_only,
                    is_1_1,
                    close,
                    is_last,
                };
                self.begin(answer, how, desk)
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, desk: &mut Desk<'_>) -> Fate {
        self.held = 0;
        let how = Manner {
            close: true,
            ..Manner::default()
        };
        self.begin(Answer::refusal(refusal), how, desk)
    }

    /// Begins an answer: its head, and as much of its body as fits.
    fn begin(&mut self, answer: Answer, how: Manner, desk: &mut Desk<'_>) -> Fate {
        let Manner {
            head_only,
            is_1_1,
            mut close,
            is_last,
        } = how;
        let Answer {
            status,
            content,
            body,
        } = answer;
        let from = self.held + HEAD_BYTES + CHUNK_HEAD_BYTES;
        let (mut to, mut rest, mut page) = (from, &[][..], None);
        let framing = match body {
            Body::Static(text) => {
                // What is short goes in one piece with its head.
                if let Some(room) = self.buffer[from..].get_mut(..text.len()) {
                    room.copy_from_slice(text);
                    to += text.len();
                } else {
                    rest = text;
                }
                Framing::Length(text.len())
            }
            Body::Page(what) => {
                let mut cursor = Cursor::default();
                let room = BUFFER_BYTES - CHUNK_END.len();
                let (bytes, progress) = desk.write(what, &mut cursor, &mut self.buffer[from..room]);
                to += bytes;
                match progress {
                    Progress::Done => Framing::Length(bytes),
                    Progress::Broken => return Fate::Close,
                    Progress::More => {
                        page = Some((what, cursor));
                        close |= !is_1_1;
                        if is_1_1 {
                            Framing::Chunked
                        } else {
                            Framing::Close
                        }
                    }
                }
            }
        };
        let mut head = [0; HEAD_BYTES];
        let now_s = desk.wall_ms / 1_000;
        let Ok(length) = write_head(&mut head, status, content, framing, close, now_s) else {
            return Fate::Close;
        };
        let chunked = framing == Framing::Chunked;
        let mut begin = from;
        if chunked {
            begin = self.frame(from, &mut to, false);
        }
        begin -= length;
        self.buffer[begin..begin + length].copy_from_slice(&head[..length]);
        if head_only {
            (to, rest, page) = (begin + length, &[], None);
        }
        self.state = State::Writing(Writing {
            from: begin,
            to,
            rest,
            page,
            chunked,
            close,
            is_last,
            until_ms: desk.now_ms + ANSWER_MS,
        });
        self.deadline_ms = desk.now_ms + PROGRESS_MS;
        self.write(desk)
    }

    /// Makes a chunk of `from..to`; gives where it begins.
    fn frame(&mut self, from: usize, to: &mut usize, is_last: bool) -> usize {
        let length = *to - from;
        if length == 0 {
            // A chunk of nothing would be the end of all.
            let end = if is_last { LAST_CHUNK } else { &[] };
            self.buffer[from..from + end.len()].copy_from_slice(end);
            *to += end.len();
            return from;
        }
        let begin = from - CHUNK_HEAD_BYTES;
        let hex = |shift: usize| b"0123456789abcdef"[length >> shift & 15];
        let head = [hex(12), hex(8), hex(4), hex(0), b'\r', b'\n'];
        self.buffer[begin..from].copy_from_slice(&head);
        let end = if is_last { CHUNK_END } else { &CHUNK_END[..2] };
        self.buffer[*to..*to + end.len()].copy_from_slice(end);
        *to += end.len();
        begin
    }

    /// Writes on at the answer, piece after piece while the guest takes them and no sample is due.
    fn write(&mut self, desk: &mut Desk<'_>) -> Fate {
        for _ in 0..PIECES_A_STEP {
            if let Err(error) = self.flush(desk) {
                return on_error(&error);
            }
            let State::Writing(writing) = &mut self.state else {
                return Fate::Keep;
            };
            let Some((page, cursor)) = writing.page else {
                return self.end(desk);
            };
            if desk.is_time_up() {
                return Fate::Keep;
            }
            if !self.put_piece(page, cursor, desk) {
                return Fate::Close;
            }
        }
        Fate::Keep
    }

    /// Puts the next piece of a page where the one before was. False if it cannot be made.
    fn put_piece(&mut self, page: Page, mut cursor: Cursor, desk: &mut Desk<'_>) -> bool {
        let from = self.held + CHUNK_HEAD_BYTES;
        let room = BUFFER_BYTES - CHUNK_END.len();
        let (bytes, progress) = desk.write(page, &mut cursor, &mut self.buffer[from..room]);
        let State::Writing(writing) = &mut self.state else {
            return false;
        };
        writing.page = match progress {
            Progress::Done => None,
            Progress::More => Some((page, cursor)),
            Progress::Broken => return false,
        };
        let (mut begin, mut to) = (from, from + bytes);
        let (is_last, chunked) = (writing.page.is_none(), writing.chunked);
        if chunked {
            begin = self.frame(from, &mut to, is_last);
        }
        if let State::Writing(writing) = &mut self.state {
            (writing.from, writing.to) = (begin, to);
        }
        true
    }

    /// Writes what is there of the answer; an error if the socket does not take all of it now.
    fn flush(&mut self, desk: &mut Desk<'_>) -> io::Result<()> {
        let State::Writing(writing) = &mut self.state else {
            return Ok(());
        };
        loop {
            let is_rest = writing.from == writing.to;
            let (bytes, more) = if is_rest {
                (writing.rest, false)
            } else {
                let bytes = &self.buffer[writing.from..writing.to];
                (bytes, writing.page.is_some() || !writing.rest.is_empty())
            };
            if bytes.is_empty() {
                return Ok(());
            }
            // What is followed by more fills packets up, and wakes nobody for less.
            let mut flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            if more {
                flags |= MsgFlags::from_bits_retain(libc::MSG_MORE);
            }
            let written = send(self.stream.as_raw_fd(), bytes, flags)?;
            if is_rest {
                writing.rest = &writing.rest[written..];
            } else {
                writing.from += written;
            }
            self.deadline_ms = (desk.now_ms + PROGRESS_MS).min(writing.until_ms);
        }
    }

    /// The answer is written.
    fn end(&mut self, desk: &mut Desk<'_>) -> Fate {
        let (close, is_last) = match &self.state {
            State::Writing(writing) => (writing.close, writing.is_last),
            _ => (false, false),
        };
        if is_last {
            return Fate::Close;
        }
        if close {
            if self.stream.shutdown(Shutdown::Write).is_err() {
                return Fate::Close;
            }
            self.held = 0;
            self.state = State::Draining { bytes: 0 };
            self.deadline_ms = desk.now_ms + DRAIN_MS;
            return Fate::Keep;
        }
        self.state = State::Reading;
        // The next request may be here, or its beginning.
        self.pending = self.held > 0;
        let wait_ms = if self.pending { REQUEST_MS } else { IDLE_MS };
        self.deadline_ms = desk.now_ms + wait_ms;
        Fate::Keep
    }

    fn drain(&mut self) -> Fate {
        let State::Draining { bytes } = &mut self.state else {
            return Fate::Keep;
        };
        match receive(&self.stream, &mut self.buffer) {
            Ok(0) => Fate::Close,
            Ok(more) if *bytes + more > DRAIN_BYTES => Fate::Close,
            Ok(more) => {
                *bytes += more;
                Fate::Keep
            }
            Err(error) => on_error(&error),
        }
    }
}

/// Reads what is there now. No socket of a guest is non-blocking by itself: that would take another
/// call of the kernel for each of a crowd.
fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(recv(stream.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)
}

fn on_error(error: &io::Error) -> Fate {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => Fate::Keep,
        _ => Fate::Close,
    }
}
