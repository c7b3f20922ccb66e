//! A debugger at a machine: GDB manual, "Remote Serial Protocol", as the crate `gdbstub` speaks it. Each vCPU is a thread.

mod breakpoints;
mod line;
mod place;
mod registers;
mod session;
mod target;

pub use line::Line;
pub use place::{Place, PlaceError};
pub use session::serve;
