//! Guests that take their host for Hyper-V: the CPUID that says so, and the MSRs that they write.

use guests::Mode;
use guests::iced_x86::code_asm::al;
use harness::kvm::{KVM_CAP_HYPERV_SYNIC2, KVM_GET_SUPPORTED_HV_CPUID, Kvm, Vcpu, abi, list};
use harness::{Controllers, Outcome, Stop};

use super::msr;
use super::stage::{END, Stage};

/// HV_X64_MSR_GUEST_OS_ID: while it is zero, there are no hypercalls.
pub(super) const GUEST_OS_ID: u32 = 0x4000_0000;

/// Has the guest see Hyper-V's leaves in place of KVM's.
pub(super) fn enlighten(vcpu: &Vcpu) -> Outcome {
    let hypervisor = list::<abi::kvm_cpuid_entry2>(vcpu, KVM_GET_SUPPORTED_HV_CPUID, 8, 64, 64);
    hypervisor.answer?;
    let mut entries = Kvm::open()?.get_supported_cpuid()?;
    entries.retain(|entry| entry.function >> 24 != 0x40);
    entries.extend(&hypervisor.entries[..hypervisor.count as usize]);
    Ok(vcpu.set_cpuid2(&entries)?)
}

/// A guest that writes an MSR and says that it is at its end.
pub(super) fn writing(controllers: Controllers, synic: bool, index: u32, value: u64) -> Result<Stage, Stop> {
    let mut stage = Stage::within(controllers.vm()?, Mode::Long, |a| {
        a.wrmsr()?;
        a.out(u32::from(END), al)
    })?;
    enlighten(&stage.vcpu)?;
    if synic {
        stage.vcpu.enable_cap(KVM_CAP_HYPERV_SYNIC2, [0; 4])?;
    }
    stage.catch_exceptions()?;
    stage.handle(13, |a| a.out(0xd0, al))?;
    stage.enter_with(|regs| {
        (regs.rax, regs.rdx, regs.rcx) = (value & 0xffff_ffff, value >> 32, index.into())
    })?;
    Ok(stage)
}

/// Says which operating system the guest is, as it would itself.
pub(super) fn identify(stage: &Stage) -> Outcome {
    msr::set(&stage.vcpu, GUEST_OS_ID, 0x8100_0000_0000_0001)
}
