//! What instructions do to the flags of arithmetic, and what they read of them: Intel SDM volume 1, appendix A "EFLAGS
//! Cross-Reference". A flag that is undefined may differ from one processor to the next, so no generated code looks at it.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

pub(super) const CF: u64 = 1 << 0;
pub(super) const PF: u64 = 1 << 2;
pub(super) const AF: u64 = 1 << 4;
pub(super) const ZF: u64 = 1 << 6;
pub(super) const SF: u64 = 1 << 7;
pub(super) const OF: u64 = 1 << 11;
/// All flags of arithmetic.
pub(super) const ALL: u64 = CF | PF | AF | ZF | SF | OF;

/// What an instruction does to the flags of arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Those that it reads.
    pub reads: u64,
    /// Those that it sets or clears as the manual says.
    pub defines: u64,
    /// Those that are undefined afterwards.
    pub undefines: u64,
}

impl Effect {
    /// No flag has to do with it.
    pub(super) const NONE: Self = Self { reads: 0, defines: 0, undefines: 0 };
    /// As with ADD.
    pub(super) const SUM: Self = Self { reads: 0, defines: ALL, undefines: 0 };
    /// As with ADC.
    pub(super) const CARRIED: Self = Self { reads: CF, defines: ALL, undefines: 0 };
    /// As with AND.
    pub(super) const LOGIC: Self = Self { reads: 0, defines: ALL & !AF, undefines: AF };
    /// As with INC.
    pub(super) const COUNT: Self = Self { reads: 0, defines: ALL & !CF, undefines: 0 };
    /// As with MUL.
    pub(super) const PRODUCT: Self = Self { reads: 0, defines: CF | OF, undefines: PF | AF | ZF | SF };
    /// As with BT.
    pub(super) const BIT: Self = Self { reads: 0, defines: CF, undefines: OF | SF | AF | PF };

    /// Which flags are undefined afterwards, if these were before.
    pub(super) const fn after(self, undefined: u64) -> u64 {
        undefined & !self.defines | self.undefines
    }
}

/// A condition of SETcc and CMOVcc, by its number in the opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition(pub u8);

impl Condition {
    /// The flags that it looks at.
    pub fn reads(self) -> u64 {
        [OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF][usize::from(self.0 >> 1 & 7)]
    }
}

impl Arbitrary for Condition {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        (0..16u8).prop_map(Self).boxed()
    }
}
