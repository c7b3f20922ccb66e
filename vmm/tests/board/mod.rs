//! A bus with devices on it and no processor, in a time that is stepped: what every device's tests need.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::sync::Arc;

use vmm::clock::Clock;
use vmm::{Access, Bus, Ram, Space, Wires, device_class};

/// A bus with devices on it.
pub(crate) struct Board {
    pub(crate) bus: Bus,
    pub(crate) wires: Wires,
}

impl Board {
    /// One with these devices, whose interrupt lines lead to the controllers here.
    pub(crate) fn with(devices: &[&str]) -> Self {
        let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 2);
        wires.interrupts.connect(Arc::clone(&wires.chips) as _);
        let mut bus = Bus::new(wires.ram.clone());
        for name in devices {
            let class = device_class(name).unwrap();
            bus.add(name, (class.make)(&wires), class.regions).unwrap();
        }
        Self { bus, wires }
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
