//! Scripts of IN and OUT: what a device is asked, one access after the other.

use iced_x86::{Code as Op, IcedError, Instruction, Register as Name};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::emitter::{Codes, Emitter, any_width};
use super::program::Step;
use crate::{Mode, Width};

/// One access to a port. A width of eight bytes is one of four.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortStep {
    /// OUT of a value, with the port in DX.
    Out(u16, Width, u32),
    /// IN, with the port in DX.
    In(u16, Width),
    /// OUT of a value, with the port in the instruction.
    OutShort(u8, Width, u32),
    /// IN, with the port in the instruction.
    InShort(u8, Width),
}

const OUT: Codes = [Op::Out_DX_AL, Op::Out_DX_AX, Op::Out_DX_EAX, Op::Out_DX_EAX];
const IN: Codes = [Op::In_AL_DX, Op::In_AX_DX, Op::In_EAX_DX, Op::In_EAX_DX];
const OUT_SHORT: Codes = [Op::Out_imm8_AL, Op::Out_imm8_AX, Op::Out_imm8_EAX, Op::Out_imm8_EAX];
const IN_SHORT: Codes = [Op::In_AL_imm8, Op::In_AX_imm8, Op::In_EAX_imm8, Op::In_EAX_imm8];
const ACCUMULATOR: [Name; 4] = [Name::AL, Name::AX, Name::EAX, Name::EAX];

impl PortStep {
    /// Any access to one of these ports; those in the instruction are there only if the range begins below 256.
    pub fn any_of(ports: std::ops::RangeInclusive<u16>) -> BoxedStrategy<Self> {
        let long = prop_oneof![
            (ports.clone(), any_width(), any::<u32>()).prop_map(|(p, w, v)| Self::Out(p, w, v)),
            (ports.clone(), any_width()).prop_map(|(p, w)| Self::In(p, w)),
        ];
        let Ok(first) = u8::try_from(*ports.start()) else { return long.boxed() };
        let last = u8::try_from(*ports.end()).unwrap_or(u8::MAX);
        prop_oneof![
            long,
            (first..=last, any_width(), any::<u32>()).prop_map(|(p, w, v)| Self::OutShort(p, w, v)),
            (first..=last, any_width()).prop_map(|(p, w)| Self::InShort(p, w)),
        ]
        .boxed()
    }
}

impl Step for PortStep {
    fn effect(&self, _: Mode) -> Effect {
        Effect::NONE
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        let index = |width: Width| width.bytes().trailing_zeros() as usize;
        match *self {
            Self::Out(port, width, value) => {
                e.set(Name::EAX, value.into())?;
                e.set(Name::DX, port.into())?;
                let code = OUT[index(width)];
                e.put(Instruction::with2(code, Name::DX, ACCUMULATOR[index(width)])?)
            }
            Self::In(port, width) => {
                e.set(Name::DX, port.into())?;
                e.put(Instruction::with2(IN[index(width)], ACCUMULATOR[index(width)], Name::DX)?)
            }
            Self::OutShort(port, width, value) => {
                e.set(Name::EAX, value.into())?;
                let code = OUT_SHORT[index(width)];
                e.put(Instruction::with2(code, u32::from(port), ACCUMULATOR[index(width)])?)
            }
            Self::InShort(port, width) => {
                let code = IN_SHORT[index(width)];
                e.put(Instruction::with2(code, ACCUMULATOR[index(width)], u32::from(port))?)
            }
        }
    }
}

impl Arbitrary for PortStep {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        Self::any_of(0..=u16::MAX)
    }
}
