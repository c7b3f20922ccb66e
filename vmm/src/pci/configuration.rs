//! The configuration space of a function: PCI 3.0, 6.1 "Configuration space organization" and 6.2 "Configuration space functions".

use crate::{Access, DECODED, Region, Shows, Space, Window};

/// Who a function says that it is: PCI 3.0, 6.2.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Vendor ID.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
    /// Revision ID.
    pub revision: u8,
    /// The base class, the class below it and the programming interface, in bytes from the upper end of 24 bits.
    pub class: u32,
    /// Subsystem vendor ID and subsystem ID: zeroes where there are none.
    pub subsystem: (u16, u16),
}

/// What a base address register decodes, and how much, a power of two: PCI 3.0, 6.2.5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Ports, 256 at most.
    Ports(u32),
    /// Memory below 4 GiB.
    Memory(u32),
    /// Memory anywhere, prefetchable; the register has two places.
    Memory64(u32),
}

/// Bits of the command register: PCI 3.0, 6.2.2.
pub mod command {
    /// The function answers in the space of ports.
    pub const PORTS: u16 = 1 << 0;
    /// The function answers in the space of memory.
    pub const MEMORY: u16 = 1 << 1;
    /// The function may reach memory by itself.
    pub const MASTER: u16 = 1 << 2;
    /// The function does not drive its interrupt pin.
    pub const NO_PIN: u16 = 1 << 10;
}

/// How many bytes a configuration space has.
const SIZE: usize = 0x100;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const BARS: usize = 0x10;
const CAPABILITIES: usize = 0x34;
const LINE: usize = 0x3c;
const PIN: usize = 0x3d;
/// Of the status register: there is a list of capabilities, and the pin is driven; and the bits that a one clears.
const HAS_CAPABILITIES: u8 = 1 << 4;
const ASKS: u8 = 1 << 3;
const ERRORS: u8 = 0xf9;

/// What a configuration space is after a reset, and what of it can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    initial: Vec<u8>,
    writable: Vec<u8>,
    /// What a one clears.
    cleared: Vec<u8>,
    bars: [Option<Bar>; 6],
    /// Where the next capability goes, and where the last one's pointer is.
    free: usize,
    pointer: usize,
}

impl Layout {
    /// The header that every function has, with a command register that can have these bits.
    pub fn new(identity: Identity, commands: u16) -> Self {
        let nothing = || vec![0; SIZE];
        let mut layout = Self {
            initial: nothing(),
            writable: nothing(),
            cleared: nothing(),
            bars: [None; 6],
            free: 0x40,
            pointer: CAPABILITIES,
        };
        let [_, base, sub, interface] = identity.class.to_be_bytes();
        layout.put(0x00, &identity.vendor.to_le_bytes());
        layout.put(0x02, &identity.device.to_le_bytes());
        layout.put(0x08, &[identity.revision, interface, sub, base]);
        layout.put(0x2c, &identity.subsystem.0.to_le_bytes());
        layout.put(0x2e, &identity.subsystem.1.to_le_bytes());
        layout.writable[COMMAND..COMMAND + 2].copy_from_slice(&commands.to_le_bytes());
        layout.cleared[STATUS + 1] = ERRORS;
        layout
    }

    /// Has these bytes there from the beginning.
    pub fn fixed(mut self, at: usize, bytes: &[u8]) -> Self {
        self.put(at, bytes);
        self
    }

    /// Has these bits be written there.
    pub fn writable(mut self, at: usize, masks: &[u8]) -> Self {
        self.writable[at..at + masks.len()].copy_from_slice(masks);
        self
    }

    /// Has an interrupt pin, INTA# being 1, and a register in which software keeps where it leads.
    pub fn pin(self, pin: u8) -> Self {
        self.fixed(PIN, &[pin]).writable(LINE, &[0xff])
    }

    /// Has a base address register of this number.
    pub fn bar(mut self, number: usize, bar: Bar) -> Self {
        let at = BARS + 4 * number;
        let (flags, size) = match bar {
            Bar::Ports(size) => (0b0001, size),
            Bar::Memory(size) => (0b0000, size),
            Bar::Memory64(size) => (0b1100, size),
        };
        self.bars[number] = Some(bar);
        self.put(at, &[flags]);
        let mask = !(size - 1);
        self = self.writable(at, &mask.to_le_bytes());
        if matches!(bar, Bar::Memory64(_)) { self.writable(at + 4, &[0xff; 4]) } else { self }
    }

