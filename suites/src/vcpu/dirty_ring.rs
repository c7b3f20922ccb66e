//! The dirty ring: api.rst 8.29 KVM_CAP_DIRTY_LOG_RING, entries for the pages that a vCPU writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use harness::kvm::{
    Descriptor, EINVAL, ENXIO, Exit, KVM_CAP_DIRTY_LOG_RING, KVM_RESET_DIRTY_RINGS, Memory, Vm, abi,
};
use harness::{Broken, Outcome, Stop, claim, each, equal, fails, holds, unchanged};

use super::dirty_gfns::{DirtyGfns, vm_with_rings};
use super::pages::PAGE;
use super::real_mode::{RealMode, out};

/// Where a second slot begins.
const START: u64 = 0x1_0000;
/// The second slot's number.
const SLOT: u32 = 5;
/// How many pages it has: more than a dirty ring here takes.
const SLOT_PAGES: usize = 1024;
/// KVM_EXIT_DIRTY_RING_FULL.
const FULL: Exit = Exit::DirtyRingFull;

/// A guest whose RAM, slot 0, is not logged, and whose second slot has these flags, which its DS reaches with 32-bit addresses.
fn logging(flags: u32, code: &[u8]) -> Result<(RealMode, Arc<Memory>, DirtyGfns), Stop> {
    let guest = RealMode::within(vm_with_rings()?, 0, code)?;
    let memory = Arc::new(Memory::new(SLOT_PAGES * PAGE)?);
    memory.fill(0xf4)?;
    guest.vm.set_memory(SLOT, flags, START, &memory)?;
    let mut sregs = guest.vcpu.get_sregs()?;
    (sregs.ds.base, sregs.ds.limit, sregs.ds.g) = (START, u32::MAX, 1);
    guest.vcpu.set_sregs(&sregs)?;
    let ring = DirtyGfns::of(&guest.vcpu)?;
    Ok((guest, memory, ring))
}

/// mov al, 0x99; mov [0x3000], al; mov [0x1234], al; hlt
const TWO_PAGES: [u8; 9] = [0xb0, 0x99, 0xa2, 0x00, 0x30, 0xa2, 0x34, 0x12, 0xf4];

/// Each page once, whatever order and repetition the processor told them in.
fn set(pages: Vec<(u32, u64)>) -> BTreeSet<(u32, u64)> {
    pages.into_iter().collect()
}

