//! The whole machine between two runs, as it is compared, and as it is written to a file and read in another process.

mod file;
mod state;

pub use file::{FORMAT, SnapshotError};
pub use state::{CpuState, DeviceState, State};
