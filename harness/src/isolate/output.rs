//! What a child prints: a pipe that the keeper empties, and of which it keeps the end. Nobody waits for the end of the pipe, which
//! something that the child started may hold for ever.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

/// How much of the end of it is kept, in bytes.
const KEPT: usize = 4096;
/// How many times the pipe is read before something else is looked at: a child that never stops printing has a clock too.
const READS: usize = 64;

/// The keeper's end.
pub(super) struct Output {
    pipe: Option<File>,
    kept: Vec<u8>,
}

impl Output {
    /// A pipe, and what the child writes to.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        // The two ends are different open files: what is printed still waits until there is room.
        rustix::io::ioctl_fionbio(&ours, true)?;
        Ok((Self { pipe: Some(ours.into()), kept: Vec::new() }, theirs))
    }

    /// What becomes readable when something was printed; none when nobody can print any more.
    pub(super) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Takes what was printed since.
    pub(super) fn take(&mut self) {
        let mut bytes = [0; 16 * 1024];
        for _ in 0..READS {
            let Some(pipe) = &mut self.pipe else { return };
            match pipe.read(&mut bytes) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    self.kept.extend_from_slice(&bytes[..length]);
                    let surplus = self.kept.len().saturating_sub(KEPT);
                    self.kept.drain(..surplus);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    /// The end of what was printed.
    pub(super) fn text(mut self) -> String {
        self.take();
        String::from_utf8_lossy(&self.kept).trim().to_owned()
    }
}
