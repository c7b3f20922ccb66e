//! The lab: a kernel of one's choice, booted under emulation, with this same program as its init.
//!
//! A kernel has a name ([`Kernel::find`]), modules that it loads in the order of their dependencies ([`Kernel::load_order`]), and
//! an [`initramfs`] that carries them. Outside, a session starts a machine with it, gives it orders, and listens to what comes up its
//! two serial lines: the kernel's console and the channel, on which the init tells what it finds out as it finds it out. Inside,
//! `init` is PID 1.

mod bochs;
mod boot;
mod channel;
mod checksum;
mod compression;
mod cpu;
mod death;
mod debian;
mod directory;
mod error;
pub(crate) mod firmware;
mod guest;
mod image;
pub(crate) mod init;
mod initramfs;
mod kernel;
mod lines;
mod lock;
mod modules;
mod orders;
mod package;
mod program;
mod qemu;
mod session;
mod strip;
mod vmlinux;

pub use error::LabError;
pub use firmware::Firmware;
pub use guest::GuestKernel;
pub use initramfs::initramfs;
pub use kernel::{Kernel, Sources};
pub use modules::Module;

pub(crate) use boot::Lab;
pub(crate) use cpu::Cpu;
pub(crate) use orders::Orders;
pub(crate) use session::{LostError, Plan, Session, Watcher};
