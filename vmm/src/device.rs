//! What a device model is, and how one is found by name.
//!
//! A device has no I/O of its own and no thread: it answers accesses, and reaches outside through [`Wires`] alone.

use std::io;
use std::sync::Arc;

use serde_json::Value;
use thiserror::Error;

use crate::clock::Clock;
use crate::devices::fw_cfg::Items;
use crate::irq::{Chips, Interrupts};
use crate::map::Map;
use crate::pci::Pins;
use crate::{Balloon, Console, Disks, Drives, Entropy, Nics, Power, Ram, Region, Window};

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
#[derive(Clone)]
pub struct Wires {
    /// Where it writes text.
    pub console: Console,
    /// What is at the other end of each serial port.
    pub serial: [Console; 4],
    /// What is at the other end of a virtio console.
    pub hvc: Console,
    /// The disks that no device has yet.
    pub disks: Disks,
    /// What is in the drives at the IDE channels.
    pub drives: Drives,
    /// What the host wants of the guest's memory.
    pub balloon: Balloon,
    /// The network cards that no device is yet.
    pub nics: Nics,
    /// Where it has random bytes from.
    pub entropy: Entropy,
    /// Where it ends the machine.
    pub power: Power,
    /// Where it has the time from, and who wakes it.
    pub clock: Clock,
    /// Where it raises interrupts.
    pub interrupts: Interrupts,
    /// The interrupt controllers that are not in the kernel, or would be.
    pub chips: Arc<Chips>,
    /// Where it reaches guest memory by itself.
    pub ram: Ram,
    /// What is mapped where, for a device that changes it.
    pub map: Arc<Map>,
    /// Where PCI functions raise interrupts.
    pub pins: Pins,
    /// What the firmware configuration holds.
    pub items: Items,
    /// How many processors there are.
    pub cpus: u32,
}

impl Wires {
    /// The wires of a machine with this RAM and so many processors, whose interrupts end nowhere yet.
    pub fn new(ram: Ram, clock: Clock, cpus: u32) -> Self {
        Self {
            console: Console::default(),
            serial: Default::default(),
            hvc: Console::default(),
            disks: Disks::default(),
            drives: Drives::default(),
            balloon: Balloon::of(&clock),
            nics: Nics::default(),
            entropy: Entropy::of(&clock),
            power: Power::default(),
            chips: Arc::new(Chips::new(cpus, clock.clone())),
            interrupts: Interrupts::default(),
            map: Arc::default(),
            pins: Pins::default(),
            items: Items::new(ram.size(), cpus),
            ram,
            clock,
            cpus,
        }
    }
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
    /// It is an access to the configuration space of PCI functions, at this address.
    Configuration(u64),
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
    /// What it has written cannot be kept.
    #[error("write what {device} has to its disk: {source}")]
    Flush {
        /// The device's name.
        device: String,
        /// What the host says.
        source: io::Error,
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

    /// Acts on the time and the input that came meanwhile. It is called when the time comes that the device has asked its
    /// [`Clock`] to be woken at, and whenever something is typed.
    fn poll(&mut self) {}

    /// What it has on the bus besides its regions, as its registers are now. The bus asks after every access to a configuration space
    /// of the device, after its reset, and when it has taken a state over.
    fn windows(&self) -> Vec<Window> {
        Vec::new()
    }

    /// Makes it as it was when the machine was built, but for what its data sheet says a reset leaves.
    fn reset(&mut self);

    /// Has what it has written to disks outlive a failure of the host's power.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

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
