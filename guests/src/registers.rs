//! The general registers, the instruction pointer and the flags: Intel SDM volume 1, 3.4 "Basic Program Execution Registers".

use iced_x86::code_asm::registers::*;
use iced_x86::code_asm::{AsmRegister32, AsmRegister64};
use serde::{Deserialize, Serialize};

macro_rules! registers {
    ($($register:ident)+) => {
        /// The general registers, the instruction pointer and the flags.
        #[expect(missing_docs, reason = "the fields are the processor's own names")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Registers {
            $(pub $register: u64,)+
        }

        impl Registers {
            /// The names of the registers, in the order of [`Registers::values`].
            pub const NAMES: &[&str] = &[$(stringify!($register)),+];

            /// Registers of these values, in the order of [`Registers::NAMES`]; those that are missing are zero.
            pub fn of(values: &[u64]) -> Self {
                let mut values = values.iter().copied();
                Self { $($register: values.next().unwrap_or_default()),+ }
            }

            /// The values of the registers, in the order of [`Registers::NAMES`].
            pub fn values(&self) -> Vec<u64> {
                vec![$(self.$register),+]
            }
        }
    };
}

registers!(rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags);

/// The 64-bit registers but RSP, each with its place among the names.
pub(crate) const WIDE_REGISTERS: [(AsmRegister64, usize); 15] = [
    (rax, 0),
    (rbx, 1),
    (rcx, 2),
    (rdx, 3),
    (rsi, 4),
    (rdi, 5),
    (rbp, 6),
    (r8, 8),
    (r9, 9),
    (r10, 10),
    (r11, 11),
    (r12, 12),
    (r13, 13),
    (r14, 14),
    (r15, 15),
];
/// The 32-bit registers but ESP, likewise.
pub(crate) const NARROW_REGISTERS: [(AsmRegister32, usize); 7] =
    [(eax, 0), (ebx, 1), (ecx, 2), (edx, 3), (esi, 4), (edi, 5), (ebp, 6)];
