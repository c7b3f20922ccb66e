//! What a guest of our machine has written to, by the kernel's bitmaps and by its rings: api.rst 4.8 KVM_GET_DIRTY_LOG, 8.29
//! KVM_CAP_DIRTY_LOG_RING.

use std::collections::BTreeSet;
use std::sync::Arc;

use guests::script::{Op, Script};
use harness::kvm::{KVM_CAP_DIRTY_LOG_RING, KVM_CAP_IRQCHIP};
use harness::{HostFault, Outcome, Stop, claim, equal, holds};
use vmm::{IrqChip, Machine};

use crate::devices::ours;

const PAGE: u32 = 0x1000;
/// Where RAM begins that the guest has nothing in, behind what a PC has below 1 MiB, and how many pages of it there are.
const FIRST: u32 = 0x10_0000;
const PAGES: u32 = (ours::RAM - FIRST) / PAGE;
/// Twice what a ring keeps in reserve on Intel's processors.
const ENTRIES: u32 = 1024;

fn fault(error: impl std::fmt::Display) -> Stop {
    Stop::HostFault(HostFault(format!("cannot track what a guest writes to: {error}")))
}

fn machine(rings: bool) -> Result<Machine, Stop> {
    ours::machine_and(IrqChip::Kernel, &Arc::default(), |builder| {
        if rings { builder.dirty_rings(ENTRIES) } else { Ok(builder) }
    })
}

/// What is told of a guest that writes to these pages, so often.
fn told(machine: &mut Machine, pages: &[u32], rounds: usize) -> Result<Vec<u64>, Stop> {
    let writes: Vec<Op> = pages.iter().map(|page| Op::Write(FIRST + page * PAGE + 8, *page)).collect();
    ours::load(machine, &Script(writes.repeat(rounds)))?;
    machine.track(true).map_err(fault)?;
    ours::go(machine)?;
    left(machine)
}

/// What is told of RAM that the guest has nothing else in: a page that is only read or walked through may be told as well.
fn left(machine: &mut Machine) -> Result<Vec<u64>, Stop> {
    let mut written = machine.take_written().map_err(fault)?;
    written.retain(|page| *page >= FIRST.into());
    Ok(written)
}

fn expected(pages: &[u32]) -> Vec<u64> {
    let distinct: BTreeSet<_> = pages.iter().map(|page| u64::from(FIRST + page * PAGE)).collect();
    distinct.into_iter().collect()
}

fn within(pages: Vec<u16>) -> Vec<u32> {
    pages.into_iter().take(64).map(|page| u32::from(page) % PAGES).collect()
}

fn bitmaps_tell_each_page(pages: Vec<u16>) -> Outcome {
    let pages = within(pages);
    let mut machine = machine(false)?;
    equal(told(&mut machine, &pages, 1)?, expected(&pages))?;
    equal(left(&mut machine)?, Vec::new())
}
claim!(
    bitmaps_tell_each_page,
    "Our machine tells each page that its guest has written to by the kernel's bitmaps, none that it did not reach, and once",
    [Api("4.8 KVM_GET_DIRTY_LOG")],
    Has(KVM_CAP_IRQCHIP)
);

fn rings_tell_each_page(pages: Vec<u16>) -> Outcome {
    let pages = within(pages);
    let mut machine = machine(true)?;
    equal(told(&mut machine, &pages, 1)?, expected(&pages))?;
    equal(left(&mut machine)?, Vec::new())?;
    // And once it is told, a page can be written to anew.
    equal(told(&mut machine, &pages, 2)?, expected(&pages))
}
claim!(
    rings_tell_each_page,
    "Our machine tells each page that its guest has written to by the kernel's rings, none that it did not reach, and once",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_DIRTY_LOG_RING)
);

fn a_ring_that_is_full_loses_nothing() -> Outcome {
    let pages: Vec<u32> = (0..ENTRIES + ENTRIES / 2).collect();
    let told = told(&mut machine(true)?, &pages, 1)?;
    let lost = expected(&pages).into_iter().filter(|page| !told.contains(page)).count();
    holds(lost == 0, "no page is lost").map_err(|stop| stop.during(format!("{lost} of {}", pages.len())))
}
claim!(
    a_ring_that_is_full_loses_nothing,
    "A guest of our machine that writes to more pages than its ring has room for loses none of them",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING"), Api("5 The kvm_run structure, KVM_EXIT_DIRTY_RING_FULL")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_DIRTY_LOG_RING),
    // kvm_pvm looks whether a ring is full between batches of instructions alone, and now and then writes over what is in it.
    Any(&[Amd, Intel])
);
