//! What a device model is, and how one is found by name.
//!
//! A device has no I/O of its own and no thread: it answers accesses, and reaches outside through [`Wires`] alone.

use serde_json::Value;
use thiserror::Error;

use crate::{Console, Power, Region};

/// Every device model that is linked in, in no order; [`device_classes`] sorts them.
#[linkme::distributed_slice]
pub static DEVICES: [DeviceClass];

/// A device model: its name, where a PC has it, and how one is made.
#[derive(Debug)]
pub struct DeviceClass {
    /// What asks for it.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Where it lies in a PC.
    pub regions: &'static [Region],
    /// Makes one.
    pub make: fn(&Wires) -> Box<dyn Device>,
}

/// How a device reaches outside.
#[derive(Clone, Debug, Default)]
pub struct Wires {
    /// Where it writes text.
    pub console: Console,
    /// Where it ends the machine.
    pub power: Power,
}

/// What became of an access. It is the bus that decides what a read without an answer reads as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The device took or answered it.
    Done,
    /// Nothing is at this offset.
    NoRegister,
    /// What is at this offset cannot be accessed in this width.
    BadWidth,
}

/// Why a device's state cannot be saved or loaded.
#[derive(Debug, Error)]
pub enum StateError {
    /// It does not have the device's form.
    #[error("take the state of {device}: {source}")]
    Form {
        /// The device's name.
        device: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// There is no such device.
    #[error("take the state of {device}: there is no such device")]
    NoDevice {
        /// The name.
        device: String,
    },
}

/// A device: what lies at one or several regions of the bus.
pub trait Device: Send {
    /// Answers a read of `data.len()` bytes, `offset` bytes into the device's region of that index.
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access;

    /// Takes a write, `offset` bytes into the device's region of that index.
    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access;

    /// Makes it as it was when the machine was built.
    fn reset(&mut self);

    /// All that a guest can see of it.
    fn state(&self) -> Result<Value, serde_json::Error>;

    /// Takes a state over, or refuses it and stays as it is.
    fn load(&mut self, state: Value) -> Result<(), serde_json::Error>;
}

/// Every device model that is linked in, sorted by name.
pub fn device_classes() -> Vec<&'static DeviceClass> {
    let mut classes: Vec<_> = DEVICES.iter().collect();
    classes.sort_by_key(|class| class.name);
    classes
}

/// The device model of this name.
pub fn device_class(name: &str) -> Option<&'static DeviceClass> {
    DEVICES.iter().find(|class| class.name == name)
}

/// Adds a [`DeviceClass`] to [`DEVICES`]: its name, what it is, where it lies, and the function that makes one of its [`Wires`].
#[macro_export]
macro_rules! device {
    ($name:literal, $about:literal, [$($region:expr),* $(,)?], $make:expr $(,)?) => {
        #[allow(unsafe_code, reason = "linkme places the entry in the slice's link section")]
        const _: () = {
            #[$crate::linkme::distributed_slice($crate::DEVICES)]
            #[linkme(crate = $crate::linkme)]
            static CLASS: $crate::DeviceClass =
                $crate::DeviceClass { name: $name, about: $about, regions: &[$($region),*], make: $make };
        };
    };
}
