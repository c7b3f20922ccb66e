//! Straight-line integer code on registers: Intel SDM volume 1, 7.3 "Summary of GP Instructions". Instructions that raise exceptions
//! for some operands (DIV, INTO, BOUND) are not among them.

use iced_x86::{Code as Op, IcedError, Instruction};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::effect::{AF, ALL, CF, Condition, Effect, OF};
use super::emitter::{Codes, Emitter, any_width, immediate};
use super::operands::{ARITHMETIC, Arithmetic};
use super::program::Step;
use super::register::Register;
use crate::{Mode, Width};

/// One instruction on registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plain {
    /// MOV of a constant.
    Set(Width, Register, i64),
    /// An operation of two registers.
    Binary(Arithmetic, Width, Register, Register),
    /// An operation of a register and a constant.
    Immediate(Arithmetic, Width, Register, i32),
    /// INC, DEC, NOT or NEG, by number.
    Unary(u8, Width, Register),
    /// ROL, ROR, RCL, RCR, SHL, SHR or SAR, by number, by so many bits.
    Shift(u8, Width, Register, u8),
    /// SHLD, or SHRD if set.
    Double(bool, Width, Register, Register, u8),
    /// MUL, or IMUL if set, of the accumulator.
    Wide(bool, Width, Register),
    /// IMUL of two registers.
    Product(Width, Register, Register),
    /// MOVZX, or MOVSX if set, from a byte, or a word if set.
    Extend(bool, bool, Width, Register, Register),
    /// BT, BTS, BTR or BTC, by number.
    Bit(u8, Width, Register, Register),
    /// CLC, STC, CMC or CLD, by number.
    Flag(u8),
    /// SETcc.
    Test(Condition, Register),
    /// CMOVcc.
    Choose(Condition, Width, Register, Register),
    /// XCHG.
    Exchange(Width, Register, Register),
    /// XADD.
    ExchangeAdd(Width, Register, Register),
    /// BSWAP of 4 or 8 bytes.
    Swap(Width, Register),
    /// CBW, CWD and their wider kinds, by number.
    Convert(u8, Width),
}

