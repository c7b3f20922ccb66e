//! Code on RAM that is laid out in other memory slots: api.rst 4.35 KVM_SET_USER_MEMORY_REGION; and what the logs of dirty pages say:
//! api.rst 4.8 KVM_GET_DIRTY_LOG, 8.29 KVM_CAP_DIRTY_LOG_RING.

use std::collections::BTreeSet;
use std::mem::offset_of;

use guests::strategies::{Access, Place, WINDOW, accesses};
use guests::{CODE, Event, Image};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Run, Seen, Turn, same, witness};
use crate::kvm::{Descriptor, KVM_RESET_DIRTY_RINGS, Mapping, abi};
use crate::testbed::{PAGE, RING_PAGES, Setting, Slot, Testbed};
use crate::{HostFault, Outcome, Stop};

/// How pages that are written are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Log {
    /// They are not.
    None,
    /// By KVM_GET_DIRTY_LOG.
    Bitmap,
    /// By the dirty ring.
    Ring,
}

/// Slots that RAM is laid out in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The pages before which a slot ends.
    pub splits: Vec<u8>,
    /// Whether the page that holds the code is read-only.
    pub read_only: bool,
    /// After so many exits the slots are moved away and back, or made anew if set.
    pub moved: Option<(u8, bool)>,
}

/// What was seen, and which pages the log says were written.
#[derive(Clone, Debug)]
pub struct Logged {
    /// What was seen.
    pub seen: Seen,
    /// The pages, by number.
    pub pages: BTreeSet<u64>,
    /// Whether the slots were moved or made anew on the way.
    pub was_moved: bool,
}

impl Arbitrary for Layout {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let moved = proptest::option::of((0..6u8, any::<bool>()));
        (proptest::collection::vec(1..32u8, 0..6), any::<bool>(), moved)
            .prop_map(|(splits, read_only, moved)| Self { splits, read_only, moved })
            .boxed()
    }
}

impl Layout {
    /// The slots of so many pages of RAM.
    pub fn slots(&self, pages: usize, log: Log) -> Vec<Slot> {
        let code = usize::try_from(CODE).unwrap_or(0) / PAGE;
        let mut starts: BTreeSet<usize> = self.splits.iter().map(|page| usize::from(*page)).collect();
        if self.read_only {
            starts.extend([code, code + 1]);
        }
        starts.insert(0);
        starts.retain(|start| *start < pages);
        let starts: Vec<usize> = starts.into_iter().collect();
        let logged = if log == Log::None { 0 } else { abi::KVM_MEM_LOG_DIRTY_PAGES };
        let slot = |(index, first): (usize, &usize)| {
            let end = starts.get(index + 1).copied().unwrap_or(pages);
            let read_only = if self.read_only && *first == code { abi::KVM_MEM_READONLY } else { 0 };
            Slot { first: *first, pages: end - first, flags: logged | read_only }
        };
        starts.iter().enumerate().map(slot).collect()
    }
}

/// Runs the image on these slots, with a log.
pub fn on_slots(image: &Image, layout: &Layout, log: Log) -> Result<Logged, Stop> {
    Slots::of(image, layout, log)?.run(image)
}

/// Runs the image on these slots twice, and logs the second run alone: a page that is read for the first time may be mapped so that it
/// can be written, and is logged then (arch/x86/kvm/mmu/spte.c: `make_spte`); afterwards it is written or not. None where the first run
/// ends in an exit that no second one follows.
pub fn on_known_slots(image: &Image, layout: &Layout, log: Log) -> Result<Option<Logged>, Stop> {
    let mut slots = Slots::of(image, layout, log)?;
    let first = slots.run(image)?;
    let end = first.seen.story.events.last();
    if matches!(end, Some(Event::Exit(_)) | None) {
        return Ok(None);
    }
    slots.run(image).map(Some)
}

