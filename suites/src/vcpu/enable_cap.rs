//! KVM_ENABLE_CAP on a vCPU: api.rst 4.37.

use harness::kvm::{
    Argument, CAPS, Cap, Descriptor, EFAULT, EINVAL, ENOTTY, KVM_CAP_ENABLE_CAP,
    KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_CAP_HYPERV_DIRECT_TLBFLUSH, KVM_CAP_HYPERV_ENFORCE_CPUID,
    KVM_CAP_HYPERV_ENLIGHTENED_VMCS, KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2, KVM_ENABLE_CAP, Vcpu, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, unchanged};

/// What x86 kernels up to 7.3 can enable on a vCPU.
const ENABLEABLE: [Cap; 6] = [
    KVM_CAP_HYPERV_SYNIC,
    KVM_CAP_HYPERV_SYNIC2,
    KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
    KVM_CAP_HYPERV_DIRECT_TLBFLUSH,
    KVM_CAP_HYPERV_ENFORCE_CPUID,
    KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
];

/// What a vCPU shows of itself.
fn state(vcpu: &Vcpu) -> Result<(abi::kvm_regs, abi::kvm_sregs), Stop> {
    Ok((vcpu.get_regs()?, vcpu.get_sregs()?))
}

fn refuses_flags(vcpu: Vcpu) -> Outcome {
    unchanged(
        || state(&vcpu),
        || {
            each(ENABLEABLE, |cap| {
                each([1, 2, 1 << 31, u32::MAX], |flags| {
                    let request =
                        abi::kvm_enable_cap { cap: cap.number, flags: *flags, ..Default::default() };
                    fails(EINVAL, vcpu.write(KVM_ENABLE_CAP, &request))
                })
            })
        },
    )
}
claim!(
    refuses_flags,
    "KVM_ENABLE_CAP on a vCPU is refused with EINVAL for any flags",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP)
);

fn refuses_unknown_numbers(vcpu: Vcpu, number: u32) -> Outcome {
    let unknown = Cap { name: "an unknown capability", number: number | 1 << 16, on_x86: false };
    unchanged(|| state(&vcpu), || fails(EINVAL, vcpu.enable_cap(unknown, [1, 0, 0, 0])))
}
claim!(
    refuses_unknown_numbers,
    "KVM_ENABLE_CAP on a vCPU is refused with EINVAL for a number that is no capability",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP)
);

fn refuses_what_is_for_vms(vcpu: Vcpu) -> Outcome {
    // KVM_CAP_SYNC_REGS is among them, which the documentation lists with the capabilities that vCPUs enable.
    let others = CAPS.iter().filter(|cap| !ENABLEABLE.contains(cap));
    unchanged(
        || state(&vcpu),
        || {
            each(others, |cap| {
                fails(EINVAL, vcpu.enable_cap(**cap, [0; 4]))?;
                fails(EINVAL, vcpu.enable_cap(**cap, [1, 0, 0, 0]))
            })
        },
    )
}
claim!(
    refuses_what_is_for_vms,
    "KVM_ENABLE_CAP on a vCPU is refused with EINVAL for capabilities of VMs and for those that only tell of something",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP)
);

fn reads_its_argument(vcpu: Vcpu) -> Outcome {
    fails(EFAULT, vcpu.send(KVM_ENABLE_CAP, Argument::Inaccessible))
}
claim!(
    reads_its_argument,
    "KVM_ENABLE_CAP on a vCPU is refused with EFAULT where its argument cannot be read",
    [Code("kvm_arch_vcpu_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP)
);

fn pv_features_may_be_enforced(vcpu: Vcpu) -> Outcome {
    each([1, 1, 0, 0, u64::MAX, 0], |on| {
        equal(vcpu.enable_cap(KVM_CAP_ENFORCE_PV_FEATURE_CPUID, [*on, 0, 0, 0])?, 0)
    })
}
claim!(
    pv_features_may_be_enforced,
    "KVM_CAP_ENFORCE_PV_FEATURE_CPUID may be switched on and off on a vCPU, and more than once",
    [Api("8.28 KVM_CAP_ENFORCE_PV_FEATURE_CPUID"), Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENFORCE_PV_FEATURE_CPUID)
);

fn hyperv_features_may_be_enforced(vcpu: Vcpu) -> Outcome {
    each([0, 1, 1, 0, u64::MAX, 0], |on| {
        equal(vcpu.enable_cap(KVM_CAP_HYPERV_ENFORCE_CPUID, [*on, 0, 0, 0])?, 0)
    })
}
claim!(
    hyperv_features_may_be_enforced,
    "KVM_CAP_HYPERV_ENFORCE_CPUID may be switched on and off on a vCPU, and more than once",
    [Api("8.33 KVM_CAP_HYPERV_ENFORCE_CPUID"), Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_HYPERV_ENFORCE_CPUID)
);

fn amd_has_no_enlightened_vmcs(vcpu: Vcpu) -> Outcome {
    unchanged(|| state(&vcpu), || fails(ENOTTY, vcpu.enable_cap(KVM_CAP_HYPERV_ENLIGHTENED_VMCS, [0; 4])))
}
claim!(
    amd_has_no_enlightened_vmcs,
    "KVM_CAP_HYPERV_ENLIGHTENED_VMCS is refused with ENOTTY on AMD",
    [Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Amd,
    Has(KVM_CAP_HYPERV_SYNIC)
);

fn direct_flush_needs_hyperv(vcpu: Vcpu) -> Outcome {
    unchanged(|| state(&vcpu), || fails(ENOTTY, vcpu.enable_cap(KVM_CAP_HYPERV_DIRECT_TLBFLUSH, [0; 4])))
}
claim!(
    direct_flush_needs_hyperv,
    "KVM_CAP_HYPERV_DIRECT_TLBFLUSH is refused with ENOTTY where KVM does not run on Hyper-V",
    [Api("8.21 KVM_CAP_HYPERV_DIRECT_TLBFLUSH"), Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Not(&Has(KVM_CAP_HYPERV_DIRECT_TLBFLUSH)),
    Has(KVM_CAP_HYPERV_SYNIC)
);

fn no_hyperv_means_unknown(vcpu: Vcpu) -> Outcome {
    each(ENABLEABLE.iter().filter(|cap| **cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID), |cap| {
        unchanged(|| state(&vcpu), || fails(EINVAL, vcpu.enable_cap(**cap, [0; 4])))
    })
}
claim!(
    no_hyperv_means_unknown,
    "The Hyper-V capabilities are refused with EINVAL on vCPUs of a kernel that was built without them",
    [Code("kvm_vcpu_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Not(&Has(KVM_CAP_HYPERV_SYNIC)),
    Kernel(">=6.8")
);
