//! Code on RAM that is laid out in other memory slots: api.rst 4.35 KVM_SET_USER_MEMORY_REGION; and what the logs of dirty pages say:
//! api.rst 4.8 KVM_GET_DIRTY_LOG, 8.29 KVM_CAP_DIRTY_LOG_RING.

use std::collections::BTreeSet;
use std::mem::offset_of;

use guests::strategies::{Access, Place, WINDOW, accesses};
use guests::{CODE, Image};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Run, Seen, Turn, same, witness};
use crate::kvm::{Descriptor, KVM_RESET_DIRTY_RINGS, Mapping, abi};
use crate::stage::{PAGE, RING_PAGES, Setting, Slot, Stage};
use crate::{Outcome, Stop};

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
    let pages = usize::try_from(image.size).unwrap_or(0) / PAGE;
    let slots = layout.slots(pages, log);
    let setting = Setting { slots: slots.clone(), ring: log == Log::Ring, ..Setting::default() };
    let mut run = Run::on(&setting, image)?;
    let ring = Ring::of(run.stage(), log)?;
    // The host's own writes are not logged, but a bitmap from before would tell of another case.
    bitmap(run.stage(), &slots, log)?;
    let mut told = BTreeSet::new();
    let mut moved = layout.moved;
    while !run.is_over() {
        if moved.is_some_and(|(at, _)| run.told() >= usize::from(at)) {
            // A log goes with its slot, and what is under way must not be.
            told.extend(bitmap(run.stage(), &slots, log)?);
            run.settle()?;
            match moved.take() {
                Some((_, true)) => run.stage().remake_slots()?,
                _ if !layout.read_only => run.stage().move_slots()?,
                _ => {}
            }
            continue;
        }
        if run.turn()? == Turn::RingFull {
            told.extend(ring.harvest(&slots));
            run.stage().vm().value(KVM_RESET_DIRTY_RINGS, 0)?;
        }
    }
    let (seen, last) = run.finish_with(|stage| {
        let harvested = ring.harvest(&slots);
        if log == Log::Ring {
            stage.vm().value(KVM_RESET_DIRTY_RINGS, 0)?;
        }
        Ok(bitmap(stage, &slots, log)?.into_iter().chain(harvested).collect::<Vec<_>>())
    })?;
    told.extend(last);
    Ok(Logged { seen, pages: told })
}

/// On these slots the story is the same as on one, and the log names exactly the pages that were written. Page tables stand in a log
/// by a walk alone: AMD APM volume 2, 15.25.5 "Nested Table Walk".
#[track_caller]
pub fn logs_exactly(image: &Image, undefined: u64, log: Log, one: &Seen, other: &Logged) -> Outcome {
    same(image, undefined, one, &other.seen)?;
    if log == Log::None {
        return Ok(());
    }
    let window = Place::Ram.address()..Place::Ram.address() + WINDOW;
    let wrote = accesses(image, window).into_iter().filter(|access| access.write);
    let changed = one.story.ending.memory.changes().iter().flat_map(|change| {
        let access =
            Access { rip: 0, address: change.address, length: change.bytes.len() as u64, write: true };
        access.pages()
    });
    let written: BTreeSet<u64> = wrote.flat_map(Access::pages).chain(changed).collect();
    let table = |page: &u64| image.entry.paging.is_some() && *page >= image.entry.cr3 / PAGE as u64;
    let named: BTreeSet<u64> = other.pages.iter().copied().filter(|page| !table(page)).collect();
    if named == written {
        return Ok(());
    }
    let difference = format!("pages in the log: expected {written:x?}, seen {named:x?}");
    Err(witness(image, &[difference], one, &other.seen))
}

/// Takes what the bitmaps say.
fn bitmap(stage: &Stage, slots: &[Slot], log: Log) -> Result<Vec<u64>, Stop> {
    let mut pages = Vec::new();
    for (number, slot) in (0..).zip(slots).filter(|_| log == Log::Bitmap) {
        let bits = stage.vm().get_dirty_log(number, slot.pages.div_ceil(64) * 8)?;
        let is_set = |page: &usize| bits.get(page / 8).is_some_and(|byte| byte >> (page % 8) & 1 != 0);
        pages.extend((0..slot.pages).filter(is_set).map(|page| (slot.first + page) as u64));
    }
    Ok(pages)
}

/// The dirty ring of a vCPU, where it has one.
struct Ring(Option<Mapping>);

impl Ring {
    fn of(stage: &Stage, log: Log) -> Result<Self, Stop> {
        if log != Log::Ring {
            return Ok(Self(None));
        }
        let offset = u64::from(abi::KVM_DIRTY_LOG_PAGE_OFFSET) * PAGE as u64;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        Ok(Self(Some(stage.vcpu().map(RING_PAGES * PAGE, access, libc::MAP_SHARED, offset)?)))
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
                let first = slots.get(entry.slot as usize).map_or(0, |slot| slot.first);
                pages.push(first as u64 + entry.offset);
            }
        }
        pages
    }
}
