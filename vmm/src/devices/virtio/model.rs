//! What a virtio device is behind its transport, and how one is found by name.

use std::io;

use serde_json::Value;

use super::{Broken, Rings};
use crate::Wires;

/// Every virtio device that is linked in, in no order; [`model_classes`] sorts them.
#[linkme::distributed_slice]
pub static MODELS: [ModelClass];

/// A virtio device: its name, and how one is made.
#[derive(Debug)]
pub struct ModelClass {
    /// What asks for it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Makes one.
    pub make: fn(&Wires) -> Box<dyn Model>,
}

/// What a virtio device does: virtio 1.2, 5.
pub trait Model: Send {
    /// The number of its type.
    fn id(&self) -> u32;

    /// The features that it offers besides those of rings and transports: bits 0 to 23 and 50 to 127, of which the first 64.
    fn features(&self) -> u64 {
        0
    }

    /// How many entries each of its queues has at most: a power of two, 256 at most.
    fn queues(&self) -> &'static [u16];

    /// What a driver can read of its configuration space; behind its end everything is zero.
    fn configuration(&self) -> Vec<u8> {
        Vec::new()
    }

    /// What of it must be the same where its state goes on: all of its configuration, unless some of that changes.
    fn identity(&self) -> Vec<u8> {
        self.configuration()
    }

    /// A driver writes to its configuration space.
    fn configure(&mut self, _offset: usize, _data: &[u8]) {}

    /// The driver is ready, with these features.
    fn start(&mut self, _features: u64) {}

    /// There may be something in a queue.
    fn work(&mut self, queue: usize, rings: &mut Rings<'_>) -> Result<(), Broken>;

    /// Acts on input that came meanwhile, for a driver that is ready.
    fn poll(&mut self, _rings: &mut Rings<'_>) -> Result<(), Broken> {
        Ok(())
    }

    /// Makes it as it was when it was made.
    fn reset(&mut self) {}

    /// Has what was written to it outlive a failure of the host's power.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// All that a guest can see of it.
    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(())
    }

    /// Takes a state over, or refuses it and stays as it is.
    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        serde_json::from_value(state)
    }
}

/// Every virtio device that is linked in, sorted by name.
pub fn model_classes() -> Vec<&'static ModelClass> {
    let mut classes: Vec<_> = MODELS.iter().collect();
    classes.sort_by_key(|class| class.name);
    classes
}

/// The virtio device of this name.
pub fn model_class(name: &str) -> Option<&'static ModelClass> {
    MODELS.iter().find(|class| class.name == name)
}

/// Adds a [`ModelClass`] to [`MODELS`]: its name, what it is, and the function that makes one of its [`Wires`].
#[macro_export]
macro_rules! virtio {
    ($name:literal, $about:literal, $make:expr $(,)?) => {
        #[allow(unsafe_code, reason = "linkme places the entry in the slice's link section")]
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::virtio::MODELS)]
            #[linkme(crate = $crate::linkme)]
            static CLASS: $crate::virtio::ModelClass =
                $crate::virtio::ModelClass { name: $name, about: $about, make: $make };
        };
    };
}
