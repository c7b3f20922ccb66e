//! Capabilities that answer a mask or a size that depends on the host: which bits must be there, and which cannot be.

use harness::kvm::{
    Cap, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_GUEST_MEMFD_FLAGS, KVM_CAP_MEMORY_ATTRIBUTES, KVM_CAP_NESTED_STATE,
    KVM_CAP_X2APIC_API, KVM_CAP_X86_BUS_LOCK_EXIT, KVM_CAP_X86_DISABLE_EXITS, KVM_CAP_XEN_HVM, Kvm,
};
use harness::{Outcome, claim, each, equal, holds};

/// KVM_X2APIC_API_USE_32BIT_IDS and KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK.
const X2APIC_IDS: i32 = 0x3;
/// Those, and KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST and KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST.
const X2APIC_ALL: i32 = 0xf;
/// KVM_X86_DISABLE_EXITS_PAUSE.
const EXITS_PAUSE: i32 = 1 << 2;
/// MWAIT, HLT, PAUSE, CSTATE and APERFMPERF.
const EXITS_ALL: i32 = 0x1f;
/// From KVM_X86_QUIRK_LINT0_REENABLED to KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS.
const QUIRKS_OF_6_1: i32 = 0x7f;
/// Hypercall MSR, hypercall interception, shared info, 2-level event channels, and sending of events.
const XEN_OF_6_1: i32 = 0x37;
/// Those, runstate, its update flag, unstable TSC in the pvclock, and shared info by host address.
const XEN_ALL: i32 = 0x1ff;
/// KVM_BUS_LOCK_DETECTION_OFF and KVM_BUS_LOCK_DETECTION_EXIT.
const BUS_LOCK_BOTH: i32 = 3;
/// GUEST_MEMFD_FLAG_MMAP and GUEST_MEMFD_FLAG_INIT_SHARED.
const GUEST_MEMFD_ALL: i32 = 3;
/// KVM_MEMORY_ATTRIBUTE_PRIVATE.
const MEMORY_PRIVATE: i32 = 1 << 3;
/// The header of `struct kvm_nested_state`, and a VMCB behind it.
const NESTED_SVM: i32 = 128 + 4096;
/// The header of `struct kvm_nested_state`, and a VMCS with its shadow behind it.
const NESTED_VMX: i32 = 128 + 2 * 4096;

#[track_caller]
fn lies_between(kvm: &Kvm, cap: Cap, always: i32, ever: i32) -> Outcome {
    let mask = kvm.check_extension(cap)?;
    holds(mask & always == always, format_args!("{mask:#x} has every bit of {always:#x}"))?;
    holds(mask & !ever == 0, format_args!("{mask:#x} has no bit but {ever:#x}"))
}

fn x2apic_api(kvm: Kvm) -> Outcome {
    lies_between(&kvm, KVM_CAP_X2APIC_API, X2APIC_IDS, X2APIC_ALL)
}
claim!(
    x2apic_api,
    "KVM_CAP_X2APIC_API offers 32-bit IDs and the end of the broadcast quirk, and no unknown bit",
    [Api("7.7 KVM_CAP_X2APIC_API")],
    Kernel("<7.4")
);

fn x86_disable_exits(kvm: Kvm) -> Outcome {
    lies_between(&kvm, KVM_CAP_X86_DISABLE_EXITS, EXITS_PAUSE, EXITS_ALL)
}
claim!(
    x86_disable_exits,
    "KVM_CAP_X86_DISABLE_EXITS always offers PAUSE, and no unknown bit",
    [Api("7.13 KVM_CAP_X86_DISABLE_EXITS"), Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel("<7.4")
);

fn disable_quirks2(kvm: Kvm) -> Outcome {
    lies_between(&kvm, KVM_CAP_DISABLE_QUIRKS2, QUIRKS_OF_6_1, i32::MAX)
}
claim!(
    disable_quirks2,
    "KVM_CAP_DISABLE_QUIRKS2 offers every quirk that Linux 6.1 had",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2"), Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.1")
);

fn xen_hvm(kvm: Kvm) -> Outcome {
    lies_between(&kvm, KVM_CAP_XEN_HVM, XEN_OF_6_1, XEN_ALL)
}
claim!(
    xen_hvm,
    "KVM_CAP_XEN_HVM offers hypercalls, shared info and event channels together, and no unknown bit",
    [Api("8.30 KVM_CAP_XEN_HVM"), Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_XEN_HVM),
    Kernel(">=6.1, <7.4")
);

fn bus_lock_exit(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_X86_BUS_LOCK_EXIT)?, BUS_LOCK_BOTH)
}
claim!(
    bus_lock_exit,
    "KVM_CAP_X86_BUS_LOCK_EXIT offers both modes where it offers any",
    [Api("7.22 KVM_CAP_X86_BUS_LOCK_EXIT"), Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_BUS_LOCK_EXIT)
);

fn private_memory(kvm: Kvm) -> Outcome {
    each(
        [(KVM_CAP_MEMORY_ATTRIBUTES, MEMORY_PRIVATE), (KVM_CAP_GUEST_MEMFD_FLAGS, GUEST_MEMFD_ALL)],
        |(cap, ever)| lies_between(&kvm, *cap, 0, *ever),
    )
}
claim!(
    private_memory,
    "KVM_CAP_MEMORY_ATTRIBUTES and KVM_CAP_GUEST_MEMFD_FLAGS offer no unknown bit",
    [Api("4.141 KVM_SET_MEMORY_ATTRIBUTES"), Api("4.142 KVM_CREATE_GUEST_MEMFD")],
    Kernel("<7.4")
);

fn nested_state_of_svm(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_NESTED_STATE)?, NESTED_SVM)
}
claim!(
    nested_state_of_svm,
    "KVM_CAP_NESTED_STATE answers the size of a header and a VMCB on AMD",
    [Api("4.114 KVM_GET_NESTED_STATE"), Code("svm_get_nested_state, arch/x86/kvm/svm/nested.c")],
    Amd,
    Has(KVM_CAP_NESTED_STATE)
);

fn nested_state_of_vmx(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_NESTED_STATE)?, NESTED_VMX)
}
claim!(
    nested_state_of_vmx,
    "KVM_CAP_NESTED_STATE answers the size of a header, a VMCS and its shadow on Intel",
    [Api("4.114 KVM_GET_NESTED_STATE"), Code("vmx_get_nested_state, arch/x86/kvm/vmx/nested.c")],
    Intel,
    Has(KVM_CAP_NESTED_STATE)
);
