//! Paging layouts as plain data, and the page tables that they stand for: Intel SDM volume 3, chapter 4 "Paging".
//!
//! Whatever the layout, the low 4 GiB are mapped to themselves. Small pages map the first page table's reach, which holds all RAM and
//! the hole in it; behind it large pages go on, so that the tables stay small.
//!
//! Every bit that the processor would set by itself (accessed, dirty) is set beforehand, so that guest RAM changes by what the guest
//! writes and by nothing else.

use std::fmt;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Feature, Mode};

/// How many levels of page tables an address is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Levels {
    /// 32-bit paging, with entries of four bytes.
    Two,
    /// PAE paging: four entries on top, of which the processor keeps a copy.
    Three,
    /// 4-level paging.
    Four,
    /// 5-level paging.
    Five,
}

/// How much one entry of the lowest level in use maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Page {
    /// 4 KiB.
    Small,
    /// 2 MiB; 4 MiB with entries of four bytes.
    Large,
    /// 1 GiB.
    Huge,
}

/// A paging layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Paging {
    /// How many levels there are.
    pub levels: Levels,
    /// The size of the pages.
    pub page: Page,
}

const PAGE: u64 = 0x1000;
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const LARGE: u64 = 1 << 7;
/// Entries in a page of tables.
const ENTRIES: u64 = 512;
/// Entries of the third level: each maps 1 GiB.
const GIBS: u64 = 4;

const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;

impl Paging {
    /// Every layout.
    pub const ALL: &[Self] = &[
        Self::new(Levels::Two, Page::Small),
        Self::new(Levels::Two, Page::Large),
        Self::new(Levels::Three, Page::Small),
        Self::new(Levels::Three, Page::Large),
        Self::new(Levels::Four, Page::Small),
        Self::new(Levels::Four, Page::Large),
        Self::new(Levels::Four, Page::Huge),
        Self::new(Levels::Five, Page::Small),
        Self::new(Levels::Five, Page::Large),
        Self::new(Levels::Five, Page::Huge),
    ];

    /// The layout of so many levels and this size of page, which may be one that no processor has.
    pub const fn new(levels: Levels, page: Page) -> Self {
        Self { levels, page }
    }

    /// Whether code of `mode` can be entered under it. Protected mode without paging takes the layouts of 32-bit paging.
    pub fn suits(self, mode: Mode) -> bool {
        let levels = match mode {
            Mode::Real | Mode::Virtual8086 => return false,
            Mode::Segmented | Mode::Protected => matches!(self.levels, Levels::Two),
            Mode::Pae => matches!(self.levels, Levels::Three),
            Mode::Compat | Mode::Long => matches!(self.levels, Levels::Four | Levels::Five),
        };
        levels && Self::ALL.contains(&self)
    }

    /// What a processor must have for it.
    pub fn features(self) -> Vec<Feature> {
        let levels = match self.levels {
            Levels::Two => Feature::PSE,
            Levels::Three => Feature::PAE,
            Levels::Four => Feature::LM,
            Levels::Five => Feature::LA57,
        };
        let page = (self.page == Page::Huge).then_some(Feature::PDPE1GB);
        [levels].into_iter().chain(page).collect()
    }

    /// The bits of CR4 that choose it.
    pub const fn cr4(self) -> u64 {
        match self.levels {
            Levels::Two => CR4_PSE,
            Levels::Three | Levels::Four => CR4_PAE,
            Levels::Five => CR4_PAE | CR4_LA57,
        }
    }

    /// The tables, as they must lie from `at` on for CR3 to point there: the highest level first. With `user`, code outside of ring 0
    /// reaches all of it.
    pub fn tables(self, at: u64, user: bool) -> Vec<u8> {
        let upper = PRESENT | WRITABLE | ACCESSED | if user { USER } else { 0 };
        if self.levels == Levels::Two { self.narrow(at, upper) } else { self.wide(at, upper) }
    }

    /// The pages of such tables in which an address below 2 MiB is looked up, which all of RAM and the hole in it are.
    pub fn walked(self, at: u64) -> Vec<u64> {
        let small = self.page == Page::Small;
        let count = match self.levels {
            Levels::Two => 1 + u64::from(small),
            levels => Self::above(levels) + if self.page == Page::Huge { 1 } else { 2 },
        };
        // Behind the first directory lie those of the other GiB.
        let table = (small && self.levels != Levels::Two).then_some(count - 1 + GIBS);
        (0..count).chain(table).map(|page| at + page * PAGE).collect()
    }

    /// How many levels there are above the third.
    const fn above(levels: Levels) -> u64 {
        match levels {
            Levels::Two | Levels::Three => 0,
            Levels::Four => 1,
            Levels::Five => 2,
        }
    }

    /// One directory of 1024 entries of four bytes, and one table where pages are small.
    fn narrow(self, at: u64, upper: u64) -> Vec<u8> {
        let directory = (0..2 * ENTRIES).map(|i| match (i, self.page) {
            (0, Page::Small) => (at + PAGE) | upper,
            _ => i << 22 | upper | DIRTY | LARGE,
        });
        let table = (0..2 * ENTRIES).map(|i| i << 12 | upper | DIRTY);
        let small = if self.page == Page::Small { 2 * ENTRIES } else { 0 };
        let all = directory.chain(table.take(usize::try_from(small).unwrap_or(0)));
        all.flat_map(|entry| ((entry & 0xffff_ffff) as u32).to_le_bytes()).collect()
    }

    /// The levels above the third, the third, four directories of the second, and one table where pages are small.
    fn wide(self, at: u64, upper: u64) -> Vec<u8> {
        let page = |entries: u64, entry: &dyn Fn(u64) -> u64| -> Vec<u64> {
            (0..ENTRIES).map(|i| if i < entries { entry(i) } else { 0 }).collect()
        };
        let above = Self::above(self.levels);
        let mut all = Vec::new();
        for level in 1..=above {
            all.extend(page(1, &|_| (at + level * PAGE) | upper));
        }
        let directories = at + (above + 1) * PAGE;
        let table = directories + GIBS * PAGE;
        all.extend(page(GIBS, &|i| match (self.levels, self.page) {
            // The four entries of PAE paging have no bits but presence: the others are reserved there.
            (Levels::Three, _) => (directories + i * PAGE) | PRESENT,
            (_, Page::Huge) => i << 30 | upper | DIRTY | LARGE,
            _ => (directories + i * PAGE) | upper,
        }));
        if self.page != Page::Huge {
            all.extend((0..GIBS * ENTRIES).map(|i| match (i, self.page) {
                (0, Page::Small) => table | upper,
                _ => i << 21 | upper | DIRTY | LARGE,
            }));
        }
        if self.page == Page::Small {
            all.extend(page(ENTRIES, &|i| i << 12 | upper | DIRTY));
        }
        all.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

/// Any layout, the smallest tables first.
impl Arbitrary for Paging {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        proptest::sample::select(Self::ALL).boxed()
    }
}

impl fmt::Display for Paging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let levels = match self.levels {
            Levels::Two => 2,
            Levels::Three => 3,
            Levels::Four => 4,
            Levels::Five => 5,
        };
        let page = match (self.page, self.levels) {
            (Page::Small, _) => "4 KiB",
            (Page::Large, Levels::Two) => "4 MiB",
            (Page::Large, _) => "2 MiB",
            (Page::Huge, _) => "1 GiB",
        };
        write!(f, "{levels} levels and pages of {page}")
    }
}
