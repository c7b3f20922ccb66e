//! What a puppet can be told to do, as instruction bytes and the registers to run them in.

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{AsmMemoryOperand, CodeAssembler, ptr};
use serde::{Deserialize, Serialize};

use crate::map::{MMIO_HOLE, SCRATCH};
use crate::{CodeError, Mode, Registers, Report, disassemble};

/// How wide an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes.
    Dword,
    /// Eight bytes, which long mode alone has, and ports never.
    Qword,
}

impl Width {
    /// Every width, ascending.
    pub const ALL: [Self; 4] = [Self::Byte, Self::Word, Self::Dword, Self::Qword];

    /// How many bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// The bits of a value of this width.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }
}

/// A control or debug register.
#[expect(missing_docs, reason = "the variants are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Cr8,
    Dr0,
    Dr1,
    Dr2,
    Dr3,
    Dr6,
    Dr7,
}

/// What a puppet can be told to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// IN from a port.
    In(u16, Width),
    /// OUT of a value to a port.
    Out(u16, Width, u64),
    /// REP INS of so many values from a port to the room from [`SCRATCH`] on.
    Ins(u16, Width, u16),
    /// REP OUTS of so many values from there to a port.
    Outs(u16, Width, u16),
    /// MOV from an address.
    Read(u64, Width),
    /// MOV of a value to an address.
    Write(u64, Width, u64),
    /// RDMSR.
    Rdmsr(u32),
    /// WRMSR of a value.
    Wrmsr(u32, u64),
    /// CPUID of a leaf and subleaf.
    Cpuid(u32, u32),
    /// MOV from a control or debug register.
    ReadControl(Control),
    /// MOV of a value to a control or debug register.
    WriteControl(Control, u64),
    /// HLT.
    Halt,
    /// VMMCALL in these registers.
    Vmmcall(Registers),
    /// VMCALL in these registers.
    Vmcall(Registers),
    /// Any instruction bytes in these registers; RIP is the puppet's own.
    Run(Vec<u8>, Registers),
}

/// Instruction bytes, and the registers to run them in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// The bytes, which may be no instruction at all.
    pub bytes: Vec<u8>,
    /// The registers; RIP is not among what is loaded, RSP zero stands for the puppet's own stack, on which exceptions need room,
    /// and RFLAGS zero for the bit that is always set.
    pub registers: Registers,
}

/// What became of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The registers behind the last instruction, or at the one that raised an exception.
    pub registers: Registers,
    /// The exception, if one was raised.
    pub report: Option<Report>,
}

impl Act {
    /// The listing of its bytes as they lie at `address`.
    pub fn disassemble(&self, address: u64, mode: Mode) -> Vec<String> {
        disassemble(&self.bytes, address, mode)
    }
}

impl Command {
    /// The instruction and registers that carry it out in code of `mode`.
    pub fn act(&self, mode: Mode) -> Result<Act, CodeError> {
        if let Self::Run(bytes, registers) = self {
            return Ok(Act { bytes: bytes.clone(), registers: *registers });
        }
        let assemble = || {
            let mut a = CodeAssembler::new(mode.bitness())?;
            self.write(&mut a, mode)?;
            a.assemble(0)
        };
        let bytes = assemble().map_err(|source| CodeError::Assemble { mode, source })?;
        Ok(Act { bytes, registers: self.registers(mode) })
    }

    /// What it answers, of what the registers hold afterwards: zero where it answers nothing, EDX above EAX for RDMSR.
    pub fn value(&self, after: &Registers) -> u64 {
        match self {
            Self::In(_, width) | Self::Read(_, width) => after.rax & width.mask(),
            Self::Rdmsr(_) => after.rdx << 32 | after.rax & 0xffff_ffff,
            Self::ReadControl(_) => after.rax,
            _ => 0,
        }
    }

    /// The registers that carry the operands.
    fn registers(&self, mode: Mode) -> Registers {
        let none = Registers::default();
        match *self {
            Self::In(port, _) => Registers { rdx: port.into(), ..none },
            Self::Out(port, _, value) => Registers { rdx: port.into(), rax: value, ..none },
            Self::Ins(port, _, count) => {
                Registers { rdx: port.into(), rcx: count.into(), rdi: SCRATCH, ..none }
            }
            Self::Outs(port, _, count) => {
                Registers { rdx: port.into(), rcx: count.into(), rsi: SCRATCH, ..none }
            }
            Self::Read(address, _) => Registers { rsi: offset(address, mode), ..none },
            Self::Write(address, _, value) => Registers { rdi: offset(address, mode), rax: value, ..none },
            Self::Rdmsr(number) => Registers { rcx: number.into(), ..none },
            Self::Wrmsr(number, value) => {
                Registers { rcx: number.into(), rax: value & 0xffff_ffff, rdx: value >> 32, ..none }
            }
            Self::Cpuid(leaf, index) => Registers { rax: leaf.into(), rcx: index.into(), ..none },
            Self::WriteControl(_, value) => Registers { rax: value, ..none },
            Self::Vmmcall(registers) | Self::Vmcall(registers) | Self::Run(_, registers) => registers,
            Self::ReadControl(_) | Self::Halt => none,
        }
    }

