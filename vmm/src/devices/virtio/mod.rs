//! Virtio devices, by what they do and apart from how they are reached: virtio 1.2, 2 "Basic facilities of a virtio device" and 5
//! "Device types".

mod balloon;
mod blk;
mod chain;
mod console;
mod mmio;
mod model;
mod net;
mod pci;
mod ring;
mod rng;
mod transport;

pub(crate) use blk::BLOCK;
pub use chain::{Broken, Chain};
pub use mmio::{SLOTS, Slot, in_slot};
pub use model::{MODELS, Model, ModelClass, model_class, model_classes};
pub use pci::on_bus;
pub use ring::Rings;
