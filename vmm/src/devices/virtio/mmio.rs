//! Virtio devices reached by registers in memory: virtio 1.2, 4.2 "Virtio over MMIO", in its second version.

mod register;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::Model;
use super::ring::{Ring, Setup};
use super::{Broken, Rings};
use crate::irq::Line;
use crate::{Access, Device, Ram, Region, Wires};

/// Where there may be virtio devices in a PC, below its IOAPIC, each at a pin of the IOAPIC's that no ISA device has.
pub const SLOTS: [Slot; 8] = slots();

/// Where a virtio device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its first guest-physical address.
    pub address: u32,
    /// How many addresses it has.
    pub length: u32,
    /// The interrupt line that it drives.
    pub gsi: u32,
}

const LENGTH: u32 = 0x200;

const fn slots() -> [Slot; 8] {
    let mut slots = [Slot { address: 0xfeb0_0000, length: LENGTH, gsi: 16 }; 8];
    let mut index = 1;
    while index < slots.len() {
        let before = slots[index - 1];
        slots[index] = Slot { address: before.address + LENGTH, gsi: before.gsi + 1, ..before };
        index += 1;
    }
    slots
}

/// The registers of a device in a slot, and where they are.
pub fn in_slot(model: Box<dyn Model>, slot: Slot, wires: &Wires) -> (Box<dyn Device>, Region) {
    let rings = model.queues().iter().map(|most| Ring::new(*most)).collect();
    let (line, ram) = (wires.interrupts.line(slot.gsi), wires.ram.clone());
    let first = u64::from(slot.address);
    let region = Region::memory(first, first + u64::from(slot.length) - 1).by(4);
    (Box::new(Mmio { model, state: State::default(), rings, line, ram }), region)
}

/// A device behind its registers.
struct Mmio {
    model: Box<dyn Model>,
    state: State,
    rings: Vec<Ring>,
    line: Line,
    ram: Ram,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    status: u32,
    /// Which 32 of the features are seen, and which are written.
    device_features_sel: u32,
    driver_features_sel: u32,
    driver_features: u64,
    queue_sel: u32,
    interrupt_status: u32,
}

/// All of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    transport: State,
    queues: Vec<Setup>,
    model: Value,
}

/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// Of no vendor that anybody looks for.
const VENDOR: u32 = 0;

/// Of the status: 2.1 "Device status field".
const DRIVER_OK: u32 = 4;
const FEATURES_OK: u32 = 8;
const NEEDS_RESET: u32 = 64;
/// Of the interrupt status.
const USED: u32 = 1;
const CONFIGURED: u32 = 2;
/// What every device here offers: tables of indirect descriptors, and the first version of the standard, which it insists on.
const INDIRECT: u64 = 1 << 28;
const VERSION_1: u64 = 1 << 32;

impl Mmio {
    fn features(&self) -> u64 {
        self.model.features() | INDIRECT | VERSION_1
    }

    fn ring(&mut self) -> Option<&mut Ring> {
        usize::try_from(self.state.queue_sel).ok().and_then(|queue| self.rings.get_mut(queue))
    }

    fn read_register(&mut self, register: u64) -> u32 {
        // None of the fields is wider than its half.
        let half = |features: u64, half: u32| match half {
            0 => (features & 0xffff_ffff) as u32,
            1 => (features >> 32) as u32,
            _ => 0,
        };
        match register {
            register::MAGIC => MAGIC,
            register::VERSION => VERSION,
            register::DEVICE_ID => self.model.id(),
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => half(self.features(), self.state.device_features_sel),
            register::QUEUE_NUM_MAX => self.ring().map_or(0, |ring| ring.most().into()),
            register::QUEUE_READY => self.ring().is_some_and(|ring| ring.setup.is_ready).into(),
            register::INTERRUPT_STATUS => self.state.interrupt_status,
            register::STATUS => self.state.status,
            register::SHM..=register::SHM_END => u32::MAX,
            // Nothing changes in a configuration while it is read.
            register::CONFIG_GENERATION => 0,
            // The others can only be written.
            _ => 0,
        }
    }

    fn write_register(&mut self, register: u64, value: u32) {
        match register {
            register::DEVICE_FEATURES_SEL => self.state.device_features_sel = value,
            register::DRIVER_FEATURES_SEL => self.state.driver_features_sel = value,
            register::DRIVER_FEATURES if self.state.status & FEATURES_OK == 0 => {
                let features = &mut self.state.driver_features;
                match self.state.driver_features_sel {
                    0 => *features = *features >> 32 << 32 | u64::from(value),
                    1 => *features = *features & 0xffff_ffff | u64::from(value) << 32,
                    _ => {}
                }
            }
            register::QUEUE_SEL => self.state.queue_sel = value,
            register::QUEUE_NOTIFY => self.notified(value),
            register::INTERRUPT_ACK => self.state.interrupt_status &= !value,
            register::STATUS => self.set_status(value),
            _ => self.write_queue(register, value),
        }
        self.line.set(self.state.interrupt_status != 0);
    }

