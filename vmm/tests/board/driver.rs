//! The driver's side of a virtio device: it fills rings in guest memory as a kernel does, and rings at the registers, which have the
//! numbers of those in memory also where they are a PCI function's.

use std::sync::atomic::{Ordering, fence};

use super::Board;
use vmm::Space;
use vmm::virtio::SLOTS;

/// The registers: virtio 1.2, table 4.1.
pub(crate) mod register {
    pub(crate) const DEVICE_ID: u64 = 0x08;
    pub(crate) const DEVICE_FEATURES: u64 = 0x10;
    pub(crate) const DEVICE_FEATURES_SEL: u64 = 0x14;
    pub(crate) const DRIVER_FEATURES: u64 = 0x20;
    pub(crate) const DRIVER_FEATURES_SEL: u64 = 0x24;
    pub(crate) const QUEUE_SEL: u64 = 0x30;
    pub(crate) const QUEUE_NUM_MAX: u64 = 0x34;
    pub(crate) const QUEUE_NUM: u64 = 0x38;
    pub(crate) const QUEUE_READY: u64 = 0x44;
    pub(crate) const QUEUE_NOTIFY: u64 = 0x50;
    pub(crate) const INTERRUPT_STATUS: u64 = 0x60;
    pub(crate) const INTERRUPT_ACK: u64 = 0x64;
    pub(crate) const STATUS: u64 = 0x70;
    pub(crate) const QUEUE_DESC: u64 = 0x80;
    pub(crate) const QUEUE_DRIVER: u64 = 0x90;
    pub(crate) const QUEUE_DEVICE: u64 = 0xa0;
}

/// Of the status.
pub(crate) const FEATURES_OK: u32 = 8;
pub(crate) const DRIVER_OK: u32 = 4;
pub(crate) const NEEDS_RESET: u32 = 64;
/// ACKNOWLEDGE and DRIVER.
const KNOWN: u32 = 3;
/// Of the features.
pub(crate) const EVENT_IDX: u64 = 1 << 29;
/// Of a descriptor.
pub(crate) const NEXT: u16 = 1;
pub(crate) const WRITE: u16 = 2;
pub(crate) const INDIRECT: u16 = 4;

/// Where the first queue's three parts lie, and how far the next queue's are from them.
pub(crate) const DESCRIPTORS: u64 = 0x1_0000;
pub(crate) const AVAILABLE: u64 = 0x1_1000;
pub(crate) const USED: u64 = 0x1_2000;
const QUEUE: u64 = 0x4000;
/// Where buffers may lie.
pub(crate) const BUFFERS: u64 = 0x4_0000;
pub(crate) const SIZE: u16 = 8;

/// What a driver hands over: its own bytes, or room for so many of the device's.
pub(crate) enum Buffer<'a> {
    Own(&'a [u8]),
    Room(u32),
}

/// A driver of the device in one slot.
pub(crate) struct Driver<'b> {
    board: &'b Board,
    base: u64,
    /// Whether it is a function of the PCI bus.
    is_pci: bool,
    /// For each queue how many chains were made available, and how many have come back.
    queues: Vec<(u16, u16)>,
}

impl<'b> Driver<'b> {
    /// Brings the device up: virtio 1.2, 3.1.1, with all of the features that it offers but `without`.
    pub(crate) fn start(board: &'b Board, slot: usize, without: u64) -> Self {
        let mut driver = Self::at(board, slot);
        driver.write(register::STATUS, 0);
        driver.write(register::STATUS, KNOWN);
        for half in 0..2 {
            driver.write(register::DEVICE_FEATURES_SEL, half);
            driver.write(register::DRIVER_FEATURES_SEL, half);
            let offered = driver.read(register::DEVICE_FEATURES);
            let without = u32::try_from(without >> (32 * half) & 0xffff_ffff).unwrap();
            driver.write(register::DRIVER_FEATURES, offered & !without);
        }
        driver.write(register::STATUS, KNOWN | FEATURES_OK);
        assert_eq!(driver.read(register::STATUS), KNOWN | FEATURES_OK);
        for queue in 0.. {
            driver.write(register::QUEUE_SEL, queue);
            if driver.read(register::QUEUE_NUM_MAX) == 0 {
                break;
            }
            driver.set_up(queue);
        }
        driver.write(register::STATUS, KNOWN | FEATURES_OK | DRIVER_OK);
        driver
    }

