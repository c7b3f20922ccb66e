//! KVM_TRACE_ENABLE, KVM_TRACE_PAUSE and KVM_TRACE_DISABLE: tracing of old, of which stubs were left.

use harness::kvm::{
    Descriptor, EINVAL, EOPNOTSUPP, KVM_TRACE_DISABLE, KVM_TRACE_ENABLE, KVM_TRACE_PAUSE, Kvm,
};
use harness::{Outcome, claim, each, fails};

const COMMANDS: [harness::kvm::Command; 3] = [KVM_TRACE_ENABLE, KVM_TRACE_PAUSE, KVM_TRACE_DISABLE];

fn are_stubs(kvm: Kvm) -> Outcome {
    each(COMMANDS, |command| fails(EOPNOTSUPP, kvm.value(*command, 0)))
}
claim!(
    are_stubs,
    "The KVM_TRACE commands answer EOPNOTSUPP on kernels up to 6.1",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")],
    Kernel("<6.2")
);

fn are_gone(kvm: Kvm) -> Outcome {
    each(COMMANDS, |command| fails(EINVAL, kvm.value(*command, 0)))
}
claim!(
    are_gone,
    "The KVM_TRACE commands are unknown from Linux 6.12 on",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")],
    Kernel(">=6.12")
);
