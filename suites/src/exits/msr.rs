//! Guests that access MSRs of which KVM_CAP_X86_USER_SPACE_MSR tells the host.

use guests::Mode;
use guests::Registers;
use harness::kvm::{
    Argument, Descriptor, Guarded, KVM_CAP_X86_USER_SPACE_MSR, KVM_GET_MSRS, KVM_SET_MSRS,
    KVM_X86_SET_MSR_FILTER, Kvm, MsrEntry, Vcpu, Vm, list_over,
};
use harness::{Outcome, Stop, equal};

use super::stage::Stage;

/// KVM_MSR_EXIT_REASON_INVAL.
pub(super) const INVAL: u32 = 1;
/// KVM_MSR_EXIT_REASON_UNKNOWN.
pub(super) const UNKNOWN: u32 = 2;
/// KVM_MSR_EXIT_REASON_FILTER.
pub(super) const FILTER: u32 = 4;
/// IA32_MISC_ENABLE, which KVM answers itself wherever it runs.
pub(super) const MISC_ENABLE: u32 = 0x1a0;
/// IA32_MCG_CTL, which a vCPU has only where KVM_X86_SETUP_MCE says so.
pub(super) const MCG_CTL: u32 = 0x17b;
/// EFER, which has reserved bits.
pub(super) const EFER: u32 = 0xc000_0080;

/// An MSR that no processor has and KVM does not know, one of many.
pub(super) fn unknown(choice: u16) -> u32 {
    0x5000_0000 + u32::from(choice)
}

/// A VM that tells of these reasons.
pub(super) fn telling(reasons: u32) -> Result<Vm, Stop> {
    let vm = Kvm::open()?.create_vm(0)?;
    vm.enable_cap(KVM_CAP_X86_USER_SPACE_MSR, [reasons.into(), 0, 0, 0])?;
    Ok(vm)
}

/// Has the VM deny reads and writes of one MSR, and of no other.
pub(super) fn deny(vm: &Vm, index: u32) -> Outcome {
    const READ_AND_WRITE: u32 = 3;
    let bitmap = Guarded::zeroed(8);
    // struct kvm_msr_filter: flags, then 16 ranges of flags, count, first MSR and the address of a bitmap.
    let mut filter = Guarded::zeroed(8 + 16 * 24);
    filter.put(8, &[READ_AND_WRITE, 1, index, 0]);
    filter.put(24, &bitmap.address());
    vm.send(KVM_X86_SET_MSR_FILTER, Argument::Bytes(&mut filter))?;
    Ok(())
}

/// A guest in this VM that reads an MSR.
pub(super) fn reading(vm: Vm, mode: Mode, index: u32) -> Result<Stage, Stop> {
    let stage = Stage::within(vm, mode, |a| {
        a.rdmsr()?;
        a.hlt()
    })?;
    entered(stage, |regs| (regs.rax, regs.rdx, regs.rcx) = (0x1111_2222, 0x3333_4444, index.into()))
}

/// A guest in this VM that writes an MSR.
pub(super) fn writing(vm: Vm, mode: Mode, index: u32, value: u64) -> Result<Stage, Stop> {
    let stage = Stage::within(vm, mode, |a| {
        a.wrmsr()?;
        a.hlt()
    })?;
    entered(stage, |regs| {
        (regs.rax, regs.rdx, regs.rcx) = (value & 0xffff_ffff, value >> 32, index.into());
    })
}

/// Sets an MSR as the host does.
pub(crate) fn set(vcpu: &Vcpu, index: u32, data: u64) -> Outcome {
    let entry = MsrEntry { index, data, ..Default::default() };
    equal(list_over(vcpu, KVM_SET_MSRS, 8, 1, &[entry]).answer?, 1)
}

/// What an MSR holds, as the host sees it.
pub(crate) fn get(vcpu: &Vcpu, index: u32) -> Result<u64, Stop> {
    let list = list_over(vcpu, KVM_GET_MSRS, 8, 1, &[MsrEntry { index, ..Default::default() }]);
    equal(list.answer?, 1)?;
    Ok(list.entries[0].data)
}

fn entered(mut stage: Stage, registers: impl FnOnce(&mut Registers)) -> Result<Stage, Stop> {
    stage.catch_exceptions()?;
    stage.enter_with(registers)?;
    Ok(stage)
}
