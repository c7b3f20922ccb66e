//! A pair of Intel 8259A interrupt controllers, as a PC joins them, with the edge/level registers of the EISA and PIIX bridges:
//! 8259A data sheet (231468); 82371SB data sheet, "ELCR".

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::irq::Chips;
use crate::{Access, Device, Region};

crate::device!(
    "i8259",
    "the pair of interrupt controllers at ports 0x20 and 0xa0",
    [Region::ports(0x20, 0x21).by(1), Region::ports(0xa0, 0xa1).by(1), Region::ports(0x4d0, 0x4d1).by(1)],
    |wires| Box::new(Face(Arc::clone(&wires.chips)))
);

/// The pin of the first chip that the second drives.
const CASCADE: u8 = 2;
/// Which pins can be level-triggered: not those that a PC drives by edges, the timer, the keyboard, the cascade, the RTC and the FPU.
const MAY_BE_LEVEL: [u8; 2] = [0xf8, 0xde];

/// Both chips.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct I8259 {
    chips: [Chip; 2],
}

/// One chip.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Chip {
    /// The levels of its pins.
    lines: u8,
    /// Which pins have had an edge that is not yet acknowledged.
    edges: u8,
    in_service: u8,
    mask: u8,
    /// Which pins are level-triggered.
    elcr: u8,
    /// The upper five bits of its vectors.
    base: u8,
    /// The pin of the lowest priority, minus 7: zero after initialization.
    rotation: u8,
    step: Step,
    /// LTIM of ICW1: every pin is level-triggered.
    is_level: bool,
    wants_icw4: bool,
    is_single: bool,
    auto_eoi: bool,
    rotates_on_auto_eoi: bool,
    is_special_fully_nested: bool,
    is_special_mask: bool,
    reads_in_service: bool,
    polls: bool,
}

/// Which command word the chip waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    #[default]
    Ready,
    Icw2,
    Icw3,
    Icw4,
}

impl I8259 {
    /// Sets the level of a pin, 0 to 15.
    pub fn set(&mut self, pin: u8, level: bool) {
        let chip = usize::from(pin >> 3 & 1);
        self.chips[chip].set(pin & 7, level);
        self.cascade();
    }

    /// Whether the processor is asked to take an interrupt.
    pub fn asks(&self) -> bool {
        self.chips[0].next().is_some()
    }

    /// The vector that the processor takes: of the pin of the highest priority, or of pin 7 if it came too late.
    pub fn acknowledge(&mut self) -> u8 {
        let pin = self.chips[0].take().unwrap_or(7);
        let vector = match pin {
            CASCADE => {
                let pin = self.chips[1].take().unwrap_or(7);
                // The second chip's request falls while it is acknowledged: what else it asks for is an edge of its own.
                self.chips[0].set(CASCADE, false);
                self.chips[1].base | pin
            }
            _ => self.chips[0].base | pin,
        };
        self.cascade();
        vector
    }

    /// Which pins' interrupts are in service, those of the second chip in the upper half.
    pub fn in_service(&self) -> u16 {
        u16::from_le_bytes([self.chips[0].in_service, self.chips[1].in_service])
    }

    /// Reads a register of the first or second chip, at its port of that offset.
    pub fn read(&mut self, chip: usize, offset: u64) -> u8 {
        let byte = self.chips.get_mut(chip).map_or(0xff, |chip| chip.read(offset));
        self.cascade();
        byte
    }

    /// Writes a register of the first or second chip, at its port of that offset.
    pub fn write(&mut self, chip: usize, offset: u64, byte: u8) {
        if let Some(chip) = self.chips.get_mut(chip) {
            chip.write(offset, byte);
        }
        self.cascade();
    }

    /// Which pins of the first or second chip are level-triggered.
    pub fn elcr(&self, chip: usize) -> u8 {
        self.chips.get(chip).map_or(0xff, |chip| chip.elcr)
    }

    /// Sets which pins of the first or second chip are level-triggered.
    pub fn set_elcr(&mut self, chip: usize, pins: u8) {
        if let (Some(chip), Some(may)) = (self.chips.get_mut(chip), MAY_BE_LEVEL.get(chip)) {
            chip.elcr = pins & may;
        }
        self.cascade();
    }

    /// Makes it as it was at first; the levels of its pins are its inputs and stay.
    pub fn reset(&mut self) {
        for chip in &mut self.chips {
            *chip = Chip { lines: chip.lines, ..Chip::default() };
        }
        self.chips[0].lines &= !(1 << CASCADE);
        self.cascade();
    }

    fn cascade(&mut self) {
        let asks = self.chips[1].next().is_some();
        self.chips[0].set(CASCADE, asks);
    }
}

impl Chip {
    fn set(&mut self, pin: u8, level: bool) {
        let bit = 1 << pin;
        if level {
            self.edges |= bit & !self.lines;
            self.lines |= bit;
        } else {
            // A request must stay until it is acknowledged: data sheet, "edge and level triggered modes".
            self.edges &= !bit;
            self.lines &= !bit;
        }
    }

    /// The request register: what pins ask for.
    fn requests(&self) -> u8 {
        let level = if self.is_level { 0xff } else { self.elcr };
        self.lines & level | self.edges & !level
    }

