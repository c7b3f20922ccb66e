//! KVM_CAP_MSR_PLATFORM_INFO: api.rst 7.15.

use harness::kvm::{KVM_CAP_MSR_PLATFORM_INFO, Kvm};
use harness::{Outcome, claim, each};

use super::step::{at_any_time, in_order};

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, 1], |on| in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_MSR_PLATFORM_INFO, *on)))
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_MSR_PLATFORM_INFO may be switched on and off before and after vCPUs, and more than once",
    [Api("7.15 KVM_CAP_MSR_PLATFORM_INFO"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_MSR_PLATFORM_INFO)
);

fn takes_any_argument_for_on(kvm: Kvm) -> Outcome {
    each([2, 1 << 32, u64::MAX], |on| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_MSR_PLATFORM_INFO, *on))
    })
}
claim!(
    takes_any_argument_for_on,
    "KVM_CAP_MSR_PLATFORM_INFO takes any argument, not just 0 and 1",
    [Observed("kvm_vm_ioctl_enable_cap of Linux 5.10 to 7.3")],
    Has(KVM_CAP_MSR_PLATFORM_INFO)
);
