//! Instructions that read, modify and write memory, with LOCK and without: Intel SDM volume 3, 10.1.2.2 "Software Controlled Bus
//! Locking".

use iced_x86::{Code as Op, IcedError, Instruction};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::effect::Effect;
use super::emitter::{Codes, Emitter, any_width, immediate};
use super::operands::{ARITHMETIC, Arithmetic};
use super::program::Step;
use super::register::Register;
use super::straight::not_byte;
use crate::{Mode, Width};

/// One instruction that reads, modifies and writes memory; LOCK stands before it if set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Atomic {
    /// An operation from a register; those that write nothing are an ADD.
    Register(bool, Arithmetic, Width, Address, Register),
    /// An operation from a constant; those that write nothing are an ADD.
    Constant(bool, Arithmetic, Width, Address, i32),
    /// INC, DEC, NOT or NEG, by number.
    Unary(bool, u8, Width, Address),
    /// BTS, BTR or BTC, by number, of a bit of the operand.
    Bit(bool, u8, Width, Address, u8),
    /// XADD.
    ExchangeAdd(bool, Width, Address, Register),
    /// XCHG, which locks by itself.
    Exchange(bool, Width, Address, Register),
    /// CMPXCHG.
    Compare(bool, Width, Address, Register),
}

const UNARY: [Codes; 4] = [
    [Op::Inc_rm8, Op::Inc_rm16, Op::Inc_rm32, Op::Inc_rm64],
    [Op::Dec_rm8, Op::Dec_rm16, Op::Dec_rm32, Op::Dec_rm64],
    [Op::Not_rm8, Op::Not_rm16, Op::Not_rm32, Op::Not_rm64],
    [Op::Neg_rm8, Op::Neg_rm16, Op::Neg_rm32, Op::Neg_rm64],
];
const BIT: [Codes; 3] = [
    [Op::Bts_rm16_imm8, Op::Bts_rm16_imm8, Op::Bts_rm32_imm8, Op::Bts_rm64_imm8],
    [Op::Btr_rm16_imm8, Op::Btr_rm16_imm8, Op::Btr_rm32_imm8, Op::Btr_rm64_imm8],
    [Op::Btc_rm16_imm8, Op::Btc_rm16_imm8, Op::Btc_rm32_imm8, Op::Btc_rm64_imm8],
];
const EXCHANGE_ADD: Codes = [Op::Xadd_rm8_r8, Op::Xadd_rm16_r16, Op::Xadd_rm32_r32, Op::Xadd_rm64_r64];
const EXCHANGE: Codes = [Op::Xchg_rm8_r8, Op::Xchg_rm16_r16, Op::Xchg_rm32_r32, Op::Xchg_rm64_r64];
const COMPARE: Codes = [Op::Cmpxchg_rm8_r8, Op::Cmpxchg_rm16_r16, Op::Cmpxchg_rm32_r32, Op::Cmpxchg_rm64_r64];

/// An operation that writes its operand and may be locked.
fn writing(op: Arithmetic) -> Arithmetic {
    match op {
        Arithmetic::Mov | Arithmetic::Cmp | Arithmetic::Test => Arithmetic::Add,
        other => other,
    }
}

impl Step for Atomic {
    fn effect(&self, _: Mode) -> Effect {
        match self {
            Self::Register(_, op, ..) | Self::Constant(_, op, ..) => writing(*op).effect(),
            Self::Unary(_, kind, ..) => {
                [Effect::COUNT, Effect::COUNT, Effect::NONE, Effect::SUM][usize::from(kind % 4)]
            }
            Self::Bit(..) => Effect::BIT,
            Self::ExchangeAdd(..) | Self::Compare(..) => Effect::SUM,
            Self::Exchange(..) => Effect::NONE,
        }
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        let (lock, mut instruction) = match *self {
            Self::Register(lock, op, width, to, from) => {
                (lock, exchange(e, writing(op).codes().to_memory, width, to, from)?)
            }
            Self::Constant(lock, op, width, to, value) => {
                let width = e.width(width);
                let code = e.pick(writing(op).codes().constant, width);
                (lock, Instruction::with2(code, e.at(to), immediate(value, width))?)
            }
            Self::Unary(lock, kind, width, to) => {
                let code = e.pick(UNARY[usize::from(kind % 4)], e.width(width));
                (lock, Instruction::with1(code, e.at(to))?)
            }
            Self::Bit(lock, kind, width, to, bit) => {
                let code = e.pick(BIT[usize::from(kind % 3)], e.width(not_byte(width)));
                (lock, Instruction::with2(code, e.at(to), u32::from(bit))?)
            }
            Self::ExchangeAdd(lock, width, to, from) => (lock, exchange(e, EXCHANGE_ADD, width, to, from)?),
            Self::Exchange(lock, width, to, from) => (lock, exchange(e, EXCHANGE, width, to, from)?),
            Self::Compare(lock, width, to, from) => (lock, exchange(e, COMPARE, width, to, from)?),
        };
        instruction.set_has_lock_prefix(lock);
        e.put(instruction)
    }
}

fn exchange(
    e: &Emitter,
    codes: Codes,
    width: Width,
    to: Address,
    from: Register,
) -> Result<Instruction, IcedError> {
    let width = e.width(width);
    Instruction::with2(e.pick(codes, width), e.at(to), e.name(from, width))
}

impl Arbitrary for Atomic {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let op = || proptest::sample::select(&ARITHMETIC[..]);
        let (register, address, lock) = (any::<Register>, any::<Address>, any::<bool>);
        let width = any_width;
        prop_oneof![
            (lock(), op(), width(), address(), register())
                .prop_map(|(l, o, w, a, r)| Self::Register(l, o, w, a, r)),
            (lock(), op(), width(), address(), any::<i32>())
                .prop_map(|(l, o, w, a, v)| Self::Constant(l, o, w, a, v)),
            (lock(), 0..4u8, width(), address()).prop_map(|(l, k, w, a)| Self::Unary(l, k, w, a)),
            (lock(), 0..3u8, width(), address(), 0..64u8)
                .prop_map(|(l, k, w, a, b)| Self::Bit(l, k, w, a, b)),
            (lock(), width(), address(), register()).prop_map(|(l, w, a, r)| Self::ExchangeAdd(l, w, a, r)),
            (lock(), width(), address(), register()).prop_map(|(l, w, a, r)| Self::Exchange(l, w, a, r)),
            (lock(), width(), address(), register()).prop_map(|(l, w, a, r)| Self::Compare(l, w, a, r)),
        ]
        .boxed()
    }
}
