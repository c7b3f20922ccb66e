//! Guest code: assembled for a mode and an address, and shown as a listing.

use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code as Op, Decoder, DecoderOptions, IcedError, Instruction, Register as Name};
use thiserror::Error;

use crate::Mode;
use crate::listing::{Line, lines};
use crate::map::CODE;
use crate::state::code_base;

/// Why code cannot be assembled.
#[derive(Debug, Error)]
pub enum CodeError {
    /// An instruction that the mode does not have, or that cannot be encoded.
    #[error("assemble {mode} mode code: {source}")]
    Assemble {
        /// The mode.
        mode: Mode,
        /// What the assembler says.
        source: IcedError,
    },
}

/// Guest code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// The mode that it is for.
    pub mode: Mode,
    /// The offset of its first byte in the code segment, which is its guest-physical address as well but in segmented mode.
    pub origin: u64,
    /// The machine code.
    pub bytes: Vec<u8>,
}

/// Assembles code for `mode` that lies at [`CODE`].
pub fn code(
    mode: Mode,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<Code, CodeError> {
    let assemble = || {
        let mut assembler = CodeAssembler::new(mode.bitness())?;
        write(&mut assembler)?;
        assembler.assemble(CODE - code_base(mode))
    };
    let bytes = assemble().map_err(|source| CodeError::Assemble { mode, source })?;
    Ok(Code { mode, origin: CODE - code_base(mode), bytes })
}

impl Code {
    /// The guest-physical address of its first byte.
    pub fn address(&self) -> u64 {
        self.origin.saturating_add(code_base(self.mode))
    }

    /// The address behind its last byte: where RIP points once its last instruction is done.
    pub fn end(&self) -> u64 {
        self.origin.saturating_add(self.bytes.len() as u64)
    }

    /// The listing: address, bytes and text of each instruction.
    pub fn disassemble(&self) -> Vec<String> {
        self.lines().map(|line| line.to_string()).collect()
    }

    /// The instructions next to `rip`, three to either side, with a mark at the one that begins there. Where no instruction does,
    /// a line of its own says so.
    pub fn around(&self, rip: u64) -> Vec<String> {
        const SIDE: usize = 3;
        let all: Vec<Line> = self.lines().collect();
        let at = all.iter().position(|line| line.address >= rip).unwrap_or(all.len());
        let (before, behind) = all.split_at(at);
        let (marked, behind) = match behind.split_first() {
            Some((line, rest)) if line.address == rip => (format!("> {line}"), rest),
            _ => (self.no_instruction(rip), behind),
        };
        let plain = |line: &Line| format!("  {line}");
        let before = before.iter().skip(at.saturating_sub(SIDE)).map(plain);
        before.chain([marked]).chain(behind.iter().take(SIDE).map(plain)).collect()
    }

    /// Whether an instruction of it has a vector or x87 register for an operand, or turns them on.
    pub fn touches_vectors(&self) -> bool {
        self.decoded().any(|instruction| {
            let is_vector = |name: Name| name.is_vector_register() || name.is_st() || name.is_mm();
            instruction.code() == Op::Xsetbv
                || (0..instruction.op_count()).any(|operand| is_vector(instruction.op_register(operand)))
        })
    }

    /// Whether an instruction of it is a WRMSR.
    pub fn writes_msrs(&self) -> bool {
        self.decoded().any(|instruction| instruction.code() == Op::Wrmsr)
    }

    /// What the instruction at `rip` is called, with the kinds of its operands; none if none begins there.
    pub fn named_at(&self, rip: u64) -> Option<String> {
        let found = self.decoded().find(|instruction| instruction.ip() == rip)?;
        Some(format!("{:?}", found.code()))
    }

    fn decoded(&self) -> impl Iterator<Item = Instruction> {
        Decoder::with_ip(self.mode.bitness(), &self.bytes, self.origin, DecoderOptions::NONE).into_iter()
    }

    fn no_instruction(&self, rip: u64) -> String {
        let place = match rip {
            _ if rip == self.end() => "the end of the code",
            _ if (self.origin..self.end()).contains(&rip) => "inside an instruction",
            _ => "outside the code",
        };
        format!("> {rip:08x} {place}")
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        lines(&self.bytes, self.origin, self.mode)
    }
}
