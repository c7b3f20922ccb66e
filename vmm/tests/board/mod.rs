//! A bus with devices on it and no processor, in a time that is stepped: what every device's tests need.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use vmm::clock::Clock;
use vmm::virtio::{self, SLOTS};
use vmm::{Access, Bus, Disk, Link, Mac, Nic, Ram, Region, Space, Wires, device_class, device_classes};

pub(crate) mod driver;
pub(crate) mod drives;

/// A bus with devices on it.
pub(crate) struct Board {
    pub(crate) bus: Bus,
    pub(crate) wires: Wires,
    /// Which of the virtio devices, as they were named, are functions of the PCI bus: each is the device of this number behind
    /// [`FUNCTIONS`].
    pub(crate) functions: Vec<usize>,
    /// The other end of the first network card's link, if it is plugged in.
    pub(crate) far: Option<UnixStream>,
}

/// The device of the PCI bus that the first virtio device is, if it is one.
const FUNCTIONS: u8 = 4;
/// Where the registers of virtio devices on the PCI bus are put, and their messages.
const REGISTERS: u64 = 0xe000_0000;
pub(crate) const MESSAGES: u64 = 0xe100_0000;

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
        let (near, far) = UnixStream::pair().unwrap();
        far.set_nonblocking(true).unwrap();
        wires.nics.add(Nic { link: Link::stream(near).unwrap(), mac: Mac::of_number(0) });
        Self { far: Some(far), ..Self::of(devices, wires) }
    }

    /// The same, with these wires.
    pub(crate) fn of(devices: &[&str], wires: Wires) -> Self {
        let mut bus = Bus::new(wires.ram.clone());
        let mut functions = Vec::new();
        let mut count = 0;
        for name in devices {
            if let Some(class) = device_class(name) {
                bus.add(name, (class.make)(&wires), class.regions).unwrap();
                continue;
            }
            let model = name.trim_end_matches("-pci");
            let model = (virtio::model_class(model).unwrap().make)(&wires);
            let (device, region) = if name.ends_with("-pci") {
                functions.push(count);
                virtio::on_bus(model, FUNCTIONS + u8::try_from(count).unwrap(), &wires)
            } else {
                virtio::in_slot(model, SLOTS[count], &wires)
            };
            bus.add(name, device, &[region]).unwrap();
            count += 1;
        }
        Self { bus, wires, functions, far: None }
    }

    /// The names of every device, and where it lies when it is alone.
    pub(crate) fn all() -> Vec<(&'static str, Vec<Region>)> {
        let slot = Region::memory(SLOTS[0].address.into(), u64::from(SLOTS[0].address + SLOTS[0].length - 1));
        let devices = device_classes().into_iter().map(|class| (class.name, class.regions.to_vec()));
        let virtio = virtio::model_classes().into_iter().map(|class| (class.name, vec![slot]));
        let function = vec![Region::function(FUNCTIONS, 0)];
        let pci = Self::on_pci().into_iter().map(|name| (name, function.clone()));
        devices.chain(virtio).chain(pci).collect()
    }

    /// The names of all virtio devices as functions of the PCI bus.
    pub(crate) fn on_pci() -> Vec<&'static str> {
        let classes = virtio::model_classes().into_iter();
        classes.map(|class| &*Box::leak(format!("{}-pci", class.name).into_boxed_str())).collect()
    }

    /// Gives a virtio device on the PCI bus addresses, and has it answer: where its registers are.
    pub(crate) fn enable(&self, slot: usize) -> u64 {
        let at = (u64::from(FUNCTIONS) + slot as u64) << 11;
        let (registers, messages) = (REGISTERS + 0x1_0000 * slot as u64, MESSAGES + 0x1000 * slot as u64);
        let set = |register: u64, bytes: &[u8]| self.bus.write(Space::Configuration, at + register, bytes);
        set(0x20, &registers.to_le_bytes()[..4]);
        set(0x14, &messages.to_le_bytes()[..4]);
        set(0x04, &[0x06, 0x00]);
        registers
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

    /// Its power management where firmware puts it.
    pub(crate) fn with_power_management(self) -> Self {
        const FUNCTION: u64 = 0xb00;
        self.bus.write(Space::Configuration, FUNCTION + 0x40, &[0x01, 0x06]);
        self.bus.write(Space::Configuration, FUNCTION + 0x80, &[0x01]);
        self
    }

    /// Sends a frame to the network card: this text, behind a header of zeroes, if there is room for it on the way.
    pub(crate) fn send(&self, text: &[u8]) {
        let frame = [&[0; 14][..], text].concat();
        let length = u32::try_from(frame.len()).unwrap();
        let sent = self.far.as_ref().map(|mut far| far.write(&[&length.to_be_bytes()[..], &frame].concat()));
        assert!(sent.is_none_or(|sent| sent.map_or(true, |sent| sent == 4 + frame.len())));
    }

    pub(crate) fn inb(&self, port: u16) -> u8 {
        let mut byte = [0];
        self.bus.read(Space::Ports, port.into(), &mut byte);
        byte[0]
    }

    pub(crate) fn inw(&self, port: u16) -> u16 {
        let mut word = [0; 2];
        assert_eq!(self.bus.read(Space::Ports, port.into(), &mut word), Access::Done);
        u16::from_le_bytes(word)
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