    /// The pin that would interrupt now.
    fn next(&self) -> Option<u8> {
        let pins = self.requests() & !self.mask;
        if self.is_special_mask {
            // What is in service holds up itself alone, whatever its priority: data sheet, "special mask mode".
            let again = if self.is_special_fully_nested { 1 << CASCADE } else { 0 };
            return self.highest(pins & !(self.in_service & !again));
        }
        let pin = self.highest(pins)?;
        let Some(serviced) = self.highest(self.in_service) else { return Some(pin) };
        let again = self.is_special_fully_nested && pin == CASCADE && serviced == CASCADE;
        (self.rank(pin) < self.rank(serviced) || again).then_some(pin)
    }

    fn take(&mut self) -> Option<u8> {
        let pin = self.next()?;
        self.edges &= !(1 << pin);
        if self.auto_eoi {
            if self.rotates_on_auto_eoi {
                self.make_lowest(pin);
            }
        } else {
            self.in_service |= 1 << pin;
        }
        Some(pin)
    }

    fn highest(&self, pins: u8) -> Option<u8> {
        (0..8).map(|rank| (rank + self.rotation) & 7).find(|pin| pins & 1 << pin != 0)
    }

    fn rank(&self, pin: u8) -> u8 {
        pin.wrapping_sub(self.rotation) & 7
    }

    fn make_lowest(&mut self, pin: u8) {
        self.rotation = (pin + 1) & 7;
    }

    fn read(&mut self, offset: u64) -> u8 {
        if std::mem::take(&mut self.polls) {
            return self.take().map_or(0, |pin| 0x80 | pin);
        }
        match (offset, self.reads_in_service) {
            (0, false) => self.requests(),
            (0, true) => self.in_service,
            _ => self.mask,
        }
    }

    fn write(&mut self, offset: u64, byte: u8) {
        match (offset, self.step) {
            (0, _) if byte & 0x10 != 0 => self.initialize(byte),
            (0, _) if byte & 0x08 != 0 => self.operate(byte),
            (0, _) => self.end(byte),
            (_, Step::Ready) => self.mask = byte,
            (_, Step::Icw2) => {
                self.base = byte & 0xf8;
                self.step = match (self.is_single, self.wants_icw4) {
                    (false, _) => Step::Icw3,
                    (true, true) => Step::Icw4,
                    (true, false) => Step::Ready,
                };
            }
            (_, Step::Icw3) => self.step = if self.wants_icw4 { Step::Icw4 } else { Step::Ready },
            (_, Step::Icw4) => {
                self.is_special_fully_nested = byte & 0x10 != 0;
                self.auto_eoi = byte & 0x02 != 0;
                self.step = Step::Ready;
            }
        }
    }

    /// ICW1: data sheet, "initialization command words", a to f.
    fn initialize(&mut self, byte: u8) {
        *self = Self {
            lines: self.lines,
            elcr: self.elcr,
            base: self.base,
            step: Step::Icw2,
            is_level: byte & 0x08 != 0,
            is_single: byte & 0x02 != 0,
            wants_icw4: byte & 0x01 != 0,
            // What ICW4 says stays until there is another, and is taken away without one; rotation has no part in it.
            auto_eoi: self.auto_eoi && byte & 0x01 != 0,
            is_special_fully_nested: self.is_special_fully_nested && byte & 0x01 != 0,
            rotates_on_auto_eoi: self.rotates_on_auto_eoi,
            ..Self::default()
        };
    }

    /// OCW3.
    fn operate(&mut self, byte: u8) {
        if byte & 0x40 != 0 {
            self.is_special_mask = byte & 0x20 != 0;
        }
        self.polls = byte & 0x04 != 0;
        if byte & 0x02 != 0 {
            self.reads_in_service = byte & 0x01 != 0;
        }
    }

    /// OCW2.
    fn end(&mut self, byte: u8) {
        let (named, ended) = (byte & 7, self.highest(self.ending()));
        match byte >> 5 {
            0b000 => self.rotates_on_auto_eoi = false,
            0b100 => self.rotates_on_auto_eoi = true,
            end @ (0b001 | 0b101) => {
                if let Some(pin) = ended {
                    self.in_service &= !(1 << pin);
                    if end == 0b101 {
                        self.make_lowest(pin);
                    }
                }
            }
            0b011 => self.in_service &= !(1 << named),
            0b111 => {
                self.in_service &= !(1 << named);
                self.make_lowest(named);
            }
            0b110 => self.make_lowest(named),
            _ => {}
        }
    }

    /// What an end of interrupt that names no pin can end: in special mask mode not what is masked.
    fn ending(&self) -> u8 {
        if self.is_special_mask { self.in_service & !self.mask } else { self.in_service }
    }
}

/// The pair on the bus.
struct Face(Arc<Chips>);

impl Device for Face {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        let [byte] = data else { return Access::BadWidth };
        *byte = self.0.pic(|pic| match (region, usize::try_from(offset)) {
            (2, Ok(chip)) => pic.elcr(chip),
            _ => pic.read(region, offset),
        });
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        self.0.pic(|pic| match (region, usize::try_from(offset)) {
            (2, Ok(chip)) => pic.set_elcr(chip, byte),
            _ => pic.write(region, offset, byte),
        });
        Access::Done
    }

    fn reset(&mut self) {
        self.0.pic(I8259::reset);
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        self.0.pic(|pic| serde_json::to_value(&*pic))
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        let mut loaded: I8259 = serde_json::from_value(state)?;
        for chip in &mut loaded.chips {
            chip.rotation &= 7;
            chip.base &= 0xf8;
        }
        self.0.pic(|pic| *pic = loaded);
        Ok(())
    }
}
