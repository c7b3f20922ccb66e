//! The general registers, the instruction pointer and the flags: Intel SDM volume 1, 3.4 "Basic Program Execution Registers".

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
