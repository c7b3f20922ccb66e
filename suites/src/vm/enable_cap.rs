//! KVM_ENABLE_CAP on a VM: api.rst 4.37. What it makes of single capabilities stands in the files named for them.

use harness::kvm::{
    Argument, CAPS, Cap, Descriptor, EFAULT, EINVAL, KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
    KVM_CAP_DISABLE_QUIRKS, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_ENABLE_CAP_VM, KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
    KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_EXIT_HYPERCALL, KVM_CAP_EXIT_ON_EMULATION_FAILURE, KVM_CAP_HALT_POLL,
    KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_MAX_VCPU_ID, KVM_CAP_MSR_PLATFORM_INFO,
    KVM_CAP_PMU_CAPABILITY, KVM_CAP_SGX_ATTRIBUTE, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
    KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, KVM_CAP_X2APIC_API,
    KVM_CAP_X86_APIC_BUS_CYCLES_NS, KVM_CAP_X86_BUS_LOCK_EXIT, KVM_CAP_X86_DISABLE_EXITS,
    KVM_CAP_X86_NOTIFY_VMEXIT, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_CAP_X86_USER_SPACE_MSR, KVM_ENABLE_CAP,
    Kvm, Vm, abi,
};
use harness::{Outcome, claim, each, equal, fails};

use super::shown::Shown;
use super::step::Answer::Fails;
use super::step::Step::Enable;
use super::step::in_order;

/// What x86 kernels up to 7.3 can enable on a VM, but for the dirty rings.
const ENABLEABLE: [Cap; 22] = [
    KVM_CAP_DISABLE_QUIRKS,
    KVM_CAP_DISABLE_QUIRKS2,
    KVM_CAP_SPLIT_IRQCHIP,
    KVM_CAP_MAX_VCPU_ID,
    KVM_CAP_X2APIC_API,
    KVM_CAP_X86_DISABLE_EXITS,
    KVM_CAP_MSR_PLATFORM_INFO,
    KVM_CAP_EXCEPTION_PAYLOAD,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
    KVM_CAP_HALT_POLL,
    KVM_CAP_X86_USER_SPACE_MSR,
    KVM_CAP_X86_BUS_LOCK_EXIT,
    KVM_CAP_SGX_ATTRIBUTE,
    KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
    KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
    KVM_CAP_EXIT_HYPERCALL,
    KVM_CAP_EXIT_ON_EMULATION_FAILURE,
    KVM_CAP_PMU_CAPABILITY,
    KVM_CAP_X86_TRIPLE_FAULT_EVENT,
    KVM_CAP_X86_NOTIFY_VMEXIT,
    KVM_CAP_VM_DISABLE_NX_HUGE_PAGES,
    KVM_CAP_X86_APIC_BUS_CYCLES_NS,
];
const RINGS: [Cap; 2] = [KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL];

/// What is enabled on vCPUs, and by no kernel on a VM.
const OF_VCPUS: [Cap; 4] = [
    KVM_CAP_HYPERV_SYNIC,
    KVM_CAP_HYPERV_SYNIC2,
    KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
    KVM_CAP_HYPERV_ENFORCE_CPUID,
];

fn refuses_flags(vm: Vm) -> Outcome {
    let before = Shown::of(&vm, &[])?;
    each(ENABLEABLE, |cap| {
        each([1, 2, 1 << 31, u32::MAX], |flags| {
            let request = abi::kvm_enable_cap { cap: cap.number, flags: *flags, ..Default::default() };
            fails(EINVAL, vm.write(KVM_ENABLE_CAP, &request))
        })
    })?;
    before.is_still(&vm, &[])
}
claim!(
    refuses_flags,
    "KVM_ENABLE_CAP on a VM is refused with EINVAL for any flags, whatever the capability but the dirty rings",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP_VM)
);

fn refuses_unknown_numbers(vm: Vm, number: u32) -> Outcome {
    let number = number | 1 << 16;
    let unknown = Cap { name: "an unknown capability", number, on_x86: false };
    in_order(&vm, &[(Enable(unknown, 0), Fails(EINVAL)), (Enable(unknown, 1), Fails(EINVAL))])
}
claim!(
    refuses_unknown_numbers,
    "KVM_ENABLE_CAP on a VM is refused with EINVAL for a number that is no capability",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP_VM)
);

fn refuses_what_cannot_be_enabled(vm: Vm) -> Outcome {
    let before = Shown::of(&vm, &[])?;
    let others = CAPS
        .iter()
        .filter(|cap| !ENABLEABLE.iter().chain(&RINGS).chain(&OF_VCPUS).any(|other| other == *cap));
    each(others, |cap| {
        fails(EINVAL, vm.enable_cap(**cap, [0; 4]))?;
        fails(EINVAL, vm.enable_cap(**cap, [1, 0, 0, 0]))
    })?;
    before.is_still(&vm, &[])
}
claim!(
    refuses_what_cannot_be_enabled,
    "KVM_ENABLE_CAP on a VM is refused with EINVAL for every capability that only tells of something",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP_VM)
);

fn refuses_what_is_for_vcpus(vm: Vm) -> Outcome {
    each(OF_VCPUS, |cap| in_order(&vm, &[(Enable(*cap, 0), Fails(EINVAL)), (Enable(*cap, 1), Fails(EINVAL))]))
}
claim!(
    refuses_what_is_for_vcpus,
    "KVM_ENABLE_CAP on a VM is refused with EINVAL for the capabilities that vCPUs enable",
    [Api("4.37 KVM_ENABLE_CAP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_ENABLE_CAP_VM)
);

fn reads_its_argument(vm: Vm) -> Outcome {
    fails(EFAULT, vm.send(KVM_ENABLE_CAP, Argument::Inaccessible))
}
claim!(
    reads_its_argument,
    "KVM_ENABLE_CAP on a VM is refused with EFAULT where its argument cannot be read",
    [Code("kvm_vm_ioctl, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_ENABLE_CAP_VM)
);

fn ignores_what_no_capability_takes(kvm: Kvm) -> Outcome {
    each([KVM_CAP_HALT_POLL, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_USER_SPACE_MSR], |cap| {
        let args = [1, u64::MAX, u64::MAX, u64::MAX];
        let request = abi::kvm_enable_cap { cap: cap.number, flags: 0, args, pad: [0xff; 64] };
        equal(kvm.create_vm(0)?.write(KVM_ENABLE_CAP, &request)?, 0)
    })
}
claim!(
    ignores_what_no_capability_takes,
    "KVM_ENABLE_CAP on a VM takes any padding, and any argument after the last that the capability has",
    [Observed("kvm_vm_ioctl_enable_cap of Linux 5.10 to 7.3")],
    Has(KVM_CAP_HALT_POLL),
    Has(KVM_CAP_EXCEPTION_PAYLOAD),
    Has(KVM_CAP_X86_USER_SPACE_MSR)
);
