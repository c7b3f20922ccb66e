//! What a device has on the bus besides its regions, wherever its registers say at the time: an optional ability of devices.

use crate::Region;

/// What a device shows somewhere for as long as its registers say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where.
    pub region: Region,
    /// What answers there.
    pub shows: Shows,
    /// What it hides: whatever has a lower priority. RAM and the regions of devices have zero.
    pub priority: i32,
}

/// What a window shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The device itself.
    Own {
        /// Which of its regions: those that it has by its model come first.
        region: usize,
        /// Where in it.
        offset: u64,
    },
    /// RAM.
    Ram {
        /// Which guest-physical address it has by itself.
        address: u64,
        /// Whether writes reach it; they are lost otherwise.
        writable: bool,
    },
    /// Nothing of its own, but what PCI functions decode there: RAM and what else has a place is hidden.
    Decoded,
    /// The firmware's ROM.
    Rom {
        /// Where in it.
        offset: u64,
    },
}

/// The priority of what PCI functions decode: what has a place of its own, and RAM, is not hidden by it.
pub const DECODED: i32 = -1;
/// The priority of what lies over RAM.
pub const OVER_RAM: i32 = 1;
