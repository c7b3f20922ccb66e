//! Isolation: each claim in a child process of its own, so that what it breaks, leaks or leaves behind costs one entry and not the
//! run.
//!
//! A worker of the runner has one [`Keeper`]: a process of one thread, started from the same file, that forks a child for each
//! task. The keeper is the subreaper of whatever the child starts, so everything comes back to it, even out of another session,
//! and is killed; its control group bounds their memory; and when the runner dies its socket ends, and everything goes with it. What
//! a keeper starts is marked in its environment, so that the runner finds it where the keeper itself was killed.

mod child;
mod keeper;
mod kept;
mod leftovers;
mod memory_limit;
mod newborn;
mod output;
mod record;
mod task;
mod whereabouts;

pub use keeper::{Interrupter, Keeper, KeeperError};
pub(crate) use task::NAME;
pub use task::{End, Ending, Limits, Report, Said, Task, Tried, What};

/// Becomes a keeper, where this process was started as one; a program that tries claims calls this before it looks at its arguments.
pub fn intercept() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == keeper::ARGUMENT) {
        kept::serve();
    }
}
