//! The runner: tries many claims at once, each in a process of its own, and makes a record of what became of them.

mod fate;
pub(crate) mod kernel_log;
mod notes;
mod pool;
mod settings;
mod shrink;
mod trial;

pub use pool::{Interrupt, Observer, run, try_one};
pub use settings::Settings;
pub(crate) use trial::blank;
