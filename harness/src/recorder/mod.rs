//! The recorder: what was really asked of the kernel while a claim was tried, and what it answered.
//!
//! Every ioctl of the program comes by here: raw commands and those for 32-bit programs tell of themselves, and what other crates send,
//! kvm-ioctls among them, goes through a symbol `ioctl` of our own, which the linker takes in libc's place. What is seen goes to a table of
//! fixed size in memory that the keeper shares with the child and with whatever that forks, so that nothing is lost when one of them is
//! killed; the keeper reads it when the child has ended. Outside of a claim's child nothing is recorded.
//!
//! Which kind of descriptor a command went to is never taken from a type or a name that a claim gave it: a command that one kind alone
//! knows and that succeeded tells it, and in all other cases the kernel does, by the descriptor's name in `/proc/self/fd`.

mod index;
mod ioctl;
mod run_page;
mod symbol;
mod table;
mod told;
mod whose;

pub(crate) use ioctl::{Entry, call, note};
pub(crate) use run_page::came_back;
pub use run_page::ran;
pub(crate) use table::Table;
#[doc(hidden)]
pub use table::recording;
#[doc(hidden)]
pub use told::recorded;
