//! What a machine without firmware begins with: a kernel in memory, and a processor in the state that the kernel expects.

mod e820;
mod elf;
mod entry;
mod kernel;
mod multiboot;

pub use e820::{Entry, memory_map};
pub use kernel::{Boot, BootError, File, load};
