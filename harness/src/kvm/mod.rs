//! The KVM interface as claims use it: descriptors, commands, capabilities and errors by the kernel's names, and nothing
//! between a claim and the system call but safety.

mod attribute;
mod buffer;
mod cap;
mod command;
mod compat;
mod compat_buffer;
mod compat_vm;
mod descriptor;
mod device;
mod dirty_log;
mod errno;
mod exit;
mod list;
mod mapping;
mod memory;
mod plain;
mod raw;
mod system;
mod uevent;
mod vcpu;
mod vm;

pub use attribute::get_attribute;
pub use buffer::Guarded;
pub use cap::*;
pub use command::*;
pub use compat::Compat;
pub use compat_buffer::CompatBuffer;
pub use descriptor::{Argument, Descriptor, Kind, Refused};
pub use device::{Device, GuestMemfd, Stats};
pub use errno::*;
pub use exit::{EXIT_REASONS, Exit, ExitReason, Given, HypervExit, MsrExit, RunPage, TdxExit, XenExit};
pub use list::{CpuidEntry, List, MsrEntry, list, list_over};
pub use mapping::Mapping;
pub use memory::Memory;
pub use plain::Plain;
pub use system::Kvm;
pub use uevent::{Uevent, Uevents, VmEvent};
pub use vcpu::Vcpu;
pub use vm::Vm;

/// The structures of `linux/kvm.h`.
pub use kvm_bindings as abi;
