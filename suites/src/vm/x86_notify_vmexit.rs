//! KVM_CAP_X86_NOTIFY_VMEXIT: api.rst 7.33.

use harness::kvm::{EINVAL, KVM_CAP_X86_NOTIFY_VMEXIT, Vm, abi};
use harness::{Outcome, claim, each};

use super::step::Answer::{Fails, Works};
use super::step::Step::{self, Vcpu};
use super::step::in_order;

const ENABLED: u64 = abi::KVM_X86_NOTIFY_VMEXIT_ENABLED as u64;
const USER: u64 = abi::KVM_X86_NOTIFY_VMEXIT_USER as u64;

/// KVM_CAP_X86_NOTIFY_VMEXIT with these flags and a window of 128 cycles.
const fn notify(flags: u64) -> Step {
    Step::Enable(KVM_CAP_X86_NOTIFY_VMEXIT, 128 << 32 | flags)
}

fn is_early(vm: Vm) -> Outcome {
    let steps = [
        (notify(ENABLED), Works),
        (notify(ENABLED | USER), Works),
        (Vcpu(0), Works),
        (notify(ENABLED), Fails(EINVAL)),
    ];
    in_order(&vm, &steps)
}
claim!(
    is_early,
    "KVM_CAP_X86_NOTIFY_VMEXIT may be enabled more than once, and is refused with EINVAL once there is a vCPU",
    [Api("7.33 KVM_CAP_X86_NOTIFY_VMEXIT"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_NOTIFY_VMEXIT)
);

fn takes_known_flags(vm: Vm) -> Outcome {
    // The upper half of the argument is the window, of which every value will do.
    each((2..32).map(|bit| 1 << bit), |flag| in_order(&vm, &[(notify(ENABLED | flag), Fails(EINVAL))]))
}
claim!(
    takes_known_flags,
    "KVM_CAP_X86_NOTIFY_VMEXIT is refused with EINVAL for unknown flags",
    [Api("7.33 KVM_CAP_X86_NOTIFY_VMEXIT")],
    Kernel(">=6.0")
);

fn cannot_be_switched_off(vm: Vm) -> Outcome {
    in_order(&vm, &[(notify(0), Fails(EINVAL)), (notify(USER), Fails(EINVAL))])
}
claim!(
    cannot_be_switched_off,
    "KVM_CAP_X86_NOTIFY_VMEXIT is refused with EINVAL without KVM_X86_NOTIFY_VMEXIT_ENABLED",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Kernel(">=6.0")
);

fn needs_the_processor(vm: Vm) -> Outcome {
    in_order(&vm, &[(notify(ENABLED), Fails(EINVAL)), (notify(ENABLED | USER), Fails(EINVAL))])
}
claim!(
    needs_the_processor,
    "KVM_CAP_X86_NOTIFY_VMEXIT is refused with EINVAL where the processor has no notify window",
    [Api("7.33 KVM_CAP_X86_NOTIFY_VMEXIT")],
    Not(&Has(KVM_CAP_X86_NOTIFY_VMEXIT))
);
