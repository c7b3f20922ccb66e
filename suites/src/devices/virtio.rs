//! The driver's side of virtio devices on a bus without a processor: what claims about them need.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use harness::{Stop, holds};
use vmm::clock::Clock;
use vmm::virtio::{SLOTS, in_slot, model_class};
use vmm::{Bus, Ram, Space, Wires};

use super::board::fault;

/// The registers that claims look at: virtio 1.2, table 4.1.
pub(super) const INTERRUPT_STATUS: u64 = 0x60;
pub(super) const INTERRUPT_ACK: u64 = 0x64;
pub(super) const STATUS: u64 = 0x70;
pub(super) const GENERATION: u64 = 0xfc;
pub(super) const CONFIGURATION: u64 = 0x100;
/// Of the status.
pub(super) const NEEDS_RESET: u32 = 64;
/// Of the interrupt status.
pub(super) const USED: u32 = 1;
pub(super) const CONFIGURED: u32 = 2;
/// Thresholds.
pub(super) const EVENT_IDX: u64 = 1 << 29;
/// How many chains a queue here has, and how many bytes the buffer of each: there is one in a chain.
pub(super) const SIZE: u16 = 8;
pub(super) const BUFFER: u32 = 0x800;

/// Where the first queue's three parts are, its buffers, and how far the next queue's are from them.
const DESCRIPTORS: u64 = 0x1_0000;
const AVAILABLE: u64 = 0x1_1000;
const USED_RING: u64 = 0x1_2000;
const BUFFERS: u64 = 0x1_4000;
const QUEUE: u64 = 0x1_0000;
const WRITE: u16 = 2;

/// A driver, and a device of its own.
pub(super) struct Driver {
    pub(super) bus: Bus,
    pub(super) wires: Wires,
    /// For each queue how many chains were made available, and how many that have come back were looked at.
    queues: Vec<(Cell<u16>, Cell<u16>)>,
}

/// What a machine is wired with, for a device on it.
pub(super) fn wires() -> Result<Wires, Stop> {
    let wires = Wires::new(Ram::new(0x10_0000).map_err(fault)?, Clock::stepped(), 1);
    wires.interrupts.connect(Arc::clone(&wires.chips) as _);
    Ok(wires)
}

impl Driver {
    /// Brings a device of this model up: virtio 1.2, 3.1.1, with what it offers of these features, and the first version.
    pub(super) fn start(model: &str, queues: u16, features: u64, wires: Wires) -> Result<Self, Stop> {
        let class = model_class(model).ok_or_else(|| fault(format!("there is no model {model}")))?;
        let (device, region) = in_slot((class.make)(&wires), SLOTS[0], &wires);
        let mut bus = Bus::new(wires.ram.clone());
        bus.add(model, device, &[region]).map_err(fault)?;
        let queues = (0..queues).map(|_| <(Cell<u16>, Cell<u16>)>::default()).collect();
        let driver = Self { bus, wires, queues };
        driver.write(STATUS, 3);
        for (half, wanted) in [(0, features), (1, features >> 32 | 1)] {
            driver.write(0x14, half);
            driver.write(0x24, half);
            let wanted = u32::try_from(wanted & 0xffff_ffff).map_err(fault)?;
            driver.write(0x20, driver.read(0x10) & wanted);
        }
        driver.write(STATUS, 0xb);
        holds(driver.read(STATUS) == 0xb, "a device takes of its features what its driver takes")?;
        for queue in 0..driver.queues.len() as u64 {
            driver.set_up(queue)?;
        }
        driver.write(STATUS, 0xf);
        Ok(driver)
    }

    fn set_up(&self, queue: u64) -> Result<(), Stop> {
        let behind = QUEUE * queue;
        self.write(0x30, u32::try_from(queue).map_err(fault)?);
        self.write(0x38, SIZE.into());
        for (register, part) in [(0x80, DESCRIPTORS), (0x90, AVAILABLE), (0xa0, USED_RING)] {
            self.write(register, u32::try_from(part + behind).map_err(fault)?);
        }
        self.write(0x44, 1);
        holds(self.read(0x44) == 1, "a queue that can be is ready")
    }

