//! The kernel's entry for 32-bit programs, reached from 64-bit code by `int 0x80`: the same descriptors, the same commands, but
//! arguments of 32 bits, structures of the i386 layout, and the compat dispatch.
#![expect(unsafe_code, reason = "enters the kernel by int 0x80")]

use std::os::fd::AsRawFd;

use super::{Command, CompatBuffer, Descriptor, EFAULT, Errno, KVM_GET_DIRTY_LOG, Plain, Refused, raw};
use crate::recorder::{self, Entry};

/// `ioctl`'s number for 32-bit programs.
const IOCTL: u32 = 54;

/// The 32-bit entry.
///
/// A kernel that has it switched off kills the process that tries it: [`Need::Compat32`](crate::Need::Compat32) comes first.
#[derive(Clone, Copy, Debug)]
pub struct Compat;

impl Compat {
    /// Sends a command with a number, which must lie in the first page where it could be taken for an address.
    #[track_caller]
    pub fn value(self, to: &impl Descriptor, command: Command, value: u32) -> Result<i32, Refused> {
        let may_be_address = command.takes_address() || command.kinds.is_empty();
        if may_be_address && value >= 0x1000 {
            return Err(Refused::new(command.name, EFAULT));
        }
        // SAFETY: the command takes no address, or the value is one that nothing can be mapped at.
        unsafe { enter(to, command, value) }.map_err(Refused::of(command.name))
    }

    /// Sends a command with a structure.
    ///
    /// An address inside the structure that KVM or a guest would write through is refused here with EFAULT, unless no mapping
    /// can have it.
    #[track_caller]
    pub fn send(
        self,
        to: &impl Descriptor,
        command: Command,
        bytes: &mut CompatBuffer,
    ) -> Result<i32, Refused> {
        if raw::inner_address(command).is_some_and(|offset| raw::is_user(inner(command, bytes, offset))) {
            return Err(Refused::new(command.name, EFAULT));
        }
        // SAFETY: no address inside the bytes leads to memory of ours that is written through it.
        unsafe { self.send_holding_address(to, command, bytes) }
    }

    /// Sends a command with a structure that holds an address.
    ///
    /// # Safety
    /// What the kernel may write through the address inside `bytes` stays valid, and is not taken for anything else, for as
    /// long as the kernel keeps it: for a memory slot, as long as the VM lives.
    #[track_caller]
    pub(super) unsafe fn send_holding_address(
        self,
        to: &impl Descriptor,
        command: Command,
        bytes: &mut CompatBuffer,
    ) -> Result<i32, Refused> {
        // SAFETY: the bytes are borrowed mutably and followed by an inaccessible page; for an address inside them, the caller's
        // promise.
        unsafe { enter(to, command, bytes.address()) }.map_err(Refused::of(command.name))
    }

    /// Sends a command that fills a structure.
    #[track_caller]
    pub fn read<T: Plain>(self, from: &impl Descriptor, command: Command) -> Result<T, Refused> {
        let mut bytes = CompatBuffer::zeroed(size_of::<T>())?;
        self.send(from, command, &mut bytes)?;
        Ok(bytes.get(0))
    }

    /// Sends a command that reads a structure.
    #[track_caller]
    pub fn write<T: Plain>(self, to: &impl Descriptor, command: Command, value: T) -> Result<i32, Refused> {
        self.send(to, command, &mut CompatBuffer::holding(value)?)
    }
}

/// The address inside the structure, as the kernel reads it from a 32-bit caller.
fn inner(command: Command, bytes: &CompatBuffer, offset: usize) -> u64 {
    if command.number == KVM_GET_DIRTY_LOG.number && bytes.len() >= offset + 4 {
        bytes.get::<u32>(offset).into()
    } else if bytes.len() >= offset + 8 {
        bytes.get(offset)
    } else {
        0
    }
}

/// Enters the kernel as a 32-bit program would.
///
/// # Safety
/// If the command takes an address, nothing but memory handed over by the caller is reached from `argument`.
unsafe fn enter(to: &impl Descriptor, command: Command, argument: u32) -> Result<i32, Errno> {
    let answer: i32;
    // SAFETY: the caller's promise; the entry preserves every register but EAX and, on kernels before 4.17, R8 to R11. RBX is
    // restored, since the compiler keeps it for itself.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {fd}",
            "int 0x80",
            "xchg rbx, {fd}",
            fd = inout(reg) i64::from(to.as_fd().as_raw_fd()) => _,
            inlateout("eax") IOCTL => answer,
            in("ecx") command.number,
            in("edx") argument,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let answer = if answer < 0 { Err(Errno(-answer)) } else { Ok(answer) };
    recorder::note(Entry::Compat, to.as_fd().as_raw_fd(), command.number, argument.into(), answer);
    to.answered(command, answer);
    answer
}
