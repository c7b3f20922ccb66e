//! The pair of DMA controllers as far as firmware asks, which sets them up and moves nothing: Intel 8237A data sheet (231466), "Register
//! description", and IBM PC AT Technical Reference, "DMA page registers".

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Access, Device, Region};

crate::device!(
    "i8237",
    "DMA controllers that no device uses",
    [Region::ports(0x00, 0x0f).by(1), Region::ports(0xc0, 0xdf).by(1), Region::ports(0x81, 0x8f).by(1)],
    |_| Box::new(I8237(State::default()))
);

/// The last is the page registers, of which 0x80 is another's.
const PAGES: usize = 2;
/// Registers of a controller, behind the addresses and counts of its four channels.
const STATUS: u64 = 0x8;
const REQUEST: u64 = 0x9;
const ONE_MASK: u64 = 0xa;
const MODE: u64 = 0xb;
const CLEAR_ORDER: u64 = 0xc;
const CLEAR: u64 = 0xd;
const CLEAR_MASK: u64 = 0xe;
const MASK: u64 = 0xf;

struct I8237(State);

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    controllers: [Controller; 2],
    pages: [u8; 15],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Controller {
    /// Address and count of each channel.
    words: [u16; 8],
    /// Whether the upper byte comes next.
    is_upper: bool,
    command: u8,
    mask: u8,
}

impl Default for Controller {
    /// All channels are masked.
    fn default() -> Self {
        Self { words: [0; 8], is_upper: false, command: 0, mask: 0xf }
    }
}

impl Controller {
    fn word(&mut self, register: u64) -> Option<&mut u16> {
        usize::try_from(register).ok().and_then(|register| self.words.get_mut(register))
    }

    fn read(&mut self, register: u64) -> u8 {
        let is_upper = self.is_upper;
        match self.word(register) {
            Some(word) => {
                let [low, high] = word.to_le_bytes();
                self.is_upper = !is_upper;
                if is_upper { high } else { low }
            }
            None if register == MASK => self.mask | 0xf0,
            // Nothing has ended and nobody asks; the temporary register.
            None => 0,
        }
    }

    fn write(&mut self, register: u64, byte: u8) {
        let is_upper = self.is_upper;
        if let Some(word) = self.word(register) {
            let [low, high] = word.to_le_bytes();
            *word = u16::from_le_bytes(if is_upper { [low, byte] } else { [byte, high] });
            self.is_upper = !is_upper;
            return;
        }
        match register {
            STATUS => self.command = byte,
            ONE_MASK => {
                let channel = 1 << (byte & 3);
                self.mask = if byte & 4 != 0 { self.mask | channel } else { self.mask & !channel };
            }
            CLEAR_ORDER => self.is_upper = false,
            CLEAR => *self = Self { words: self.words, ..Self::default() },
            CLEAR_MASK => self.mask = 0,
            MASK => self.mask = byte & 0xf,
            // Nobody moves anything, in whatever way.
            REQUEST | MODE => {}
            _ => {}
        }
    }
}

impl I8237 {
    fn page(&mut self, offset: u64) -> Option<&mut u8> {
        usize::try_from(offset).ok().and_then(|at| self.0.pages.get_mut(at))
    }

    /// A controller, and which of its registers: the second is at every other port.
    fn controller(&mut self, region: usize, offset: u64) -> Option<(&mut Controller, u64)> {
        let register = if region == 1 { offset / 2 } else { offset };
        self.0.controllers.get_mut(region).map(|controller| (controller, register))
    }
}

impl Device for I8237 {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        let byte = if region == PAGES {
            self.page(offset).map(|page| *page)
        } else {
            self.controller(region, offset).map(|(controller, register)| controller.read(register))
        };
        let Some(byte) = byte else { return Access::NoRegister };
        data.fill(byte);
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        let [byte] = *data else { return Access::BadWidth };
        if region == PAGES {
            self.page(offset).into_iter().for_each(|page| *page = byte);
        } else if let Some((controller, register)) = self.controller(region, offset) {
            controller.write(register, byte);
        }
        Access::Done
    }

    fn reset(&mut self) {
        self.0 = State::default();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.0)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.0 = serde_json::from_value(state)?;
        Ok(())
    }
}
