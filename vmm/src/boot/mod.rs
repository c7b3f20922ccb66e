//! What a machine begins with: firmware, or a kernel in memory and a processor in the state that the kernel expects.

mod e820;
mod elf;
mod entry;
pub(crate) mod firmware;
mod kernel;
mod linux;
mod multiboot;
pub(crate) mod pci;
mod pvh;

pub use e820::{MemoryRange, memory_map};
pub use firmware::BootFrom;
pub use kernel::{Boot, BootError, Entry, File, load};
