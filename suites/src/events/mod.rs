//! Claims about interrupts and events: what a host has a vCPU take, when the guest takes it, and what it sees of it.
//!
//! `handled` is the guest that most of them are tried with: it tells of every vector that it is entered through. `processors` are the
//! vCPUs of one VM, which send each other interrupts.

mod combination;
mod exception_payloads;
mod guest_debug;
mod handled;
mod init_sipi;
mod interrupt;
mod mp_state;
mod nmi;
mod processors;
mod smi;
mod triple_fault;
mod vcpu_events;
