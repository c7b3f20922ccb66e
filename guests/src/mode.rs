//! The modes of operation that guest code starts in: Intel SDM volume 3, 2.2 "Modes of Operation".

use std::fmt;

use serde::{Deserialize, Serialize};

/// A mode of operation that guest code starts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// 16-bit real-address mode.
    Real,
    /// 32-bit protected mode with flat segments and without paging.
    Protected,
    /// 64-bit mode with four levels of page tables.
    Long,
}

impl Mode {
    /// Every mode.
    pub const ALL: &[Self] = &[Self::Real, Self::Protected, Self::Long];

    /// The word for it, as in a payload's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Protected => "protected",
            Self::Long => "long",
        }
    }

    /// How wide an address of its code is without a prefix, in bits.
    pub const fn bitness(self) -> u32 {
        match self {
            Self::Real => 16,
            Self::Protected => 32,
            Self::Long => 64,
        }
    }

    /// The widths of a general register that its code can move to and from memory, in bytes, ascending.
    pub const fn widths(self) -> &'static [usize] {
        match self {
            Self::Real | Self::Protected => &[1, 2, 4],
            Self::Long => &[1, 2, 4, 8],
        }
    }

    /// The bits of a general register that its code reaches.
    pub const fn register_mask(self) -> u64 {
        match self {
            Self::Real | Self::Protected => 0xffff_ffff,
            Self::Long => u64::MAX,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
