//! QEMU's firmware configuration device, with its DMA: QEMU, `docs/specs/fw_cfg.rst`.

mod items;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Access, Device, Ram, Region};
pub use items::{Items, ItemsError};

crate::device!(
    "fw-cfg",
    "QEMU's firmware configuration at port 0x510",
    [Region::ports(0x510, 0x511), Region::ports(0x514, 0x51b).by(4)],
    |wires| Box::new(FwCfg { state: State::default(), items: wires.items.clone(), ram: wires.ram.clone() })
);

struct FwCfg {
    state: State,
    items: Items,
    ram: Ram,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    key: u16,
    offset: u32,
    /// The upper half of the address of a DMA command.
    high: u32,
}

/// What the address register of the DMA interface reads as.
const SIGNATURE: &[u8; 8] = b"QEMU CFG";

/// Of a DMA command's control word; its upper half is the key to select.
const ERROR: u32 = 1;
const READ: u32 = 2;
const SKIP: u32 = 4;
const SELECT: u32 = 8;
const WRITE: u32 = 16;

/// How much is copied at once.
const PIECE: usize = 0x1000;

impl FwCfg {
    fn select(&mut self, key: u16) {
        (self.state.key, self.state.offset) = (key, 0);
    }

    /// The next bytes of the item that is selected: zeroes behind its end.
    fn next(&mut self, bytes: &mut [u8]) {
        self.items.read(self.state.key, self.state.offset, bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.state.offset = self.state.offset.saturating_add(length);
    }

    /// Does the command at this address of guest memory, and writes there how it ended.
    fn dma(&mut self, address: u64) {
        let mut command = [0; 16];
        if self.ram.read(address, &mut command).is_err() {
            return;
        }
        let [a, b, c, d, e, f, g, h, rest @ ..] = command;
        let control = u32::from_be_bytes([a, b, c, d]);
        let length = u32::from_be_bytes([e, f, g, h]);
        if control & SELECT != 0 {
            self.select(u16::try_from(control >> 16).unwrap_or(0));
        }
        let is_done = self.transfer(control, u64::from_be_bytes(rest), length);
        let ended = if is_done { 0 } else { ERROR };
        // The command was read there just now, so that it is RAM.
        let _ = self.ram.write(address, &ended.to_be_bytes());
    }

    fn transfer(&mut self, control: u32, address: u64, length: u32) -> bool {
        if control & READ != 0 {
            // Nothing is done by halves, and nothing outside of RAM: the work has the bound of its size.
            return self.ram.holds(address, length.into()) && self.copy(address, length);
        }
        if control & SKIP != 0 {
            self.state.offset = self.state.offset.saturating_add(length);
            return true;
        }
        // No item can be written.
        control & WRITE == 0
    }

    fn copy(&mut self, mut address: u64, length: u32) -> bool {
        let mut left = usize::try_from(length).unwrap_or(0);
        let mut piece = [0; PIECE];
        while left > 0 {
            let part = &mut piece[..left.min(PIECE)];
            self.next(part);
            if self.ram.write(address, part).is_err() {
                return false;
            }
            left -= part.len();
            address = address.wrapping_add(part.len() as u64);
        }
        true
    }
}

impl Device for FwCfg {
    fn read(&mut self, region: usize, offset: u64, data: &mut [u8]) -> Access {
        match (region, offset, data.len()) {
            (1, _, _) => {
                let from = usize::try_from(offset & 7).unwrap_or(0);
                for (byte, letter) in data.iter_mut().zip(SIGNATURE.iter().skip(from)) {
                    *byte = *letter;
                }
            }
            (_, 1, 1) => self.next(data),
            _ => return Access::NoRegister,
        }
        Access::Done
    }

    fn write(&mut self, region: usize, offset: u64, data: &[u8]) -> Access {
        match (region, offset, data) {
            (0, 0, &[low, high]) => self.select(u16::from_le_bytes([low, high])),
            // Items can only be read.
            (0, 1, [_]) => {}
            (1, 0, &[a, b, c, d]) => self.state.high = u32::from_be_bytes([a, b, c, d]),
            (1, 4, &[a, b, c, d]) => {
                let low = u32::from_be_bytes([a, b, c, d]);
                let high = std::mem::take(&mut self.state.high);
                self.dma(u64::from(high) << 32 | u64::from(low));
            }
            _ => return Access::BadWidth,
        }
        Access::Done
    }

    fn reset(&mut self) {
        self.state = State::default();
    }

    fn state(&self) -> Result<Value, serde_json::Error> {
        serde_json::to_value(&self.state)
    }

    fn load(&mut self, state: Value) -> Result<(), serde_json::Error> {
        self.state = serde_json::from_value(state)?;
        Ok(())
    }
}
