//! Instructions that not every processor has: MOVBE, BMI, CMPXCHG8B and CMPXCHG16B, and moves of SSE and AVX between memory and
//! registers. Each knows the feature that it needs.

use iced_x86::{Code as Op, IcedError, Instruction, Register as Name};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::address::Address;
use super::effect::{AF, ALL, Effect, PF, ZF};
use super::emitter::{Codes, Emitter, any_width};
use super::program::Step;
use super::register::Register;
use super::straight::not_byte;
use crate::{Feature, Mode, Width};

/// One such instruction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Move {
    /// MOVBE from memory.
    LoadSwapped(Width, Register, Address),
    /// MOVBE to memory.
    StoreSwapped(Width, Register, Address),
    /// ANDN, BLSI, BLSMSK or BLSR, by number, of memory.
    Bits(u8, Width, Register, Register, Address),
    /// SHLX, SHRX, SARX or RORX, by number, of memory.
    Shift(u8, Width, Register, Register, Address),
    /// CMPXCHG8B, or CMPXCHG16B if set and in long mode; LOCK if set.
    Compare(bool, bool, Address),
    /// A move between an XMM register and memory.
    Vector(Vector, u8, Address),
    /// The same move in its VEX form.
    Wide(Vector, u8, Address),
}

/// A move of a vector register: what its number stands for in SSE.
#[expect(missing_docs, reason = "the variants are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vector {
    MovupsLoad,
    MovupsStore,
    MovapsLoad,
    MovapsStore,
    MovdquLoad,
    MovdquStore,
    MovssLoad,
    MovssStore,
    MovsdLoad,
    MovsdStore,
    MovntdqStore,
}

const VECTORS: [Vector; 11] = [
    Vector::MovupsLoad,
    Vector::MovupsStore,
    Vector::MovapsLoad,
    Vector::MovapsStore,
    Vector::MovdquLoad,
    Vector::MovdquStore,
    Vector::MovssLoad,
    Vector::MovssStore,
    Vector::MovsdLoad,
    Vector::MovsdStore,
    Vector::MovntdqStore,
];

impl Vector {
    /// The codes with 16 bytes or less and, in their VEX form, with as many or 32 bytes.
    fn codes(self) -> (Op, Op) {
        match self {
            Self::MovupsLoad => (Op::Movups_xmm_xmmm128, Op::VEX_Vmovups_ymm_ymmm256),
            Self::MovupsStore => (Op::Movups_xmmm128_xmm, Op::VEX_Vmovups_ymmm256_ymm),
            Self::MovapsLoad => (Op::Movaps_xmm_xmmm128, Op::VEX_Vmovaps_ymm_ymmm256),
            Self::MovapsStore => (Op::Movaps_xmmm128_xmm, Op::VEX_Vmovaps_ymmm256_ymm),
            Self::MovdquLoad => (Op::Movdqu_xmm_xmmm128, Op::VEX_Vmovdqu_ymm_ymmm256),
            Self::MovdquStore => (Op::Movdqu_xmmm128_xmm, Op::VEX_Vmovdqu_ymmm256_ymm),
            Self::MovssLoad => (Op::Movss_xmm_xmmm32, Op::VEX_Vmovss_xmm_m32),
            Self::MovssStore => (Op::Movss_xmmm32_xmm, Op::VEX_Vmovss_m32_xmm),
            Self::MovsdLoad => (Op::Movsd_xmm_xmmm64, Op::VEX_Vmovsd_xmm_m64),
            Self::MovsdStore => (Op::Movsd_xmmm64_xmm, Op::VEX_Vmovsd_m64_xmm),
            Self::MovntdqStore => (Op::Movntdq_m128_xmm, Op::VEX_Vmovntdq_m256_ymm),
        }
    }

    fn is_load(self) -> bool {
        matches!(
            self,
            Self::MovupsLoad | Self::MovapsLoad | Self::MovdquLoad | Self::MovssLoad | Self::MovsdLoad
        )
    }

    fn is_scalar(self) -> bool {
        matches!(self, Self::MovssLoad | Self::MovssStore | Self::MovsdLoad | Self::MovsdStore)
    }

    fn must_be_aligned(self) -> bool {
        matches!(self, Self::MovapsLoad | Self::MovapsStore | Self::MovntdqStore)
    }

    fn feature(self) -> Feature {
        match self {
            Self::MovupsLoad | Self::MovupsStore | Self::MovapsLoad | Self::MovapsStore => Feature::SSE,
            Self::MovssLoad | Self::MovssStore => Feature::SSE,
            _ => Feature::SSE2,
        }
    }
}

const LOAD_SWAPPED: Codes = [Op::Movbe_r16_m16, Op::Movbe_r16_m16, Op::Movbe_r32_m32, Op::Movbe_r64_m64];
const STORE_SWAPPED: Codes = [Op::Movbe_m16_r16, Op::Movbe_m16_r16, Op::Movbe_m32_r32, Op::Movbe_m64_r64];
const BITS: [[Op; 2]; 4] = [
    [Op::VEX_Andn_r32_r32_rm32, Op::VEX_Andn_r64_r64_rm64],
    [Op::VEX_Blsi_r32_rm32, Op::VEX_Blsi_r64_rm64],
    [Op::VEX_Blsmsk_r32_rm32, Op::VEX_Blsmsk_r64_rm64],
    [Op::VEX_Blsr_r32_rm32, Op::VEX_Blsr_r64_rm64],
];
const SHIFT: [[Op; 2]; 4] = [
    [Op::VEX_Shlx_r32_rm32_r32, Op::VEX_Shlx_r64_rm64_r64],
    [Op::VEX_Shrx_r32_rm32_r32, Op::VEX_Shrx_r64_rm64_r64],
    [Op::VEX_Sarx_r32_rm32_r32, Op::VEX_Sarx_r64_rm64_r64],
    [Op::VEX_Rorx_r32_rm32_imm8, Op::VEX_Rorx_r64_rm64_imm8],
];

