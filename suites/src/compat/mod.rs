//! Claims about callers that enter the kernel as 32-bit programs do.

mod addresses;
mod alike;
mod create;
mod dirty_log;
mod lists;
mod memory_region;
mod msr_filter;
mod process;
mod run;
mod signal_mask;
mod system;
mod unknown;
mod vcpu_get;
mod vcpu_set;
mod vm_state;
