//! The kernel's KVM interface as an accel: `Documentation/virt/kvm/api.rst`, 1 to 5.

mod cpu;
mod cpuid;
mod debug;
mod irqchip;
mod kick;
mod levels;
mod reset;
mod ring;
mod shown;
mod state;
mod system;
mod trace;
mod vm;
mod watcher;

pub use system::open_device;
pub use watcher::EXIT_WATCHERS;

/// The run page, as watchers of exits are shown it.
pub use kvm_bindings::kvm_run as RunPage;
