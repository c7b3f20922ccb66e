//! The kernel's KVM interface as an accel: `Documentation/virt/kvm/api.rst`, 1 to 5.

mod cpu;
mod kick;
mod system;
mod vm;

pub use system::open_device;
