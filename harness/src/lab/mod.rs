//! The lab: a kernel of one's choice, booted under emulation, with Assay as its init.
//!
//! A kernel has a name ([`Kernel::find`]), modules that it loads in the order of their dependencies ([`Kernel::load_order`]), and
//! an [`initramfs`] that carries them.

mod checksum;
mod compression;
mod debian;
mod directory;
mod error;
mod image;
mod initramfs;
mod kernel;
mod lock;
mod modules;
mod package;
mod strip;

pub use error::LabError;
pub use initramfs::initramfs;
pub use kernel::{Kernel, Sources};
pub use modules::Module;
