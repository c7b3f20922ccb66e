//! The registers by which a host and a drive talk: ATA/ATAPI-4 (T13/1153D), 7 "Interface register definitions and descriptions", and
//! of 48-bit addresses ATA/ATAPI-6 (T13/1410D), 6.20.

use serde::{Deserialize, Serialize};

/// Of the status register.
pub(super) const BUSY: u8 = 1 << 7;
pub(super) const READY: u8 = 1 << 6;
pub(super) const SEEK_COMPLETE: u8 = 1 << 4;
pub(super) const DATA: u8 = 1 << 3;
pub(super) const ERROR: u8 = 1;
/// Of the error register.
pub(super) const ABORTED: u8 = 1 << 2;
pub(super) const NOT_FOUND: u8 = 1 << 4;
pub(super) const UNCORRECTABLE: u8 = 1 << 6;
/// Of the device register: linear addresses, and the second drive.
pub(super) const LINEAR: u8 = 1 << 6;
pub(super) const SECOND: u8 = 1 << 4;

/// A register that keeps the byte before its last one as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) now: u8,
    pub(super) before: u8,
}

impl Pair {
    pub(super) fn put(&mut self, byte: u8) {
        *self = Self { now: byte, before: self.now };
    }

    pub(super) fn set(&mut self, byte: u8) {
        *self = Self { now: byte, before: 0 };
    }
}

/// The registers of a drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    pub(super) features: u8,
    pub(super) count: Pair,
    pub(super) low: Pair,
    pub(super) middle: Pair,
    pub(super) high: Pair,
    pub(super) device: u8,
    pub(super) error: u8,
    pub(super) status: u8,
}

impl Task {
    /// What a drive says of itself behind a reset, by which hosts tell one with packets: 9.12 "Signature and persistence".
    pub(super) fn sign(&mut self, takes_packets: bool) {
        self.count.set(1);
        self.low.set(1);
        self.middle.set(if takes_packets { 0x14 } else { 0 });
        self.high.set(if takes_packets { 0xeb } else { 0 });
        self.device &= SECOND;
    }

    /// A register as it is read, of those behind the data register. `before` has the bytes before the last ones.
    pub(super) fn read(&self, register: u64, before: bool) -> u8 {
        let of = |pair: Pair| if before { pair.before } else { pair.now };
        match register {
            1 => self.error,
            2 => of(self.count),
            3 => of(self.low),
            4 => of(self.middle),
            5 => of(self.high),
            // Two bits are always set.
            6 => self.device | 0xa0,
            _ => self.status,
        }
    }

    /// A register as it is written, of those that are no command.
    pub(super) fn write(&mut self, register: u64, byte: u8) {
        match register {
            1 => self.features = byte,
            2 => self.count.put(byte),
            3 => self.low.put(byte),
            4 => self.middle.put(byte),
            5 => self.high.put(byte),
            6 => self.device = byte & !0xa0,
            _ => {}
        }
    }

    /// The sector that is meant, and how many: of 28 bits, or of 48.
    pub(super) fn linear(&self, is_extended: bool) -> (u64, u32) {
        let bytes = [self.low.now, self.middle.now, self.high.now];
        let low = bytes.into_iter().rev().fold(0, |address, byte| address << 8 | u64::from(byte));
        if is_extended {
            let bytes = [self.low.before, self.middle.before, self.high.before];
            let high = bytes.into_iter().rev().fold(0, |address, byte| address << 8 | u64::from(byte));
            let count = u32::from(self.count.before) << 8 | u32::from(self.count.now);
            (high << 24 | low, if count == 0 { 0x1_0000 } else { count })
        } else {
            let count = u32::from(self.count.now);
            (u64::from(self.device & 0xf) << 24 | low, if count == 0 { 0x100 } else { count })
        }
    }

    /// Says which sector was the last, by cylinder, head and number.
    pub(super) fn set_place(&mut self, cylinder: u16, head: u8, number: u8) {
        let [low, high] = cylinder.to_le_bytes();
        (self.low.now, self.middle.now, self.high.now) = (number, low, high);
        self.device = self.device & 0xf0 | head & 0xf;
    }

    /// Says which sector was the last.
    pub(super) fn set_linear(&mut self, sector: u64, is_extended: bool) {
        let [low, middle, high, fourth, fifth, sixth, ..] = sector.to_le_bytes();
        if is_extended {
            self.low = Pair { now: low, before: fourth };
            self.middle = Pair { now: middle, before: fifth };
            self.high = Pair { now: high, before: sixth };
        } else {
            (self.low.now, self.middle.now, self.high.now) = (low, middle, high);
            self.device = self.device & 0xf0 | fourth & 0xf;
        }
    }
}
