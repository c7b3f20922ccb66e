//! Scripts of RDMSR and WRMSR, on registers that every processor with long mode has, and with values that they take: Intel SDM volume
//! 4, 2.1 "Architectural MSRs". What is read goes out through a port. Ring 3, and so virtual-8086 mode, has neither.

use iced_x86::{Code as Op, IcedError, Instruction, Register as Name};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::emitter::Emitter;
use super::program::Step;
use crate::Mode;

/// SYSENTER_ESP, SYSENTER_EIP, LSTAR, CSTAR, FS_BASE, GS_BASE and KERNEL_GS_BASE, which take canonical addresses.
const ADDRESSES: [u32; 7] = [0x175, 0x176, 0xc000_0082, 0xc000_0083, 0xc000_0100, 0xc000_0101, 0xc000_0102];
const SYSENTER_CS: u32 = 0x174;
/// SYSENTER_CS, STAR and FMASK, which take anything: 32 bits of it where there are no more.
const ANY: [u32; 3] = [SYSENTER_CS, 0xc000_0081, 0xc000_0084];

/// One access to an MSR, by its number among those of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MsrStep {
    /// RDMSR of one that holds an address.
    ReadAddress(u8),
    /// RDMSR of another.
    Read(u8),
    /// WRMSR to one that holds an address: that is made canonical.
    WriteAddress(u8, i64),
    /// WRMSR to another: 32 bits, or as many as it keeps.
    Write(u8, u32),
}

impl MsrStep {
    /// The port that tells what was read.
    pub const TOLD: u8 = 0xa7;

    /// The MSR.
    pub fn number(&self) -> u32 {
        match *self {
            Self::ReadAddress(index) | Self::WriteAddress(index, _) => {
                ADDRESSES[usize::from(index) % ADDRESSES.len()]
            }
            Self::Read(index) | Self::Write(index, _) => ANY[usize::from(index) % ANY.len()],
        }
    }

    /// The value that is written.
    pub fn value(&self) -> Option<u64> {
        match *self {
            Self::ReadAddress(_) | Self::Read(_) => None,
            // Bit 47 goes on to the top.
            Self::WriteAddress(_, value) => Some((value << 16 >> 16).cast_unsigned()),
            // Of SYSENTER_CS no more than a selector is sure to be kept.
            Self::Write(_, value) if self.number() == SYSENTER_CS => Some((value & 0xffff).into()),
            Self::Write(_, value) => Some(value.into()),
        }
    }
}

impl Step for MsrStep {
    fn effect(&self, _: Mode) -> Effect {
        Effect::NONE
    }

    fn emit(&self, e: &mut Emitter) -> Result<(), IcedError> {
        if e.mode == Mode::Virtual8086 {
            return e.bare(Op::Nopd);
        }
        e.set(Name::ECX, self.number().into())?;
        if let Some(value) = self.value() {
            e.set(Name::EAX, value)?;
            e.set(Name::EDX, value >> 32)?;
            return e.bare(Op::Wrmsr);
        }
        e.bare(Op::Rdmsr)?;
        let tell = Instruction::with2(Op::Out_imm8_EAX, u32::from(Self::TOLD), Name::EAX)?;
        e.put(tell)?;
        e.put(Instruction::with2(Op::Mov_r32_rm32, Name::EAX, Name::EDX)?)?;
        e.put(tell)
    }
}

impl Arbitrary for MsrStep {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        prop_oneof![
            any::<u8>().prop_map(Self::ReadAddress),
            any::<u8>().prop_map(Self::Read),
            (any::<u8>(), any::<i64>()).prop_map(|(index, value)| Self::WriteAddress(index, value)),
            (any::<u8>(), any::<u32>()).prop_map(|(index, value)| Self::Write(index, value)),
        ]
        .boxed()
    }
}
