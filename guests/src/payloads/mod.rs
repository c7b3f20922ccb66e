//! The payloads, one file for each topic; [`PAYLOADS`](crate::PAYLOADS) holds them all.

mod halt;
mod hello;
mod mmio;
mod modes;
mod port_io;
