//! KVM_EXIT_DIRTY_RING_FULL: the guest wrote more pages than its ring has room to tell of. That nothing is lost, and that the vCPU
//! stays stopped, are claims of `vcpu::dirty_ring`; here is what else may be done with the exit.

use std::sync::Arc;

use guests::Mode;
use guests::iced_x86::code_asm::{al, byte_ptr, dx, ebx};
use harness::kvm::{Descriptor, Exit, KVM_CAP_DIRTY_LOG_RING, KVM_RESET_DIRTY_RINGS, Memory, abi};
use harness::{Broken, Outcome, Stop, claim, equal, holds};

use super::provoked::Provoked;
use super::stage::{Interruption, Stage, out};
use crate::vcpu::dirty_gfns::{DirtyGfns, vm_with_rings};

/// The heading that all of this rests on.
const RING: &str = "8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL";
/// Where the slot begins that the guest writes, and how many pages it has: more than a ring here takes.
const SLOT: u64 = 0x10_0000;
const PAGES: u64 = 1024;

/// A guest that writes page after page, and says after each that it goes on; with the slot logged or not.
fn writing(flags: u32) -> Result<(Stage, DirtyGfns), Stop> {
    let mut stage = Stage::within(vm_with_rings()?, Mode::Protected, |a| {
        let mut again = a.create_label();
        a.set_label(&mut again)?;
        a.mov(byte_ptr(ebx), al)?;
        a.add(ebx, 0x1000)?;
        a.out(dx, al)?;
        a.jmp(again)
    })?;
    let memory = Arc::new(Memory::new(usize::try_from(PAGES).unwrap_or(0) * 0x1000)?);
    stage.vm.set_memory(1, flags, SLOT, &memory)?;
    stage.enter_with(|regs| (regs.rbx, regs.rdx) = (SLOT, 0x80))?;
    let ring = DirtyGfns::of(&stage.vcpu)?;
    Ok((stage, ring))
}

/// Runs until the exit is another than that the guest goes on, and says how many pages it wrote.
fn run_on(stage: &Stage) -> Result<(Exit, u64), Stop> {
    for pages in 0..=PAGES {
        let exit = stage.run()?;
        if exit != out(0x80, &[0]) {
            return Ok((exit, pages));
        }
    }
    Err(Broken::new("the guest speaks of more pages than there are").into())
}

fn comes_only_for_logged_slots() -> Outcome {
    let (stage, ring) = writing(0)?;
    for _ in 0..PAGES {
        equal(stage.run()?, out(0x80, &[0]))?;
    }
    equal(ring.harvest().len(), 0)
}
claim!(
    comes_only_for_logged_slots,
    "As many writes to a slot that is not logged leave no KVM_EXIT_DIRTY_RING_FULL and no entry",
    [Api(RING)],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn one_page_does_not_fill_it() -> Outcome {
    let (stage, ring) = writing(abi::KVM_MEM_LOG_DIRTY_PAGES)?;
    for _ in 0..PAGES {
        equal(stage.run()?, out(0x80, &[0]))?;
        let mut regs = stage.vcpu.get_regs()?;
        regs.rbx = SLOT;
        stage.vcpu.set_regs(&regs)?;
    }
    holds(ring.harvest().len() <= 2, "one page is told of once, or twice where the processor retried")
}
claim!(
    one_page_does_not_fill_it,
    "As many writes to one page of a logged slot leave no KVM_EXIT_DIRTY_RING_FULL",
    [Api(RING)],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn it_is_full_before_it_is_full() -> Outcome {
    let (stage, ring) = writing(abi::KVM_MEM_LOG_DIRTY_PAGES)?;
    let (exit, pages) = run_on(&stage)?;
    equal(exit, Exit::DirtyRingFull)?;
    let told = ring.harvest().len() as u64;
    holds(told >= pages, format_args!("{told} entries tell of {pages} pages"))?;
    holds(told < 1024, format_args!("{told} entries leave room in a ring of 1024"))
}
claim!(
    it_is_full_before_it_is_full,
    "KVM_EXIT_DIRTY_RING_FULL comes while the ring has entries to spare, and with an entry for every page written",
    [Api(RING), Code("kvm_dirty_ring_soft_full, virt/kvm/dirty_ring.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

fn it_outranks_a_signal() -> Outcome {
    let (stage, ring) = writing(abi::KVM_MEM_LOG_DIRTY_PAGES)?;
    equal(run_on(&stage)?.0, Exit::DirtyRingFull)?;
    let before = stage.registers()?;
    equal(stage.during(Interruption::Signal, || stage.attempt())?, (None, Exit::DirtyRingFull))?;
    stage.holds_registers(before)?;
    ring.harvest();
    holds(stage.vm.value(KVM_RESET_DIRTY_RINGS, 0)? > 0, "a full ring has entries to take back")?;
    stage.interrupt(Interruption::Signal)?;
    equal(stage.run()?, out(0x80, &[0]))
}
claim!(
    it_outranks_a_signal,
    "While a ring is full KVM_RUN gives KVM_EXIT_DIRTY_RING_FULL although a signal waits, and EINTR once it was reset",
    [Api(RING), Code("vcpu_enter_guest, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_DIRTY_LOG_RING),
);

/// A ring that is full already, so that KVM_RUN gives the exit again and runs nothing.
pub(super) fn full() -> Result<Provoked, Stop> {
    let (stage, _) = writing(abi::KVM_MEM_LOG_DIRTY_PAGES)?;
    equal(run_on(&stage)?.0, Exit::DirtyRingFull)?;
    let at = stage.registers()?;
    let end = super::stage::Ending { regs: at, ..stage.untouched(0) };
    Ok(Provoked {
        at,
        completed: at,
        insists: true,
        end: Some((Exit::DirtyRingFull, end)),
        ..Provoked::of(stage, Exit::DirtyRingFull)
    })
}
