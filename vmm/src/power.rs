//! How a run of a machine ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

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
pub struct Power(Arc<Mutex<Option<End>>>);

impl Power {
    /// Asks for this end; the first who asks decides. A vCPU sees it when it next leaves the guest.
    pub fn ask(&self, end: End) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
    }

    /// What was asked for.
    pub fn asked(&self) -> Option<End> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked for, and forgets it.
    pub(crate) fn take(&self) -> Option<End> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
