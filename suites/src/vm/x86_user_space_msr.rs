//! KVM_CAP_X86_USER_SPACE_MSR: api.rst 7.21.

use harness::kvm::{KVM_CAP_X86_USER_SPACE_MSR, Kvm, Vm, abi};
use harness::{Outcome, claim, each};

use super::bits;
use super::step::{at_any_time, in_order};

const REASONS: u64 = (abi::KVM_MSR_EXIT_REASON_INVAL
    | abi::KVM_MSR_EXIT_REASON_UNKNOWN
    | abi::KVM_MSR_EXIT_REASON_FILTER) as u64;

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each(0..=REASONS, |reasons| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_X86_USER_SPACE_MSR, *reasons))
    })
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_X86_USER_SPACE_MSR takes every set of its three reasons, before and after vCPUs, and more than once",
    [Api("7.21 KVM_CAP_X86_USER_SPACE_MSR"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_USER_SPACE_MSR)
);

fn takes_known_reasons(vm: Vm) -> Outcome {
    bits::refuses_all_but(REASONS, &vm, KVM_CAP_X86_USER_SPACE_MSR)
}
claim!(
    takes_known_reasons,
    "KVM_CAP_X86_USER_SPACE_MSR is refused with EINVAL for unknown reasons",
    [Api("7.21 KVM_CAP_X86_USER_SPACE_MSR"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_USER_SPACE_MSR),
    Kernel(">=6.1")
);
