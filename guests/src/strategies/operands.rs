//! Integer code with operands in memory, in every addressing form: loads, stores, and operations from and to memory.

use iced_x86::{Code as Op, IcedError, Instruction};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::effect::Effect;
use super::emitter::{Codes, Emitter, any_width, immediate};
use super::program::Step;
use super::register::Register;
use super::straight::{EXTEND, not_byte};
use crate::{Mode, Width};

/// An operation of two operands.
#[expect(missing_docs, reason = "the variants are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arithmetic {
    Mov,
    Add,
    Sub,
    Cmp,
    And,
    Or,
    Xor,
    Test,
    Adc,
    Sbb,
}

/// Every operation, the plainest first.
pub(super) const ARITHMETIC: [Arithmetic; 10] = [
    Arithmetic::Mov,
    Arithmetic::Add,
    Arithmetic::Sub,
    Arithmetic::Cmp,
    Arithmetic::And,
    Arithmetic::Or,
    Arithmetic::Xor,
    Arithmetic::Test,
    Arithmetic::Adc,
    Arithmetic::Sbb,
];

/// The codes of an operation by where its operands are.
pub(super) struct Forms {
    /// To memory, or a register, from a register.
    pub(super) to_memory: Codes,
    /// To a register from memory.
    pub(super) from_memory: Codes,
    /// To memory, or a register, from a constant.
    pub(super) constant: Codes,
}

macro_rules! forms {
    ($($name:ident: $to:tt, $from:tt, $constant:tt;)+) => {
        impl Arithmetic {
            /// The codes of the operation.
            pub(super) fn codes(self) -> Forms {
                match self {
                    $(Self::$name => Forms {
                        to_memory: forms!(@ $to),
                        from_memory: forms!(@ $from),
                        constant: forms!(@ $constant),
                    },)+
                }
            }
        }
    };
    (@ [$a:ident $b:ident $c:ident $d:ident]) => { [Op::$a, Op::$b, Op::$c, Op::$d] };
}

forms! {
    Mov: [Mov_rm8_r8 Mov_rm16_r16 Mov_rm32_r32 Mov_rm64_r64], [Mov_r8_rm8 Mov_r16_rm16 Mov_r32_rm32 Mov_r64_rm64], [Mov_rm8_imm8 Mov_rm16_imm16 Mov_rm32_imm32 Mov_rm64_imm32];
    Add: [Add_rm8_r8 Add_rm16_r16 Add_rm32_r32 Add_rm64_r64], [Add_r8_rm8 Add_r16_rm16 Add_r32_rm32 Add_r64_rm64], [Add_rm8_imm8 Add_rm16_imm16 Add_rm32_imm32 Add_rm64_imm32];
    Sub: [Sub_rm8_r8 Sub_rm16_r16 Sub_rm32_r32 Sub_rm64_r64], [Sub_r8_rm8 Sub_r16_rm16 Sub_r32_rm32 Sub_r64_rm64], [Sub_rm8_imm8 Sub_rm16_imm16 Sub_rm32_imm32 Sub_rm64_imm32];
    Cmp: [Cmp_rm8_r8 Cmp_rm16_r16 Cmp_rm32_r32 Cmp_rm64_r64], [Cmp_r8_rm8 Cmp_r16_rm16 Cmp_r32_rm32 Cmp_r64_rm64], [Cmp_rm8_imm8 Cmp_rm16_imm16 Cmp_rm32_imm32 Cmp_rm64_imm32];
    And: [And_rm8_r8 And_rm16_r16 And_rm32_r32 And_rm64_r64], [And_r8_rm8 And_r16_rm16 And_r32_rm32 And_r64_rm64], [And_rm8_imm8 And_rm16_imm16 And_rm32_imm32 And_rm64_imm32];
    Or: [Or_rm8_r8 Or_rm16_r16 Or_rm32_r32 Or_rm64_r64], [Or_r8_rm8 Or_r16_rm16 Or_r32_rm32 Or_r64_rm64], [Or_rm8_imm8 Or_rm16_imm16 Or_rm32_imm32 Or_rm64_imm32];
    Xor: [Xor_rm8_r8 Xor_rm16_r16 Xor_rm32_r32 Xor_rm64_r64], [Xor_r8_rm8 Xor_r16_rm16 Xor_r32_rm32 Xor_r64_rm64], [Xor_rm8_imm8 Xor_rm16_imm16 Xor_rm32_imm32 Xor_rm64_imm32];
    Test: [Test_rm8_r8 Test_rm16_r16 Test_rm32_r32 Test_rm64_r64], [Cmp_r8_rm8 Cmp_r16_rm16 Cmp_r32_rm32 Cmp_r64_rm64], [Test_rm8_imm8 Test_rm16_imm16 Test_rm32_imm32 Test_rm64_imm32];
    Adc: [Adc_rm8_r8 Adc_rm16_r16 Adc_rm32_r32 Adc_rm64_r64], [Adc_r8_rm8 Adc_r16_rm16 Adc_r32_rm32 Adc_r64_rm64], [Adc_rm8_imm8 Adc_rm16_imm16 Adc_rm32_imm32 Adc_rm64_imm32];
    Sbb: [Sbb_rm8_r8 Sbb_rm16_r16 Sbb_rm32_r32 Sbb_rm64_r64], [Sbb_r8_rm8 Sbb_r16_rm16 Sbb_r32_rm32 Sbb_r64_rm64], [Sbb_rm8_imm8 Sbb_rm16_imm16 Sbb_rm32_imm32 Sbb_rm64_imm32];
}