const UNARY: [Codes; 4] = [
    [Op::Inc_rm8, Op::Inc_rm16, Op::Inc_rm32, Op::Inc_rm64],
    [Op::Dec_rm8, Op::Dec_rm16, Op::Dec_rm32, Op::Dec_rm64],
    [Op::Not_rm8, Op::Not_rm16, Op::Not_rm32, Op::Not_rm64],
    [Op::Neg_rm8, Op::Neg_rm16, Op::Neg_rm32, Op::Neg_rm64],
];
const SHIFT: [Codes; 7] = [
    [Op::Rol_rm8_imm8, Op::Rol_rm16_imm8, Op::Rol_rm32_imm8, Op::Rol_rm64_imm8],
    [Op::Ror_rm8_imm8, Op::Ror_rm16_imm8, Op::Ror_rm32_imm8, Op::Ror_rm64_imm8],
    [Op::Rcl_rm8_imm8, Op::Rcl_rm16_imm8, Op::Rcl_rm32_imm8, Op::Rcl_rm64_imm8],
    [Op::Rcr_rm8_imm8, Op::Rcr_rm16_imm8, Op::Rcr_rm32_imm8, Op::Rcr_rm64_imm8],
    [Op::Shl_rm8_imm8, Op::Shl_rm16_imm8, Op::Shl_rm32_imm8, Op::Shl_rm64_imm8],
    [Op::Shr_rm8_imm8, Op::Shr_rm16_imm8, Op::Shr_rm32_imm8, Op::Shr_rm64_imm8],
    [Op::Sar_rm8_imm8, Op::Sar_rm16_imm8, Op::Sar_rm32_imm8, Op::Sar_rm64_imm8],
];
const BIT: [Codes; 4] = [
    [Op::Bt_rm16_r16, Op::Bt_rm16_r16, Op::Bt_rm32_r32, Op::Bt_rm64_r64],
    [Op::Bts_rm16_r16, Op::Bts_rm16_r16, Op::Bts_rm32_r32, Op::Bts_rm64_r64],
    [Op::Btr_rm16_r16, Op::Btr_rm16_r16, Op::Btr_rm32_r32, Op::Btr_rm64_r64],
    [Op::Btc_rm16_r16, Op::Btc_rm16_r16, Op::Btc_rm32_r32, Op::Btc_rm64_r64],
];
const DOUBLE: [Codes; 2] = [
    [Op::Shld_rm16_r16_imm8, Op::Shld_rm16_r16_imm8, Op::Shld_rm32_r32_imm8, Op::Shld_rm64_r64_imm8],
    [Op::Shrd_rm16_r16_imm8, Op::Shrd_rm16_r16_imm8, Op::Shrd_rm32_r32_imm8, Op::Shrd_rm64_r64_imm8],
];
const WIDE: [Codes; 2] = [
    [Op::Mul_rm8, Op::Mul_rm16, Op::Mul_rm32, Op::Mul_rm64],
    [Op::Imul_rm8, Op::Imul_rm16, Op::Imul_rm32, Op::Imul_rm64],
];
const PRODUCT: Codes = [Op::Imul_r16_rm16, Op::Imul_r16_rm16, Op::Imul_r32_rm32, Op::Imul_r64_rm64];
const CONVERT: [Codes; 2] = [[Op::Cbw, Op::Cbw, Op::Cwde, Op::Cdqe], [Op::Cwd, Op::Cwd, Op::Cdq, Op::Cqo]];
/// MOVZX and MOVSX from a byte and from a word.
pub(super) const EXTEND: [[Codes; 2]; 2] = [
    [
        [Op::Movzx_r16_rm8, Op::Movzx_r16_rm8, Op::Movzx_r32_rm8, Op::Movzx_r64_rm8],
        [Op::Movzx_r16_rm16, Op::Movzx_r16_rm16, Op::Movzx_r32_rm16, Op::Movzx_r64_rm16],
    ],
    [
        [Op::Movsx_r16_rm8, Op::Movsx_r16_rm8, Op::Movsx_r32_rm8, Op::Movsx_r64_rm8],
        [Op::Movsx_r16_rm16, Op::Movsx_r16_rm16, Op::Movsx_r32_rm16, Op::Movsx_r64_rm16],
    ],
];
const EXCHANGE: Codes = [Op::Xchg_rm8_r8, Op::Xchg_rm16_r16, Op::Xchg_rm32_r32, Op::Xchg_rm64_r64];
const EXCHANGE_ADD: Codes = [Op::Xadd_rm8_r8, Op::Xadd_rm16_r16, Op::Xadd_rm32_r32, Op::Xadd_rm64_r64];

/// The first of the codes of SETcc and CMOVcc; the others follow in the order of conditions.
const SETCC: usize = Op::Seto_rm8 as usize;

/// A width of an instruction that has no form of one byte.
pub(super) fn not_byte(width: Width) -> Width {
    width.max(Width::Word)
}

/// By how many bits an operand of this width is shifted so that the carry is defined, and what that does to the flags.
fn shifted(kind: u8, width: Width, count: u8) -> (u8, Effect) {
    let bits = u8::try_from(8 * width.bytes()).unwrap_or(64);
    let count = count % bits;
    let overflow = if count == 1 { 0 } else { OF };
    let effect = match (kind % 7, count) {
        (2 | 3, 0) => Effect { reads: CF, ..Effect::NONE },
        (_, 0) => Effect::NONE,
        (2 | 3, _) => Effect { reads: CF, defines: CF | OF & !overflow, undefines: overflow },
        (0 | 1, _) => Effect { reads: 0, defines: CF | OF & !overflow, undefines: overflow },
        _ => Effect { reads: 0, defines: ALL & !(AF | overflow), undefines: AF | overflow },
    };
    (count, effect)
}

