//! KVM_CAP_HALT_POLL: api.rst 7.20.

use harness::kvm::{EINVAL, KVM_CAP_HALT_POLL, Kvm, Vm};
use harness::{Outcome, claim, each};

use super::step::Answer::Fails;
use super::step::Step::Enable;
use super::step::{at_any_time, in_order};

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, 1, 200_000, 0xffff_ffff], |ns| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_HALT_POLL, *ns))
    })
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_HALT_POLL may be enabled at any time and any number of times, with any 32 bits of nanoseconds",
    [Api("7.20 KVM_CAP_HALT_POLL")],
    Has(KVM_CAP_HALT_POLL)
);

fn has_32_bits(vm: Vm) -> Outcome {
    each((32..64).map(|bit| 1 << bit), |ns| in_order(&vm, &[(Enable(KVM_CAP_HALT_POLL, *ns), Fails(EINVAL))]))
}
claim!(
    has_32_bits,
    "KVM_CAP_HALT_POLL is refused with EINVAL for more nanoseconds than 32 bits hold",
    [Code("kvm_vm_ioctl_enable_cap_generic, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_HALT_POLL)
);
