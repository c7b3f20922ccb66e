//! What an address space looks like when every overlap is decided: ranges one behind the other, each with one owner.

use crate::map::{Mapping, Target};
use crate::{DECODED, Region, Space};

/// A range of addresses with one owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first address.
    pub first: u64,
    /// The last.
    pub last: u64,
    /// What answers at `first`.
    pub target: Target,
    /// How many bytes an access takes at once.
    pub(crate) widest: u32,
    /// How wide an access at `first` is that is not split at `last`.
    pub(crate) whole: u32,
}

/// An address space with every overlap decided, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View(Vec<Range>);

impl View {
    /// What is seen of `mappings` in `space`: at each address the enabled one of the highest priority, and of several the last.
    pub(crate) fn of<'m>(mappings: impl Iterator<Item = &'m Mapping>, space: Space) -> Self {
        let seen: Vec<_> =
            mappings.filter(|mapping| mapping.enabled && mapping.region.space == space).collect();
        let mut starts: Vec<u64> = seen.iter().map(|mapping| mapping.region.first).collect();
        starts.extend(seen.iter().filter_map(|mapping| mapping.region.last.checked_add(1)));
        starts.sort_unstable();
        starts.dedup();
        let mut ranges: Vec<Range> = Vec::new();
        for (index, &first) in starts.iter().enumerate() {
            let over = seen.iter().filter(|mapping| mapping.region.contains(first));
            let Some((owner, target)) = owner(over) else { continue };
            let last = starts.get(index + 1).map_or(owner.region.last, |next| next - 1);
            let target = target.at(first - owner.region.first);
            match ranges.last_mut() {
                Some(before) if before.goes_on_with(first, target, &owner.region) => before.last = last,
                _ => {
                    let Region { widest, whole, .. } = owner.region;
                    let whole = if first == owner.region.first { whole } else { 0 };
                    ranges.push(Range { first, last, target, widest, whole });
                }
            }
        }
        Self(ranges)
    }

    /// The ranges, ascending.
    pub fn ranges(&self) -> &[Range] {
        &self.0
    }

    /// The range that holds `address`; otherwise where the next begins, if there is one.
    pub(crate) fn find(&self, address: u64) -> Result<Range, Option<u64>> {
        let index = self.0.partition_point(|range| range.last < address);
        match self.0.get(index) {
            Some(range) if range.first <= address => Ok(*range),
            next => Err(next.map(|range| range.first)),
        }
    }
}

/// Which of the mappings at an address is seen. One without a target leaves the address to what is decoded.
fn owner<'m>(over: impl Iterator<Item = &'m &'m Mapping> + Clone) -> Option<(&'m Mapping, Target)> {
    let highest = over.clone().max_by_key(|mapping| mapping.priority)?;
    let seen = match highest.target {
        Some(_) => highest,
        None => over.filter(|mapping| mapping.priority <= DECODED).max_by_key(|mapping| mapping.priority)?,
    };
    Some((seen, seen.target?))
}

impl Range {
    fn goes_on_with(&self, first: u64, target: Target, region: &Region) -> bool {
        self.last.checked_add(1) == Some(first)
            && self.target.at(first - self.first) == target
            && (self.widest, self.whole) == (region.widest, region.whole)
    }
}