/// VEX prefixes are not there in real and virtual-8086 mode.
fn has_vex(mode: Mode) -> bool {
    !mode.has_paragraphs()
}

impl Step for Move {
    fn effect(&self, mode: Mode) -> Effect {
        match self {
            Self::Bits(..) if has_vex(mode) => {
                Effect { reads: 0, defines: ALL & !(AF | PF), undefines: AF | PF }
            }
            Self::Compare(..) => Effect { reads: 0, defines: ZF, undefines: 0 },
            _ => Effect::NONE,
        }
    }

    fn feature(&self, mode: Mode) -> Option<Feature> {
        match self {
            Self::LoadSwapped(..) | Self::StoreSwapped(..) => Some(Feature::MOVBE),
            Self::Compare(_, true, _) if mode == Mode::Long => Some(Feature::CX16),
            Self::Compare(..) => Some(Feature::CX8),
            Self::Vector(vector, ..) => Some(vector.feature()),
            Self::Bits(..) => has_vex(mode).then_some(Feature::BMI1),
            Self::Shift(..) => has_vex(mode).then_some(Feature::BMI2),
            Self::Wide(..) => has_vex(mode).then_some(Feature::AVX),
        }
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        match *self {
            Self::LoadSwapped(width, to, from) => {
                super::operands::load(e, LOAD_SWAPPED, not_byte(width), to, from)
            }
            Self::StoreSwapped(width, from, to) => {
                let width = e.width(not_byte(width));
                let code = e.pick(STORE_SWAPPED, width);
                e.put(Instruction::with2(code, e.at(to), e.name(from, width))?)
            }
            Self::Compare(lock, double, at) => {
                let double = double && e.mode == Mode::Long;
                let (code, at) =
                    if double { (Op::Cmpxchg16b_m128, at.aligned(16)) } else { (Op::Cmpxchg8b_m64, at) };
                let mut instruction = Instruction::with1(code, e.at(at))?;
                instruction.set_has_lock_prefix(lock);
                e.put(instruction)
            }
            Self::Vector(vector, number, at) => {
                let at = if vector.must_be_aligned() { at.aligned(16) } else { at };
                vector_move(e, vector, vector.codes().0, number_of(Name::XMM0, number), at)
            }
            _ if !has_vex(e.mode) => e.bare(Op::Nopd),
            Self::Wide(vector, number, at) => {
                let at = if vector.must_be_aligned() { at.aligned(32) } else { at };
                let first = if vector.is_scalar() { Name::XMM0 } else { Name::YMM0 };
                vector_move(e, vector, vector.codes().1, number_of(first, number), at)
            }
            Self::Bits(kind, width, to, other, from) => {
                let width = e.width(width.max(Width::Dword));
                let code = BITS[usize::from(kind % 4)][usize::from(width == Width::Qword)];
                let (to, other, from) = (e.name(to, width), e.name(other, width), e.at(from));
                e.put(match kind % 4 {
                    0 => Instruction::with3(code, to, other, from)?,
                    _ => Instruction::with2(code, to, from)?,
                })
            }
            Self::Shift(kind, width, to, count, from) => {
                let width = e.width(width.max(Width::Dword));
                let code = SHIFT[usize::from(kind % 4)][usize::from(width == Width::Qword)];
                let (to, from) = (e.name(to, width), e.at(from));
                e.put(match kind % 4 {
                    3 => Instruction::with3(code, to, from, u32::from(count.0))?,
                    _ => Instruction::with3(code, to, from, e.name(count, width))?,
                })
            }
        }
    }
}

/// The register of a vector file that begins with `first`: there are eight outside of long mode.
fn number_of(first: Name, number: u8) -> Name {
    Name::try_from(first as usize + usize::from(number % 8)).unwrap_or(first)
}

fn vector_move(
    e: &mut Emitter,
    vector: Vector,
    code: Op,
    register: Name,
    at: Address,
) -> Result<(), IcedError> {
    let memory = e.at(at);
    e.put(match vector.is_load() {
        true => Instruction::with2(code, register, memory)?,
        false => Instruction::with2(code, memory, register)?,
    })
}

impl Arbitrary for Move {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let (register, address) = (any::<Register>, any::<Address>);
        let vector = || proptest::sample::select(&VECTORS[..]);
        let width = any_width;
        prop_oneof![
            (width(), register(), address()).prop_map(|(w, r, a)| Self::LoadSwapped(w, r, a)),
            (width(), register(), address()).prop_map(|(w, r, a)| Self::StoreSwapped(w, r, a)),
            (any::<bool>(), any::<bool>(), address()).prop_map(|(l, d, a)| Self::Compare(l, d, a)),
            (vector(), 0..8u8, address()).prop_map(|(v, n, a)| Self::Vector(v, n, a)),
            (0..4u8, width(), register(), register(), address())
                .prop_map(|(k, w, r, o, a)| Self::Bits(k, w, r, o, a)),
            (0..4u8, width(), register(), register(), address())
                .prop_map(|(k, w, r, c, a)| Self::Shift(k, w, r, c, a)),
            (vector(), 0..8u8, address()).prop_map(|(v, n, a)| Self::Wide(v, n, a)),
        ]
        .boxed()
    }
}
