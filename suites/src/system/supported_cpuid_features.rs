//! Which features KVM_GET_SUPPORTED_CPUID has whatever the host, and which it never has: api.rst 4.46 and 9.1.

use harness::kvm::{KVM_CAP_SYS_ATTRIBUTES, KVM_CAP_XCRS, Kvm};
use harness::{Outcome, claim, equal, holds};

use super::device_attributes::guest_xcr0;
use super::get_supported_cpuid::LIST;
use super::supported_cpuid_leaves::leaf;

/// MONITOR in leaf 1, ECX.
const MONITOR: u32 = 1 << 3;
/// X2APIC in leaf 1, ECX.
const X2APIC: u32 = 1 << 21;
/// TSC_DEADLINE_TIMER in leaf 1, ECX.
const TSC_DEADLINE: u32 = 1 << 24;
/// OSXSAVE in leaf 1, ECX.
const OSXSAVE: u32 = 1 << 27;
/// HYPERVISOR in leaf 1, ECX.
const HYPERVISOR: u32 = 1 << 31;
/// TSC_ADJUST in leaf 7, EBX.
const TSC_ADJUST: u32 = 1 << 1;
/// OSPKE in leaf 7, ECX.
const OSPKE: u32 = 1 << 4;
/// SYSCALL, NX and LM in leaf 0x80000001, EDX.
const LONG_MODE: u32 = 1 << 11 | 1 << 20 | 1 << 29;
/// XTILEDATA in XCR0: a component that a process asks for with ARCH_REQ_XCOMP_GUEST_PERM.
const XTILEDATA: u64 = 1 << 18;
/// From KVM_FEATURE_CLOCKSOURCE to KVM_FEATURE_ASYNC_PF_INT but for the MMU operations of old, bit 8 and the stolen time, and
/// KVM_FEATURE_CLOCKSOURCE_STABLE_BIT.
const PARAVIRTUAL: u32 = 0x0100_7edb;

fn reports_x2apic(kvm: Kvm) -> Outcome {
    equal(leaf(&LIST.read(&kvm)?, 1, 0)?.ecx & X2APIC, X2APIC)
}
claim!(
    reports_x2apic,
    "KVM_GET_SUPPORTED_CPUID always reports x2APIC",
    [Api("9.1. x86, Local APIC features")]
);

fn leaves_out_monitor(kvm: Kvm) -> Outcome {
    equal(leaf(&LIST.read(&kvm)?, 1, 0)?.ecx & MONITOR, 0)
}
claim!(
    leaves_out_monitor,
    "KVM_GET_SUPPORTED_CPUID never reports MONITOR",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")]
);

fn leaves_out_what_follows_cr4(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    equal(leaf(&list, 1, 0)?.ecx & OSXSAVE, 0)?;
    holds(
        list.iter().all(|entry| entry.function != 7 || entry.index != 0 || entry.ecx & OSPKE == 0),
        "no OSPKE",
    )
}
claim!(
    leaves_out_what_follows_cr4,
    "KVM_GET_SUPPORTED_CPUID never reports OSXSAVE or OSPKE, which follow the guest's CR4",
    [Code("kvm_set_cpu_caps, arch/x86/kvm/cpuid.c")]
);

fn leaves_out_tsc_deadline(kvm: Kvm) -> Outcome {
    equal(leaf(&LIST.read(&kvm)?, 1, 0)?.ecx & TSC_DEADLINE, 0)
}
claim!(
    leaves_out_tsc_deadline,
    "KVM_GET_SUPPORTED_CPUID does not report the TSC deadline timer before Linux 6.14",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")],
    Kernel("<6.14")
);

fn reports_what_it_emulates(kvm: Kvm) -> Outcome {
    let both = TSC_DEADLINE | HYPERVISOR;
    equal(leaf(&LIST.read(&kvm)?, 1, 0)?.ecx & both, both)
}
claim!(
    reports_what_it_emulates,
    "KVM_GET_SUPPORTED_CPUID reports the TSC deadline timer and a hypervisor from Linux 6.14 on",
    [Code("kvm_set_cpu_caps, arch/x86/kvm/cpuid.c")],
    Kernel(">=6.14")
);

fn reports_tsc_adjust(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    let leaf_7 = list.iter().find(|entry| entry.function == 7 && entry.index == 0);
    holds(
        leaf_7.is_none_or(|entry| entry.ebx & TSC_ADJUST != 0),
        "leaf 7 reports TSC_ADJUST, where there is one",
    )
}
claim!(
    reports_tsc_adjust,
    "KVM_GET_SUPPORTED_CPUID always reports TSC_ADJUST, which KVM emulates",
    [Code("kvm_set_cpu_caps, arch/x86/kvm/cpuid.c")]
);

fn reports_long_mode(kvm: Kvm) -> Outcome {
    equal(leaf(&LIST.read(&kvm)?, 0x8000_0001, 0)?.edx & LONG_MODE, LONG_MODE)
}
claim!(
    reports_long_mode,
    "KVM_GET_SUPPORTED_CPUID reports long mode, SYSCALL and no-execute",
    [Code("kvm_set_cpu_caps, arch/x86/kvm/cpuid.c")]
);

fn reports_the_paravirtual_features(kvm: Kvm) -> Outcome {
    let features = leaf(&LIST.read(&kvm)?, 0x4000_0001, 0)?;
    equal(features.eax & PARAVIRTUAL, PARAVIRTUAL)?;
    equal((features.ebx, features.ecx, features.edx), (0, 0, 0))
}
claim!(
    reports_the_paravirtual_features,
    "KVM_GET_SUPPORTED_CPUID reports every paravirtual feature that KVM has had since Linux 5.10, and no hints",
    [Doc("virt/kvm/x86/cpuid.rst: KVM CPUID bits"), Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")]
);

/// XCR0 as leaf 0xD says that a guest can have it.
fn xcr0(kvm: &Kvm) -> Result<u64, harness::Stop> {
    let leaf = leaf(&LIST.read(kvm)?, 0xd, 0)?;
    Ok(u64::from(leaf.edx) << 32 | u64::from(leaf.eax))
}

fn xcr0_is_within_the_supported(kvm: Kvm) -> Outcome {
    let (offered, supported) = (xcr0(&kvm)?, guest_xcr0(&kvm)?);
    holds(offered & !supported == 0, format_args!("{offered:#x} is part of {supported:#x}"))
}
claim!(
    xcr0_is_within_the_supported,
    "Leaf 0xD of KVM_GET_SUPPORTED_CPUID has no bit of XCR0 that KVM_X86_XCOMP_GUEST_SUPP has not",
    [Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")],
    Has(KVM_CAP_SYS_ATTRIBUTES),
    Has(KVM_CAP_XCRS)
);

fn xcr0_is_supported_but_for_what_wants_permission(kvm: Kvm) -> Outcome {
    // XTILECFG goes with XTILEDATA on newer kernels.
    let (offered, supported) = (xcr0(&kvm)?, guest_xcr0(&kvm)?);
    equal(offered & XTILEDATA, 0)?;
    equal(supported & !offered & !(XTILEDATA | 1 << 17), 0)
}
claim!(
    xcr0_is_supported_but_for_what_wants_permission,
    "Leaf 0xD of KVM_GET_SUPPORTED_CPUID leaves out the dynamic component that was not asked for, and nothing else",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")],
    Has(KVM_CAP_SYS_ATTRIBUTES),
    Has(KVM_CAP_XCRS)
);
