//! A small guest that does what the host tells it: it says that it is ready, loads the registers that lie in its block, runs the
//! instructions in its buffer, stores the registers, and says so again. An exception is reported, and it is ready again.

use iced_x86::IcedError;
use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{CodeAssembler, dword_ptr, qword_ptr};
use thiserror::Error;

use crate::map::{CODE, STACK, STACK_STEP};
use crate::protocol::{self, READY_PORT, REGISTERS, RESUME, block};
use crate::registers::{NARROW_REGISTERS, WIDE_REGISTERS};
use crate::{
    Act, After, Code, CodeError, Done, EntryState, Handlers, Image, ImageError, Mode, Registers, Report,
};

/// From one vCPU's puppet to the next.
const STEP: u64 = 0x400;
/// From a puppet's code to its buffer.
const BUFFER: u64 = 0x200;
/// How many bytes of instructions an act may have: the jump back must have room behind them.
const LONGEST: usize = 0x1f0;
const RFLAGS: usize = 17;
const JMP_NEAR: u8 = 0xe9;

/// Why a puppet cannot be made, or told.
#[derive(Debug, Error)]
pub enum PuppetError {
    /// The mode has no puppets: code of it does not run in ring 0, or not in flat segments.
    #[error("make a puppet of {0} mode")]
    NoSuchMode(Mode),
    /// Its own code.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// Its image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The instructions do not fit into the buffer.
    #[error("lay {0} bytes of instructions: there is room for {LONGEST}")]
    TooLong(usize),
}

/// A guest of puppets, one for each vCPU.
#[derive(Clone, Debug)]
pub struct Puppet {
    /// What lies in guest RAM, and the states that enter it.
    pub image: Image,
    /// Where each puppet stores what its registers hold.
    backs: Vec<u64>,
}

impl Puppet {
    /// The puppets of so many vCPUs in code of `mode`.
    pub fn new(mode: Mode, vcpus: usize) -> Result<Self, PuppetError> {
        if matches!(mode, Mode::Virtual8086 | Mode::Segmented) {
            return Err(PuppetError::NoSuchMode(mode));
        }
        let assembled: Result<Vec<_>, _> = (0..vcpus.max(1)).map(|vcpu| own_code(mode, vcpu)).collect();
        let assembled = assembled.map_err(|source| CodeError::Assemble { mode, source })?;
        let first = Code { mode, origin: CODE, bytes: assembled[0].0.clone() };
        let handlers = Handlers { after: After::Resumes, own_stack: true };
        let mut builder =
            Image::builder(&first).handled(handlers).on_vcpus(vcpus).entered(EntryState::with_vectors);
        if mode.has_paragraphs() {
            // String instructions write through ES, so it is FS that reaches the hole in RAM.
            builder = builder.entered(|state| EntryState { es: state.ds, fs: state.es, ..state });
        }
        for (vcpu, (bytes, _)) in assembled.iter().enumerate().skip(1) {
            builder = builder.with(start(vcpu), bytes.clone());
        }
        let mut image = builder.build()?;
        for (vcpu, state) in image.others.iter_mut().enumerate() {
            state.registers.rip = start(vcpu + 1);
        }
        for (_, page) in image.pieces.iter_mut().filter(|(address, _)| *address == protocol::block(0)) {
            for (vcpu, block) in page.chunks_mut(usize::try_from(protocol::BLOCK).unwrap_or(1)).enumerate() {
                protocol::put(block, RESUME, start(vcpu));
            }
        }
        Ok(Self { image, backs: assembled.into_iter().map(|(_, back)| back).collect() })
    }

    /// The mode that they run in.
    pub fn mode(&self) -> Mode {
        self.image.code.mode
    }

    /// Where the instructions of a vCPU's acts lie.
    pub fn buffer(&self, vcpu: usize) -> u64 {
        start(vcpu) + BUFFER
    }

    /// What the host has to write for a vCPU's puppet, which is ready, to carry out the act: addresses and bytes.
    pub fn orders(&self, vcpu: usize, act: &Act) -> Result<Vec<(u64, Vec<u8>)>, PuppetError> {
        if act.bytes.len() > LONGEST {
            return Err(PuppetError::TooLong(act.bytes.len()));
        }
        let mut registers = vec![0; 8 * Registers::NAMES.len()];
        let rflags = act.registers.rflags | 2;
        let mut loaded = Registers { rflags, ..act.registers };
        if loaded.rsp == 0 {
            loaded.rsp = stack(vcpu);
        }
        protocol::write_registers(&mut registers, 0, &loaded);
        let mut bytes = act.bytes.clone();
        let back = self.backs.get(vcpu).copied().unwrap_or(CODE);
        let from = self.buffer(vcpu) + bytes.len() as u64;
        let (length, bits) = if self.mode().bitness() == 16 { (3, 2) } else { (5, 4) };
        bytes.push(JMP_NEAR);
        bytes.extend(&back.wrapping_sub(from + length).to_le_bytes()[..bits]);
        Ok(vec![(block(vcpu) + REGISTERS as u64, registers), (self.buffer(vcpu), bytes)])
    }

