//! What several of these claims need.

use harness::Need;

/// Not QEMU's nested SVM: it aborts where 32-bit code comes to ring 0 through a task that is marked busy, as a running one is.
pub(crate) const BUSY_TASKS: Need = Need::Any(&[Need::Not(&Need::Amd), Need::Not(&Need::Lab)]);

/// Not QEMU's nested SVM either: a kernel under it was not heard of any more when its guests wrote to one MSR after the other.
pub(crate) const MSR_SCRIPTS: Need = BUSY_TASKS;
