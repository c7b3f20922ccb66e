//! A bus with devices on it and no processor, in a time that is stepped: what every device's tests need.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::sync::Arc;

use vmm::clock::Clock;
use vmm::virtio::{self, SLOTS};
use vmm::{Access, Bus, Disk, Ram, Region, Space, Wires, device_class, device_classes};

pub(crate) mod driver;

/// A bus with devices on it.
pub(crate) struct Board {
    pub(crate) bus: Bus,
    pub(crate) wires: Wires,
}

impl Board {
    /// One with these devices, whose interrupt lines lead to the controllers here. Virtio devices are in their slots in this order;
    /// disks have 16 sectors.
    pub(crate) fn with(devices: &[&str]) -> Self {
        Self::with_disks(devices, &vec![Disk::in_memory(vec![0; 0x2000], false); devices.len()])
    }

    /// The same, with these disks.
    pub(crate) fn with_disks(devices: &[&str], disks: &[Disk]) -> Self {
        let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 2);
        wires.interrupts.connect(Arc::clone(&wires.chips) as _);
        disks.iter().for_each(|disk| wires.disks.add(disk.clone()));
        let mut bus = Bus::new(wires.ram.clone());
        let mut slots = SLOTS.into_iter();
        for name in devices {
            match (device_class(name), virtio::model_class(name)) {
                (Some(class), _) => bus.add(name, (class.make)(&wires), class.regions).unwrap(),
                (None, class) => {
                    let model = (class.unwrap().make)(&wires);
                    let (device, region) = virtio::in_slot(model, slots.next().unwrap(), &wires);
                    bus.add(name, device, &[region]).unwrap();
                }
            }
        }
        Self { bus, wires }
    }

    /// The names of every device, and where it lies when it is alone.
    pub(crate) fn all() -> Vec<(&'static str, Vec<Region>)> {
        let slot = Region::memory(SLOTS[0].address.into(), u64::from(SLOTS[0].address + SLOTS[0].length - 1));
        let devices = device_classes().into_iter().map(|class| (class.name, class.regions.to_vec()));
        let virtio = virtio::model_classes().into_iter().map(|class| (class.name, vec![slot]));
        devices.chain(virtio).collect()
    }

    /// So many bytes of RAM.
    pub(crate) fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.wires.ram.read(address, &mut bytes).unwrap();
        bytes
    }

    /// One whose lines are watched and lead nowhere.
    pub(crate) fn watched(devices: &[&str]) -> Self {
        let board = Self::with(devices);
        board.wires.interrupts.watch(true);
        board
    }

    pub(crate) fn inb(&self, port: u16) -> u8 {
        let mut byte = [0];
        self.bus.read(Space::Ports, port.into(), &mut byte);
        byte[0]
    }

    pub(crate) fn outb(&self, port: u16, byte: u8) {
        assert_eq!(self.bus.write(Space::Ports, port.into(), &[byte]), Access::Done);
    }

    /// Reads four bytes of the configuration space of a function of the first bus, as a processor does.
    pub(crate) fn config(&self, function: u32, register: u32) -> u32 {
        self.bus.write(Space::Ports, 0xcf8, &(1 << 31 | function << 8 | register).to_le_bytes());
        let mut bytes = [0; 4];
        self.bus.read(Space::Ports, 0xcfc, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Writes to it.
    pub(crate) fn set_config(&self, function: u32, register: u32, bytes: &[u8]) {
        let address = 1 << 31 | function << 8 | register & !3;
        self.bus.write(Space::Ports, 0xcf8, &address.to_le_bytes());
        self.bus.write(Space::Ports, 0xcfc + u64::from(register & 3), bytes);
    }

    pub(crate) fn readl(&self, address: u64) -> u32 {
        let mut bytes = [0; 4];
        self.bus.read(Space::Memory, address, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn writel(&self, address: u64, value: u32) {
        self.bus.write(Space::Memory, address, &value.to_le_bytes());
    }

    /// Lets so many nanoseconds pass, with each alarm at its time.
    pub(crate) fn step(&self, nanos: u64) {
        let clock = &self.wires.clock;
        let until = clock.now() + nanos;
        let alarm = || {
            clock.clear_alarm();
            self.bus.poll();
            clock.alarm()
        };
        while let Some(due) = alarm().filter(|due| (clock.now() + 1..=until).contains(due)) {
            clock.set(due);
        }
        clock.set(until);
        self.bus.poll();
    }

    /// What interrupt lines have done since the last time.
    pub(crate) fn seen(&self) -> Vec<(u32, bool)> {
        self.wires.interrupts.seen()
    }

    /// The state of the first device.
    pub(crate) fn state(&self) -> serde_json::Value {
        self.bus.states().unwrap()[0].1.clone()
    }
}
