//! The kernel's KVM interface as an accel: `Documentation/virt/kvm/api.rst`, 1 to 5.

mod cpu;
mod cpuid;
mod irqchip;
mod kick;
mod reset;
mod ring;
mod shown;
mod system;
mod trace;
mod vm;

pub use system::open_device;
