//! The ioctl system call, made safe: whatever is sent, the kernel can only write to memory that was handed to it.
#![expect(unsafe_code, reason = "the system call itself")]

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{
    Argument, Command, EFAULT, Errno, Guarded, KVM_GET_DEVICE_ATTR, KVM_GET_DIRTY_LOG, KVM_GET_ONE_REG,
    KVM_MEMORY_ENCRYPT_OP, KVM_SET_USER_MEMORY_REGION, KVM_SET_USER_MEMORY_REGION2,
};
use crate::recorder;

/// The first address above user space, with 5-level paging.
const USER_END: u64 = 1 << 56;
/// The end of the page that no mapping can have.
const FIRST_PAGE: u64 = 0x1000;

/// Sends `command` and returns what the kernel answered.
pub(super) fn send(fd: BorrowedFd<'_>, command: Command, argument: Argument<'_>) -> Result<i32, Errno> {
    match argument {
        Argument::Value(value) => {
            let may_be_address = command.takes_address() || command.kinds.is_empty();
            if may_be_address && is_user(value) {
                return Err(EFAULT);
            }
            // SAFETY: the command takes no address, or the value is one that nothing can be mapped at.
            unsafe { ioctl(fd, command, value) }
        }
        Argument::Bytes(bytes) => {
            if inner_address(command).is_some_and(|offset| is_user(inner(bytes, offset))) {
                return Err(EFAULT);
            }
            let address = bytes.address();
            // SAFETY: the bytes are borrowed mutably, an inaccessible page follows them, and no address inside them leads to
            // memory of ours.
            unsafe { ioctl(fd, command, address) }
        }
        Argument::Inaccessible => {
            let page = Guarded::zeroed(0);
            // SAFETY: the bytes are none, so that the address is that of the inaccessible page behind them.
            unsafe { ioctl(fd, command, page.address()) }
        }
        Argument::ReadOnly => {
            let page = Guarded::read_only();
            // SAFETY: the page cannot be written, and holds no address but zero.
            unsafe { ioctl(fd, command, page.address()) }
        }
    }
}

/// Sends `command` with a structure that holds an address.
///
/// # Safety
/// What the kernel may write through the address inside `bytes` stays valid, and is not taken for anything else, for as long
/// as the kernel keeps it: for a memory slot, as long as the VM lives.
pub(super) unsafe fn send_holding_address(
    fd: BorrowedFd<'_>,
    command: Command,
    bytes: &mut Guarded,
) -> Result<i32, Errno> {
    // SAFETY: the caller's promise, for the address inside; the bytes themselves are borrowed mutably.
    unsafe { ioctl(fd, command, bytes.address()) }
}

/// The system call, written down.
///
/// # Safety
/// If the command takes an address, nothing but memory handed over by the caller is reached from `argument`.
unsafe fn ioctl(fd: BorrowedFd<'_>, command: Command, argument: u64) -> Result<i32, Errno> {
    // SAFETY: the caller's promise.
    unsafe { recorder::call(fd.as_raw_fd(), command.number.into(), argument) }
}

/// The commands whose structure holds an address that KVM or a guest writes through, and where in it the address lies.
const HOLDING_AN_ADDRESS: [(Command, usize); 6] = [
    (KVM_SET_USER_MEMORY_REGION, 24),
    (KVM_SET_USER_MEMORY_REGION2, 24),
    (KVM_GET_DEVICE_ATTR, 16),
    (KVM_GET_DIRTY_LOG, 8),
    (KVM_MEMORY_ENCRYPT_OP, 8),
    (KVM_GET_ONE_REG, 8),
];

/// Where in the structure of `command` an address lies that KVM or a guest writes through. The number alone decides: whoever
/// makes a command may give it any name.
pub(super) fn inner_address(command: Command) -> Option<usize> {
    let holding = HOLDING_AN_ADDRESS.iter().find(|(holding, _)| holding.number == command.number);
    holding.map(|(_, offset)| *offset)
}

fn inner(bytes: &Guarded, offset: usize) -> u64 {
    if bytes.len() < offset + 8 { 0 } else { bytes.get(offset) }
}

/// Whether a mapping can have this address.
pub(super) fn is_user(address: u64) -> bool {
    (FIRST_PAGE..USER_END).contains(&address)
}