    /// What the puppet's block tells once it is ready again: of an exception if it `reported` one.
    pub fn done(&self, vcpu: usize, block: &[u8], reported: bool) -> Option<Done> {
        if reported {
            let report = Report::read(block)?;
            return Some(Done { registers: report.registers, report: Some(report) });
        }
        let rip = self.buffer(vcpu);
        let registers = protocol::read_registers(block, REGISTERS)?;
        Some(Done { registers: Registers { rip, ..registers }, report: None })
    }
}

fn start(vcpu: usize) -> u64 {
    CODE + STEP * vcpu as u64
}

/// The code of one vCPU's puppet, and the address at which it stores the registers.
fn own_code(mode: Mode, vcpu: usize) -> Result<(Vec<u8>, u64), IcedError> {
    let assemble = |upto_back: bool| {
        let mut a = CodeAssembler::new(mode.bitness())?;
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.out(u32::from(READY_PORT), al)?;
        match mode.bitness() {
            64 => load64(&mut a, vcpu)?,
            _ => load32(&mut a, vcpu)?,
        }
        a.jmp(start(vcpu) + BUFFER)?;
        if !upto_back {
            match mode.bitness() {
                64 => store64(&mut a, vcpu)?,
                _ => store32(&mut a, vcpu)?,
            }
            a.jmp(again)?;
        }
        a.assemble(start(vcpu))
    };
    let back = start(vcpu) + assemble(true)?.len() as u64;
    Ok((assemble(false)?, back))
}

fn stack(vcpu: usize) -> u64 {
    STACK - STACK_STEP * vcpu as u64
}

const RSP: usize = 7;

fn load64(a: &mut CodeAssembler, vcpu: usize) -> Result<(), IcedError> {
    let field = |index: usize| qword_ptr(block(vcpu) + (REGISTERS + 8 * index) as u64);
    a.mov(rsp, stack(vcpu))?;
    a.push(field(RFLAGS))?;
    a.popfq()?;
    for (register, index) in WIDE_REGISTERS.into_iter().chain([(rsp, RSP)]) {
        a.mov(register, field(index))?;
    }
    Ok(())
}

fn store64(a: &mut CodeAssembler, vcpu: usize) -> Result<(), IcedError> {
    let field = |index: usize| qword_ptr(block(vcpu) + (REGISTERS + 8 * index) as u64);
    for (register, index) in [(rsp, RSP)].into_iter().chain(WIDE_REGISTERS) {
        a.mov(field(index), register)?;
    }
    a.mov(rsp, stack(vcpu))?;
    a.pushfq()?;
    a.pop(field(RFLAGS))
}

/// In 16-bit code through CS, which the host cannot have changed.
fn field32(a: &CodeAssembler, vcpu: usize, index: usize) -> iced_x86::code_asm::AsmMemoryOperand {
    let field = dword_ptr(block(vcpu) + (REGISTERS + 8 * index) as u64);
    if a.bitness() == 16 { field.cs() } else { field }
}

fn load32(a: &mut CodeAssembler, vcpu: usize) -> Result<(), IcedError> {
    a.mov(esp, (stack(vcpu) & 0xffff) as u32)?;
    let flags = field32(a, vcpu, RFLAGS);
    a.push(flags)?;
    a.popfd()?;
    for (register, index) in NARROW_REGISTERS.into_iter().chain([(esp, RSP)]) {
        let field = field32(a, vcpu, index);
        a.mov(register, field)?;
    }
    Ok(())
}

fn store32(a: &mut CodeAssembler, vcpu: usize) -> Result<(), IcedError> {
    for (register, index) in [(esp, RSP)].into_iter().chain(NARROW_REGISTERS) {
        let field = field32(a, vcpu, index);
        a.mov(field, register)?;
    }
    a.mov(esp, (stack(vcpu) & 0xffff) as u32)?;
    a.pushfd()?;
    let flags = field32(a, vcpu, RFLAGS);
    a.pop(flags)
}