    pub(super) fn read(&self, register: u64) -> u32 {
        let mut bytes = [0; 4];
        self.bus.read(Space::Memory, u64::from(SLOTS[0].address) + register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(super) fn write(&self, register: u64, value: u32) {
        self.bus.write(Space::Memory, u64::from(SLOTS[0].address) + register, &value.to_le_bytes());
    }

    pub(super) fn notify(&self, queue: u16) {
        self.write(0x50, queue.into());
    }

    /// Lets devices act on what has come meanwhile.
    pub(super) fn poll(&self) {
        self.wires.clock.clear_alarm();
        self.bus.poll();
    }

    /// Makes a chain available, of these bytes for the device to read; the first eight that are not back yet have each its buffer.
    /// Whether the device's threshold is there.
    pub(super) fn add(&self, queue: u16, bytes: &[u8]) -> Result<bool, Stop> {
        let (added, _) = &self.queues[usize::from(queue)];
        self.ram_write(buffer(queue, added.get()), bytes)?;
        self.make_available(queue, u32::try_from(bytes.len()).map_err(fault)?, 0)
    }

    /// The same, of room for so many bytes of the device's.
    pub(super) fn add_room(&self, queue: u16, length: u32) -> Result<bool, Stop> {
        self.make_available(queue, length, WRITE)
    }

    fn make_available(&self, queue: u16, length: u32, flags: u16) -> Result<bool, Stop> {
        let (added, _) = &self.queues[usize::from(queue)];
        let (index, behind) = (added.get(), QUEUE * u64::from(queue));
        let slot = index % SIZE;
        let address = buffer(queue, index).to_le_bytes();
        let descriptor =
            [&address[..], &length.to_le_bytes(), &flags.to_le_bytes(), &0_u16.to_le_bytes()].concat();
        self.ram_write(DESCRIPTORS + behind + 16 * u64::from(slot), &descriptor)?;
        self.ram_write(AVAILABLE + behind + 4 + 2 * u64::from(slot), &slot.to_le_bytes())?;
        added.set(index.wrapping_add(1));
        self.ram_write(AVAILABLE + behind + 2, &added.get().to_le_bytes())?;
        fence(Ordering::SeqCst);
        Ok(self.half(USED_RING + behind + 4 + 8 * u64::from(SIZE))? == index)
    }

    /// Has the device tell of the chain that comes so many behind the next to be looked at.
    pub(super) fn wants(&self, queue: u16, behind: u16) -> Result<(), Stop> {
        let threshold = self.queues[usize::from(queue)].1.get().wrapping_add(behind);
        let at = AVAILABLE + QUEUE * u64::from(queue) + 4 + 2 * u64::from(SIZE);
        self.ram_write(at, &threshold.to_le_bytes())
    }

    /// How many chains have come back that were not looked at.
    pub(super) fn waiting(&self, queue: u16) -> Result<u16, Stop> {
        let index = self.half(USED_RING + QUEUE * u64::from(queue) + 2)?;
        Ok(index.wrapping_sub(self.queues[usize::from(queue)].1.get()))
    }

    /// Looks at the chains that have come back: what the device has written to each.
    pub(super) fn used(&self, queue: u16) -> Result<Vec<Vec<u8>>, Stop> {
        let (_, seen) = &self.queues[usize::from(queue)];
        let mut used = Vec::new();
        for _ in 0..self.waiting(queue)?.min(SIZE) {
            let index = seen.get();
            let mut entry = [0; 8];
            let at = USED_RING + QUEUE * u64::from(queue) + 4 + 8 * u64::from(index % SIZE);
            self.wires.ram.read(at, &mut entry).map_err(fault)?;
            let [slot, _, _, _, length @ ..] = entry;
            let length = u32::from_le_bytes(length).min(BUFFER);
            let mut bytes = vec![0; usize::try_from(length).map_err(fault)?];
            self.wires.ram.read(buffer(queue, slot.into()), &mut bytes).map_err(fault)?;
            used.push(bytes);
            seen.set(index.wrapping_add(1));
        }
        Ok(used)
    }

    /// Whether the driver has been interrupted for this since the last time.
    pub(super) fn is_told(&self, of: u32) -> bool {
        let told = self.read(INTERRUPT_STATUS) & of != 0;
        self.write(INTERRUPT_ACK, of);
        told
    }

    fn half(&self, at: u64) -> Result<u16, Stop> {
        let mut bytes = [0; 2];
        self.wires.ram.read(at, &mut bytes).map_err(fault)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn ram_write(&self, at: u64, bytes: &[u8]) -> Result<(), Stop> {
        self.wires.ram.write(at, bytes).map_err(fault)
    }
}

/// Where the buffer of a chain is.
fn buffer(queue: u16, index: u16) -> u64 {
    BUFFERS + QUEUE * u64::from(queue) + u64::from(BUFFER) * u64::from(index % SIZE)
}
