//! Eventfds that raise interrupt lines, for devices that are outside of this program or have threads of their own: `api.rst` 4.75
//! "KVM_IRQFD".
#![expect(unsafe_code, reason = "borrows the descriptor of an eventfd, which cannot be borrowed otherwise")]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Weak;

use vmm_sys_util::eventfd::EventFd;

use super::line::Inner;

/// An eventfd that raises an interrupt line.
#[derive(Debug)]
pub struct Trigger {
    /// Which line.
    pub gsi: u32,
    /// What raises it, each time that it is written to. Whoever runs the machine reads it, so that it must not block.
    pub fd: EventFd,
    /// With this, the line stays high until the guest has ended the interrupt, and this is written to then; without, it goes low at
    /// once.
    pub resample: Option<EventFd>,
}

impl AsFd for Trigger {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as its eventfd lives, which `self` does longer than the borrow.
        unsafe { BorrowedFd::borrow_raw(self.fd.as_raw_fd()) }
    }
}

/// Who is told of the ends of interrupts.
#[derive(Clone)]
pub struct Ends(pub(super) Weak<Inner>);

impl Ends {
    /// The guest has ended an interrupt of this line.
    pub fn of(&self, gsi: u32) {
        if let Some(lines) = self.0.upgrade() {
            lines.ended(gsi);
        }
    }
}
