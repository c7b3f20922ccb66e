//! One ioctl: sent, and written down with its answer.
#![expect(unsafe_code, reason = "the system call, and a look at the argument that the kernel has just read")]

use std::cell::Cell;
use std::os::fd::RawFd;
use std::time::Instant;

use super::table::Table;
use super::{index, whose};
use crate::kvm::{Errno, KVM_ENABLE_CAP, KVM_RUN};

/// By which of the kernel's entries a command came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// That of 64-bit programs.
    Native,
    /// That of 32-bit programs.
    Compat,
}

thread_local! {
    /// How long this thread's last KVM_RUN took, in nanoseconds.
    static LAST_RUN: Cell<u64> = const { Cell::new(0) };
}

/// How long this thread's last KVM_RUN took, in nanoseconds.
pub(super) fn last_run() -> u64 {
    LAST_RUN.get()
}

/// Sends a command and writes down what was answered.
///
/// # Safety
/// If the command takes an address, nothing but memory handed over by the caller is reached from `argument`.
pub(crate) unsafe fn call(fd: RawFd, request: libc::c_ulong, argument: u64) -> Result<i32, Errno> {
    // SAFETY: the caller's promise. The raw system call is used because libc's wrapper narrows nothing either, but promises
    // nothing about arguments above 32 bits.
    let send = || match unsafe { libc::syscall(libc::SYS_ioctl, fd, request, argument) } {
        answer if answer < 0 => Err(Errno::last()),
        answer => Ok(i32::try_from(answer).unwrap_or(i32::MAX)),
    };
    // The kernel looks at 32 bits of the request.
    let number = (request & 0xffff_ffff) as u32;
    if number != KVM_RUN.number {
        let answer = send();
        note(Entry::Native, fd, number, argument, answer);
        return answer;
    }
    let start = Instant::now();
    let answer = send();
    LAST_RUN.set(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
    note(Entry::Native, fd, number, argument, answer);
    answer
}

/// Writes down what a command was answered that was sent another way.
pub(crate) fn note(entry: Entry, fd: RawFd, number: u32, argument: u64, answer: Result<i32, Errno>) {
    let Some(table) = Table::shared() else { return };
    let Some(command) = index::of(number) else { return };
    // That the one kind that knows a command took it is proof enough; looking up the descriptor's name takes longer than many commands.
    let kind = index::only_kind(command).filter(|_| answer.is_ok()).or_else(|| whose::kind_of(fd));
    table.answered(entry, kind, command, answer);
    if number == KVM_ENABLE_CAP.number && answer.is_ok() {
        // SAFETY: the kernel has just read the structure from there, of which this is the first field.
        table.enabled(unsafe { (argument as *const u32).read_volatile() });
    }
}