    /// Writes a register of the queue that is selected; what is not ready yet can be set up.
    fn write_queue(&mut self, register: u64, value: u32) {
        let ram = self.ram.clone();
        let Some(ring) = self.ring() else { return };
        if register == register::QUEUE_READY {
            if ring.set_ready(value & 1 != 0, &ram).is_err() {
                self.needs_reset();
            }
            return;
        }
        let setup = &mut ring.setup;
        if setup.is_ready {
            return;
        }
        let put = |address: &mut u64, is_high: bool| {
            let value = u64::from(value);
            *address =
                if is_high { *address & 0xffff_ffff | value << 32 } else { *address >> 32 << 32 | value };
        };
        match register {
            register::QUEUE_NUM => setup.size = value,
            register::QUEUE_DESC => put(&mut setup.descriptors, false),
            register::QUEUE_DRIVER => put(&mut setup.driver, false),
            register::QUEUE_DEVICE => put(&mut setup.device, false),
            _ => match register.wrapping_sub(4) {
                register::QUEUE_DESC => put(&mut setup.descriptors, true),
                register::QUEUE_DRIVER => put(&mut setup.driver, true),
                register::QUEUE_DEVICE => put(&mut setup.device, true),
                _ => {}
            },
        }
    }

    /// What a driver says of how far it is: 3.1 "Device initialization".
    fn set_status(&mut self, status: u32) {
        if status == 0 {
            return self.reset_device();
        }
        let accepted = self.state.driver_features;
        let is_acceptable = accepted & !self.features() == 0 && accepted & VERSION_1 != 0;
        let mut status = status & 0xff & !NEEDS_RESET | self.state.status & NEEDS_RESET;
        if !is_acceptable {
            status &= !FEATURES_OK;
        }
        let begins = status & !self.state.status & DRIVER_OK != 0;
        self.state.status = status;
        if begins {
            self.model.start(accepted);
            self.act(|model, rings| model.poll(rings));
        }
    }

    fn reset_device(&mut self) {
        self.state = State::default();
        self.rings.iter_mut().for_each(Ring::reset);
        self.model.reset();
        self.line.set(false);
    }

    fn notified(&mut self, queue: u32) {
        let queue = usize::try_from(queue).unwrap_or(usize::MAX);
        self.act(|model, rings| model.work(queue, rings));
    }

    /// Lets the device work, if its driver is ready and has done nothing wrong.
    fn act(&mut self, work: impl FnOnce(&mut dyn Model, &mut Rings<'_>) -> Result<(), Broken>) {
        if self.state.status & (DRIVER_OK | NEEDS_RESET) != DRIVER_OK {
            return;
        }
        let mut rings = Rings::of(&mut self.rings, &self.ram);
        let worked = work(&mut *self.model, &mut rings);
        if rings.interrupts() {
            self.state.interrupt_status |= USED;
        }
        if let Err(broken) = worked {
            tracing::debug!(target: "vmm::virtio", "the device needs a reset: cannot {broken}");
            self.needs_reset();
        }
        self.line.set(self.state.interrupt_status != 0);
    }

    /// Tells the driver that it has done something that it must not do: 2.1.2.
    fn needs_reset(&mut self) {
        self.state.status |= NEEDS_RESET;
        if self.state.status & DRIVER_OK != 0 {
            self.state.interrupt_status |= CONFIGURED;
        }
    }
}

impl Device for Mmio {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        if let Some(at) = offset.checked_sub(register::CONFIG) {
            let configuration = self.model.configuration();
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            for (index, byte) in data.iter_mut().enumerate() {
                *byte = configuration.get(at.saturating_add(index)).copied().unwrap_or(0);
            }
            return Access::Done;
        }
        // "The driver MUST only use 32 bit wide and aligned reads and writes": 4.2.2.2.
        if data.len() != 4 || !offset.is_multiple_of(4) {
            return Access::BadWidth;
        }
        data.copy_from_slice(&self.read_register(offset).to_le_bytes());
        Access::Done
    }

    fn write(&mut self, _: usize, offset: u64, data: &[u8]) -> Access {
        if let Some(at) = offset.checked_sub(register::CONFIG) {
            self.model.configure(usize::try_from(at).unwrap_or(usize::MAX), data);
            return Access::Done;
        }
        match *data {
            [a, b, c, d] if offset.is_multiple_of(4) => {
                self.write_register(offset, u32::from_le_bytes([a, b, c, d]));
                Access::Done
            }
            _ => Access::BadWidth,
        }
    }

    fn poll(&mut self) {
        self.act(|model, rings| model.poll(rings));
    }

    fn reset(&mut self) {
        self.reset_device();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(Saved {
            transport: self.state.clone(),
            queues: self.rings.iter().map(Ring::state).collect(),
            model: self.model.state()?,
        })
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let refused = |broken: Broken| serde::de::Error::custom(format!("cannot {broken}"));
        let Saved { transport, queues, model } = serde_json::from_value(state)?;
        if queues.len() != self.rings.len() {
            return Err(serde::de::Error::custom("it has another number of queues"));
        }
        let rings = queues
            .into_iter()
            .zip(&self.rings)
            .map(|(setup, ring)| Ring::of_state(setup, ring.most(), &self.ram).map_err(refused));
        let rings = rings.collect::<Result<Vec<_>, serde_json::Error>>()?;
        self.model.load(model)?;
        (self.state, self.rings) = (transport, rings);
        if self.state.status & DRIVER_OK != 0 {
            self.model.start(self.state.driver_features);
        }
        self.line.set(self.state.interrupt_status != 0);
        Ok(())
    }
}