impl Step for Plain {
    fn effect(&self, mode: Mode) -> Effect {
        match *self {
            Self::Binary(op, ..) | Self::Immediate(op, ..) => op.effect(),
            Self::Unary(kind, ..) => {
                [Effect::COUNT, Effect::COUNT, Effect::NONE, Effect::SUM][usize::from(kind % 4)]
            }
            Self::Shift(kind, width, _, count) => {
                let width = if mode == Mode::Long { width } else { width.min(Width::Dword) };
                shifted(kind, width, count).1
            }
            Self::Double(_, width, _, _, count) => {
                let width = if mode == Mode::Long { width } else { width.min(Width::Dword) };
                shifted(4, not_byte(width), count).1
            }
            Self::Wide(..) | Self::Product(..) => Effect::PRODUCT,
            Self::Bit(..) => Effect::BIT,
            Self::Flag(kind) => match kind % 4 {
                0 | 1 => Effect { reads: 0, defines: CF, undefines: 0 },
                2 => Effect { reads: CF, defines: CF, undefines: 0 },
                _ => Effect::NONE,
            },
            Self::Test(condition, _) | Self::Choose(condition, ..) => {
                Effect { reads: condition.reads(), ..Effect::NONE }
            }
            Self::ExchangeAdd(..) => Effect::SUM,
            Self::Set(..) | Self::Extend(..) | Self::Exchange(..) | Self::Swap(..) | Self::Convert(..) => {
                Effect::NONE
            }
        }
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        match *self {
            Self::Set(width, to, value) => set(e, width, to, value),
            Self::Binary(op, width, to, from) => {
                let width = e.width(width);
                let code = e.pick(op.codes().to_memory, width);
                e.put(Instruction::with2(code, e.name(to, width), e.name(from, width))?)
            }
            Self::Immediate(op, width, to, value) => {
                let width = e.width(width);
                let code = e.pick(op.codes().constant, width);
                e.put(Instruction::with2(code, e.name(to, width), immediate(value, width))?)
            }
            Self::Unary(kind, width, to) => one(e, UNARY[usize::from(kind % 4)], width, to),
            Self::Shift(kind, width, to, count) => {
                let width = e.width(width);
                let code = e.pick(SHIFT[usize::from(kind % 7)], width);
                let (count, _) = shifted(kind, width, count);
                e.put(Instruction::with2(code, e.name(to, width), u32::from(count))?)
            }
            Self::Double(right, width, to, from, count) => {
                let width = e.width(not_byte(width));
                let code = e.pick(DOUBLE[usize::from(right)], width);
                let (count, _) = shifted(4, width, count);
                e.put(Instruction::with3(code, e.name(to, width), e.name(from, width), u32::from(count))?)
            }
            Self::Wide(signed, width, from) => one(e, WIDE[usize::from(signed)], width, from),
            Self::Product(width, to, from) => two(e, PRODUCT, not_byte(width), to, from),
            Self::Bit(kind, width, to, from) => two(e, BIT[usize::from(kind % 4)], not_byte(width), to, from),
            Self::Exchange(width, to, from) => two(e, EXCHANGE, width, to, from),
            Self::ExchangeAdd(width, to, from) => two(e, EXCHANGE_ADD, width, to, from),
            _ => self.emit_rest(e),
        }
    }
}

impl Plain {
    fn emit_rest(&self, e: &mut Emitter) -> Result<(), IcedError> {
        match *self {
            Self::Extend(signed, word, width, to, from) => {
                let width = e.width(not_byte(width));
                let code = e.pick(EXTEND[usize::from(signed)][usize::from(word)], width);
                let narrow = if word { Width::Word } else { Width::Byte };
                e.put(Instruction::with2(code, e.name(to, width), e.name(from, narrow))?)
            }
            Self::Flag(kind) => e.bare([Op::Clc, Op::Stc, Op::Cmc, Op::Cld][usize::from(kind % 4)]),
            Self::Test(condition, to) => {
                let code = Op::try_from(SETCC + usize::from(condition.0 & 15))?;
                e.put(Instruction::with1(code, e.name(to, Width::Byte))?)
            }
            Self::Choose(condition, width, to, from) => {
                let width = e.width(not_byte(width));
                let first = match width {
                    Width::Byte | Width::Word => Op::Cmovo_r16_rm16,
                    Width::Dword => Op::Cmovo_r32_rm32,
                    Width::Qword => Op::Cmovo_r64_rm64,
                };
                // For each condition there are three, by width.
                let code = Op::try_from(first as usize + 3 * usize::from(condition.0 & 15))?;
                e.put(Instruction::with2(code, e.name(to, width), e.name(from, width))?)
            }
            Self::Swap(width, to) => {
                let width = e.width(width.max(Width::Dword));
                let code = if width == Width::Qword { Op::Bswap_r64 } else { Op::Bswap_r32 };
                e.put(Instruction::with1(code, e.name(to, width))?)
            }
            Self::Convert(kind, width) => {
                let width = e.width(width);
                let code = e.pick(CONVERT[usize::from(kind % 2)], width);
                e.bare(code)
            }
            _ => Ok(()),
        }
    }
}

