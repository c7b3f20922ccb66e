//! A machine in the making.

use std::sync::Arc;

use thiserror::Error;

use crate::accel::{AccelError, Hypervisor, InAccel};
use crate::acpi::{Described, Tables};
use crate::boot::{BootFrom, firmware};
use crate::devices::virtio::{self, SLOTS, Slot};
use crate::irq::Chips;
use crate::machine::Parts;
use crate::{
    Bus, CpuModel, Device, DeviceClass, Disk, IrqChip, ItemsError, Machine, MemoryError, Ram, Region,
    RegionError, Space, Target, Wires, device_class, device_classes, smbios,
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
    /// What firmware is told.
    #[error(transparent)]
    Items(#[from] ItemsError),
    /// There is no such device model.
    #[error("make a device \"{name}\": there is {}", names())]
    NoDevice {
        /// What was asked for.
        name: String,
    },
    /// There is no PCI bus.
    #[error("add a {name}: the machine has no PCI bus")]
    NoBus {
        /// What was asked for.
        name: String,
    },
    /// There is no device left on the PCI bus.
    #[error("add another {name}: the PCI bus has 32 devices")]
    NoFunction {
        /// What was asked for.
        name: String,
    },
    /// There is no slot left for another virtio device.
    #[error("add another {name}: there may be {} virtio devices", SLOTS.len())]
    NoSlot {
        /// What was asked for.
        name: String,
    },
}

fn names() -> String {
    models().into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
}

/// The name of each model that [`Builder::model`] takes, and what it is.
pub(crate) fn models() -> Vec<(String, String)> {
    let devices = device_classes().into_iter().map(|class| (class.name, class.about));
    let virtio = virtio::model_classes().into_iter().map(|class| (class.name, class.about));
    let pci =
        virtio.clone().map(|(name, about)| (format!("{name}{ON_PCI}"), format!("{about}, on the PCI bus")));
    devices.chain(virtio).map(|(name, about)| (name.to_owned(), about.to_owned())).chain(pci).collect()
}

/// A machine in the making: RAM, a bus that devices are put on, and how many vCPUs there will be.
pub struct Builder {
    hypervisor: Box<dyn Hypervisor>,
    bus: Bus,
    wires: Wires,
    asked_for: IrqChip,
    irqchip: IrqChip,
    has_timer: bool,
    has_acpi: bool,
    virtio: Vec<Slot>,
    /// What its devices are called.
    names: Vec<String>,
    /// The next device of the PCI bus that is free.
    next_device: u8,
    /// Those that are disks.
    pci_disks: Vec<u8>,
    boots_from: BootFrom,
}

/// The devices of the PCI bus before this one are the board's own.
const FIRST_DEVICE: u8 = 2;
/// What the name of a virtio device ends with that is a function of the PCI bus, and not one with registers in memory.
pub(crate) const ON_PCI: &str = "-pci";
const DEVICES: u8 = 32;

impl Builder {
    /// A machine with so many bytes of RAM and one vCPU, and nothing on its bus.
    pub fn new(hypervisor: Box<dyn Hypervisor>, ram: u64) -> Result<Self, BuildError> {
        Self::with_cpus(hypervisor, ram, 1, IrqChip::None)
    }

    /// A machine with so many bytes of RAM and so many vCPUs, and nothing on its bus. If it has interrupt controllers at all, they
    /// are to be where `irqchip` says.
    pub fn with_cpus(
        hypervisor: Box<dyn Hypervisor>,
        ram: u64,
        cpus: u32,
        irqchip: IrqChip,
    ) -> Result<Self, BuildError> {
        let wires = Wires::new(Ram::new(ram)?, hypervisor.clock(), cpus);
        let bus = Bus::with_map(wires.ram.clone(), Arc::clone(&wires.map));
        Ok(Self {
            hypervisor,
            bus,
            wires,
            asked_for: irqchip,
            irqchip: IrqChip::None,
            has_timer: false,
            has_acpi: false,
            virtio: Vec::new(),
            names: Vec::new(),
            next_device: FIRST_DEVICE,
            pci_disks: Vec::new(),
            boots_from: BootFrom::default(),
        })
    }

    /// Lets its vCPUs be of this model.
    pub fn processor(mut self, model: CpuModel) -> Self {
        self.hypervisor.processor(model);
        self
    }

    /// Has firmware in a ROM that ends at 4 GiB, where processors begin.
    pub fn firmware(self, image: &[u8]) -> Result<Self, BuildError> {
        self.wires.ram.burn(image)?;
        let size = self.wires.ram.rom_size();
        let region = Region::memory((1 << 32) - size, u32::MAX.into());
        let target = Target::Ram { block: self.wires.ram.blocks().len(), offset: 0, writable: false };
        self.wires.map.add("ROM", 0, &[(region, target)])?;
        Ok(self)
    }

    /// Has firmware look there first for something to boot.
    pub fn boots_from(mut self, first: BootFrom) -> Self {
        self.boots_from = first;
        self
    }

    /// Has what its guest writes to noted in a ring of so many entries for each vCPU, a power of two, and not in bitmaps.
    pub fn dirty_rings(mut self, entries: u32) -> Result<Self, BuildError> {
        self.hypervisor.use_rings(entries)?;
        Ok(self)
    }

    /// Gives it interrupt controllers, where they were asked for: from now on devices can have lines to them.
    pub fn irqchip(mut self) -> Result<Self, BuildError> {
        self.irqchip = self.asked_for;
        match self.hypervisor.irqchip(self.irqchip)? {
            InAccel::All(controller) => {
                self.has_timer = self.hypervisor.has_timer();
                self.wires.interrupts.connect(controller);
            }
            InAccel::Apics(apics) => {
                self.wires.chips = Arc::new(Chips::with_apics_elsewhere(apics, self.wires.clock.clone()));
            }
            InAccel::Nothing => {}
        }
        if matches!(self.irqchip, IrqChip::Split | IrqChip::User) {
            let chips = Arc::clone(&self.wires.chips);
            self.wires.interrupts.connect(chips);
        }
        Ok(self)
    }

    /// Where its interrupt controllers are.
    pub fn irqchip_kind(&self) -> IrqChip {
        self.irqchip
    }

    /// Whether the interval timer is in the kernel, with the interrupt controllers.
    pub fn has_timer(&self) -> bool {
        self.has_timer
    }

    /// Has operating systems and firmware told of its processors and devices in ACPI's tables.
    pub fn acpi(mut self) -> Self {
        self.has_acpi = true;
        self
    }

    /// Puts a device of its maker's own on the bus. If there is one of its name already, it is called otherwise: its state needs a name
    /// of its own.
    pub fn device(
        mut self,
        name: &str,
        device: Box<dyn Device>,
        regions: &[Region],
    ) -> Result<Self, BuildError> {
        let numbered = (2..).map(|number| format!("{name}@{number}"));
        let mut free = std::iter::once(name.to_owned()).chain(numbered);
        let called = free.find(|called| !self.names.contains(called)).unwrap_or_default();
        self.bus.add(&called, device, regions)?;
        self.names.push(called);
        Ok(self)
    }

    /// Puts a device of the model that is called `name` on the bus, where a PC has it.
    pub fn model(self, name: &str) -> Result<Self, BuildError> {
        if virtio::model_class(name).is_some() {
            return self.virtio(name);
        }
        if let Some(model) = name.strip_suffix(ON_PCI).filter(|model| virtio::model_class(model).is_some()) {
            return self.virtio_pci(model);
        }
        let class = class(name)?;
        self.put(class, name, class.regions)
    }

    /// Puts a device of the model that is called `name` on the bus, but somewhere else, and calls it otherwise.
    pub fn model_at(self, name: &str, called: &str, regions: &[Region]) -> Result<Self, BuildError> {
        self.put(class(name)?, called, regions)
    }

    /// Adds a virtio device of the model that is called `name`, in the next slot for one.
    pub fn virtio(mut self, name: &str) -> Result<Self, BuildError> {
        let name_of = || name.to_owned();
        let class = virtio::model_class(name).ok_or_else(|| BuildError::NoDevice { name: name_of() })?;
        let number = self.virtio.len();
        let slot = *SLOTS.get(number).ok_or_else(|| BuildError::NoSlot { name: name_of() })?;
        self.virtio.push(slot);
        let (device, region) = virtio::in_slot((class.make)(&self.wires), slot, &self.wires);
        self.device(&format!("{name}@{number}"), device, &[region])
    }

    /// Adds a virtio device of the model that is called `name` as a function of the PCI bus.
    pub fn virtio_pci(mut self, name: &str) -> Result<Self, BuildError> {
        let class =
            virtio::model_class(name).ok_or_else(|| BuildError::NoDevice { name: name.to_owned() })?;
        let number = self.free_device(name)?;
        let model = (class.make)(&self.wires);
        if model.id() == virtio::BLOCK {
            self.pci_disks.push(number);
        }
        let (device, region) = virtio::on_bus(model, number, &self.wires);
        self.device(&format!("{name}{ON_PCI}@{number}"), device, &[region])
    }

    /// Adds a disk as a virtio device.
    pub fn disk(self, disk: Disk) -> Result<Self, BuildError> {
        self.wires.disks.add(disk);
        self.virtio("virtio-blk")
    }

    fn put(mut self, class: &DeviceClass, called: &str, regions: &[Region]) -> Result<Self, BuildError> {
        let mut placed = regions.to_vec();
        for region in placed.iter_mut().filter(|region| **region == Region::ANY_FUNCTION) {
            *region = Region::function(self.free_device(called)?, 0);
        }
        let device = (class.make)(&self.wires);
        self.device(called, device, &placed)
    }

    /// The next device of the PCI bus that is free.
    fn free_device(&mut self, name: &str) -> Result<u8, BuildError> {
        if !self.has_pci() {
            return Err(BuildError::NoBus { name: name.to_owned() });
        }
        let device = self.next_device;
        if device >= DEVICES {
            return Err(BuildError::NoFunction { name: name.to_owned() });
        }
        self.next_device += 1;
        Ok(device)
    }

    /// Whether it has a PCI bus by now.
    fn has_pci(&self) -> bool {
        self.wires.map.find(Space::Configuration, 0).is_ok()
    }

    /// What its devices reach outside with.
    pub fn wires(&self) -> &Wires {
        &self.wires
    }

    /// Shows the RAM to the guest and makes the vCPUs.
    pub fn build(mut self) -> Result<Machine, BuildError> {
        self.bus.settle();
        self.wires.map.listen(self.hypervisor.listener(&self.wires.ram))?;
        let count = self.wires.cpus;
        let has_pci = self.has_pci();
        let acpi = self.has_acpi.then(|| Tables::of(Described { cpus: count, virtio: self.virtio, has_pci }));
        if self.wires.ram.rom_size() > 0 {
            firmware::offer(&self.wires, self.boots_from, &self.pci_disks)?;
        }
        if let Some(tables) = &acpi {
            tables.offer(&self.wires.items)?;
            smbios::offer(tables.described(), self.wires.ram.size(), &self.wires.items)?;
        }
        let cpus: Result<Vec<_>, _> = (0..count).map(|id| self.hypervisor.create_cpu(id, count)).collect();
        Ok(Machine::new(Parts {
            cpus: cpus?,
            hypervisor: self.hypervisor,
            bus: self.bus,
            wires: self.wires,
            irqchip: self.irqchip,
            acpi,
        }))
    }
}

fn class(name: &str) -> Result<&'static DeviceClass, BuildError> {
    device_class(name).ok_or_else(|| BuildError::NoDevice { name: name.to_owned() })
}