    /// Adds a capability of this number, with its registers behind its first two bytes and what of them can be written: PCI 3.0, 6.7.
    /// Where it is.
    pub fn add_capability(&mut self, id: u8, registers: &[u8], masks: &[u8]) -> usize {
        let at = self.free;
        self.put(at, &[id, 0]);
        self.put(at + 2, registers);
        self.writable[at + 2..at + 2 + masks.len()].copy_from_slice(masks);
        let [place, ..] = at.to_le_bytes();
        self.initial[self.pointer] = place;
        self.initial[STATUS] |= HAS_CAPABILITIES;
        self.pointer = at + 1;
        self.free = (at + 2 + registers.len()).next_multiple_of(4);
        at
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.initial[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

/// A configuration space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    layout: Layout,
    bytes: Vec<u8>,
}

impl Configuration {
    /// One as it is after a reset.
    pub fn new(layout: Layout) -> Self {
        Self { bytes: layout.initial.clone(), layout }
    }

    /// Makes it as it is after a reset.
    pub fn reset(&mut self) {
        self.bytes.clone_from(&self.layout.initial);
    }

    /// Reads registers.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Access {
        match place(offset, data.len()) {
            Some(at) => data.copy_from_slice(&self.bytes[at..at + data.len()]),
            None => return Access::NoRegister,
        }
        Access::Done
    }

    /// Writes registers, as far as they can be written.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Access {
        let Some(at) = place(offset, data.len()) else { return Access::NoRegister };
        for (at, written) in (at..).zip(data) {
            let (writable, cleared) = (self.layout.writable[at], self.layout.cleared[at]);
            let byte = &mut self.bytes[at];
            *byte = (*byte & !writable | written & writable) & !(written & cleared);
        }
        Access::Done
    }

    /// A byte of it.
    pub fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    /// Two bytes of it.
    pub fn word(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at + 1)])
    }

    /// Four bytes of it.
    pub fn double(&self, at: usize) -> u32 {
        u32::from(self.word(at)) | u32::from(self.word(at + 2)) << 16
    }

    /// Puts a byte there, whether it can be written or not.
    pub fn set_byte(&mut self, at: usize, byte: u8) {
        if let Some(held) = self.bytes.get_mut(at) {
            *held = byte;
        }
    }

    /// The command register.
    pub fn command(&self) -> u16 {
        self.word(COMMAND)
    }

    /// Says in the status register whether the function asks for an interrupt.
    pub fn set_asks(&mut self, asks: bool) {
        self.bytes[STATUS] = self.bytes[STATUS] & !ASKS | if asks { ASKS } else { 0 };
    }

    /// What base address registers decode now: each shows the region of the function that is `first` behind its number.
    pub fn windows(&self, first: usize) -> Vec<Window> {
        let bars = (0..self.layout.bars.len()).filter_map(|number| {
            let region = self.decoded(number)?;
            let shows = Shows::Own { region: first + number, offset: 0 };
            Some(Window { region: region.by(4), shows, priority: DECODED })
        });
        bars.collect()
    }

    /// What a base address register decodes, if it is enabled and has an address: zero is none.
    pub fn decoded(&self, number: usize) -> Option<Region> {
        let bar = (*self.layout.bars.get(number)?)?;
        let at = BARS + 4 * number;
        let (space, enabled, size, mask) = match bar {
            Bar::Ports(size) => (Space::Ports, command::PORTS, size, 0b11),
            Bar::Memory(size) | Bar::Memory64(size) => (Space::Memory, command::MEMORY, size, 0b1111),
        };
        let high = if matches!(bar, Bar::Memory64(_)) { self.double(at + 4) } else { 0 };
        let address = u64::from(high) << 32 | u64::from(self.double(at) & !mask);
        if address == 0 || self.command() & enabled == 0 {
            return None;
        }
        Region::new(space, address, size.into()).ok()
    }

    /// All of it, to be saved.
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// The same space with these contents, unless they are of another function.
    pub fn with<E: serde::de::Error>(&self, bytes: Vec<u8>) -> Result<Self, E> {
        let layout = &self.layout;
        if bytes.len() != SIZE {
            return Err(E::invalid_length(bytes.len(), &"256 bytes of configuration"));
        }
        let keeps = |at: usize| {
            let status = if at == STATUS { ASKS } else { 0 };
            let may = layout.writable[at] | layout.cleared[at] | status;
            (bytes[at] ^ layout.initial[at]) & !may == 0
        };
        if !(0..SIZE).all(keeps) {
            return Err(E::custom("its configuration is another function's"));
        }
        Ok(Self { layout: layout.clone(), bytes })
    }
}

fn place(offset: u64, length: usize) -> Option<usize> {
    let at = usize::try_from(offset).ok()?;
    at.checked_add(length).filter(|end| *end <= SIZE).map(|_| at)
}
