//! The I/O APIC, with the end-of-interrupt register of later ones: Intel 82093AA data sheet (290566), 3.0 "Register description".

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::irq::{Chips, GSIS};
use crate::{Access, Device, Region};

crate::device!(
    "ioapic",
    "the I/O interrupt controller at 0xfec00000",
    [Region::memory(0xfec0_0000, 0xfec0_0fff).by(4)],
    |wires| Box::new(Face(Arc::clone(&wires.chips)))
);

const PINS: usize = GSIS as usize;
/// 0x20 has the end-of-interrupt register.
const VERSION: u32 = 0x20 | (GSIS - 1) << 16;

const MASKED: u64 = 1 << 16;
const LEVEL: u64 = 1 << 15;
const REMOTE_IRR: u64 = 1 << 14;
/// What a guest cannot write: delivery status and remote IRR, and what is reserved.
const FIXED: u64 = 1 << 12 | REMOTE_IRR | 0x00ff_ffff_fffe_0000;

/// What the controller writes to a local APIC, in the form of a message-signalled interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where: 0xfee00000 with the destination in bits 12 to 19 and its mode in bit 2.
    pub address: u64,
    /// What: the vector, the delivery mode in bits 8 to 10, and how it is triggered in bit 15.
    pub data: u32,
}

/// The controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoApic {
    id: u8,
    selected: u8,
    /// The levels of its pins.
    lines: u32,
    redirections: [u64; PINS],
}

impl Default for IoApic {
    fn default() -> Self {
        Self { id: 0, selected: 0, lines: 0, redirections: [MASKED; PINS] }
    }
}

impl IoApic {
    /// Sets the level of a pin. What it sends then.
    pub fn set(&mut self, pin: u8, level: bool) -> Option<Message> {
        let entry = *self.redirections.get(usize::from(pin))?;
        let rises = level && self.lines & 1 << pin == 0;
        if level {
            self.lines |= 1 << pin;
        } else {
            self.lines &= !(1 << pin);
        }
        if entry & LEVEL == 0 {
            // An edge on a masked pin is lost: data sheet, "interrupt mask".
            return (rises && entry & MASKED == 0).then(|| message(entry));
        }
        self.service(pin)
    }

    /// The pins whose interrupt an end of this vector ends.
    pub fn waiting(&self, vector: u8) -> Vec<u8> {
        let is_waiting = |entry: u64| {
            entry & 0xff == u64::from(vector) && entry & (LEVEL | REMOTE_IRR) == LEVEL | REMOTE_IRR
        };
        (0..24).filter(|pin| is_waiting(self.redirections[usize::from(*pin)])).collect()
    }

    /// A local APIC has finished an interrupt of this vector. What is sent then, for pins that are still high.
    pub fn end(&mut self, vector: u8) -> Vec<Message> {
        let mut sent = Vec::new();
        for pin in 0..24 {
            let entry = &mut self.redirections[usize::from(pin)];
            if *entry & 0xff == u64::from(vector) && *entry & LEVEL != 0 && *entry & REMOTE_IRR != 0 {
                *entry &= !REMOTE_IRR;
                sent.extend(self.service(pin));
            }
        }
        sent
    }

    /// No local APIC has accepted this: level-triggered pins that sent it wait for no end. Data sheet, "remote IRR".
    pub fn refuse(&mut self, refused: Message) {
        for entry in &mut self.redirections {
            if *entry & LEVEL != 0 && message(*entry) == refused {
                *entry &= !REMOTE_IRR;
            }
        }
    }

    /// What each pin sends, none for those that are masked, unless what they have sent has not ended yet.
    pub fn messages(&self) -> Vec<Option<Message>> {
        let sends = |entry: u64| entry & (MASKED | REMOTE_IRR) != MASKED;
        self.redirections.iter().map(|entry| sends(*entry).then(|| message(*entry))).collect()
    }

