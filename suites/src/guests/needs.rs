//! What several of these claims need.

use harness::Need;

/// Not QEMU's nested SVM: it aborts where 32-bit code comes to ring 0 through a task that is marked busy, as a running one is.
pub(crate) const BUSY_TASKS: Need = Need::Any(&[Need::Not(&Need::Amd), Need::Not(&Need::Lab)]);
