//! KVM_EXIT_UNKNOWN: what stands in the run page when KVM_RUN fails before the guest gave a reason to leave. Kernels that could not
//! tell of a memory fault left the last reason there, which the documentation calls stale.

use std::sync::Arc;

use guests::Mode;
use guests::iced_x86::code_asm::{al, byte_ptr, ebx};
use harness::kvm::{EFAULT, Exit, KVM_CAP_MEMORY_FAULT_INFO, Memory};
use harness::{Outcome, Stop, claim, equal};

use super::provoked::Provoked;
use super::stage::{Interruption, Stage};

/// Where the slot begins whose memory the host may only read.
const SLOT: u64 = 0x10_0000;
/// Where KVM_RUN clears the reason.
const RUN: &str = "vcpu_run, arch/x86/kvm/x86.c";

/// A guest that stores to memory which the host itself may not write.
fn storing(address: u64) -> Result<Stage, Stop> {
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.nop()?;
        a.mov(byte_ptr(ebx), al)?;
        a.hlt()
    })?;
    stage.vm.set_memory(1, 0, SLOT, &Arc::new(Memory::read_only(0x2000)?))?;
    stage.enter_with(|regs| (regs.rax, regs.rbx) = (0x77, address))?;
    Ok(stage)
}

fn a_failed_run_clears_the_reason(offset: u16) -> Outcome {
    let stage = storing(SLOT + u64::from(offset % 0x2000))?;
    stage.page()?.put_reason(0xdead);
    for _ in 0..2 {
        let (errno, _) = stage.attempt()?;
        equal((errno, stage.page()?.reason()), (Some(EFAULT), 0))?;
        stage.stands(1, |_| ())?;
    }
    Ok(())
}
claim!(
    a_failed_run_clears_the_reason,
    "KVM_RUN that fails with EFAULT leaves KVM_EXIT_UNKNOWN where another reason stood, and RIP at the access that failed",
    [Code(RUN), Code("kvm_handle_error_pfn, arch/x86/kvm/mmu/mmu.c")],
    Has(KVM_CAP_MEMORY_FAULT_INFO),
);

fn reads_succeed_where_writes_fail() -> Outcome {
    let mut stage = Stage::of(Mode::Protected, |a| {
        a.mov(al, byte_ptr(ebx))?;
        a.hlt()
    })?;
    stage.vm.set_memory(1, 0, SLOT, &Arc::new(Memory::read_only(0x2000)?))?;
    stage.enter_with(|regs| (regs.rax, regs.rbx) = (0x77, SLOT))?;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.regs.rax = 0)
}
claim!(
    reads_succeed_where_writes_fail,
    "A guest's load from memory that the host may only read does not make KVM_RUN fail",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION")],
);

fn the_guest_goes_on_once_it_can() -> Outcome {
    let mut stage = storing(SLOT)?;
    equal(stage.attempt()?.0, Some(EFAULT))?;
    let mut regs = stage.vcpu.get_regs()?;
    regs.rbx = guests::SCRATCH;
    stage.vcpu.set_regs(&regs)?;
    stage.image.entry.registers.rbx = guests::SCRATCH;
    equal(stage.run()?, Exit::Hlt)?;
    stage.ended(|end| end.wrote(guests::SCRATCH, &[0x77]))
}
claim!(
    the_guest_goes_on_once_it_can,
    "After KVM_RUN failed with EFAULT, the guest goes on from the access that failed once its address has memory",
    [Code("kvm_handle_error_pfn, arch/x86/kvm/mmu/mmu.c")],
);

fn a_signal_is_told_in_its_place() -> Outcome {
    let stage = storing(SLOT)?;
    equal(stage.attempt()?.0, Some(EFAULT))?;
    stage.interrupt(Interruption::Signal)?;
    equal(stage.vcpu.exit()?, Exit::Intr)?;
    equal((stage.attempt()?.0, stage.page()?.reason()), (Some(EFAULT), 0))
}
claim!(
    a_signal_is_told_in_its_place,
    "A signal after KVM_RUN failed gives KVM_EXIT_INTR, and the next failure gives KVM_EXIT_UNKNOWN again",
    [Code(RUN)],
    Has(KVM_CAP_MEMORY_FAULT_INFO),
);

/// A store that no page can be had for, again and again.
pub(super) fn failed() -> Result<Provoked, Stop> {
    let stage = storing(SLOT)?;
    let at = stage.before(1);
    let exit = Exit::Unknown { hardware_exit_reason: 0 };
    let end = (exit.clone(), stage.untouched(1));
    Ok(Provoked { errno: Some(EFAULT), at, completed: at, end: Some(end), ..Provoked::of(stage, exit) })
}
