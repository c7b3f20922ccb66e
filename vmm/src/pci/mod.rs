//! What functions of the PCI bus are made of: PCI Local Bus Specification 3.0.

mod configuration;
mod message;
mod pins;

pub use configuration::{Bar, Configuration, Identity, Layout, command};
pub use message::Messages;
pub use pins::{Pin, Pins};
