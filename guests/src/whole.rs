//! A general register in the full width that code of a mode reaches.

use iced_x86::IcedError;
use iced_x86::code_asm::{AsmRegister32, AsmRegister64, CodeAssembler, registers as asm};

/// A general register in the full width that code of a mode reaches: 64 bits in long mode, 32 bits elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Whole {
    wide: AsmRegister64,
    narrow: AsmRegister32,
}

macro_rules! whole {
    ($($name:ident = $wide:ident, $narrow:ident;)+) => {
        #[expect(missing_docs, reason = "the constants are the processor's own names")]
        impl Whole {
            $(pub const $name: Self = Self { wide: asm::$wide, narrow: asm::$narrow };)+
        }
    };
}

whole! {
    AX = rax, eax;
    BX = rbx, ebx;
    CX = rcx, ecx;
    DX = rdx, edx;
    SI = rsi, esi;
    DI = rdi, edi;
    BP = rbp, ebp;
}

impl Whole {
    /// Writes the MOV that sets it to as much of `value` as it has bits.
    pub fn set(self, a: &mut CodeAssembler, value: u64) -> Result<(), IcedError> {
        match a.bitness() {
            64 => a.mov(self.wide, value),
            _ => a.mov(self.narrow, (value & 0xffff_ffff) as u32),
        }
    }

    /// Writes the MOV that copies `from` to it.
    pub fn copy(self, a: &mut CodeAssembler, from: Self) -> Result<(), IcedError> {
        match a.bitness() {
            64 => a.mov(self.wide, from.wide),
            _ => a.mov(self.narrow, from.narrow),
        }
    }
}
