//! Virtio devices reached by registers in memory: virtio 1.2, 4.2 "Virtio over MMIO", in its second version.

mod register;

use std::io;

use serde_json::Value;

use super::model::Model;
use super::transport::{Core, put};
use crate::irq::Line;
use crate::{Access, Device, Region, Wires};

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
    let line = wires.interrupts.line(slot.gsi);
    let first = u64::from(slot.address);
    let region = Region::memory(first, first + u64::from(slot.length) - 1).by(4);
    (Box::new(Mmio { core: Core::new(model, wires), line }), region)
}

/// A device behind its registers.
struct Mmio {
    core: Core,
    line: Line,
}

/// "virt".
const MAGIC: u32 = 0x7472_6976;
const VERSION: u32 = 2;
/// Of no vendor that anybody looks for.
const VENDOR: u32 = 0;

impl Mmio {
    fn read_register(&mut self, register: u64) -> u32 {
        let core = &mut self.core;
        match register {
            register::MAGIC => MAGIC,
            register::VERSION => VERSION,
            register::DEVICE_ID => core.model.id(),
            register::VENDOR_ID => VENDOR,
            register::DEVICE_FEATURES => core.offered(),
            register::QUEUE_NUM_MAX => core.ring().map_or(0, |ring| ring.most().into()),
            register::QUEUE_READY => core.ring().is_some_and(|ring| ring.setup.is_ready).into(),
            register::INTERRUPT_STATUS => core.state.interrupt_status,
            register::STATUS => core.state.status,
            register::SHM..=register::SHM_END => u32::MAX,
            register::CONFIG_GENERATION => core.state.generation,
            // The others can only be written.
            _ => 0,
        }
    }

    fn write_register(&mut self, register: u64, value: u32) {
        let core = &mut self.core;
        match register {
            register::DEVICE_FEATURES_SEL => core.state.device_features_sel = value,
            register::DRIVER_FEATURES_SEL => core.state.driver_features_sel = value,
            register::DRIVER_FEATURES => core.accept(value),
            register::QUEUE_SEL => core.state.queue_sel = value,
            register::QUEUE_NOTIFY => core.notified(value),
            register::QUEUE_READY => core.make_ready(value & 1 != 0),
            register::INTERRUPT_ACK => core.state.interrupt_status &= !value,
            register::STATUS => {
                if core.set_status(value) {
                    core.poll();
                }
            }
            _ => self.write_queue(register, value),
        }
        self.tell();
    }

    /// Writes a register of the queue that is selected; what is not ready yet can be set up.
    fn write_queue(&mut self, register: u64, value: u32) {
        let Some(setup) = self.core.setup() else { return };
        match register {
            register::QUEUE_NUM => setup.size = value,
            register::QUEUE_DESC => put(&mut setup.descriptors, value, false),
            register::QUEUE_DRIVER => put(&mut setup.driver, value, false),
            register::QUEUE_DEVICE => put(&mut setup.device, value, false),
            _ => match register.wrapping_sub(4) {
                register::QUEUE_DESC => put(&mut setup.descriptors, value, true),
                register::QUEUE_DRIVER => put(&mut setup.driver, value, true),
                register::QUEUE_DEVICE => put(&mut setup.device, value, true),
                _ => {}
            },
        }
    }

    /// Has the line as the interrupt status says, which has all the news.
    fn tell(&mut self) {
        drop(self.core.news());
        self.line.set(self.core.state.interrupt_status != 0);
    }
}

impl Device for Mmio {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        if let Some(at) = offset.checked_sub(register::CONFIG) {
            self.core.read_configuration(at, data);
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
            self.core.write_configuration(at, data);
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
        self.core.poll();
        self.tell();
    }

    fn reset(&mut self) {
        self.core.reset();
        self.tell();
    }

    fn flush(&self) -> io::Result<()> {
        self.core.model.flush()
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        self.core.state()
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.core.load(state)?;
        self.tell();
        Ok(())
    }
}