    /// One that has not brought it up.
    pub(crate) fn at(board: &'b Board, slot: usize) -> Self {
        let is_pci = board.functions.contains(&slot);
        let base = if is_pci { board.enable(slot) } else { SLOTS[slot].address.into() };
        Self { board, base, is_pci, queues: Vec::new() }
    }

    fn set_up(&mut self, queue: u32) {
        let behind = QUEUE * u64::from(queue);
        self.write(register::QUEUE_NUM, SIZE.into());
        let parts = [
            (register::QUEUE_DESC, DESCRIPTORS),
            (register::QUEUE_DRIVER, AVAILABLE),
            (register::QUEUE_DEVICE, USED),
        ];
        for (register, address) in parts {
            let address = address + behind;
            self.board.wires.ram.write(address, &[0; 0x100]).unwrap();
            self.write(register, u32::try_from(address).unwrap());
            self.write(register + 4, 0);
        }
        self.write(register::QUEUE_READY, 1);
        self.queues.push((0, 0));
    }

    pub(crate) fn read(&self, register: u64) -> u32 {
        let (at, width) = self.place(register);
        let mut bytes = [0; 4];
        self.board.bus.read(Space::Memory, self.base + at, &mut bytes[..width]);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn write(&self, register: u64, value: u32) {
        let (at, width) = self.place(register);
        self.board.bus.write(Space::Memory, self.base + at, &value.to_le_bytes()[..width]);
    }

    /// Where the device's configuration is.
    pub(crate) fn configuration(&self) -> u64 {
        self.base + if self.is_pci { 0x2000 } else { 0x100 }
    }

    /// How often the configuration has become another.
    pub(crate) fn generation(&self) -> u32 {
        let (at, width) = if self.is_pci { (0x15, 1) } else { (0xfc, 4) };
        let mut bytes = [0; 4];
        self.board.bus.read(Space::Memory, self.base + at, &mut bytes[..width]);
        u32::from_le_bytes(bytes)
    }

    /// Where a register is, and how wide: virtio 1.2, 4.1.4.3 for a PCI function.
    fn place(&self, register: u64) -> (u64, usize) {
        match register {
            _ if !self.is_pci => (register, 4),
            register::DEVICE_FEATURES_SEL => (0x00, 4),
            register::DEVICE_FEATURES => (0x04, 4),
            register::DRIVER_FEATURES_SEL => (0x08, 4),
            register::DRIVER_FEATURES => (0x0c, 4),
            register::STATUS => (0x14, 1),
            register::QUEUE_SEL => (0x16, 2),
            register::QUEUE_NUM | register::QUEUE_NUM_MAX => (0x18, 2),
            register::QUEUE_READY => (0x1c, 2),
            register::QUEUE_DESC..0x88 => (register - register::QUEUE_DESC + 0x20, 4),
            register::QUEUE_DRIVER..0x98 => (register - register::QUEUE_DRIVER + 0x28, 4),
            register::QUEUE_DEVICE..0xa8 => (register - register::QUEUE_DEVICE + 0x30, 4),
            register::INTERRUPT_STATUS => (0x1000, 1),
            register::QUEUE_NOTIFY => (0x3000, 2),
            // None of these is anything else's: where vectors are, and messages.
            _ => (0x10 + register % 0x4000, 2),
        }
    }

    /// Writes a descriptor.
    pub(crate) fn describe(&self, queue: u32, index: u16, address: u64, length: u32, flags: u16, next: u16) {
        let at = DESCRIPTORS + QUEUE * u64::from(queue) + 16 * u64::from(index);
        self.board.wires.ram.write(at, &descriptor(address, length, flags, next)).unwrap();
    }

    /// Makes the chain that begins at a descriptor available, and says so.
    pub(crate) fn offer(&mut self, queue: u32, head: u16) {
        self.add(queue, head);
        self.notify(queue);
    }

    /// Makes the chain that begins at a descriptor available: whether the device's threshold is where this one is, 2.7.10.1.
    pub(crate) fn add(&mut self, queue: u32, head: u16) -> bool {
        let at = AVAILABLE + QUEUE * u64::from(queue);
        let (added, _) = &mut self.queues[queue as usize];
        let before = *added;
        let entry = at + 4 + 2 * u64::from(before % SIZE);
        self.board.wires.ram.write(entry, &head.to_le_bytes()).unwrap();
        *added = added.wrapping_add(1);
        self.board.wires.ram.write(at + 2, &added.to_le_bytes()).unwrap();
        // Who adds first and looks then cannot miss one who looks last at what was added.
        fence(Ordering::SeqCst);
        self.half(USED + QUEUE * u64::from(queue) + 4 + 8 * u64::from(SIZE)) == before
    }

    /// How many chains of a queue have come back that were not looked at yet.
    pub(crate) fn waiting(&self, queue: u32) -> u16 {
        let index = self.half(USED + QUEUE * u64::from(queue) + 2);
        index.wrapping_sub(self.queues[queue as usize].1)
    }

    /// Has the device tell of the chain that comes so many behind the next, 2.7.7.1.
    pub(crate) fn wants(&self, queue: u32, behind: u16) {
        let at = AVAILABLE + QUEUE * u64::from(queue) + 4 + 2 * u64::from(SIZE);
        let threshold = self.queues[queue as usize].1.wrapping_add(behind);
        self.board.wires.ram.write(at, &threshold.to_le_bytes()).unwrap();
    }

    /// Goes on as if so many chains had been handed over and had come back, in every queue.
    pub(crate) fn begin_at(&mut self, index: u16) {
        let (name, mut state) = self.board.bus.states().unwrap().remove(0);
        let device = if self.is_pci { &mut state["device"] } else { &mut state };
        for queue in device["queues"].as_array_mut().unwrap() {
            (queue["next_available"], queue["next_used"]) = (index.into(), index.into());
        }
        self.board.bus.load(&name, state).unwrap();
        let ram = &self.board.wires.ram;
        for (place, counts) in (0..).zip(&mut self.queues) {
            *counts = (index, index);
            let behind = QUEUE * place;
            for at in
                [AVAILABLE + 2, AVAILABLE + 4 + 2 * u64::from(SIZE), USED + 2, USED + 4 + 8 * u64::from(SIZE)]
            {
                ram.write(at + behind, &index.to_le_bytes()).unwrap();
            }
        }
    }

    fn half(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.board.bytes(at, 2).try_into().unwrap())
    }