/// A testbed whose RAM is laid out in slots, and its logs.
struct Slots<'a> {
    layout: &'a Layout,
    log: Log,
    slots: Vec<Slot>,
    testbed: Option<Testbed>,
    ring: Ring,
}

impl<'a> Slots<'a> {
    fn of(image: &Image, layout: &'a Layout, log: Log) -> Result<Self, Stop> {
        let pages = usize::try_from(image.size).unwrap_or(0) / PAGE;
        let slots = layout.slots(pages, log);
        let setting = Setting { slots: slots.clone(), ring: log == Log::Ring, ..Setting::default() };
        let testbed = Testbed::new(&setting, image)?;
        let ring = Ring::of(&testbed, log)?;
        Ok(Self { layout, log, slots, testbed: Some(testbed), ring })
    }

    fn run(&mut self, image: &Image) -> Result<Logged, Stop> {
        let Some(mut testbed) = self.testbed.take() else {
            return Err(Stop::HostFault(HostFault("the testbed is in use".into())));
        };
        testbed.lay(image)?;
        let mut run = Run::upon(testbed, image);
        let mut pages = BTreeSet::new();
        let mut moved = self.layout.moved;
        while !run.is_over() {
            if moved.is_some_and(|(at, _)| run.told() >= usize::from(at)) {
                // What is under way must not be, and a log goes with its slot.
                run.settle()?;
                pages.extend(self.told(run.testbed())?);
                match moved.take() {
                    Some((_, true)) => run.testbed().remake_slots()?,
                    _ => run.testbed().move_slots()?,
                }
            } else if self.log != Log::Ring {
                run.plain_turn()?;
            } else if run.turn()? == Turn::RingFull {
                pages.extend(self.told(run.testbed())?);
            }
        }
        let (seen, testbed) = run.leave()?;
        pages.extend(self.told(&testbed)?);
        self.testbed = Some(testbed);
        Ok(Logged { seen, pages, was_moved: moved != self.layout.moved })
    }

    /// Takes what the log says by now.
    fn told(&self, testbed: &Testbed) -> Result<Vec<u64>, Stop> {
        let harvested = self.ring.harvest(&self.slots);
        if self.log == Log::Ring {
            testbed.vm().value(KVM_RESET_DIRTY_RINGS, 0)?;
        }
        Ok(bitmap(testbed, &self.slots, self.log)?.into_iter().chain(harvested).collect())
    }
}

/// On these slots the story is the same as on one, and the log names every page that was written and none that was not reached.
#[track_caller]
pub fn logs_what_is_written(image: &Image, undefined: u64, log: Log, one: &Seen, other: &Logged) -> Outcome {
    same(image, undefined, one, &other.seen)?;
    if log == Log::None {
        return Ok(());
    }
    let laid = image.pieces.iter().flat_map(|(address, bytes)| pages(*address, bytes.len() as u64));
    let stack = image.entry.ss.base + image.entry.registers.rsp;
    let reached = reached(image, one).flat_map(Access::pages).chain(laid).chain(pages(stack - 1, 1));
    names(image, &written(image, one), &reached.collect(), one, other)
}

/// On these slots the story is the same as on one, and the log names exactly the pages that were written. Page tables stand in it by
/// a walk alone: AMD APM volume 2, 15.25.5 "Nested Table Walk".
#[track_caller]
pub fn logs_exactly(image: &Image, undefined: u64, one: &Seen, other: &Logged) -> Outcome {
    same(image, undefined, one, &other.seen)?;
    let written = written(image, one);
    let walked = image.entry.paging.iter().flat_map(|paging| paging.walked(image.entry.cr3));
    let may = walked.map(|address| address / PAGE as u64).chain(written.iter().copied()).collect();
    names(image, &written, &may, one, other)
}

