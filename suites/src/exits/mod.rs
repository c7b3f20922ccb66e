//! Claims about what leaves a guest, one file for each exit reason: api.rst section 5, "The kvm_run structure".
//!
//! `told` makes the claims of payloads: for each mode of a payload, that bare KVM tells its story to the end.

#[macro_use]
mod told;

mod hlt;
mod io;
mod mmio;
