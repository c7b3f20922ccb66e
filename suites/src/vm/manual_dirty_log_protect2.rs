//! KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: api.rst 7.18.

use harness::kvm::{EINVAL, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, Kvm, Vm, abi};
use harness::{Outcome, claim, each};

use super::bits;
use super::step::Answer::Fails;
use super::step::Step::Enable;
use super::step::{at_any_time, in_order};

const PROTECT: u64 = abi::KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE as u64;
const INITIALLY_SET: u64 = abi::KVM_DIRTY_LOG_INITIALLY_SET as u64;

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, PROTECT, PROTECT | INITIALLY_SET], |flags| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, *flags))
    })
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 may be switched on and off before and after vCPUs, and more than once",
    [
        Api("7.18 KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"),
        Code("kvm_vm_ioctl_enable_cap_generic, virt/kvm/kvm_main.c")
    ],
    AtLeast(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3)
);

fn refuses_initially_set_alone(vm: Vm) -> Outcome {
    in_order(&vm, &[(Enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, INITIALLY_SET), Fails(EINVAL))])
}
claim!(
    refuses_initially_set_alone,
    "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is refused with EINVAL for KVM_DIRTY_LOG_INITIALLY_SET alone",
    [Api("7.18 KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2")],
    Has(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
);

fn takes_the_bits_it_tells(vm: Vm) -> Outcome {
    bits::refuses_all_but(PROTECT | INITIALLY_SET, &vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
}
claim!(
    takes_the_bits_it_tells,
    "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is refused with EINVAL for unknown bits",
    [
        Api("7.18 KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2"),
        Code("kvm_vm_ioctl_enable_cap_generic, virt/kvm/kvm_main.c")
    ],
    Has(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2)
);
