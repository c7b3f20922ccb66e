//! Other processes that a claim makes: a forked child that tries something in its place, and descriptors that travel to it.
#![expect(unsafe_code, reason = "forks, and maps what the child says")]

use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, kill_process, set_parent_process_death_signal, waitpid,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kvm::Errno;
use crate::{Broken, HostFault, Outcome, Stop, holds};

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended<T> {
    /// The function returned this.
    Returned(T),
    /// A signal killed the child.
    Killed(i32),
    /// The child exited by itself, or panicked (status 101).
    Exited(i32),
}

/// A forked child at work. Dropped before it was waited for, it is killed.
#[derive(Debug)]
pub struct Child<T> {
    pid: Pid,
    said: std::fs::File,
    waited_for: bool,
    returns: PhantomData<T>,
}

/// Runs `function` in a forked child, in which every descriptor and mapping is there as it was, and waits for its end.
///
/// The child has the calling thread only.
pub fn in_child<T: Serialize + DeserializeOwned>(function: impl FnOnce() -> T) -> Result<Ended<T>, Stop> {
    start(function)?.wait()
}

/// What `function` checks in a forked child holds.
#[track_caller]
pub fn holds_in_child(function: impl FnOnce() -> Outcome) -> Outcome {
    start(function)?.holds()
}

/// Starts `function` in a forked child, as [`in_child`] does, and goes on beside it. The child dies with the calling thread.
pub fn start<T: Serialize + DeserializeOwned>(function: impl FnOnce() -> T) -> Result<Child<T>, Stop> {
    let said = memory_file("said")?;
    // SAFETY: the child only runs `function` and leaves by `_exit`. Locks that another thread of this process holds stay locked
    // there: the claims that fork have not started threads.
    match unsafe { libc::fork() } {
        -1 => Err(fault("fork", Errno::last())),
        0 => {
            // What the child prints on a panic would only stand twice in the record.
            let returned = catch_unwind(AssertUnwindSafe(|| {
                set_parent_process_death_signal(Some(Signal::KILL)).ok()?;
                let value = function();
                let mut file = &said;
                serde_json::to_vec(&value).ok().and_then(|text| file.write_all(&text).ok())
            }));
            let status = match returned {
                Ok(Some(())) => 0,
                Ok(None) => 102,
                Err(_) => 101,
            };
            // SAFETY: ends the child at once: nothing of the parent's is flushed or dropped twice.
            unsafe { libc::_exit(status) }
        }
        pid => {
            let pid = Pid::from_raw(pid).ok_or_else(|| fault("fork", Errno(0)))?;
            Ok(Child { pid, said, waited_for: false, returns: PhantomData })
        }
    }
}

impl<T: DeserializeOwned> Child<T> {
    /// Waits for the child's end.
    pub fn wait(mut self) -> Result<Ended<T>, Stop> {
        let status = self.end().map_err(|errno| fault("waitpid", errno.into()))?;
        if let Some(signal) = status.terminating_signal() {
            return Ok(Ended::Killed(signal));
        }
        match status.exit_status() {
            Some(0) => {
                let mut text = Vec::new();
                let read = self.said.rewind().and_then(|()| self.said.read_to_end(&mut text));
                read.map_err(|error| host_fault(&error))?;
                serde_json::from_slice(&text).map(Ended::Returned).map_err(|error| host_fault(&error))
            }
            other => Ok(Ended::Exited(other.unwrap_or(-1))),
        }
    }
}

impl Child<Outcome> {
    /// Waits for the child's end; what it checked holds.
    #[track_caller]
    pub fn holds(self) -> Outcome {
        match self.wait()? {
            Ended::Returned(outcome) => outcome.and_then(|()| holds(true, "the child's checks hold")),
            other => {
                Err(Broken::new(format!("the child did not come to the end of its checks: {other:?}")).into())
            }
        }
    }
}

impl<T> Child<T> {
    fn end(&mut self) -> rustix::io::Result<WaitStatus> {
        self.waited_for = true;
        loop {
            match waitpid(Some(self.pid), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(status),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

impl<T> Drop for Child<T> {
    fn drop(&mut self) {
        if !self.waited_for {
            // The child is this process's own and has not been waited for, so that the number is still its.
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.end();
        }
    }
}

/// A file in memory, closed on exec.
pub(crate) fn memory_file(name: &str) -> Result<std::fs::File, Stop> {
    rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)
        .map(std::fs::File::from)
        .map_err(|errno| fault("memfd_create", errno.into()))
}

/// A pair of connected sockets over which descriptors can travel.
pub fn sockets() -> Result<(OwnedFd, OwnedFd), Stop> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(|errno| fault("socketpair", errno.into()))
}

/// Tells the other end of a socket that the next step is its.
pub fn say_go(socket: impl AsFd) -> Result<(), Stop> {
    rustix::net::send(socket, b"g", SendFlags::NOSIGNAL)
        .map(drop)
        .map_err(|errno| fault("send", errno.into()))
}

/// Waits until the other end of a socket says that the next step is ours.
pub fn await_go(socket: impl AsFd) -> Result<(), Stop> {
    match rustix::net::recv(socket, &mut [0; 1], RecvFlags::empty()) {
        Ok((1, _)) => Ok(()),
        Ok(_) => Err(Stop::HostFault(HostFault("the other end of the socket is gone".into()))),
        Err(errno) => Err(fault("recv", errno.into())),
    }
}

/// Sends a descriptor over a socket, as SCM_RIGHTS.
pub fn send_descriptor(socket: impl AsFd, descriptor: impl AsFd) -> Result<(), Stop> {
    let descriptors: [BorrowedFd<'_>; 1] = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(b"d")], &mut control, SendFlags::empty())
        .map(drop)
        .map_err(|errno| fault("sendmsg", errno.into()))
}

/// Receives the descriptor that was sent over a socket.
pub fn receive_descriptor(socket: impl AsFd) -> Result<OwnedFd, Stop> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .map_err(|errno| fault("recvmsg", errno.into()))?;
    control
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .ok_or_else(|| Stop::HostFault(HostFault("no descriptor came over the socket".into())))
}

fn fault(call: &str, errno: Errno) -> Stop {
    Stop::HostFault(HostFault(format!("{call} failed with {errno}")))
}

fn host_fault(error: &dyn std::error::Error) -> Stop {
    Stop::HostFault(HostFault(format!("cannot read what the child said: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{Ended, await_go, holds_in_child, in_child, sockets, start};
    use crate::{Stop, equal, holds};

    #[test]
    fn a_childs_broken_check_breaks_the_claim() {
        assert_eq!(holds_in_child(|| holds(true, "it holds")), Ok(()));
        let Err(Stop::Broken(broken)) = holds_in_child(|| equal(1, 2)) else { panic!("a lie held") };
        assert_eq!(broken.why, "expected 2, saw 1");
    }

    #[test]
    fn a_child_that_dies_does_not_hold() {
        let killed = || kill_oneself(rustix::process::Signal::KILL);
        assert_eq!(in_child(killed), Ok(Ended::Killed(libc::SIGKILL)));
        let outcome = holds_in_child(|| {
            killed();
            Ok(())
        });
        assert!(matches!(outcome, Err(Stop::Broken(_))), "{outcome:?}");
    }

    #[test]
    fn a_child_that_nobody_waits_for_is_killed() {
        let (_ours, theirs) = sockets().unwrap();
        drop(start(|| await_go(&theirs)).unwrap());
    }

    fn kill_oneself(signal: rustix::process::Signal) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
}
