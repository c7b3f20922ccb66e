//! What lies in guest RAM, and the state that enters it.
//!
//! | address | what |
//! |---|---|
//! | [`CODE`] | the code; the stack grows down towards it from [`STACK`](crate::STACK) |
//! | [`SCRATCH`] | nothing: room for a guest to write to, up to the end of the first 64 KiB |
//! | 0x10000 | the descriptor table, the task state segment and the page tables, as far as the mode needs them |
//! | [`RAM`] | the end of RAM |
//! | [`MMIO_HOLE`] | no RAM: an access leaves the guest |
//!
//! All RAM that holds none of this is filled with [`TRAP`]: guest code that goes astray halts at once, at a telling address.

use std::ops::Range;

use iced_x86::code_asm::{AsmMemoryOperand, ptr};
use thiserror::Error;

use crate::{Code, EntryState, Mode, Registers, STACK};

/// Where code lies.
pub const CODE: u64 = 0x1000;
/// Room for a guest to write to, reached from every mode with the same address.
pub const SCRATCH: u64 = 0x8000;
/// How much RAM there is, in bytes, from address zero.
pub const RAM: u64 = 0x2_0000;
/// A guest-physical address without RAM, with 64 KiB of the like behind it. Real mode reaches it through ES.
pub const MMIO_HOLE: u64 = (HOLE_SELECTOR as u64) << 4;
/// What fills RAM: HLT.
pub const TRAP: u8 = 0xf4;

/// What real mode loads into ES to reach [`MMIO_HOLE`].
pub(crate) const HOLE_SELECTOR: u16 = 0xb000;

/// Why code cannot be laid out.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// A piece would reach the next one, the stack, or the end of RAM.
    #[error("lay {length} bytes at {address:#x}: there is room up to {end:#x}")]
    NoRoom {
        /// Where the piece should lie.
        address: u64,
        /// How long it is.
        length: usize,
        /// Where the room ends.
        end: u64,
    },
}

/// What lies in guest RAM, and the state that enters it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// How much RAM there is, in bytes, from address zero.
    pub size: u64,
    /// The code, and the tables that the state needs: address and bytes, ascending, none overlapping another.
    pub pieces: Vec<(u64, Vec<u8>)>,
    /// The code that is entered.
    pub code: Code,
    /// The state that enters it.
    pub entry: EntryState,
}

impl Image {
    /// Lays out `code` with what its mode needs.
    pub fn of(code: &Code) -> Result<Self, ImageError> {
        let mut entry = EntryState::of(code.mode);
        entry.registers.rip = code.origin;
        let mut pieces = entry.tables();
        pieces.push((code.origin, code.bytes.clone()));
        pieces.sort_by_key(|(address, _)| *address);
        let limits: Vec<u64> = pieces.iter().map(|(address, _)| *address).chain([STACK, RAM]).collect();
        for (address, bytes) in &pieces {
            let end = limits.iter().copied().filter(|limit| limit > address).min().unwrap_or(RAM);
            let room = end.saturating_sub(*address);
            if bytes.len() as u64 > room {
                return Err(ImageError::NoRoom { address: *address, length: bytes.len(), end });
            }
        }
        Ok(Self { size: RAM, pieces, code: code.clone(), entry })
    }

    /// The registers once the last instruction of the code is done and no instruction has changed anything but RIP.
    pub fn halted(&self) -> Registers {
        Registers { rip: self.code.end(), ..self.entry.registers }
    }

    /// All of guest RAM.
    pub fn ram(&self) -> Vec<u8> {
        let mut ram = vec![TRAP; usize::try_from(self.size).unwrap_or(0)];
        for (address, bytes) in &self.pieces {
            if let Some(place) = range(*address, bytes.len()).and_then(|range| ram.get_mut(range)) {
                place.copy_from_slice(bytes);
            }
        }
        ram
    }
}

/// The operand that reaches `offset` bytes into [`MMIO_HOLE`] from code of `mode` with an entry state's segments.
pub fn hole(mode: Mode, offset: u16) -> AsmMemoryOperand {
    match mode {
        Mode::Real => ptr(u32::from(offset)).es(),
        Mode::Protected | Mode::Long => ptr(MMIO_HOLE + u64::from(offset)),
    }
}

/// The indexes of `length` bytes from `address` on; none if they are not to be had.
pub(crate) fn range(address: u64, length: usize) -> Option<Range<usize>> {
    let start = usize::try_from(address).ok()?;
    Some(start..start.checked_add(length)?)
}
