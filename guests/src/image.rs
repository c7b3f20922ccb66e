//! What lies in guest RAM, and the state that enters it.

use std::ops::Range;

use iced_x86::code_asm::{AsmMemoryOperand, ptr};
use thiserror::Error;

use crate::map::{MMIO_HOLE, RAM, SCRATCH, STACK, TRAP};
use crate::{Builder, Code, EntryState, Memory, Mode, Paging, Registers, monitor};

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
    /// No processor has the mode and the paging layout together.
    #[error("enter {mode} mode under {paging}")]
    NoSuchPaging {
        /// The mode.
        mode: Mode,
        /// The layout.
        paging: Paging,
    },
    /// The mode has no ring 3 of its own.
    #[error("enter {0} mode in ring 3")]
    NoRing3(Mode),
    /// There is no room for so many.
    #[error("lay out {0} vCPUs")]
    TooManyVcpus(usize),
    /// The code that comes with the image cannot be assembled.
    #[error("assemble what handles exceptions: {0}")]
    Assemble(String),
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
    /// The states that further vCPUs are entered with.
    pub others: Vec<EntryState>,
}

impl Image {
    /// Lays out `code` with what its mode needs.
    pub fn of(code: &Code) -> Result<Self, ImageError> {
        Self::builder(code).build()
    }

    /// Lays out `code` with what its mode needs and more.
    pub fn builder(code: &Code) -> Builder<'_> {
        Builder::of(code)
    }

    /// The registers once the last instruction of the code is done and no instruction has changed anything but RIP.
    pub fn halted(&self) -> Registers {
        Registers { rip: self.code.end(), ..self.entry.registers }
    }

    /// How a run ends whose last instruction, a HLT, left `after` in the registers and whose instructions made `writes` to memory:
    /// as that says, but in virtual-8086 mode, where HLT leads to the monitor.
    pub fn ends(&self, after: Registers, writes: &[(u64, &[u8])]) -> (Registers, Memory) {
        if !self.entry.is_virtual_8086() {
            return (after, Memory::after(self, writes));
        }
        let (registers, frame) = monitor::entered(&self.entry, &after);
        let at = registers.rsp;
        let all: Vec<(u64, &[u8])> = writes.iter().copied().chain([(at, frame.as_slice())]).collect();
        (registers, Memory::after(self, &all))
    }

    /// All of guest RAM.
    pub fn ram(&self) -> Vec<u8> {
        let mut ram = Vec::new();
        self.ram_into(&mut ram);
        ram
    }

    /// The same, in place of what `ram` holds.
    pub fn ram_into(&self, ram: &mut Vec<u8>) {
        ram.clear();
        ram.resize(usize::try_from(self.size).unwrap_or(0), TRAP);
        for (address, bytes) in &self.pieces {
            if let Some(place) = range(*address, bytes.len()).and_then(|range| ram.get_mut(range)) {
                place.copy_from_slice(bytes);
            }
        }
    }

    /// Puts the pieces in order, and refuses those that have no room.
    pub(crate) fn in_order(&mut self) -> Result<(), ImageError> {
        self.pieces.sort_by_key(|(address, _)| *address);
        let limits: Vec<u64> = self.pieces.iter().map(|(address, _)| *address).chain([STACK, RAM]).collect();
        for (index, (address, bytes)) in self.pieces.iter().enumerate() {
            let next = limits.iter().enumerate().filter(|(other, limit)| match limit.cmp(&address) {
                std::cmp::Ordering::Less => false,
                // Two pieces at one address leave no room for the first.
                std::cmp::Ordering::Equal => *other > index && *other < self.pieces.len(),
                std::cmp::Ordering::Greater => true,
            });
            let end = next.map(|(_, limit)| *limit).min().unwrap_or(RAM);
            let room = end.saturating_sub(*address);
            if bytes.len() as u64 > room {
                return Err(ImageError::NoRoom { address: *address, length: bytes.len(), end });
            }
        }
        Ok(())
    }
}

/// The operand that reaches `offset` bytes into [`MMIO_HOLE`] from code of `mode` with an entry state's segments.
pub fn hole(mode: Mode, offset: u16) -> AsmMemoryOperand {
    match mode {
        Mode::Real | Mode::Virtual8086 | Mode::Segmented => ptr(u32::from(offset)).es(),
        Mode::Protected | Mode::Pae | Mode::Compat | Mode::Long => ptr(MMIO_HOLE + u64::from(offset)),
    }
}

/// The operand that reaches `offset` bytes into [`SCRATCH`] from code of `mode` with an entry state's segments.
pub fn scratch(mode: Mode, offset: u16) -> AsmMemoryOperand {
    match mode {
        Mode::Segmented => ptr(u32::from(offset)),
        _ => ptr(SCRATCH + u64::from(offset)),
    }
}

/// The indexes of `length` bytes from `address` on; none if they are not to be had.
pub(crate) fn range(address: u64, length: usize) -> Option<Range<usize>> {
    let start = usize::try_from(address).ok()?;
    Some(start..start.checked_add(length)?)
}
