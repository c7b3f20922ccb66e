//! Claims about what leaves a guest, one file for each exit reason: api.rst section 5, "The kvm_run structure".
//!
//! `told` makes the claims of payloads: for each mode of a payload, that bare KVM tells its story to the end. `stage` is where the
//! other claims are tried, `provoked` what holds at every exit, and `provocations` the exits that it is tried at. `table` says of
//! every exit which claims try it, or why none does.

#[macro_use]
mod told;
#[macro_use]
mod provoked;

mod generated;
mod hlt;
mod io;
mod mmio;
mod provocations;
mod stage;
