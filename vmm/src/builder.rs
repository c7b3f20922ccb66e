//! A machine in the making.

use thiserror::Error;

use crate::accel::{AccelError, Hypervisor};
use crate::{
    Bus, Device, DeviceClass, Machine, MemoryError, Ram, Region, RegionError, Wires, device_class,
    device_classes,
};

/// Why a machine cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// Its RAM.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A place on its bus.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// Its accel.
    #[error(transparent)]
    Accel(#[from] AccelError),
    /// There is no such device model.
    #[error("make a device \"{name}\": there is {}", names())]
    NoDevice {
        /// What was asked for.
        name: String,
    },
}

fn names() -> String {
    device_classes().iter().map(|class| class.name).collect::<Vec<_>>().join(", ")
}

/// A machine in the making: RAM, a bus that devices are put on, and how many vCPUs there will be.
pub struct Builder {
    hypervisor: Box<dyn Hypervisor>,
    ram: Ram,
    bus: Bus,
    wires: Wires,
    cpus: u32,
}

impl Builder {
    /// A machine with so many bytes of RAM and one vCPU, and nothing on its bus.
    pub fn new(hypervisor: Box<dyn Hypervisor>, ram: u64) -> Result<Self, BuildError> {
        let ram = Ram::new(ram)?;
        Ok(Self { hypervisor, bus: Bus::new(ram.clone()), ram, wires: Wires::default(), cpus: 1 })
    }

    /// Lets it have so many vCPUs.
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Puts a device of its maker's own on the bus.
    pub fn device(
        mut self,
        name: &str,
        device: Box<dyn Device>,
        regions: &[Region],
    ) -> Result<Self, BuildError> {
        self.bus.add(name, device, regions)?;
        Ok(self)
    }

    /// Puts a device of the model that is called `name` on the bus, where a PC has it.
    pub fn model(self, name: &str) -> Result<Self, BuildError> {
        let class = device_class(name).ok_or_else(|| BuildError::NoDevice { name: name.to_owned() })?;
        let DeviceClass { name, regions, make, .. } = class;
        let device = make(&self.wires);
        self.device(name, device, regions)
    }

    /// What its devices reach outside with.
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// Shows the RAM to the guest and makes the vCPUs.
    pub fn build(mut self) -> Result<Machine, BuildError> {
        self.hypervisor.show(&self.ram)?;
        let cpus: Result<Vec<_>, _> = (0..self.cpus).map(|id| self.hypervisor.create_cpu(id)).collect();
        let Wires { console, power } = self.wires;
        Ok(Machine::new(cpus?, self.hypervisor, self.bus, self.ram, console, power))
    }
}
