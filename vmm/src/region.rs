//! The address spaces of a PC, and ranges of addresses in them.

use std::fmt;

use thiserror::Error;

/// An address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Ports, reached by IN and OUT.
    Ports,
    /// Guest-physical memory.
    Memory,
    /// The configuration spaces of PCI functions, which only the host bridge reaches: in each address the bus, the device (five bits),
    /// the function (three) and the register, eight bits but for what is said.
    Configuration,
}

/// A range of addresses, at least one, and how wide an access what lies there takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub(crate) space: Space,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) widest: u32,
    /// How wide an access is that reaches it whole, past its end; zero if there is none.
    pub(crate) whole: u32,
}

/// Why a region cannot be put on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RegionError {
    /// Nothing lies in it, or its end lies outside of the address space.
    #[error("put {length:#x} addresses at {first:#x} into {space}: there must be at least one, and none behind {:#x}", .space.last())]
    Impossible {
        /// The address space.
        space: Space,
        /// Where it should begin.
        first: u64,
        /// How many addresses it should have.
        length: u64,
    },
    /// Something else lies there.
    #[error("put {name} at {region}: {other} lies at {taken}")]
    Taken {
        /// What should lie there.
        name: String,
        /// Where.
        region: Region,
        /// What lies there already.
        other: String,
        /// Where that lies.
        taken: Region,
    },
    /// What should be shown there as well lies elsewhere, or not all of it.
    #[error("show {region} of {name} elsewhere: it has no such part")]
    NoPart {
        /// Whose part it should be.
        name: String,
        /// Which.
        region: Region,
    },
    /// The accel cannot show it to the guest.
    #[error("show {name} to the guest: cannot {why}")]
    Unshown {
        /// What should lie there.
        name: String,
        /// What the accel says.
        why: String,
    },
}

impl Region {
    /// Every port.
    pub const ALL_PORTS: Self = Self::ports(0, 0xffff);

    /// So many addresses of `space` from `first` on.
    pub fn new(space: Space, first: u64, length: u64) -> Result<Self, RegionError> {
        let end = space.last();
        let last =
            length.checked_sub(1).and_then(|behind| first.checked_add(behind)).filter(|last| *last <= end);
        let last = last.ok_or(RegionError::Impossible { space, first, length })?;
        Ok(Self { space, first, last, widest: Self::ANY, whole: 0 })
    }

    /// The ports from `first` to `last`, which is at or behind it; one port otherwise.
    pub const fn ports(first: u16, last: u16) -> Self {
        let last = if last < first { first } else { last };
        Self { space: Space::Ports, first: first as u64, last: last as u64, widest: Self::ANY, whole: 0 }
    }

    /// The guest-physical addresses from `first` to `last`, which is at or behind it; one address otherwise.
    pub const fn memory(first: u64, last: u64) -> Self {
        let last = if last < first { first } else { last };
        Self { space: Space::Memory, first, last, widest: Self::ANY, whole: 0 }
    }

    /// The configuration space of a function of the first PCI bus.
    pub const fn function(device: u8, function: u8) -> Self {
        let first = (device as u64 & 31) << 11 | (function as u64 & 7) << 8;
        Self { space: Space::Configuration, first, last: first | 0xff, widest: 4, whole: 0 }
    }

    /// The configuration space of a function that may be anywhere: [`Builder`](crate::Builder) puts it where there is room.
    pub const ANY_FUNCTION: Self = Self::function(31, 0);

    /// The same, but that an access of so many bytes that begins at its first address reaches it whole, also past its end.
    pub const fn whole(self, width: u32) -> Self {
        Self { whole: width, ..self }
    }

    /// The same, taken at most so many bytes at once: the bus splits what is wider, as it does on a narrower bus.
    pub const fn by(self, widest: u32) -> Self {
        Self { widest: if widest == 0 { 1 } else { widest }, ..self }
    }

    /// Which address space it is in.
    pub const fn space(&self) -> Space {
        self.space
    }

    /// Its first address.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// How many addresses there are; one less than there are if that is all of memory.
    pub const fn length(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// What no access is wider than.
    const ANY: u32 = u32::MAX;

    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.first..=self.last).contains(&address)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.space == other.space && self.first <= other.last && other.first <= self.last
    }
}

impl Space {
    /// Its last address.
    const fn last(self) -> u64 {
        match self {
            Self::Ports => 0xffff,
            Self::Memory => u64::MAX,
            Self::Configuration => 0xff_ffff,
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ports => "ports",
            Self::Memory => "memory",
            Self::Configuration => "configuration spaces",
        })
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}..={:#x}", self.space, self.first, self.last)
    }
}
