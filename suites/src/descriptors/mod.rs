//! Claims about KVM's descriptors as files: what the system calls that every file knows answer, and what becomes of commands
//! that a descriptor does not know.

pub(crate) mod lesser;
pub(crate) mod mmap;
pub(crate) mod state;
pub(crate) mod stranger;

mod access_mode;
mod close_on_exec;
mod fallocate;
mod foreign_commands;
mod ftruncate;
mod lseek;
mod name;
mod open;
mod poll;
mod pread;
mod read;
mod unknown_numbers;
mod vfs_commands;
mod write;
mod wrong_kind;
mod wrong_shape;
