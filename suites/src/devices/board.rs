//! Device models on a bus without a processor, in a time that is stepped: what claims about models alone need.

use std::cell::Cell;
use std::sync::Arc;

use harness::{HostFault, Outcome, Stop};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use vmm::clock::Clock;
use vmm::{Bus, Ram, Space, Wires, device_class};

/// A bus with device models on it, whose interrupt lines lead to the controllers here.
pub(super) struct Board {
    pub(super) bus: Bus,
    pub(super) wires: Wires,
    /// The levels of the lines, as they were last seen.
    levels: Cell<u32>,
}

/// One thing that a guest or the world does to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Deed {
    /// OUT of a byte.
    Out(u16, u8),
    /// IN of a byte.
    In(u16),
    /// So many nanoseconds pass.
    Pass(u64),
    /// Somebody types this at the first serial port.
    Type(Vec<u8>),
}

/// What can be reached of this kind at these ports.
pub(super) fn deeds(ports: Vec<u16>, most: usize) -> BoxedStrategy<Vec<Deed>> {
    let port = move || prop::sample::select(ports.clone());
    let deed = prop_oneof![
        6 => (port(), any::<u8>()).prop_map(|(port, byte)| Deed::Out(port, byte)),
        5 => port().prop_map(Deed::In),
        2 => (0..40_u32).prop_map(|power| Deed::Pass((1 << power) - 1)),
        2 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Deed::Type),
    ];
    prop::collection::vec(deed, 1..most).boxed()
}

impl Board {
    /// One with these models, where a PC has them.
    pub(super) fn of(models: &[&str]) -> Result<Self, Stop> {
        Self::with(models, |_| Ok(()))
    }

    /// The same, where something is done before the models are made.
    pub(super) fn with(models: &[&str], before: impl FnOnce(&Wires) -> Outcome) -> Result<Self, Stop> {
        let ram = Ram::new(0x10_0000).map_err(fault)?;
        let wires = Wires::new(ram, Clock::stepped(), 1);
        before(&wires)?;
        wires.interrupts.connect(Arc::clone(&wires.chips) as _);
        wires.interrupts.watch(false);
        let mut bus = Bus::new(wires.ram.clone());
        for name in models {
            let class = device_class(name).ok_or_else(|| fault(format!("there is no model {name}")))?;
            bus.add(name, (class.make)(&wires), class.regions).map_err(fault)?;
        }
        Ok(Self { bus, wires, levels: Cell::new(0) })
    }

    pub(super) fn input(&self, port: u16) -> u8 {
        let mut byte = [0];
        self.bus.read(Space::Ports, port.into(), &mut byte);
        byte[0]
    }

    pub(super) fn output(&self, port: u16, byte: u8) {
        self.bus.write(Space::Ports, port.into(), &[byte]);
    }

    /// Reads four bytes of the configuration space of a function of the first bus, as a processor does.
    pub(super) fn configuration(&self, function: u8, register: u8) -> u32 {
        self.address(function, register);
        let mut bytes = [0; 4];
        self.bus.read(Space::Ports, 0xcfc, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Writes to the configuration space of a function of the first bus.
    pub(super) fn configure(&self, function: u8, register: u8, bytes: &[u8]) {
        self.address(function, register);
        self.bus.write(Space::Ports, 0xcfc + u64::from(register & 3), bytes);
    }

    fn address(&self, function: u8, register: u8) {
        let address = 1 << 31 | u32::from(function) << 8 | u32::from(register & !3);
        self.bus.write(Space::Ports, 0xcf8, &address.to_le_bytes());
    }

    /// A byte of memory, as a processor reads it.
    pub(super) fn byte(&self, address: u64) -> u8 {
        let mut byte = [0];
        self.bus.read(Space::Memory, address, &mut byte);
        byte[0]
    }

    /// Lets so many nanoseconds pass, with each alarm at its time.
    pub(super) fn pass(&self, nanos: u64) {
        let clock = &self.wires.clock;
        let until = clock.now().saturating_add(nanos);
        loop {
            clock.clear_alarm();
            self.bus.poll();
            let Some(due) = clock.alarm().filter(|due| (clock.now() + 1..=until).contains(due)) else {
                break;
            };
            clock.set(due);
        }
        clock.set(until);
        self.bus.poll();
    }

    /// Types at the first serial port.
    pub(super) fn type_in(&self, bytes: &[u8]) {
        self.wires.serial[0].type_in(bytes);
        self.bus.poll();
    }

    /// Does it: what was read, if anything.
    pub(super) fn does(&self, deed: &Deed) -> Option<u8> {
        match deed {
            Deed::Out(port, byte) => self.output(*port, *byte),
            Deed::In(port) => return Some(self.input(*port)),
            Deed::Pass(nanos) => self.pass(*nanos),
            Deed::Type(bytes) => self.type_in(bytes),
        }
        None
    }

    /// Whether an interrupt line is high.
    pub(super) fn is_high(&self, gsi: u32) -> bool {
        for (changed, level) in self.wires.interrupts.seen() {
            let bit = 1 << (changed & 31);
            self.levels.set(if level { self.levels.get() | bit } else { self.levels.get() & !bit });
        }
        self.levels.get() >> gsi & 1 != 0
    }
}

pub(super) fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot put models on a bus: {error}")))
}
