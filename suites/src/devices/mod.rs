//! Claims about device models, one file for each. Those that the kernel has are tried against ours and ours against them; the others
//! against their data sheets.

mod i8254;
mod i8259;
mod ioapic;
mod kernel;
mod local_apic;
mod ours;
mod parts;
mod twins;
