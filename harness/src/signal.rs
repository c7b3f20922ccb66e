//! A signal that waits, blocked, for the calling thread: what KVM_SET_SIGNAL_MASK lets in during KVM_RUN.
#![expect(unsafe_code, reason = "blocks signals, raises one and takes it back")]

use std::mem::MaybeUninit;
use std::sync::Once;
use std::time::Duration;

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

/// What sends a signal that is blocked or does nothing to its thread, from any other.
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
        Ok(Self { only, before, sender: Sender::to_this_thread(signal) })
    }

    /// What sends the signal.
    pub fn sender(&self) -> Sender {
        self.sender
    }
}

impl Sender {
    fn to_this_thread(signal: i32) -> Self {
        // SAFETY: both calls only say numbers.
        let (process, thread) = unsafe { (libc::getpid(), libc::gettid()) };
        Self { signal, process, thread }
    }

    /// Sends the signal to the thread that blocked it or handles it.
    pub fn send(self) -> Result<(), Stop> {
        // SAFETY: the signal is blocked for that thread or does nothing; if the thread is gone, the call says so.
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

/// A signal that comes to a handler that does nothing: it ends a KVM_RUN that it finds, and is taken back where this is dropped before.
#[derive(Debug)]
pub struct Alarm(());

impl Alarm {
    /// SIGALRM for this process after so long, once.
    pub fn after(delay: Duration) -> Result<Self, Stop> {
        Self::of(delay, Duration::ZERO)
    }

    /// SIGALRM for this process after so long, again and again: one of them finds the KVM_RUN, however late that begins.
    pub fn every(delay: Duration) -> Result<Self, Stop> {
        Self::of(delay, delay)
    }

    fn of(first: Duration, others: Duration) -> Result<Self, Stop> {
        static HANDLED: Once = Once::new();
        HANDLED.call_once(|| do_nothing_at(libc::SIGALRM));
        set(first, others)?;
        Ok(Self(()))
    }
}

/// What sends the calling thread a SIGUSR1 that does nothing but end the system call that it finds.
pub fn harmless() -> Sender {
    static HANDLED: Once = Once::new();
    HANDLED.call_once(|| do_nothing_at(libc::SIGUSR1));
    Sender::to_this_thread(libc::SIGUSR1)
}

/// Has a signal handled by what does nothing.
fn do_nothing_at(signal: i32) {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler does nothing; without SA_RESTART a system call that it interrupts comes back.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // A timer that is off already is no matter.
        let _ = set(Duration::ZERO, Duration::ZERO);
    }
}

fn set(first: Duration, others: Duration) -> Result<(), Stop> {
    let time = |delay: Duration| libc::timeval {
        tv_sec: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
        tv_usec: delay.subsec_micros().into(),
    };
    let timer = libc::itimerval { it_interval: time(others), it_value: time(first) };
    // SAFETY: reads the timer handed over, and writes nothing.
    match unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(fault("setitimer", Errno::last())),
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