impl Arithmetic {
    /// What it does to the flags.
    pub(super) fn effect(self) -> Effect {
        match self {
            Self::Mov => Effect::NONE,
            Self::Add | Self::Sub | Self::Cmp => Effect::SUM,
            Self::And | Self::Or | Self::Xor | Self::Test => Effect::LOGIC,
            Self::Adc | Self::Sbb => Effect::CARRIED,
        }
    }
}

/// One instruction with an operand in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operand {
    /// An operation to a register from memory; TEST has no such form, and is a CMP then.
    Load(Arithmetic, Width, Register, Address),
    /// An operation to memory from a register.
    Store(Arithmetic, Width, Register, Address),
    /// An operation to memory from a constant.
    Constant(Arithmetic, Width, Address, i32),
    /// MOVZX, or MOVSX if set, from a byte, or a word if set.
    Extend(bool, bool, Width, Register, Address),
    /// IMUL of a register and memory.
    Product(Width, Register, Address),
    /// LEA, which reaches no memory.
    Lea(Width, Register, Address),
}

const PRODUCT: Codes = [Op::Imul_r16_rm16, Op::Imul_r16_rm16, Op::Imul_r32_rm32, Op::Imul_r64_rm64];
const LEA: Codes = [Op::Lea_r16_m, Op::Lea_r16_m, Op::Lea_r32_m, Op::Lea_r64_m];

impl Step for Operand {
    fn effect(&self, _: Mode) -> Effect {
        match self {
            Self::Load(Arithmetic::Test, ..) => Effect::SUM,
            Self::Load(op, ..) | Self::Store(op, ..) | Self::Constant(op, ..) => op.effect(),
            Self::Product(..) => Effect::PRODUCT,
            Self::Extend(..) | Self::Lea(..) => Effect::NONE,
        }
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        match *self {
            Self::Load(op, width, to, from) => load(e, op.codes().from_memory, width, to, from),
            Self::Store(op, width, from, to) => {
                let width = e.width(width);
                let code = e.pick(op.codes().to_memory, width);
                e.put(Instruction::with2(code, e.at(to), e.name(from, width))?)
            }
            Self::Constant(op, width, to, value) => {
                let width = e.width(width);
                let code = e.pick(op.codes().constant, width);
                e.put(Instruction::with2(code, e.at(to), immediate(value, width))?)
            }
            Self::Extend(signed, word, width, to, from) => {
                load(e, EXTEND[usize::from(signed)][usize::from(word)], not_byte(width), to, from)
            }
            Self::Product(width, to, from) => load(e, PRODUCT, not_byte(width), to, from),
            Self::Lea(width, to, from) => load(e, LEA, not_byte(width), to, from),
        }
    }
}

pub(super) fn load(
    e: &mut Emitter,
    codes: Codes,
    width: Width,
    to: Register,
    from: Address,
) -> Result<(), IcedError> {
    let width = e.width(width);
    let code = e.pick(codes, width);
    e.put(Instruction::with2(code, e.name(to, width), e.at(from))?)
}

impl Arbitrary for Operand {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let op = || proptest::sample::select(&ARITHMETIC[..]);
        let (register, address) = (any::<Register>, any::<Address>);
        let width = any_width;
        prop_oneof![
            3 => (op(), width(), register(), address()).prop_map(|(o, w, r, a)| Self::Load(o, w, r, a)),
            3 => (op(), width(), register(), address()).prop_map(|(o, w, r, a)| Self::Store(o, w, r, a)),
            2 => (op(), width(), address(), any::<i32>()).prop_map(|(o, w, a, v)| Self::Constant(o, w, a, v)),
            1 => (any::<bool>(), any::<bool>(), width(), register(), address())
                .prop_map(|(s, k, w, r, a)| Self::Extend(s, k, w, r, a)),
            1 => (width(), register(), address()).prop_map(|(w, r, a)| Self::Product(w, r, a)),
            1 => (width(), register(), address()).prop_map(|(w, r, a)| Self::Lea(w, r, a)),
        ]
        .boxed()
    }
}
