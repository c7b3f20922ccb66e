//! A script: what a guest does to devices one step after the other, and what each step answers. It is made into one straight program,
//! which tells every answer by an OUT to a port of its own, so that whatever runs guest code can be asked.

use std::fmt;

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{CodeAssembler, dword_ptr, ptr, qword_ptr};
use serde::{Deserialize, Serialize};

use crate::protocol::{REPORT_PORT, RESUME, block};
use crate::{After, CodeError, Event, Handlers, Image, ImageError, Mode, code};

/// The port that answers are told at: four bytes that were read, or one byte for a step that was done and answers nothing.
pub const ANSWER_PORT: u16 = 0xa7;
/// The port that tells the end of the script: one byte.
pub const END_PORT: u16 = 0xf4;
/// The port of the instruction at which interrupts are let in: one byte that says nothing. It leaves the guest, and where interrupts
/// are let in without leaving it, not every host notices.
pub const WINDOW_PORT: u16 = 0xa4;
/// One byte to this port and the line's number is the level of an interrupt line, as with QEMU's `pc-testdev`.
pub const LINES_PORT: u16 = 0x2000;

/// One step of a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// OUT of a byte.
    Out(u16, u8),
    /// IN of a byte.
    In(u16),
    /// MOV of four bytes to an address below 4 GiB.
    Write(u32, u32),
    /// MOV of four bytes from such an address.
    Read(u32),
    /// WRMSR.
    Wrmsr(u32, u64),
    /// RDMSR.
    Rdmsr(u32),
    /// An interrupt line goes high or low.
    Line(u8, bool),
    /// Interrupts are let in for one instruction.
    Take,
    /// Interrupts are let in until one comes, by HLT.
    Wait,
}

/// What a step says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It read this.
    Value(u64),
    /// It was done.
    Done,
    /// An interrupt or exception of this vector came.
    Raised(u8),
}

/// Steps, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Script(pub Vec<Op>);

/// Why a script cannot be laid out.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// Its code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Its image.
    #[error(transparent)]
    Image(#[from] ImageError),
}

impl Script {
    /// The program, laid out for long mode.
    pub fn image(&self) -> Result<Image, ScriptError> {
        let code = code(Mode::Long, |a| {
            for op in &self.0 {
                op.write(a)?;
            }
            a.mov(al, 0)?;
            a.mov(edx, u32::from(END_PORT))?;
            a.out(dx, al)?;
            a.hlt()
        })?;
        let handlers = Handlers { after: After::Resumes, own_stack: true };
        Ok(Image::builder(&code).handled(handlers).build()?)
    }

    /// What each step said that says anything, with its index, as the events of a run tell it; none if they are not those of this
    /// script.
    pub fn said(&self, events: &[Event]) -> Option<Vec<(usize, Said)>> {
        let mut told = events.iter().filter_map(|event| match event {
            Event::Out { port: ANSWER_PORT, size: 4, data } => Some(Said::Value(value(data))),
            Event::Out { port: ANSWER_PORT, .. } => Some(Said::Done),
            Event::Out { port: REPORT_PORT, data, .. } => Some(Said::Raised(*data.first()?)),
            _ => None,
        });
        let mut said = Vec::new();
        for (index, op) in self.0.iter().enumerate().filter(|(_, op)| op.says()) {
            let mut one = told.next()?;
            if let (Op::Rdmsr(_), Said::Value(low)) = (op, one) {
                let Said::Value(high) = told.next()? else { return None };
                one = Said::Value(high << 32 | low);
            }
            said.push((index, one));
        }
        told.next().is_none().then_some(said)
    }
}

fn value(data: &[u8]) -> u64 {
    data.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl Op {
    /// Whether it answers, or may fail.
    pub fn says(&self) -> bool {
        !matches!(self, Self::Out(..) | Self::Write(..) | Self::Line(..))
    }

    fn write(self, a: &mut CodeAssembler) -> Result<(), IcedError> {
        match self {
            Self::Out(port, byte) => out(a, port, byte),
            Self::Line(line, level) => out(a, LINES_PORT + u16::from(line), level.into()),
            Self::In(port) => {
                a.mov(edx, u32::from(port))?;
                a.xor(eax, eax)?;
                a.in_(al, dx)?;
                tell(a)
            }
            Self::Write(address, value) => {
                a.mov(edi, address)?;
                a.mov(eax, value)?;
                a.mov(dword_ptr(rdi), eax)
            }
            Self::Read(address) => {
                a.mov(esi, address)?;
                a.mov(eax, dword_ptr(rsi))?;
                tell(a)
            }
            Self::Rdmsr(msr) => resuming(a, |a| {
                a.mov(ecx, msr)?;
                a.rdmsr()?;
                a.mov(ebx, edx)?;
                tell(a)?;
                a.mov(eax, ebx)?;
                tell(a)
            }),
            Self::Wrmsr(msr, value) => resuming(a, |a| {
                a.mov(ecx, msr)?;
                a.mov(eax, (value & 0xffff_ffff) as u32)?;
                a.mov(edx, (value >> 32) as u32)?;
                a.wrmsr()?;
                done(a)
            }),
            Self::Wait => resuming(a, |a| {
                a.sti()?;
                a.hlt()?;
                a.cli()?;
                done(a)
            }),
            Self::Take => resuming(a, |a| {
                a.sti()?;
                a.out(u32::from(WINDOW_PORT), al)?;
                a.cli()?;
                done(a)
            }),
        }
    }
}

fn out(a: &mut CodeAssembler, port: u16, byte: u8) -> Result<(), IcedError> {
    a.mov(edx, u32::from(port))?;
    a.mov(al, u32::from(byte))?;
    a.out(dx, al)
}

fn tell(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edx, u32::from(ANSWER_PORT))?;
    a.out(dx, eax)
}

fn done(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.mov(edx, u32::from(ANSWER_PORT))?;
    a.out(dx, al)
}

/// Has the handler of whatever comes in between go on behind.
fn resuming(
    a: &mut CodeAssembler,
    write: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let mut behind = a.create_label();
    a.lea(rax, ptr(behind))?;
    a.mov(qword_ptr(block(0) + RESUME as u64), rax)?;
    write(a)?;
    a.set_label(&mut behind)?;
    // A label needs an instruction, and the next step may have one of its own.
    a.nop()
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Out(port, byte) => write!(f, "OUT {port:#x} <- {byte:#04x}"),
            Self::In(port) => write!(f, "IN {port:#x}"),
            Self::Write(address, value) => write!(f, "MOV [{address:#x}] <- {value:#x}"),
            Self::Read(address) => write!(f, "MOV <- [{address:#x}]"),
            Self::Wrmsr(msr, value) => write!(f, "WRMSR {msr:#x} <- {value:#x}"),
            Self::Rdmsr(msr) => write!(f, "RDMSR {msr:#x}"),
            Self::Line(line, true) => write!(f, "line {line} goes high"),
            Self::Line(line, false) => write!(f, "line {line} goes low"),
            Self::Take => f.write_str("STI; OUT; CLI"),
            Self::Wait => f.write_str("STI; HLT; CLI"),
        }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value:#x}"),
            Self::Done => f.write_str("done"),
            Self::Raised(vector) => write!(f, "vector {vector:#x}"),
        }
    }
}