/// The accesses to the window, and the changes of RAM.
fn reached(image: &Image, one: &Seen) -> impl Iterator<Item = Access> {
    let window = Place::Ram.address()..Place::Ram.address() + WINDOW;
    let changes = one.story.ending.memory.changes().to_vec().into_iter().map(|change| Access {
        rip: 0,
        address: change.address,
        length: change.bytes.len() as u64,
        write: true,
    });
    accesses(image, window).into_iter().chain(changes)
}

/// The pages that were written, but for page tables: the processor writes those on its own account.
fn written(image: &Image, one: &Seen) -> BTreeSet<u64> {
    let tables: BTreeSet<u64> = image
        .pieces
        .iter()
        .filter(|(address, _)| image.entry.paging.is_some() && *address == image.entry.cr3)
        .flat_map(|(address, bytes)| pages(*address, bytes.len() as u64))
        .collect();
    let written = reached(image, one).filter(|access| access.write).flat_map(Access::pages);
    written.filter(|page| !tables.contains(page)).collect()
}

/// The log names all pages that it must, and none that it may not.
#[track_caller]
fn names(image: &Image, must: &BTreeSet<u64>, may: &BTreeSet<u64>, one: &Seen, other: &Logged) -> Outcome {
    let lost: Vec<u64> = must.difference(&other.pages).copied().collect();
    let made_up: Vec<u64> = other.pages.difference(may).copied().collect();
    if lost.is_empty() && made_up.is_empty() {
        return Ok(());
    }
    let difference = format!("pages in the log: lost {lost:x?}, made up {made_up:x?}");
    Err(witness(image, &[difference], one, &other.seen))
}

/// The pages of so many bytes, by number.
fn pages(address: u64, length: u64) -> std::ops::Range<u64> {
    address / PAGE as u64..(address + length).div_ceil(PAGE as u64)
}

/// Takes what the bitmaps say.
fn bitmap(testbed: &Testbed, slots: &[Slot], log: Log) -> Result<Vec<u64>, Stop> {
    let mut pages = Vec::new();
    for (number, slot) in (0..).zip(slots).filter(|_| log == Log::Bitmap) {
        let bits = testbed.vm().get_dirty_log(number, slot.pages.div_ceil(64) * 8)?;
        let is_set = |page: &usize| bits.get(page / 8).is_some_and(|byte| byte >> (page % 8) & 1 != 0);
        pages.extend((0..slot.pages).filter(is_set).map(|page| (slot.first + page) as u64));
    }
    Ok(pages)
}

/// The dirty ring of a vCPU, where it has one.
struct Ring(Option<Mapping>);

impl Ring {
    fn of(testbed: &Testbed, log: Log) -> Result<Self, Stop> {
        if log != Log::Ring {
            return Ok(Self(None));
        }
        let offset = u64::from(abi::KVM_DIRTY_LOG_PAGE_OFFSET) * PAGE as u64;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        Ok(Self(Some(testbed.vcpu().map(RING_PAGES * PAGE, access, libc::MAP_SHARED, offset)?)))
    }

    /// Takes every entry that is filled. Where in the ring the next one is does not matter: there are never more than it holds.
    fn harvest(&self, slots: &[Slot]) -> Vec<u64> {
        const DIRTIED: u32 = 1;
        const HARVESTED: u32 = 2;
        let Some(mapped) = &self.0 else { return Vec::new() };
        let mut pages = Vec::new();
        for at in (0..mapped.len()).step_by(size_of::<abi::kvm_dirty_gfn>()) {
            let entry: abi::kvm_dirty_gfn = mapped.get(at);
            if entry.flags & (DIRTIED | HARVESTED) == DIRTIED {
                mapped.put(at + offset_of!(abi::kvm_dirty_gfn, flags), DIRTIED | HARVESTED);
                // Of a slot that is none it is a page that is none.
                let slot = slots.get(entry.slot as usize);
                pages.push(slot.map_or(u64::MAX, |slot| slot.first as u64 + entry.offset));
            }
        }
        pages
    }
}
