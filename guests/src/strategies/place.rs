//! Where a program's data lies.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::map::{MMIO_HOLE, SCRATCH};
use crate::segment::Segment;
use crate::{EntryState, Mode};

/// How long the window is, in bytes: two pages, so that accesses can cross from one to the other.
pub const WINDOW: u64 = 0x2000;

/// Where the window lies that a program's operands are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In RAM.
    Ram,
    /// Where there is none: each access leaves the guest.
    Mmio,
}

impl Place {
    /// Both places.
    pub const ALL: [Self; 2] = [Self::Ram, Self::Mmio];

    /// The guest-physical address of the window.
    pub const fn address(self) -> u64 {
        match self {
            Self::Ram => SCRATCH,
            Self::Mmio => MMIO_HOLE,
        }
    }

    /// The offset of the window in DS and ES of a state that [`Place::enter`] changed.
    pub(super) const fn offset(self, mode: Mode) -> u64 {
        match mode {
            Mode::Real | Mode::Virtual8086 | Mode::Segmented => 0,
            _ => self.address(),
        }
    }

    /// The state with DS and ES through which the window is reached: where segments have bases, it begins with them.
    pub(super) fn enter(self, mode: Mode, state: EntryState) -> EntryState {
        let (base, paragraph) = (self.address(), (self.address() >> 4 & 0xffff) as u16);
        let data = match mode {
            Mode::Real => Segment::real_data(paragraph),
            Mode::Virtual8086 => Segment::virtual_8086(paragraph),
            Mode::Segmented => Segment { base, limit: 0x2fff, ..state.ds },
            _ => state.ds,
        };
        EntryState { ds: data, es: data, ..state }
    }
}

impl Arbitrary for Place {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        proptest::sample::select(&Self::ALL[..]).boxed()
    }
}