    fn write(&self, a: &mut CodeAssembler, mode: Mode) -> Result<(), IcedError> {
        match *self {
            Self::In(_, width) => match width {
                Width::Byte => a.in_(al, dx),
                Width::Word => a.in_(ax, dx),
                Width::Dword | Width::Qword => a.in_(eax, dx),
            },
            Self::Out(_, width, _) => match width {
                Width::Byte => a.out(dx, al),
                Width::Word => a.out(dx, ax),
                Width::Dword | Width::Qword => a.out(dx, eax),
            },
            Self::Ins(_, width, _) => match width {
                Width::Byte => a.rep().insb(),
                Width::Word => a.rep().insw(),
                Width::Dword | Width::Qword => a.rep().insd(),
            },
            Self::Outs(_, width, _) => match width {
                Width::Byte => a.rep().outsb(),
                Width::Word => a.rep().outsw(),
                Width::Dword | Width::Qword => a.rep().outsd(),
            },
            Self::Read(address, width) => {
                let from = operand(address, mode, false);
                match width {
                    Width::Byte => a.mov(al, from),
                    Width::Word => a.mov(ax, from),
                    Width::Dword => a.mov(eax, from),
                    Width::Qword => a.mov(rax, from),
                }
            }
            Self::Write(address, width, _) => {
                let to = operand(address, mode, true);
                match width {
                    Width::Byte => a.mov(to, al),
                    Width::Word => a.mov(to, ax),
                    Width::Dword => a.mov(to, eax),
                    Width::Qword => a.mov(to, rax),
                }
            }
            Self::Rdmsr(_) => a.rdmsr(),
            Self::Wrmsr(..) => a.wrmsr(),
            Self::Cpuid(..) => a.cpuid(),
            Self::ReadControl(control) => control.read(a),
            Self::WriteControl(control, _) => control.write(a),
            Self::Halt => a.hlt(),
            Self::Vmmcall(_) => a.vmmcall(),
            Self::Vmcall(_) => a.vmcall(),
            Self::Run(..) => Ok(()),
        }
    }
}

/// Whether code of the mode reaches the address through FS, which holds the hole there, or through DS.
fn through_first(address: u64, mode: Mode) -> bool {
    mode.has_paragraphs() && address >= MMIO_HOLE
}

/// The offset of an address in the segment that reaches it.
fn offset(address: u64, mode: Mode) -> u64 {
    if through_first(address, mode) { address - MMIO_HOLE } else { address }
}

/// The operand that reaches an address whose offset lies in SI, or in DI where it is written to.
fn operand(address: u64, mode: Mode, written: bool) -> AsmMemoryOperand {
    let plain = match (mode.bitness(), written) {
        (16, false) => ptr(si),
        (16, true) => ptr(di),
        (32, false) => ptr(esi),
        (32, true) => ptr(edi),
        (_, false) => ptr(rsi),
        (_, true) => ptr(rdi),
    };
    if through_first(address, mode) { plain.fs() } else { plain }
}

macro_rules! controls {
    ($($name:ident = $register:ident;)+) => {
        impl Control {
            /// Writes the MOV from it to the whole accumulator.
            fn read(self, a: &mut CodeAssembler) -> Result<(), IcedError> {
                match (self, a.bitness()) {
                    $((Self::$name, 64) => a.mov(rax, $register),
                    (Self::$name, _) => a.mov(eax, $register),)+
                }
            }

            /// Writes the MOV from the whole accumulator to it.
            fn write(self, a: &mut CodeAssembler) -> Result<(), IcedError> {
                match (self, a.bitness()) {
                    $((Self::$name, 64) => a.mov($register, rax),
                    (Self::$name, _) => a.mov($register, eax),)+
                }
            }
        }
    };
}

controls! {
    Cr0 = cr0;
    Cr2 = cr2;
    Cr3 = cr3;
    Cr4 = cr4;
    Cr8 = cr8;
    Dr0 = dr0;
    Dr1 = dr1;
    Dr2 = dr2;
    Dr3 = dr3;
    Dr6 = dr6;
    Dr7 = dr7;
}
