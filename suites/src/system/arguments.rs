//! Numbers that a command might take for others: what the claims about arguments generate.

use proptest::prelude::{Arbitrary, BoxedStrategy, Strategy};
use proptest::prop_oneof;
use serde::{Deserialize, Serialize};

/// Any number but zero: small ones, single bits, those of which the low half is zero, and all others.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct NotZero(pub(super) u64);

impl Arbitrary for NotZero {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        prop_oneof![
            1..=16_u64,
            (0..64_u32).prop_map(|bit| 1 << bit),
            (1..=u32::MAX).prop_map(|high| u64::from(high) << 32),
            1..=u64::MAX,
        ]
        .prop_map(Self)
        .boxed()
    }
}

/// A number above 32 bits of which the low half is `low`.
pub(super) fn above_32_bits(high: std::num::NonZeroU32, low: u32) -> u64 {
    u64::from(high.get()) << 32 | u64::from(low)
}

/// An address at which a process has nothing: in the first page, or not in user space.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct NoAddress(pub(super) u64);

impl Arbitrary for NoAddress {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        prop_oneof![0..0x1000_u64, 1_u64 << 56..1 << 63, 1_u64 << 63..=u64::MAX].prop_map(Self).boxed()
    }
}
