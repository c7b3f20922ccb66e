//! Runs as records: read, written, compared and asked about, on any machine, with or without KVM.

mod run;
mod verdict;

pub use run::{Cpu, Entry, FORMAT, Host, Run, Witness};
pub use verdict::Verdict;
