//! Claims about what leaves a guest, one file for each exit reason: api.rst section 5, "The kvm_run structure".
//!
//! `told` makes the claims of payloads: for each mode of a payload, that bare KVM tells its story to the end. `stage` is where the
//! other claims are tried, `provoked` what holds at every exit, and `provocations` the exits that it is tried at. `table` says of
//! every exit which claims try it, or why none does.

#[macro_use]
mod told;
#[macro_use]
mod provoked;

mod ap_reset_hold;
mod debug;
mod debug_events;
mod dirty_ring_full;
mod exception;
mod fail_entry;
pub(crate) mod generated;
mod hlt;
mod hypercall;
mod hyperv;
mod hyperv_guest;
mod internal_error;
mod intr;
mod io;
mod ioapic_eoi;
mod irq_window_open;
mod memory_fault;
mod mmio;
pub(crate) mod msr;
mod notify;
mod provocations;
mod run_flags;
mod set_tpr;
mod shutdown;
mod snp_req_certs;
pub(crate) mod stage;
mod system_event;
pub mod table;
mod tdx;
mod tpr_access;
mod unknown;
mod x86_bus_lock;
mod x86_rdmsr;
mod x86_wrmsr;
mod xen;
