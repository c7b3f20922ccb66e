//! The claims, by what they are about. A file is named for the ioctl, exit, capability or chip in it.
#![forbid(unsafe_code)]

pub mod compat;
pub mod descriptors;
pub mod devices;
pub mod events;
pub mod exits;
pub mod guests;
pub mod machines;
pub mod relations;
mod shipped;
pub mod system;
pub mod vcpu;
pub mod vm;
