//! Other processes that a claim makes: a forked child that tries something in its place, and descriptors that travel to it.
#![expect(unsafe_code, reason = "forks, and maps what the child says")]

use std::io::{IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, WaitOptions, waitpid};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::kvm::Errno;
use crate::{HostFault, Stop};

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

/// Runs `function` in a forked child, in which every descriptor and mapping is there as it was, and waits for its end.
///
/// The child has the calling thread only.
pub fn in_child<T: Serialize + DeserializeOwned>(function: impl FnOnce() -> T) -> Result<Ended<T>, Stop> {
    let said = memory_file("said")?;
    // SAFETY: the child only runs `function` and leaves by `_exit`. Locks that another thread of this process holds stay locked
    // there: the claims that fork have not started threads.
    match unsafe { libc::fork() } {
        -1 => Err(fault("fork", Errno::last())),
        0 => {
            // What the child prints on a panic would only stand twice in the record.
            let returned = catch_unwind(AssertUnwindSafe(|| {
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
        pid => ended(pid, said),
    }
}

fn ended<T: DeserializeOwned>(pid: i32, mut said: std::fs::File) -> Result<Ended<T>, Stop> {
    let status = loop {
        match waitpid(Pid::from_raw(pid), WaitOptions::empty()) {
            Ok(Some((_, status))) => break status,
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(fault("waitpid", errno.into())),
        }
    };
    if let Some(signal) = status.terminating_signal() {
        return Ok(Ended::Killed(signal));
    }
    match status.exit_status() {
        Some(0) => {
            let mut text = Vec::new();
            said.rewind().and_then(|()| said.read_to_end(&mut text)).map_err(|error| host_fault(&error))?;
            serde_json::from_slice(&text).map(Ended::Returned).map_err(|error| host_fault(&error))
        }
        other => Ok(Ended::Exited(other.unwrap_or(-1))),
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
