//! Accels: ways to run vCPUs, in the sense of QEMU's `-accel`. One file for each, found here by name.

mod debugging;
mod hypervisor;
pub mod kvm;
mod open;
pub mod qtest;

pub use debugging::{Debugging, Stopped, Touch, Watch};
pub use hypervisor::{AccelError, Cpu, CpuError, Exit, Hypervisor, InAccel, Kick};
pub use open::{Accel, OpenError, Tried, accels, open};

/// Every accel that is linked in, in no order; [`accels`] sorts them.
#[linkme::distributed_slice]
pub static ACCELS: [Accel];
