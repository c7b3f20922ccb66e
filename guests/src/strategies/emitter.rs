//! Where steps are written to: instructions, and what is known of flags and stack on the way.

use iced_x86::code_asm::CodeAssembler;
use iced_x86::{Code, IcedError, Instruction, MemoryOperand, Register as Name};

use super::address::Address;
use super::place::Place;
use super::register::Register;
use crate::{Mode, Width};

/// The codes of one operation for operands of 1, 2, 4 and 8 bytes.
pub(super) type Codes = [Code; 4];

/// Where steps are written to.
pub struct Emitter {
    pub(super) a: CodeAssembler,
    pub(super) mode: Mode,
    pub(super) place: Place,
    /// How many bytes lie on the stack that may be popped, in this frame.
    pub(super) depth: u16,
    /// What `depth` was in the frames that this one lies in.
    pub(super) frames: Vec<u16>,
    /// The offset of the function that calls lead to.
    pub(super) function: u64,
}

impl Emitter {
    /// The width, or the widest that the mode has.
    pub(super) fn width(&self, width: Width) -> Width {
        if self.mode == Mode::Long { width } else { width.min(Width::Dword) }
    }

    /// The code for the width.
    pub(super) fn pick(&self, codes: Codes, width: Width) -> Code {
        codes[width.bytes().trailing_zeros() as usize]
    }

    /// The register's name in this width.
    pub(super) fn name(&self, register: Register, width: Width) -> Name {
        register.name(width, self.mode)
    }

    /// The operand at the address.
    pub(super) fn at(&self, address: Address) -> MemoryOperand {
        address.operand(self.mode, self.place)
    }

    /// Writes one instruction.
    pub(super) fn put(&mut self, instruction: Instruction) -> Result<(), IcedError> {
        self.a.add_instruction(instruction)
    }

    /// Writes an instruction without operands.
    pub(super) fn bare(&mut self, code: Code) -> Result<(), IcedError> {
        self.put(Instruction::with(code))
    }

    /// Writes the MOV of a constant to a register of the mode's whole width.
    pub(super) fn set(&mut self, register: Name, value: u64) -> Result<(), IcedError> {
        let narrow = (value & 0xffff_ffff) as u32;
        self.put(match register.size() {
            8 => Instruction::with2(Code::Mov_r64_imm64, register, value)?,
            4 => Instruction::with2(Code::Mov_r32_imm32, register, narrow)?,
            _ => Instruction::with2(Code::Mov_r16_imm16, register, narrow & 0xffff)?,
        })
    }
}

/// As much of an immediate as has room in an instruction of this width.
pub(super) fn immediate(value: i32, width: Width) -> i32 {
    let [low, high, ..] = value.to_le_bytes();
    match width {
        Width::Byte => i8::from_le_bytes([low]).into(),
        Width::Word => i16::from_le_bytes([low, high]).into(),
        Width::Dword | Width::Qword => value,
    }
}

/// Any width, the narrowest first.
pub(super) fn any_width() -> impl proptest::strategy::Strategy<Value = Width> {
    proptest::sample::select(&Width::ALL[..])
}
