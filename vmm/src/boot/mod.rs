//! What a machine without firmware begins with: a kernel in memory, and a processor in the state that the kernel expects.

mod e820;
mod elf;
mod entry;
mod kernel;
mod linux;
mod multiboot;
pub(crate) mod pci;
mod pvh;

pub use e820::{MemoryRange, memory_map};
pub use kernel::{Boot, BootError, Entry, File, load};
