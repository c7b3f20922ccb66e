//! KVM_CAP_HYPERV_SYNIC and KVM_CAP_HYPERV_SYNIC2: api.rst 8.2 and 8.11.

use harness::kvm::{EINVAL, KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2, Vcpu};
use harness::{Controllers, Outcome, claim, each, equal, fails, unchanged};

fn needs_a_local_apic(vcpu: Vcpu) -> Outcome {
    each([KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2], |cap| {
        unchanged(|| vcpu.get_sregs(), || fails(EINVAL, vcpu.enable_cap(*cap, [0; 4])))
    })
}
claim!(
    needs_a_local_apic,
    "KVM_CAP_HYPERV_SYNIC and KVM_CAP_HYPERV_SYNIC2 are refused with EINVAL without an in-kernel irqchip",
    [Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_HYPERV_SYNIC),
    Has(KVM_CAP_HYPERV_SYNIC2)
);

fn may_be_enabled_again() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vcpu = controllers.vm()?.create_vcpu(0)?;
        each([KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_HYPERV_SYNIC], |cap| {
            equal(vcpu.enable_cap(*cap, [0; 4])?, 0)
        })
    })
}
claim!(
    may_be_enabled_again,
    "KVM_CAP_HYPERV_SYNIC and KVM_CAP_HYPERV_SYNIC2 may be enabled on a vCPU with a local APIC, one after the other",
    [Api("8.2 KVM_CAP_HYPERV_SYNIC"), Api("8.11 KVM_CAP_HYPERV_SYNIC2")],
    Has(KVM_CAP_HYPERV_SYNIC),
    Has(KVM_CAP_HYPERV_SYNIC2)
);

fn second_takes_no_argument() -> Outcome {
    let vcpu = Controllers::Split.vm()?.create_vcpu(0)?;
    each((0..64).map(|bit| 1 << bit), |argument| {
        fails(EINVAL, vcpu.enable_cap(KVM_CAP_HYPERV_SYNIC2, [*argument, 0, 0, 0]))
    })
}
claim!(
    second_takes_no_argument,
    "KVM_CAP_HYPERV_SYNIC2 is refused with EINVAL for any argument but 0",
    [Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_HYPERV_SYNIC2)
);
