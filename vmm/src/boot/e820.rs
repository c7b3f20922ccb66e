//! What a PC's memory is used for, as its firmware tells: ACPI specification, 15 "System address map interfaces".

use crate::Ram;

/// A range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryRange {
    /// Where it begins.
    pub first: u64,
    /// How long it is.
    pub length: u64,
    /// Whether an operating system may use it as RAM.
    pub is_ram: bool,
}

impl MemoryRange {
    /// The number of its kind: AddressRangeMemory or AddressRangeReserved.
    pub(super) const fn kind(&self) -> u32 {
        if self.is_ram { 1 } else { 2 }
    }
}

/// Where RAM for programs ends below 1 MiB: firmware keeps its data behind it.
const LOW: u64 = 0x9_fc00;
const VIDEO: u64 = 0xa_0000;
const FIRMWARE: u64 = 0xf_0000;
const MIB: u64 = 0x10_0000;
/// Where an Intel processor without unrestricted guests needs pages of its own, and firmware lies behind.
const TOP: u64 = 0xfeff_c000;

/// The ranges of a machine with this RAM, ascending.
pub fn memory_map(ram: &Ram) -> Vec<MemoryRange> {
    let mut map = Vec::new();
    let mut add = |first: u64, end: u64, is_ram: bool| {
        if end > first {
            map.push(MemoryRange { first, length: end - first, is_ram });
        }
    };
    let below = ram.size().min(Ram::HOLE);
    add(0, below.min(LOW), true);
    add(LOW, VIDEO, false);
    add(FIRMWARE, MIB, false);
    add(MIB, below, true);
    add(TOP, 1 << 32, false);
    add(1 << 32, (1 << 32) + (ram.size() - below), true);
    map
}
