//! How a run of a machine ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::accel::Stopped;

/// How a run of a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Every vCPU halted, with nothing that could wake it.
    Halted,
    /// The guest asked for it, with this status.
    Exited {
        /// What a program that runs the machine exits with.
        status: u32,
    },
    /// The guest asked for a reset, or its processor shut down.
    Reset,
    /// The guest has switched the power off.
    PoweredOff,
    /// The guest says that it has panicked.
    Panicked,
    /// A vCPU has done what a debugger waits for.
    Trapped {
        /// Which.
        cpu: usize,
        /// What.
        stopped: Stopped,
        /// Its instruction pointer.
        at: u64,
    },
    /// Somebody outside asked for it.
    Stopped,
    /// The time of the [`Limit`] is over.
    OutOfTime,
    /// A vCPU has left the guest as often as the [`Limit`] allows.
    OutOfExits,
}

/// What a run of a machine may take. The default is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How long it may last.
    pub time: Duration,
    /// How often each vCPU may leave the guest.
    pub exits: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Self { time: Duration::MAX, exits: u64::MAX }
    }
}

/// The switch that ends a run. Clones are the same switch.
#[derive(Clone, Debug, Default)]
pub struct Power(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    end: Mutex<Option<End>>,
    /// Whether there is an end: what vCPUs look at between any two exits.
    is_asked: AtomicBool,
}

impl Power {
    /// Asks for this end; the first who asks decides. A vCPU sees it when it next leaves the guest.
    pub fn ask(&self, end: End) {
        self.lock().get_or_insert(end);
        self.0.is_asked.store(true, Ordering::Release);
    }

    /// What was asked for.
    pub fn asked(&self) -> Option<End> {
        if self.0.is_asked.load(Ordering::Acquire) { *self.lock() } else { None }
    }

    /// What was asked for, and forgets it.
    pub(crate) fn take(&self) -> Option<End> {
        self.0.is_asked.store(false, Ordering::Release);
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<End>> {
        self.0.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