    /// Reads a register of the window.
    pub fn read(&self, offset: u64) -> Option<u32> {
        match offset {
            0x00 => Some(self.selected.into()),
            0x10 => Some(match self.selected {
                0 | 2 => u32::from(self.id) << 24,
                1 => VERSION,
                index => self
                    .redirection(index)
                    .map_or(0, |(entry, half)| (entry >> (32 * half) & 0xffff_ffff) as u32),
            }),
            _ => None,
        }
    }

    /// Writes a register of the window: what is sent then, or none if there is no such register.
    pub fn write(&mut self, offset: u64, value: u32) -> Option<Vec<Message>> {
        match offset {
            0x00 => self.selected = (value & 0xff) as u8,
            0x10 if self.selected == 0 => self.id = (value >> 24) as u8 & 0xf,
            0x10 => return Some(self.redirect(value).into_iter().collect()),
            0x40 => return Some(self.end((value & 0xff) as u8)),
            _ => return None,
        }
        Some(Vec::new())
    }

    /// Makes it as it was at first; the levels of its pins are its inputs and stay.
    pub fn reset(&mut self) {
        *self = Self { lines: self.lines, ..Self::default() };
    }

    fn redirect(&mut self, value: u32) -> Option<Message> {
        let (held, half) = self.redirection(self.selected)?;
        let pin = (self.selected - 0x10) / 2;
        let shift = 32 * half;
        let kept = FIXED | !(0xffff_ffff << shift);
        let mut entry = held & kept | u64::from(value) << shift & !kept;
        if entry & LEVEL == 0 {
            entry &= !REMOTE_IRR;
        }
        self.redirections[usize::from(pin)] = entry;
        if entry & LEVEL == 0 { None } else { self.service(pin) }
    }

    fn redirection(&self, index: u8) -> Option<(u64, u32)> {
        let index = index.checked_sub(0x10)?;
        Some((*self.redirections.get(usize::from(index / 2))?, u32::from(index % 2)))
    }

    /// Sends for a level-triggered pin that is high, unless what it sent last is not yet finished.
    fn service(&mut self, pin: u8) -> Option<Message> {
        let entry = self.redirections.get_mut(usize::from(pin))?;
        if self.lines & 1 << pin == 0 || *entry & (MASKED | REMOTE_IRR) != 0 || *entry & LEVEL == 0 {
            return None;
        }
        // Only what ends in a local APIC's service register is ever finished there.
        if matches!(*entry >> 8 & 7, 0 | 1) {
            *entry |= REMOTE_IRR;
        }
        Some(message(*entry))
    }
}

fn message(entry: u64) -> Message {
    let destination = entry >> 56 << 12;
    let is_logical = (entry >> 11 & 1) << 2;
    let asserted = 1 << 14;
    Message {
        address: 0xfee0_0000 | destination | is_logical,
        data: ((entry & 0x7ff | entry & LEVEL | asserted) & 0xffff) as u32,
    }
}

/// The controller on the bus.
struct Face(Arc<Chips>);

impl Device for Face {
    fn read(&mut self, _: usize, offset: u64, data: &mut [u8]) -> Access {
        let Some(value) = self.0.ioapic(|ioapic| ioapic.read(offset & 0xf0)) else {
            return Access::NoRegister;
        };
        let from = usize::try_from(offset & 3).unwrap_or(0);
        for (byte, answer) in data.iter_mut().zip(value.to_le_bytes().into_iter().skip(from)) {
            *byte = answer;
        }
        Access::Done
    }

    fn write(&mut self, _: usize, offset: u64, data: &[u8]) -> Access {
        let value = match *data {
            [byte] if offset & 0xf3 == 0 => byte.into(),
            [a, b, c, d] => u32::from_le_bytes([a, b, c, d]),
            _ => return Access::BadWidth,
        };
        if self.0.write_ioapic(offset & 0xf3, value) { Access::Done } else { Access::NoRegister }
    }

    fn reset(&mut self) {
        self.0.ioapic(IoApic::reset);
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        self.0.ioapic(|ioapic| serde_json::to_value(&*ioapic))
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let loaded = serde_json::from_value(state)?;
        self.0.ioapic(|ioapic| *ioapic = loaded);
        Ok(())
    }
}
