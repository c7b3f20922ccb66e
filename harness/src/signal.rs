//! A signal that waits, blocked, for the calling thread: what KVM_SET_SIGNAL_MASK lets in during KVM_RUN.
#![expect(unsafe_code, reason = "blocks signals, raises one and takes it back")]

use std::mem::MaybeUninit;

use crate::kvm::Errno;
use crate::{HostFault, Stop};

/// A signal that is blocked and pending for the thread that made this, for as long as this lives.
#[derive(Debug)]
pub struct Pending {
    _blocked: Blocked,
}

/// A signal that is blocked for the thread that made this, for as long as this lives. Whatever comes of it by then is taken back.
#[derive(Debug)]
pub struct Blocked {
    only: libc::sigset_t,
    before: libc::sigset_t,
    sender: Sender,
}

/// What sends a blocked signal to its thread, from any other.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    signal: i32,
    process: i32,
    thread: i32,
}

impl Pending {
    /// Blocks `signal` for the calling thread and sends it to that thread.
    pub fn new(signal: i32) -> Result<Self, Stop> {
        let blocked = Blocked::new(signal)?;
        blocked.sender().send()?;
        Ok(Self { _blocked: blocked })
    }
}

impl Blocked {
    /// Blocks `signal` for the calling thread.
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
        // SAFETY: both calls only say numbers.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        Ok(Self { only, before, sender: Sender { signal, process, thread } })
    }

    /// What sends the signal.
    pub fn sender(&self) -> Sender {
        self.sender
    }
}

impl Sender {
    /// Sends the signal to the thread that blocked it.
    pub fn send(self) -> Result<(), Stop> {
        // SAFETY: the signal is blocked for that thread, so that no handler runs; if the thread is gone, the call says so.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, self.process, self.thread, self.signal) };
        if sent == 0 { Ok(()) } else { Err(fault("tgkill", Errno::last())) }
    }
}

impl Drop for Blocked {
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
