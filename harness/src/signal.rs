//! A signal that waits, blocked, for the calling thread: what KVM_SET_SIGNAL_MASK lets in during KVM_RUN.
#![expect(unsafe_code, reason = "blocks signals, raises one and takes it back")]

use std::mem::MaybeUninit;

use crate::kvm::Errno;
use crate::{HostFault, Stop};

/// A signal that is blocked and pending for the thread that made this, for as long as this lives.
#[derive(Debug)]
pub struct Pending {
    only: libc::sigset_t,
    before: libc::sigset_t,
}

impl Pending {
    /// Blocks `signal` for the calling thread and sends it to that thread.
    pub fn new(signal: i32) -> Result<Self, Stop> {
        let mut only = empty();
        let mut before = empty();
        // SAFETY: both sets are this function's own and initialised.
        let blocked = unsafe {
            libc::sigaddset(&raw mut only, signal);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const only, &raw mut before)
        };
        if blocked != 0 {
            return Err(fault("pthread_sigmask", Errno(blocked)));
        }
        let pending = Self { only, before };
        // SAFETY: the signal is blocked for this thread, so that no handler runs.
        match unsafe { libc::raise(signal) } {
            0 => Ok(pending),
            _ => Err(fault("raise", Errno::last())),
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the sets are this value's own. The signal is taken back before it is let in again; if it is gone already, the
        // call says so and nothing else.
        unsafe {
            libc::sigtimedwait(&raw const self.only, std::ptr::null_mut(), &raw const at_once);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut());
        }
    }
}

fn empty() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn fault(call: &str, errno: Errno) -> Stop {
    Stop::HostFault(HostFault(format!("{call} failed with {errno}")))
}
