//! What every KVM descriptor has in common: commands are sent to it, and it may refuse them.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::panic::Location;

use serde::{Deserialize, Serialize};

use super::{Command, Errno, Guarded, Mapping, Plain, raw};

/// The kinds of descriptor that KVM hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `/dev/kvm`.
    System,
    /// What KVM_CREATE_VM returns.
    Vm,
    /// What KVM_CREATE_VCPU returns.
    Vcpu,
    /// What KVM_CREATE_DEVICE returns.
    Device,
    /// What KVM_CREATE_GUEST_MEMFD returns.
    GuestMemfd,
    /// What KVM_GET_STATS_FD returns.
    Stats,
}

/// What a command is sent with.
#[derive(Debug)]
pub enum Argument<'a> {
    /// A number. For a command that takes an address, only one that no mapping can have: see [`Descriptor::send`].
    Value(u64),
    /// The address of these bytes, which end where an inaccessible page begins.
    Bytes(&'a mut Guarded),
    /// The address of a page that may be neither read nor written.
    Inaccessible,
    /// The address of a page that may be read and not written, filled with zeroes.
    ReadOnly,
}

/// A command that the kernel refused: what was sent, what it answered, and the line that sent it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The command, or the system call's name.
    pub command: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
    /// The line that sent it.
    pub at: &'static Location<'static>,
}

impl Refused {
    /// A refusal of `command` at the caller's line.
    #[track_caller]
    pub fn new(command: &'static str, errno: impl Into<Errno>) -> Self {
        Self { command, errno: errno.into(), at: Location::caller() }
    }

    /// Makes a refusal of `command` at the caller's line of whatever error comes; a closure at the place of the error would have
    /// that place for its line.
    #[track_caller]
    pub(crate) fn of<E: Into<Errno>>(command: &'static str) -> impl FnOnce(E) -> Self {
        let at = Location::caller();
        move |errno| Self { command, errno: errno.into(), at }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was refused with {}", self.command, self.errno)
    }
}

/// Something that KVM commands can be sent to.
pub trait Descriptor: AsFd {
    /// Which kind of descriptor it is.
    fn kind(&self) -> Kind;

    /// Sends a command, whatever kind of descriptor it is meant for, and returns what the kernel answered.
    ///
    /// A [`Value`](Argument::Value) may be any number for a command without an argument; where the number or an unknown
    /// command could be taken for an address, it must lie in the first page or above user space, and so must the addresses
    /// inside a structure. What does not is refused here with EFAULT, and never reaches the kernel.
    #[track_caller]
    fn send(&self, command: Command, argument: Argument<'_>) -> Result<i32, Refused> {
        let answer = raw::send(self.as_fd(), command, argument);
        self.answered(command, answer);
        answer.map_err(Refused::of(command.name))
    }

    /// What else is to be written down of an answer beside the answer itself; nothing but for a vCPU.
    #[doc(hidden)]
    fn answered(&self, _: Command, _: Result<i32, Errno>) {}

    /// Sends a command with a number.
    #[track_caller]
    fn value(&self, command: Command, value: u64) -> Result<i32, Refused> {
        self.send(command, Argument::Value(value))
    }

    /// Sends a command that fills a structure.
    #[track_caller]
    fn read<T: Plain>(&self, command: Command) -> Result<T, Refused> {
        let mut bytes = Guarded::zeroed(size_of::<T>());
        self.send(command, Argument::Bytes(&mut bytes))?;
        Ok(bytes.get(0))
    }

    /// Sends a command that reads a structure.
    #[track_caller]
    fn write<T: Plain>(&self, command: Command, value: &T) -> Result<i32, Refused> {
        let mut bytes = Guarded::zeroed(size_of::<T>());
        bytes.put(0, value);
        self.send(command, Argument::Bytes(&mut bytes))
    }

    /// Sends a command that reads a structure and changes it.
    #[track_caller]
    fn update<T: Plain>(&self, command: Command, value: &mut T) -> Result<i32, Refused> {
        let mut bytes = Guarded::zeroed(size_of::<T>());
        bytes.put(0, value);
        let answer = self.send(command, Argument::Bytes(&mut bytes))?;
        *value = bytes.get(0);
        Ok(answer)
    }

    /// Maps the descriptor: `length` bytes from `offset`, both in bytes.
    #[track_caller]
    fn map(&self, length: usize, protection: i32, flags: i32, offset: u64) -> Result<Mapping, Refused> {
        Mapping::of(self.as_fd(), length, protection, flags, offset).map_err(Refused::of("mmap"))
    }

    /// The name behind the descriptor in `/proc/self/fd`.
    #[track_caller]
    fn link(&self) -> Result<String, Refused> {
        let path = format!("/proc/self/fd/{}", self.as_fd().as_raw_fd());
        match std::fs::read_link(path) {
            Ok(target) => Ok(target.to_string_lossy().into_owned()),
            Err(error) => Err(Refused::new("readlink", Errno(error.raw_os_error().unwrap_or(0)))),
        }
    }

    /// A second descriptor of the same open file.
    #[track_caller]
    fn duplicate(&self) -> Result<OwnedFd, Refused> {
        rustix::io::fcntl_dupfd_cloexec(self.as_fd(), 0).map_err(Refused::of("fcntl"))
    }
}
