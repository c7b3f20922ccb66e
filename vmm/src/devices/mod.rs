//! The device models, one file for each; [`DEVICES`](crate::DEVICES) holds them all.

mod debug_port;
mod exit_port;