fn written_pages_are_entries() -> Outcome {
    let (guest, memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &TWO_PAGES)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(set(ring.harvest()), BTreeSet::from([(SLOT, 1), (SLOT, 3)]))?;
    equal((memory.read(0x3000, 1)?, memory.read(0x1234, 1)?), (vec![0x99], vec![0x99]))?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    written_pages_are_entries,
    "Each page of a logged slot that a guest writes stands in its vCPU's dirty ring, by slot and page",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn unlogged_slots_have_none() -> Outcome {
    // mov al, 0x99; mov [0x3000], al; mov es:[0x34], al; hlt
    let code = [0xb0, 0x99, 0xa2, 0x00, 0x30, 0x26, 0xa2, 0x34, 0x00, 0xf4];
    let (guest, memory, ring) = logging(0, &code)?;
    let other = Arc::new(Memory::new(PAGE)?);
    guest.vm.set_memory(SLOT + 1, abi::KVM_MEM_LOG_DIRTY_PAGES, 0x8000, &other)?;
    let mut sregs = guest.vcpu.get_sregs()?;
    sregs.es.base = 0x8000;
    guest.vcpu.set_sregs(&sregs)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(set(ring.harvest()), BTreeSet::from([(SLOT + 1, 0)]))?;
    equal((memory.read(0x3000, 1)?, other.read(0x34, 1)?), (vec![0x99], vec![0x99]))?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    unlogged_slots_have_none,
    "Writes to a slot without KVM_MEM_LOG_DIRTY_PAGES leave the dirty ring alone",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn rings_are_of_their_vcpu() -> Outcome {
    let (guest, _memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &TWO_PAGES)?;
    let other = DirtyGfns::of(&guest.vm.create_vcpu(1)?)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(other.entry(0), abi::kvm_dirty_gfn::default())?;
    equal(set(ring.harvest()).len(), 2)?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    rings_are_of_their_vcpu,
    "A page that one vCPU writes stands in its own dirty ring and in no other vCPU's",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

/// KVM_RESET_DIRTY_RINGS: how many entries it took back.
fn reset(guest: &RealMode) -> Result<i32, Stop> {
    Ok(guest.vm.value(KVM_RESET_DIRTY_RINGS, 0)?)
}

fn reset_takes_harvested_entries_back() -> Outcome {
    let (guest, _memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &TWO_PAGES)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(reset(&guest)?, 0)?;
    let taken = ring.harvest();
    let harvested = taken.len();
    equal(set(taken).len(), 2)?;
    equal(usize::try_from(reset(&guest)?), Ok(harvested))?;
    each(0..harvested, |&index| equal(ring.entry(index).flags, 0))?;
    equal(reset(&guest)?, 0)?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    reset_takes_harvested_entries_back,
    "KVM_RESET_DIRTY_RINGS answers how many entries were harvested, makes them unused, and takes no others",
    [
        Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL"),
        Code("kvm_dirty_ring_reset, virt/kvm/dirty_ring.c")
    ],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn reset_stops_at_the_first_gap() -> Outcome {
    let (guest, _memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &TWO_PAGES)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    ring.mark(1, 3);
    unchanged(|| Ok::<_, Stop>((ring.entry(0), ring.entry(1))), || equal(reset(&guest)?, 0))?;
    ring.mark(0, 3);
    holds(reset(&guest)? >= 2, "both entries are taken back once the first was harvested too")?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    reset_stops_at_the_first_gap,
    "KVM_RESET_DIRTY_RINGS takes no entry back before those ahead of it were harvested",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn reset_pages_are_told_again() -> Outcome {
    // mov al, 0x99; mov [0x3000], al; out 0x10, al; mov [0x3008], al; hlt
    let code = [0xb0, 0x99, 0xa2, 0x00, 0x30, 0xe6, 0x10, 0xa2, 0x08, 0x30, 0xf4];
    let (guest, _memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &code)?;
    guest.run()?;
    equal(set(ring.harvest()), BTreeSet::from([(SLOT, 3)]))?;
    holds(reset(&guest)? > 0, "KVM_RESET_DIRTY_RINGS takes the entry back")?;
    equal(guest.run_to_halt(0)?, vec![])?;
    equal(set(ring.harvest()), BTreeSet::from([(SLOT, 3)]))?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    reset_pages_are_told_again,
    "A page whose entry KVM_RESET_DIRTY_RINGS took back stands in the dirty ring again when it is written again",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

/// Writes every page of the slot, and after each says so at a port, so that KVM looks after the ring page by page.
const EVERY_PAGE: [u8; 18] = [
    0xb9, 0x00, 0x04, // mov cx, SLOT_PAGES
    0x67, 0x88, 0x0f, // 1: mov [edi], cl
    0xe6, 0x10, // out 0x10, al
    0x66, 0x81, 0xc7, 0x00, 0x10, 0x00, 0x00, // add edi, 0x1000
    0xe2, 0xf2, // loop 1b
    0xf4, // hlt
];

/// Runs past what `EVERY_PAGE` says at its port, to the next other exit.
fn run_on(guest: &RealMode) -> Result<Exit, Stop> {
    for _ in 0..=SLOT_PAGES {
        let exit = guest.run()?;
        if exit != out(0x10, &[0]) {
            return Ok(exit);
        }
    }
    Err(Broken::new("the guest speaks of more pages than there are").into())
}

fn full_rings_exit_and_lose_nothing() -> Outcome {
    let (guest, memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &EVERY_PAGE)?;
    let mut told = BTreeSet::new();
    let mut filled = 0;
    loop {
        let exit = run_on(&guest)?;
        told.extend(set(ring.harvest()));
        if exit == Exit::Hlt {
            break;
        }
        equal(exit, FULL)?;
        filled += 1;
        holds(filled <= 16, "a ring of 1024 entries fills at most 16 times with 1024 pages")?;
        holds(reset(&guest)? > 0, "a full ring has entries that can be taken back")?;
    }
    holds(filled > 0, "the ring is full before every page was written")?;
    equal(told, (0..SLOT_PAGES as u64).map(|page| (SLOT, page)).collect())?;
    let counts = (0..SLOT_PAGES).map(|page| memory.read(page * PAGE, 1)).collect::<Result<Vec<_>, _>>()?;
    let expected: Vec<_> = (1..=SLOT_PAGES).rev().map(|count| count.to_le_bytes()[..1].to_vec()).collect();
    equal(counts, expected)?;
    guest.ended(|end| (end.regs.rdi, end.regs.rflags) = ((SLOT_PAGES * PAGE) as u64, 0x6))
}
claim!(
    full_rings_exit_and_lose_nothing,
    "A dirty ring that fills makes KVM_RUN exit, and harvested at each exit it tells every page that was written",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn full_rings_stop_the_vcpu() -> Outcome {
    let (guest, _, _) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &EVERY_PAGE)?;
    equal(run_on(&guest)?, FULL)?;
    unchanged(|| guest.vcpu.get_regs(), || each(0..3, |_| equal(guest.run()?, FULL)))
}
claim!(
    full_rings_stop_the_vcpu,
    "A vCPU whose dirty ring is full runs nothing until KVM_RESET_DIRTY_RINGS has taken entries back",
    [Code("kvm_dirty_ring_check_request, virt/kvm/dirty_ring.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn reset_needs_rings(vm: Vm) -> Outcome {
    fails(EINVAL, vm.value(KVM_RESET_DIRTY_RINGS, 0))
}
claim!(
    reset_needs_rings,
    "KVM_RESET_DIRTY_RINGS of a VM without dirty rings is refused with EINVAL",
    [Code("kvm_vm_ioctl_reset_dirty_pages, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn rings_replace_bitmaps() -> Outcome {
    let (guest, _memory, ring) = logging(abi::KVM_MEM_LOG_DIRTY_PAGES, &TWO_PAGES)?;
    equal(guest.run_to_halt(0)?, vec![])?;
    unchanged(
        || Ok::<_, Stop>((ring.entry(0), ring.entry(1))),
        || fails(ENXIO, guest.vm.get_dirty_log(SLOT, SLOT_PAGES / 8)),
    )?;
    equal(set(ring.harvest()).len(), 2)?;
    guest.ended(|end| end.regs.rax = 0x99)
}
claim!(
    rings_replace_bitmaps,
    "KVM_GET_DIRTY_LOG of a VM with dirty rings is refused with ENXIO and leaves the rings alone",
    [Code("kvm_get_dirty_log_protect, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);
