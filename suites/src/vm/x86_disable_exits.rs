//! KVM_CAP_X86_DISABLE_EXITS: api.rst 7.13.

use harness::kvm::{EINVAL, KVM_CAP_X86_DISABLE_EXITS, Vm, abi};
use harness::{Outcome, claim, each};

use super::bits;
use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Vcpu};
use super::step::{at_any_time, in_order};

/// PAUSE, which every processor can be left alone with.
const PAUSE: u64 = abi::KVM_X86_DISABLE_EXITS_PAUSE as u64;

fn takes_what_it_tells(vm: Vm) -> Outcome {
    let told = u64::from(vm.check_extension(KVM_CAP_X86_DISABLE_EXITS)?.unsigned_abs());
    let each_bit = (0..32).map(|bit| 1 << bit).filter(|bit| bit & told != 0);
    each(each_bit, |bit| in_order(&vm, &[(Enable(KVM_CAP_X86_DISABLE_EXITS, *bit), Works)]))?;
    in_order(
        &vm,
        &[(Enable(KVM_CAP_X86_DISABLE_EXITS, told), Works), (Enable(KVM_CAP_X86_DISABLE_EXITS, 0), Works)],
    )
}
claim!(
    takes_what_it_tells,
    "KVM_CAP_X86_DISABLE_EXITS takes what KVM_CHECK_EXTENSION answers, and any part of it",
    [Api("7.13 KVM_CAP_X86_DISABLE_EXITS")],
    Has(KVM_CAP_X86_DISABLE_EXITS)
);

fn refuses_unknown_exits(vm: Vm) -> Outcome {
    // Bits 0 to 3 have always been known, and bit 4 was added in 6.17; room is left for more.
    bits::refuses_all_but(0xffff, &vm, KVM_CAP_X86_DISABLE_EXITS)
}
claim!(
    refuses_unknown_exits,
    "KVM_CAP_X86_DISABLE_EXITS is refused with EINVAL for bits that name no exit",
    [Api("7.13 KVM_CAP_X86_DISABLE_EXITS")],
    Has(KVM_CAP_X86_DISABLE_EXITS)
);

fn refuses_what_it_does_not_tell(vm: Vm) -> Outcome {
    let told = u64::from(vm.check_extension(KVM_CAP_X86_DISABLE_EXITS)?.unsigned_abs());
    bits::refuses_all_but(told, &vm, KVM_CAP_X86_DISABLE_EXITS)
}
claim!(
    refuses_what_it_does_not_tell,
    "KVM_CAP_X86_DISABLE_EXITS is refused with EINVAL for exits that KVM_CHECK_EXTENSION does not answer",
    [Api("7.13 KVM_CAP_X86_DISABLE_EXITS"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_DISABLE_EXITS),
    Kernel(">=6.14")
);

fn is_early(vm: Vm) -> Outcome {
    let pause = Enable(KVM_CAP_X86_DISABLE_EXITS, PAUSE);
    let nothing = Enable(KVM_CAP_X86_DISABLE_EXITS, 0);
    in_order(&vm, &[(pause, Works), (Vcpu(0), Works), (pause, Fails(EINVAL)), (nothing, Fails(EINVAL))])
}
claim!(
    is_early,
    "KVM_CAP_X86_DISABLE_EXITS is refused with EINVAL once there is a vCPU",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_DISABLE_EXITS),
    Kernel(">=6.14")
);

fn was_at_any_time(vm: Vm) -> Outcome {
    in_order(&vm, &at_any_time(KVM_CAP_X86_DISABLE_EXITS, PAUSE))
}
claim!(
    was_at_any_time,
    "KVM_CAP_X86_DISABLE_EXITS may be enabled before and after vCPUs on kernels before 6.14",
    [Observed("kvm_vm_ioctl_enable_cap of Linux 5.10 to 6.13")],
    Has(KVM_CAP_X86_DISABLE_EXITS),
    Kernel("<6.14")
);
