//! Addresses of operands in every form that instructions have, all within the window: Intel SDM volume 1, 3.7.5 "Specifying an
//! Offset"; volume 2, 2.1.5 "Addressing-Mode Encoding of ModR/M and SIB Bytes".

use iced_x86::{MemoryOperand, Register as Name};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::Mode;

/// Where the base registers point, from the beginning of the window.
pub(super) const BASE: u64 = 0x800;

/// Of what an address is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A base.
    Base,
    /// A base and a displacement.
    BaseDisplaced,
    /// A displacement alone.
    Absolute,
    /// A base and an index.
    BaseIndex,
    /// A base, an index and a displacement.
    BaseIndexDisplaced,
    /// An index and a displacement.
    IndexDisplaced,
    /// What lies so far from the next instruction; a displacement alone outside of long mode.
    Relative,
}

/// The address of an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Of what it is made.
    pub form: Form,
    /// Which base: BX, and in long mode R12 or R13, which are encoded otherwise.
    pub base: u8,
    /// By what power of two the index is scaled; 16-bit addresses have no scale.
    pub scale: u8,
    /// The displacement from the base.
    pub displacement: i16,
    /// Whether it has the other size that the mode has: 32 bits in 16-bit code and in 64-bit code.
    pub resized: bool,
}

const FORMS: [Form; 7] = [
    Form::Base,
    Form::BaseDisplaced,
    Form::Absolute,
    Form::BaseIndex,
    Form::BaseIndexDisplaced,
    Form::IndexDisplaced,
    Form::Relative,
];
/// How far a displacement leads, at most.
const REACH: i16 = 0x400;

impl Address {
    /// The operand in code of `mode` whose window is at `place`. Whatever the fields hold, it lies in the window.
    pub fn operand(self, mode: Mode, place: Place) -> MemoryOperand {
        let size: u8 = match (mode.bitness(), self.resized) {
            (16, false) => 2,
            (64, false) => 8,
            _ => 4,
        };
        let displacement = i64::from(self.displacement % (REACH + 1));
        let base = match self.base % 3 {
            1 if mode == Mode::Long => [Name::None, Name::R12D, Name::R12],
            2 if mode == Mode::Long => [Name::None, Name::R13D, Name::R13],
            _ => [Name::BX, Name::EBX, Name::RBX],
        }[usize::from(size / 4)];
        let index = [Name::SI, Name::ESI, Name::RSI][usize::from(size / 4)];
        let scale = if size == 2 { 1 } else { 1 << (self.scale % 4) };
        let origin = place.offset(mode).cast_signed();
        let fixed = origin + BASE.cast_signed() + displacement;
        let bytes = u32::from(size);
        let made = |base, index, scale, displacement, size| {
            MemoryOperand::new(base, index, scale, displacement, size, false, Name::None)
        };
        match self.form {
            Form::Base => made(base, Name::None, 1, 0, 0),
            Form::BaseDisplaced => made(base, Name::None, 1, displacement, 1),
            Form::BaseIndex => made(base, index, scale, 0, 0),
            Form::BaseIndexDisplaced => made(base, index, scale, displacement, 1),
            // 16-bit addresses have no index without a base: SI is the base then.
            Form::IndexDisplaced if size == 2 => made(index, Name::None, 1, fixed, bytes),
            Form::IndexDisplaced => made(Name::None, index, scale, fixed, bytes),
            Form::Relative if mode == Mode::Long => {
                made(if size == 8 { Name::RIP } else { Name::EIP }, Name::None, 1, fixed, bytes)
            }
            Form::Absolute | Form::Relative => made(Name::None, Name::None, 1, fixed, bytes),
        }
    }

    /// A displacement alone that is a multiple of so many bytes.
    #[must_use]
    pub fn aligned(self, to: i16) -> Self {
        Self { form: Form::Absolute, displacement: self.displacement / to * to, ..self }
    }
}

impl Arbitrary for Address {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        (proptest::sample::select(&FORMS[..]), 0..3u8, 0..4u8, -REACH..=REACH, any::<bool>())
            .prop_map(|(form, base, scale, displacement, resized)| Self {
                form,
                base,
                scale,
                displacement,
                resized,
            })
            .boxed()
    }
}
