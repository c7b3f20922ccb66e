//! The modes of operation that guest code starts in: Intel SDM volume 3, 2.2 "Modes of Operation".

use std::fmt;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Feature, Levels, Page, Paging};

/// A mode of operation that guest code starts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Mode {
    /// 16-bit real-address mode.
    Real,
    /// 16-bit code as in real mode, in ring 3 of protected mode. HLT is not for it: it leads to the monitor in ring 0, which halts.
    Virtual8086,
    /// 32-bit protected mode with segments that have bases and limits, and a stack segment that expands down, without paging.
    Segmented,
    /// 32-bit protected mode with flat segments and without paging.
    Protected,
    /// 32-bit protected mode with flat segments and PAE paging.
    Pae,
    /// 32-bit code under long mode.
    Compat,
    /// 64-bit mode with four levels of page tables.
    Long,
}

impl Mode {
    /// Every mode.
    pub const ALL: &[Self] = &[
        Self::Real,
        Self::Virtual8086,
        Self::Segmented,
        Self::Protected,
        Self::Pae,
        Self::Compat,
        Self::Long,
    ];

    /// The word for it, as in a payload's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Virtual8086 => "virtual8086",
            Self::Segmented => "segmented",
            Self::Protected => "protected",
            Self::Pae => "pae",
            Self::Compat => "compat",
            Self::Long => "long",
        }
    }

    /// How wide an address of its code is without a prefix, in bits.
    pub const fn bitness(self) -> u32 {
        match self {
            Self::Real | Self::Virtual8086 => 16,
            Self::Segmented | Self::Protected | Self::Pae | Self::Compat => 32,
            Self::Long => 64,
        }
    }

    /// How wide the code is that handles what it raises, in bits: an interrupt leaves virtual-8086 and compatibility mode.
    pub const fn handler_bitness(self) -> u32 {
        match self {
            Self::Real => 16,
            Self::Virtual8086 | Self::Segmented | Self::Protected | Self::Pae => 32,
            Self::Compat | Self::Long => 64,
        }
    }

    /// The widths of a general register that its code can move to and from memory, in bytes, ascending.
    pub const fn widths(self) -> &'static [usize] {
        match self {
            Self::Long => &[1, 2, 4, 8],
            _ => &[1, 2, 4],
        }
    }

    /// The bits of a general register that its code reaches.
    pub const fn register_mask(self) -> u64 {
        match self {
            Self::Long => u64::MAX,
            _ => 0xffff_ffff,
        }
    }

    /// Whether segment registers hold paragraphs, as in real mode.
    pub const fn has_paragraphs(self) -> bool {
        matches!(self, Self::Real | Self::Virtual8086)
    }

    /// The paging layout that it is entered under unless another is asked for.
    pub const fn paging(self) -> Option<Paging> {
        match self {
            Self::Real | Self::Virtual8086 | Self::Segmented | Self::Protected => None,
            Self::Pae => Some(Paging::new(Levels::Three, Page::Large)),
            Self::Compat | Self::Long => Some(Paging::new(Levels::Four, Page::Large)),
        }
    }

    /// What a processor must have for it.
    pub fn features(self) -> Vec<Feature> {
        self.paging().map(Paging::features).unwrap_or_default()
    }
}

/// Any mode, the plainest first.
impl Arbitrary for Mode {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        proptest::sample::select(Self::ALL).boxed()
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
