//! KVM_CAP_EXIT_HYPERCALL: api.rst 8.34.

use harness::kvm::{KVM_CAP_EXIT_HYPERCALL, Kvm, Vm};
use harness::{Outcome, claim, each, equal};

use super::bits;
use super::step::{at_any_time, in_order};

/// KVM_HC_MAP_GPA_RANGE.
const MAP_GPA_RANGE: u64 = 12;

fn tells_the_one_hypercall(vm: Vm) -> Outcome {
    equal(vm.check_extension(KVM_CAP_EXIT_HYPERCALL)?, 1 << MAP_GPA_RANGE)
}
claim!(
    tells_the_one_hypercall,
    "KVM_CHECK_EXTENSION answers KVM_CAP_EXIT_HYPERCALL with the bit of KVM_HC_MAP_GPA_RANGE alone",
    [Api("8.34 KVM_CAP_EXIT_HYPERCALL")],
    Has(KVM_CAP_EXIT_HYPERCALL)
);

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, 1 << MAP_GPA_RANGE], |calls| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_EXIT_HYPERCALL, *calls))
    })
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_EXIT_HYPERCALL may be switched on and off before and after vCPUs, and more than once",
    [Api("8.34 KVM_CAP_EXIT_HYPERCALL"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXIT_HYPERCALL)
);

fn takes_what_it_tells(vm: Vm) -> Outcome {
    let told = u64::from(vm.check_extension(KVM_CAP_EXIT_HYPERCALL)?.unsigned_abs());
    bits::refuses_all_but(told, &vm, KVM_CAP_EXIT_HYPERCALL)
}
claim!(
    takes_what_it_tells,
    "KVM_CAP_EXIT_HYPERCALL is refused with EINVAL for hypercalls that KVM_CHECK_EXTENSION does not answer",
    [Api("8.34 KVM_CAP_EXIT_HYPERCALL")],
    Has(KVM_CAP_EXIT_HYPERCALL)
);
