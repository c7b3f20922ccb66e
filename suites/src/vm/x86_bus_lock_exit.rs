//! KVM_CAP_X86_BUS_LOCK_EXIT: api.rst 7.22.

use harness::kvm::{EINVAL, KVM_CAP_X86_BUS_LOCK_EXIT, Kvm, Vm, abi};
use harness::{Outcome, claim, each};

use super::bits;
use super::step::Answer::{Fails, Works};
use super::step::Step::Enable;
use super::step::{at_any_time, in_order};

const OFF: u64 = abi::KVM_BUS_LOCK_DETECTION_OFF as u64;
const EXIT: u64 = abi::KVM_BUS_LOCK_DETECTION_EXIT as u64;

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, OFF, EXIT], |mode| in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_X86_BUS_LOCK_EXIT, *mode)))
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_X86_BUS_LOCK_EXIT takes either of its modes, before and after vCPUs, and more than once",
    [Api("7.22 KVM_CAP_X86_BUS_LOCK_EXIT"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_BUS_LOCK_EXIT)
);

fn takes_one_mode(vm: Vm) -> Outcome {
    let both = Enable(KVM_CAP_X86_BUS_LOCK_EXIT, OFF | EXIT);
    in_order(
        &vm,
        &[(both, Fails(EINVAL)), (Enable(KVM_CAP_X86_BUS_LOCK_EXIT, OFF), Works), (both, Fails(EINVAL))],
    )
}
claim!(
    takes_one_mode,
    "KVM_CAP_X86_BUS_LOCK_EXIT is refused with EINVAL for both modes at once",
    [Api("7.22 KVM_CAP_X86_BUS_LOCK_EXIT")],
    Kernel(">=5.12")
);

fn takes_known_modes(vm: Vm) -> Outcome {
    bits::refuses_all_but(OFF | EXIT, &vm, KVM_CAP_X86_BUS_LOCK_EXIT)
}
claim!(
    takes_known_modes,
    "KVM_CAP_X86_BUS_LOCK_EXIT is refused with EINVAL for unknown bits",
    [Api("7.22 KVM_CAP_X86_BUS_LOCK_EXIT")],
    Kernel(">=5.12")
);

fn takes_exit_without_support(vm: Vm) -> Outcome {
    in_order(&vm, &at_any_time(KVM_CAP_X86_BUS_LOCK_EXIT, EXIT))
}
claim!(
    takes_exit_without_support,
    "KVM_CAP_X86_BUS_LOCK_EXIT takes KVM_BUS_LOCK_DETECTION_EXIT without a word where the processor has no such exit",
    [Observed("kvm_vm_ioctl_enable_cap of Linux 5.12 to 7.3")],
    Not(&Has(KVM_CAP_X86_BUS_LOCK_EXIT)),
    Kernel(">=5.12")
);
