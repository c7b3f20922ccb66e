//! The stack: PUSH and POP of registers, constants, memory and flags, CALL through memory, ENTER and LEAVE: Intel SDM volume 1,
//! chapter 6 "Procedure Calls, Interrupts, and Exceptions".
//!
//! Nothing is popped that was not pushed in the same frame: a POP becomes a NOP then, and so does a LEAVE without its ENTER.

use iced_x86::{Code as Op, IcedError, Instruction};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::effect::{ALL, Effect};
use super::emitter::Emitter;
use super::program::Step;
use super::register::Register;
use crate::{Mode, Width};

/// One instruction that uses the stack: of the mode's own width, or of the other one that it has if set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StackStep {
    /// PUSH of a register.
    Push(bool, Register),
    /// POP to a register.
    Pop(bool, Register),
    /// PUSH of a constant.
    PushConstant(i32),
    /// PUSH from memory.
    PushMemory(bool, Address),
    /// POP to memory.
    PopMemory(bool, Address),
    /// PUSHF.
    PushFlags(bool),
    /// MOV of a function's address to memory, and CALL through that.
    Call(Address),
    /// ENTER, with so many bytes and at this level.
    Enter(u8, u8),
    /// LEAVE.
    Leave,
}

/// The most bytes that ENTER makes room for.
const ROOM: u8 = 0x40;

impl StackStep {
    /// The width of what is pushed.
    fn width(other: bool, mode: Mode) -> Width {
        match (mode.bitness(), other) {
            (64, false) => Width::Qword,
            (32, false) | (16, true) => Width::Dword,
            _ => Width::Word,
        }
    }

    /// Whether there is enough to pop.
    fn takes(e: &mut Emitter, width: Width) -> bool {
        let bytes = u16::try_from(width.bytes()).unwrap_or(0);
        let enough = e.depth >= bytes;
        if enough {
            e.depth -= bytes;
        }
        enough
    }

    fn adds(e: &mut Emitter, width: Width) {
        e.depth += u16::try_from(width.bytes()).unwrap_or(0);
    }
}

/// The code of the three widths that a stack has.
fn pick(width: Width, word: Op, dword: Op, qword: Op) -> Op {
    match width {
        Width::Byte | Width::Word => word,
        Width::Dword => dword,
        Width::Qword => qword,
    }
}

impl Step for StackStep {
    const CALLS: bool = true;

    fn effect(&self, _: Mode) -> Effect {
        match self {
            Self::PushFlags(_) => Effect { reads: ALL, ..Effect::NONE },
            _ => Effect::NONE,
        }
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        match *self {
            Self::Push(other, from) => {
                let width = Self::width(other, e.mode);
                Self::adds(e, width);
                let code = pick(width, Op::Push_r16, Op::Push_r32, Op::Push_r64);
                e.put(Instruction::with1(code, e.name(from, width))?)
            }
            Self::Pop(other, to) => {
                let width = Self::width(other, e.mode);
                if !Self::takes(e, width) {
                    return e.bare(Op::Nopd);
                }
                let code = pick(width, Op::Pop_r16, Op::Pop_r32, Op::Pop_r64);
                e.put(Instruction::with1(code, e.name(to, width))?)
            }
            Self::PushConstant(value) => {
                let width = Self::width(false, e.mode);
                Self::adds(e, width);
                let code = pick(width, Op::Push_imm16, Op::Pushd_imm32, Op::Pushq_imm32);
                e.put(Instruction::with1(code, super::emitter::immediate(value, width))?)
            }
            Self::PushMemory(other, from) => {
                let width = Self::width(other, e.mode);
                Self::adds(e, width);
                let code = pick(width, Op::Push_rm16, Op::Push_rm32, Op::Push_rm64);
                e.put(Instruction::with1(code, e.at(from))?)
            }
            Self::PopMemory(other, to) => {
                let width = Self::width(other, e.mode);
                if !Self::takes(e, width) {
                    return e.bare(Op::Nopd);
                }
                let code = pick(width, Op::Pop_rm16, Op::Pop_rm32, Op::Pop_rm64);
                e.put(Instruction::with1(code, e.at(to))?)
            }
            Self::PushFlags(other) => {
                let width = Self::width(other, e.mode);
                Self::adds(e, width);
                e.bare(pick(width, Op::Pushfw, Op::Pushfd, Op::Pushfq))
            }
            Self::Call(through) => call(e, through),
            Self::Enter(room, level) => enter(e, room.min(ROOM), level % 4),
            Self::Leave => leave(e),
        }
    }
}

fn call(e: &mut Emitter, through: Address) -> Result<(), IcedError> {
    let width = StackStep::width(false, e.mode);
    let function = i32::try_from(e.function).unwrap_or(0);
    let store = pick(width, Op::Mov_rm16_imm16, Op::Mov_rm32_imm32, Op::Mov_rm64_imm32);
    e.put(Instruction::with2(store, e.at(through), function)?)?;
    let call = pick(width, Op::Call_rm16, Op::Call_rm32, Op::Call_rm64);
    e.put(Instruction::with1(call, e.at(through))?)
}

/// What lies in the frame below is not to be popped, nor the frame pointers that ENTER copies.
fn enter(e: &mut Emitter, room: u8, level: u8) -> Result<(), IcedError> {
    e.frames.push(e.depth);
    e.depth = 0;
    let width = StackStep::width(false, e.mode);
    let code = pick(width, Op::Enterw_imm16_imm8, Op::Enterd_imm16_imm8, Op::Enterq_imm16_imm8);
    e.put(Instruction::with2(code, u32::from(room), u32::from(level))?)
}

fn leave(e: &mut Emitter) -> Result<(), IcedError> {
    let Some(depth) = e.frames.pop() else { return e.bare(Op::Nopd) };
    e.depth = depth;
    let width = StackStep::width(false, e.mode);
    e.bare(pick(width, Op::Leavew, Op::Leaved, Op::Leaveq))
}

impl Arbitrary for StackStep {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let (register, address, other) = (any::<Register>, any::<Address>, any::<bool>);
        prop_oneof![
            (other(), register()).prop_map(|(o, r)| Self::Push(o, r)),
            (other(), register()).prop_map(|(o, r)| Self::Pop(o, r)),
            any::<i32>().prop_map(Self::PushConstant),
            (other(), address()).prop_map(|(o, a)| Self::PushMemory(o, a)),
            (other(), address()).prop_map(|(o, a)| Self::PopMemory(o, a)),
            other().prop_map(Self::PushFlags),
            address().prop_map(Self::Call),
            (0..=ROOM, 0..4u8).prop_map(|(room, level)| Self::Enter(room, level)),
            Just(Self::Leave),
        ]
        .boxed()
    }
}
