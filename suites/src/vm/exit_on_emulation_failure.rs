//! KVM_CAP_EXIT_ON_EMULATION_FAILURE: api.rst 7.27.

use harness::kvm::{KVM_CAP_EXIT_ON_EMULATION_FAILURE, Kvm, Vm};
use harness::{Outcome, claim, each};

use super::bits;
use super::step::{at_any_time, in_order};

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, 1], |on| in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_EXIT_ON_EMULATION_FAILURE, *on)))
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_EXIT_ON_EMULATION_FAILURE may be switched on and off before and after vCPUs, and more than once",
    [Api("7.27 KVM_CAP_EXIT_ON_EMULATION_FAILURE"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXIT_ON_EMULATION_FAILURE)
);

fn is_on_or_off(vm: Vm) -> Outcome {
    bits::refuses_all_but(1, &vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE)
}
claim!(
    is_on_or_off,
    "KVM_CAP_EXIT_ON_EMULATION_FAILURE is refused with EINVAL for anything but 0 and 1",
    [Api("7.27 KVM_CAP_EXIT_ON_EMULATION_FAILURE"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXIT_ON_EMULATION_FAILURE)
);
