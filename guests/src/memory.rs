//! What a run made of guest RAM, said by what changed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::image::range;

/// What a run made of guest RAM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Every byte is as it was laid.
    #[default]
    Unchanged,
    /// These bytes are not, and every other one is: ascending, never empty, none next to another.
    Changed(Vec<Change>),
}

/// Neighbouring bytes of which each has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The guest-physical address of the first.
    pub address: u64,
    /// What they hold now.
    pub bytes: Vec<u8>,
}

impl Memory {
    /// What RAM holding `image` became, if it holds `ram` now. A byte that is not there any more, or that was not there before, has
    /// changed too.
    pub fn compare(image: &Image, ram: &[u8]) -> Self {
        Self::between(&image.ram(), ram)
    }

    /// What RAM holding `image` becomes when each of `writes`, an address and bytes, is made to it in order. Bytes outside of RAM
    /// are lost, as they are in a guest.
    pub fn after(image: &Image, writes: &[(u64, &[u8])]) -> Self {
        let laid = image.ram();
        let mut ram = laid.clone();
        for (address, bytes) in writes {
            let places = range(*address, bytes.len()).unwrap_or_default();
            for (place, byte) in places.zip(*bytes) {
                if let Some(held) = ram.get_mut(place) {
                    *held = *byte;
                }
            }
        }
        Self::between(&laid, &ram)
    }

    /// The changes, of which there may be none.
    pub fn changes(&self) -> &[Change] {
        match self {
            Self::Unchanged => &[],
            Self::Changed(changes) => changes,
        }
    }

    /// What RAM that was laid like this became, if it is like that now; for the rest as with [`Memory::compare`].
    pub fn between(laid: &[u8], now: &[u8]) -> Self {
        // Most of RAM is as it was, and is looked at in one go.
        const BLOCK: usize = 256;
        let mut changes: Vec<Change> = Vec::new();
        let length = laid.len().max(now.len());
        let differs = |start: &usize| match (laid.get(*start..start + BLOCK), now.get(*start..start + BLOCK))
        {
            (Some(laid), Some(now)) => laid != now,
            _ => true,
        };
        let blocks = (0..length).step_by(BLOCK).filter(differs);
        let indexes = blocks.flat_map(|start| start..length.min(start + BLOCK));
        for index in indexes.filter(|&index| laid.get(index) != now.get(index)) {
            let address = index as u64;
            let byte = now.get(index).copied().unwrap_or_default();
            match changes.last_mut() {
                Some(last) if last.end() == address => last.bytes.push(byte),
                _ => changes.push(Change { address, bytes: vec![byte] }),
            }
        }
        if changes.is_empty() { Self::Unchanged } else { Self::Changed(changes) }
    }

    /// The lines that say where `seen` is not as expected; none if they are equal.
    pub(crate) fn difference(&self, seen: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for expected in self.changes().iter().filter(|change| !seen.changes().contains(change)) {
            lines.push(format!("memory: expected {expected}"));
        }
        for seen in seen.changes().iter().filter(|change| !self.changes().contains(change)) {
            lines.push(format!("memory: seen {seen}"));
        }
        lines
    }
}

impl Change {
    fn end(&self) -> u64 {
        self.address.saturating_add(self.bytes.len() as u64)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::Changed(changes) => {
                for (index, change) in changes.iter().enumerate() {
                    write!(f, "{}{change}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Change {
    /// The range, and the first bytes of what it holds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        write!(f, "{:#x}..{:#x} changed to", self.address, self.end())?;
        for byte in self.bytes.iter().take(SHOWN) {
            write!(f, " {byte:02x}")?;
        }
        f.write_str(if self.bytes.len() > SHOWN { " …" } else { "" })
    }
}
