//! What claims on exits vary: modes, widths, counts, and which way a string instruction goes.

use guests::Mode;
use proptest::arbitrary::Arbitrary;
use proptest::sample::select;
use proptest::strategy::{BoxedStrategy, Strategy};
use serde::{Deserialize, Serialize};

/// A mode of operation.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct InMode(pub(crate) Mode);

/// A mode in which every processor and every emulator returns from handlers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RealOrLong(pub(crate) Mode);

/// How wide a port access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Width {
    One,
    Two,
    Four,
}

/// How many times a string instruction repeats itself: more than one page of port data takes, at times.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Count(pub(crate) u16);

impl Width {
    /// In bytes.
    pub(crate) fn bytes(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// In bytes.
    pub(crate) fn len(self) -> usize {
        self.bytes().into()
    }

    /// What a register holds after so many bytes of `new` were moved to it: a byte or two leave the rest, four clear it.
    pub(crate) fn merged(self, held: u64, new: u32) -> u64 {
        match self {
            Self::One => held & !0xff | u64::from(new & 0xff),
            Self::Two => held & !0xffff | u64::from(new & 0xffff),
            Self::Four => new.into(),
        }
    }

    /// The low bytes of a value.
    pub(crate) fn of(self, value: u32) -> Vec<u8> {
        value.to_le_bytes()[..self.len()].to_vec()
    }
}

macro_rules! chosen {
    ($type:ty, $strategy:expr) => {
        impl Arbitrary for $type {
            type Parameters = ();
            type Strategy = BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
                $strategy.boxed()
            }
        }
    };
}

chosen!(InMode, select(vec![Mode::Real, Mode::Protected, Mode::Long]).prop_map(InMode));
chosen!(RealOrLong, select(vec![Mode::Real, Mode::Long]).prop_map(RealOrLong));
chosen!(Width, select(vec![Width::One, Width::Two, Width::Four]));
chosen!(Count, (1..=1500u16).prop_map(Count));
