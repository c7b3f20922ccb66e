//! Claims about what guest code meets inside: the modes that it runs in, the exceptions that it raises, and what it does when it is
//! told.

mod exceptions;
mod generated;
mod modes;
pub(crate) mod needs;
mod puppet;
mod raised;
