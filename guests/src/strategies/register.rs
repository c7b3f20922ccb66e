//! The general registers that generated code is free to use: all but the stack pointer, the frame pointer, and those through which
//! operands are reached.

use iced_x86::Register as Name;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Mode, Width};

/// One of the registers that are free, by its number; where a mode has fewer, they are counted round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register(pub u8);

const BYTES: [Name; 10] = [
    Name::AL,
    Name::CL,
    Name::DL,
    Name::DIL,
    Name::R8L,
    Name::R9L,
    Name::R10L,
    Name::R11L,
    Name::R14L,
    Name::R15L,
];
/// How many there are outside of long mode.
const NARROW: usize = 4;

impl Register {
    /// How many there are in long mode.
    pub const COUNT: u8 = 10;

    /// Its name in an instruction of this width.
    pub fn name(self, width: Width, mode: Mode) -> Name {
        let count = if mode == Mode::Long { BYTES.len() } else { NARROW };
        let byte = BYTES[usize::from(self.0) % count];
        match width {
            // DI has no byte of its own outside of long mode.
            Width::Byte if byte == Name::DIL && mode != Mode::Long => Name::DH,
            Width::Byte => byte,
            Width::Word => wide(byte, Name::AX),
            Width::Dword => wide(byte, Name::EAX),
            Width::Qword => wide(byte, Name::RAX),
        }
    }
}

/// The register of the same number in the file that begins with `first`.
fn wide(byte: Name, first: Name) -> Name {
    let number = byte.full_register() as u32 - Name::RAX as u32;
    Name::try_from(first as usize + number as usize).unwrap_or(first)
}

impl Arbitrary for Register {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        (0..Self::COUNT).prop_map(Self).boxed()
    }
}
