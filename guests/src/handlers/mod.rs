//! Handlers of interrupts and exceptions, which report to the host: Intel SDM volume 3, 7.12 "Exception and Interrupt Handling".
//!
//! Each vector has an entry of its own, so that the handler knows which it was. It writes down what it finds in the vCPU's block of
//! the [protocol page](crate::protocol), tells the vector by one OUT to a port, and then halts, returns, or goes on elsewhere.

mod code16;
mod code32;
mod code64;
mod vectors;

pub use vectors::{After, Handlers};
