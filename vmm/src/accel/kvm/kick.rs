//! Ending KVM_RUN from another thread: `api.rst` 5, `immediate_exit`, and a signal for a vCPU that is in the guest already.
#![expect(unsafe_code, reason = "handles and sends signals, and shares a byte with a vCPU's thread")]

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::accel::{AccelError, Kick};

/// Ends KVM_RUN of one vCPU.
pub(super) struct KvmKick(Mutex<Option<Target>>);

struct Target {
    /// In the run page: KVM_RUN comes back at once as long as it is not zero.
    immediate_exit: &'static AtomicU8,
    /// The thread that does KVM_RUN, once one has.
    thread: Option<libc::pid_t>,
}

impl KvmKick {
    /// A kick for the vCPU that has this byte in its run page.
    ///
    /// # Safety
    ///
    /// The byte must be there until [`KvmKick::cut`] has been called.
    pub(super) unsafe fn new(immediate_exit: *mut u8) -> Self {
        // SAFETY: the caller keeps the byte for as long as the target is held; the kernel reads it whole, and this process reaches it
        // by this alone.
        let immediate_exit = unsafe { AtomicU8::from_ptr(immediate_exit) };
        Self(Mutex::new(Some(Target { immediate_exit, thread: None })))
    }

    /// Sends the signal to the calling thread from now on.
    pub(super) fn come_to_this_thread(&self) {
        if let Some(target) = self.target().as_mut() {
            // SAFETY: gettid has no conditions.
            target.thread = Some(unsafe { libc::gettid() });
        }
    }

    /// Has KVM_RUN come back at once from now on, or not: for the vCPU's own thread.
    pub(super) fn stay(&self, out: bool) {
        if let Some(target) = self.target().as_ref() {
            target.immediate_exit.store(out.into(), Ordering::SeqCst);
        }
    }

    /// Kicks nothing from now on.
    pub(super) fn cut(&self) {
        *self.target() = None;
    }

    fn target(&self) -> MutexGuard<'_, Option<Target>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kick for KvmKick {
    fn kick(&self) {
        if let Some(target) = self.target().as_ref() {
            target.immediate_exit.store(1, Ordering::SeqCst);
            if let Some(thread) = target.thread {
                // SAFETY: the signal has a handler in this process. Where the thread has ended, the call fails, or reaches another
                // thread of this process, where the handler does nothing.
                unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, libc::SIGRTMIN()) };
            }
        }
    }
}

/// Sees to it that the signal interrupts KVM_RUN and does nothing else: once for the process.
pub(super) fn handle_signal() -> Result<(), AccelError> {
    static HANDLED: OnceLock<Result<(), i32>> = OnceLock::new();
    HANDLED.get_or_init(install).map_err(|errno| AccelError::Refused {
        call: "sigaction",
        source: io::Error::from_raw_os_error(errno),
    })
}

extern "C" fn nothing(_: libc::c_int) {}

fn install() -> Result<(), i32> {
    // SAFETY: all zeroes are a `sigaction`: no flags, an empty mask. Without SA_RESTART an interrupted call fails.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as libc::sighandler_t;
    // SAFETY: both pointers are good, and the handler does nothing that a signal handler must not.
    match unsafe { libc::sigaction(libc::SIGRTMIN(), &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(0)),
    }
}
