//! The far ends of network cards: the only place where devices get frames from, and send them to.

mod frames;
mod nics;
mod tap;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use thiserror::Error;

use frames::Frames;
pub use nics::{Mac, Nic, Nics};

/// Why there is no link.
#[derive(Debug, Error)]
pub enum LinkError {
    /// There is nobody at the other end of a socket.
    #[error(
        "connect a network to the socket {path}: {source}; a program such as passt must listen there first"
    )]
    Connect {
        /// Where.
        path: String,
        /// What the host says.
        source: io::Error,
    },
    /// The host does not give the tap.
    #[error("use the tap {name}: {source}; {}", tap::cure(name, source))]
    Tap {
        /// Its name.
        name: String,
        /// What the host says.
        source: io::Error,
    },
    /// It cannot be the name of an interface.
    #[error(
        "use the tap \"{name}\": the name of an interface has 1 to 15 characters, none of them a slash or a blank"
    )]
    TapName {
        /// The name.
        name: String,
    },
}

/// A link that frames of Ethernet come from and go to. It never keeps anybody waiting: what cannot be done at once is done when the
/// main loop has seen that it can be. Clones are the same link.
#[derive(Clone, Debug)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    end: End,
    state: Mutex<State>,
}

/// What is at the other end.
#[derive(Debug)]
enum End {
    Nothing,
    /// An interface of the host, which takes and gives a frame at a time.
    Tap(OwnedFd),
    /// A stream in which each frame has its length before it: four bytes, the highest first.
    Stream(OwnedFd),
}

#[derive(Debug)]
struct State {
    is_up: bool,
    incoming: Frames,
    /// What is still to be sent, of one frame.
    outgoing: Vec<u8>,
    waits: PollFlags,
}

/// How many bytes are read at once: a frame of a tap is never longer.
const AT_ONCE: usize = 0x1_1000;

impl Link {
    /// How long the frames are that there may be: a header at least.
    pub const LENGTHS: std::ops::RangeInclusive<usize> = 14..=AT_ONCE;

    /// One with nothing at its other end.
    pub fn unplugged() -> Self {
        Self::of(End::Nothing, false)
    }

    /// One to whoever has the other end of a socket.
    pub fn stream(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::of(End::Stream(socket.into()), true))
    }

    /// One to whoever listens at a path.
    pub fn connect(path: &Path) -> Result<Self, LinkError> {
        let link = UnixStream::connect(path).and_then(Self::stream);
        link.map_err(|source| LinkError::Connect { path: path.display().to_string(), source })
    }

    /// One to an interface of the host.
    pub fn tap(name: &str) -> Result<Self, LinkError> {
        Ok(Self::of(End::Tap(tap::open(name)?), true))
    }

    fn of(end: End, is_up: bool) -> Self {
        let (incoming, outgoing) = (Frames::default(), Vec::new());
        Self(Arc::new(Inner {
            end,
            state: Mutex::new(State { is_up, incoming, outgoing, waits: PollFlags::empty() }),
        }))
    }

    /// Whether there is somebody at the other end who has kept to the rules.
    pub fn is_up(&self) -> bool {
        self.state().is_up
    }

    /// The next frame that has come, which stays the next until it is [taken](Self::taken). If there is none, the main loop has the
    /// devices polled when there is.
    pub(crate) fn frame(&self) -> Option<Vec<u8>> {
        let mut state = self.state();
        while state.is_up {
            match state.incoming.first().map(|frame| frame.map(<[u8]>::to_vec)) {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) if self.fill(&mut state) => {}
                Ok(None) => return None,
                Err(lie) => {
                    tracing::debug!(target: "vmm::link", "a frame of {} bytes ends the link", lie.length);
                    state.end();
                }
            }
        }
        None
    }

    /// Takes the next frame away.
    pub(crate) fn taken(&self) {
        self.state().incoming.drop_first();
    }

    /// Sends what is left of the last frame. Whether another can be sent; the main loop has the devices polled when it can. On a link
    /// that is down all frames are lost.
    pub(crate) fn is_clear(&self) -> bool {
        let mut state = self.state();
        self.flush(&mut state);
        state.outgoing.is_empty()
    }

    /// Sends a frame, if the link [is clear](Self::is_clear).
    pub(crate) fn send(&self, frame: &[u8]) {
        let mut state = self.state();
        if !state.is_up || !state.outgoing.is_empty() {
            return;
        }
        if matches!(self.0.end, End::Stream(_)) {
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            state.outgoing.extend(length.to_be_bytes());
        }
        state.outgoing.extend(frame);
        self.flush(&mut state);
    }

    /// What the main loop is to wait for.
    pub(crate) fn waits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let (End::Tap(fd) | End::Stream(fd)) = &self.0.end else { return None };
        Some((fd.as_fd(), self.state().waits)).filter(|(_, waits)| !waits.is_empty())
    }

    /// What was waited for has come: nobody waits until a device has found that it must.
    pub(crate) fn came(&self) {
        self.state().waits = PollFlags::empty();
    }

    /// Reads more. Whether there was any.
    fn fill(&self, state: &mut State) -> bool {
        let mut bytes = vec![0; AT_ONCE];
        let read = match &self.0.end {
            End::Nothing => return false,
            End::Tap(fd) => rustix::io::read(fd, &mut bytes),
            End::Stream(fd) => rustix::net::recv(fd, &mut *bytes, RecvFlags::empty()).map(|(read, _)| read),
        };
        match read {
            Ok(0) => state.end(),
            Ok(read) if matches!(self.0.end, End::Stream(_)) => state.incoming.push(&bytes[..read]),
            Ok(read) => state.incoming.push_frame(&bytes[..read]),
            Err(Errno::AGAIN | Errno::INTR) => {
                state.waits |= PollFlags::IN;
                return false;
            }
            Err(_) => state.end(),
        }
        state.is_up
    }

    fn flush(&self, state: &mut State) {
        while !state.outgoing.is_empty() {
            let sent = match &self.0.end {
                End::Nothing => return state.outgoing.clear(),
                // An interface that is down, or does not like a frame, loses it.
                End::Tap(fd) => match rustix::io::write(fd, &state.outgoing) {
                    Err(Errno::AGAIN | Errno::INTR) => Err(Errno::AGAIN),
                    _ => Ok(state.outgoing.len()),
                },
                End::Stream(fd) => rustix::net::send(fd, &state.outgoing, SendFlags::NOSIGNAL),
            };
            match sent {
                Ok(sent) => drop(state.outgoing.drain(..sent)),
                Err(Errno::AGAIN | Errno::INTR) => {
                    state.waits |= PollFlags::OUT;
                    return;
                }
                Err(_) => state.end(),
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the link for good.
    fn end(&mut self) {
        *self = Self {
            is_up: false,
            incoming: Frames::default(),
            outgoing: Vec::new(),
            waits: PollFlags::empty(),
        };
    }
}