    /// Says that there is something in a queue.
    pub(crate) fn notify(&self, queue: u32) {
        if self.is_pci {
            let at = self.base + 0x3000 + 4 * u64::from(queue & 0xff);
            self.board.bus.write(Space::Memory, at, &queue.to_le_bytes()[..2]);
        } else {
            self.write(register::QUEUE_NOTIFY, queue);
        }
    }

    /// Hands buffers over as one chain from the first descriptor on. Where each lies.
    pub(crate) fn hand_over(&mut self, queue: u32, buffers: &[Buffer<'_>]) -> Vec<u64> {
        let mut at = BUFFERS + 0x1_0000 * u64::from(queue);
        let mut places = Vec::new();
        for (index, buffer) in (0_u16..).zip(buffers) {
            let (length, own) = match buffer {
                Buffer::Own(bytes) => {
                    self.board.wires.ram.write(at, bytes).unwrap();
                    (u32::try_from(bytes.len()).unwrap(), 0)
                }
                Buffer::Room(length) => (*length, WRITE),
            };
            let is_last = usize::from(index) + 1 == buffers.len();
            self.describe(queue, index, at, length, own | if is_last { 0 } else { NEXT }, index + 1);
            places.push(at);
            at += u64::from(length).next_multiple_of(16);
        }
        self.offer(queue, 0);
        places
    }

    /// What has come back since the last time: which chain, and how much was written to it. The next is to be told of.
    pub(crate) fn used(&mut self, queue: u32) -> Vec<(u32, u32)> {
        let at = USED + QUEUE * u64::from(queue);
        let word = |at: u64| u32::from_le_bytes(self.board.bytes(at, 4).try_into().unwrap());
        let index = self.half(at + 2);
        let mut seen = self.queues[queue as usize].1;
        let mut used = Vec::new();
        while seen != index {
            let entry = at + 4 + 8 * u64::from(seen % SIZE);
            used.push((word(entry), word(entry + 4)));
            seen = seen.wrapping_add(1);
        }
        self.queues[queue as usize].1 = seen;
        self.wants(queue, 0);
        used
    }
}

/// A descriptor: virtio 1.2, 2.7.5.
pub(crate) fn descriptor(address: u64, length: u32, flags: u16, next: u16) -> Vec<u8> {
    [&address.to_le_bytes()[..], &length.to_le_bytes(), &flags.to_le_bytes(), &next.to_le_bytes()].concat()
}
