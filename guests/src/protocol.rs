//! The page that host and guest share: one block for each vCPU, each field eight bytes, little-endian.
//!
//! | offset | what |
//! |---|---|
//! | [`REGISTERS`] | the registers that a puppet loads before it runs what it was given, and stores when that is done |
//! | [`RESUME`] | where handlers go on that resume: an offset in the code segment of ring 0 |
//! | [`COUNT`] | how many interrupts and exceptions were reported |
//! | [`REPORT`] | the last one: vector, error code, CS, SS, DS and CR2, and the registers that it interrupted |

use serde::{Deserialize, Serialize};

use crate::Registers;
use crate::map::PROTOCOL;

/// How long a block is, in bytes.
pub const BLOCK: u64 = 0x400;
/// Where the registers of a puppet lie, in the order of [`Registers::NAMES`].
pub const REGISTERS: usize = 0;
/// Where the address lies at which the guest goes on.
pub const RESUME: usize = 0x90;
/// Where the count lies.
pub const COUNT: usize = 0x98;
/// Where the report lies.
pub const REPORT: usize = 0xa0;

pub(crate) const VECTOR: usize = REPORT;
pub(crate) const ERROR: usize = 0xa8;
pub(crate) const CS: usize = 0xb0;
pub(crate) const SS: usize = 0xb8;
pub(crate) const DS: usize = 0xc0;
pub(crate) const CR2: usize = 0xc8;
/// The interrupted registers, in the order of [`Registers::NAMES`].
pub(crate) const INTERRUPTED: usize = 0xd0;

/// The port that tells a report: one byte, the vector.
pub const REPORT_PORT: u16 = 0xa5;
/// The port that tells that a puppet waits for what to do: one byte.
pub const READY_PORT: u16 = 0xa6;

/// What stands for the error code of a vector that has none.
const NO_ERROR: u64 = 0xffff;

/// The guest-physical address of a vCPU's block, counted from zero.
pub const fn block(vcpu: usize) -> u64 {
    PROTOCOL + BLOCK * vcpu as u64
}

/// What a handler tells of an interrupt or exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The vector.
    pub vector: u8,
    /// The error code, for a vector that has one.
    pub error: Option<u32>,
    /// The code segment that was interrupted.
    pub cs: u16,
    /// The stack segment that was interrupted.
    pub ss: u16,
    /// CR2, which a page fault sets.
    pub cr2: u64,
    /// The registers as they were; RIP, RSP and RFLAGS from the frame.
    pub registers: Registers,
}

impl Report {
    /// What a block holds; none if it is too short.
    pub fn read(block: &[u8]) -> Option<Self> {
        let field = |offset: usize| word(block, offset);
        let error = field(ERROR)?;
        Some(Self {
            vector: (field(VECTOR)? & 0xff) as u8,
            error: (error & 0xffff != NO_ERROR).then_some((error & 0xffff_ffff) as u32),
            cs: (field(CS)? & 0xffff) as u16,
            ss: (field(SS)? & 0xffff) as u16,
            cr2: field(CR2)?,
            registers: read_registers(block, INTERRUPTED)?,
        })
    }

    /// Lays it into a block that is long enough: handlers that return go back to the registers that stand there.
    pub fn write(&self, block: &mut [u8]) {
        put(block, VECTOR, self.vector.into());
        put(block, ERROR, self.error.map_or(NO_ERROR, u64::from));
        put(block, CS, self.cs.into());
        put(block, SS, self.ss.into());
        put(block, CR2, self.cr2);
        write_registers(block, INTERRUPTED, &self.registers);
    }
}

/// How many interrupts and exceptions a block tells of; none if it is too short.
pub fn count(block: &[u8]) -> Option<u64> {
    word(block, COUNT)
}

/// The registers that lie in a block from an offset on; none if it is too short.
pub fn read_registers(block: &[u8], offset: usize) -> Option<Registers> {
    let values: Option<Vec<u64>> =
        (0..Registers::NAMES.len()).map(|index| word(block, offset + 8 * index)).collect();
    values.map(|values| Registers::of(&values))
}

/// Lays registers into a block from an offset on, as far as it reaches.
pub fn write_registers(block: &mut [u8], offset: usize, registers: &Registers) {
    for (index, value) in registers.values().into_iter().enumerate() {
        put(block, offset + 8 * index, value);
    }
}

/// Lays one field into a block, as far as it reaches.
pub fn put(block: &mut [u8], offset: usize, value: u64) {
    for (place, byte) in block.iter_mut().skip(offset).zip(value.to_le_bytes()) {
        *place = byte;
    }
}

fn word(block: &[u8], offset: usize) -> Option<u64> {
    let bytes = block.get(offset..offset.checked_add(8)?)?;
    Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}