fn set(e: &mut Emitter, width: Width, to: Register, value: i64) -> Result<(), IcedError> {
    let width = e.width(width);
    let name = e.name(to, width);
    match width {
        Width::Byte => {
            let [low, ..] = value.to_le_bytes();
            e.put(Instruction::with2(Op::Mov_r8_imm8, name, u32::from(low))?)
        }
        _ => e.set(name, value.cast_unsigned()),
    }
}

fn one(e: &mut Emitter, codes: Codes, width: Width, to: Register) -> Result<(), IcedError> {
    let width = e.width(width);
    let code = e.pick(codes, width);
    e.put(Instruction::with1(code, e.name(to, width))?)
}

fn two(e: &mut Emitter, codes: Codes, width: Width, to: Register, from: Register) -> Result<(), IcedError> {
    let width = e.width(width);
    let code = e.pick(codes, width);
    e.put(Instruction::with2(code, e.name(to, width), e.name(from, width))?)
}

impl Arbitrary for Plain {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let op = || proptest::sample::select(&ARITHMETIC[..]);
        let to = any::<Register>;
        let width = any_width;
        prop_oneof![
            (width(), to(), any::<i64>()).prop_map(|(w, r, v)| Self::Set(w, r, v)),
            (op(), width(), to(), to()).prop_map(|(o, w, r, f)| Self::Binary(o, w, r, f)),
            (op(), width(), to(), any::<i32>()).prop_map(|(o, w, r, v)| Self::Immediate(o, w, r, v)),
            (0..4u8, width(), to()).prop_map(|(k, w, r)| Self::Unary(k, w, r)),
            (0..7u8, width(), to(), 0..64u8).prop_map(|(k, w, r, c)| Self::Shift(k, w, r, c)),
            (any::<bool>(), width(), to(), to(), 0..64u8)
                .prop_map(|(k, w, r, f, c)| Self::Double(k, w, r, f, c)),
            (any::<bool>(), width(), to()).prop_map(|(k, w, r)| Self::Wide(k, w, r)),
            (width(), to(), to()).prop_map(|(w, r, f)| Self::Product(w, r, f)),
            (any::<bool>(), any::<bool>(), width(), to(), to())
                .prop_map(|(s, k, w, r, f)| Self::Extend(s, k, w, r, f)),
            (0..4u8, width(), to(), to()).prop_map(|(k, w, r, f)| Self::Bit(k, w, r, f)),
            (0..4u8).prop_map(Self::Flag),
            (any::<Condition>(), to()).prop_map(|(c, r)| Self::Test(c, r)),
            (any::<Condition>(), width(), to(), to()).prop_map(|(c, w, r, f)| Self::Choose(c, w, r, f)),
            (width(), to(), to()).prop_map(|(w, r, f)| Self::Exchange(w, r, f)),
            (width(), to(), to()).prop_map(|(w, r, f)| Self::ExchangeAdd(w, r, f)),
            (width(), to()).prop_map(|(w, r)| Self::Swap(w, r)),
            (0..2u8, width()).prop_map(|(k, w)| Self::Convert(k, w)),
        ]
        .boxed()
    }
}
