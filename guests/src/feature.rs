//! What a processor must have for code to run on it, as CPUID tells it: Intel SDM volume 2, "CPUID—CPU Identification"; AMD APM
//! volume 3, appendix E.

use std::fmt;

/// A register that CPUID answers in.
#[expect(missing_docs, reason = "the variants are the processor's own names")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    Ebx,
    Ecx,
    Edx,
}

/// Something that a processor may have, and the bit of CPUID that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Feature {
    /// Its name, as `/proc/cpuinfo` has it.
    pub name: &'static str,
    /// The leaf: what EAX holds.
    pub leaf: u32,
    /// The subleaf: what ECX holds.
    pub index: u32,
    /// The register of the answer.
    pub register: Answer,
    /// The bit in it.
    pub bit: u8,
}

macro_rules! features {
    ($($constant:ident = $name:literal, $leaf:literal, $register:ident, $bit:literal;)+) => {
        #[expect(missing_docs, reason = "the constants are named for the features")]
        impl Feature {
            $(pub const $constant: Self =
                Self { name: $name, leaf: $leaf, index: 0, register: Answer::$register, bit: $bit };)+

            /// Every feature that code of ours may need.
            pub const ALL: &[Self] = &[$(Self::$constant),+];
        }
    };
}

features! {
    PSE = "pse", 1, Edx, 3;
    PAE = "pae", 1, Edx, 6;
    CX8 = "cx8", 1, Edx, 8;
    CMOV = "cmov", 1, Edx, 15;
    SSE = "sse", 1, Edx, 25;
    SSE2 = "sse2", 1, Edx, 26;
    CX16 = "cx16", 1, Ecx, 13;
    MOVBE = "movbe", 1, Ecx, 22;
    AVX = "avx", 1, Ecx, 28;
    BMI1 = "bmi1", 7, Ebx, 3;
    BMI2 = "bmi2", 7, Ebx, 8;
    LA57 = "la57", 7, Ecx, 16;
    SVM = "svm", 0x8000_0001, Ecx, 2;
    PDPE1GB = "pdpe1gb", 0x8000_0001, Edx, 26;
    LM = "lm", 0x8000_0001, Edx, 29;
}

impl Feature {
    /// Whether it is there, by what the leaf answers in EBX, ECX and EDX.
    pub const fn is_in(self, ebx: u32, ecx: u32, edx: u32) -> bool {
        let answer = match self.register {
            Answer::Ebx => ebx,
            Answer::Ecx => ecx,
            Answer::Edx => edx,
        };
        answer >> self.bit & 1 != 0
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
