//! KVM_GET_SUPPORTED_HV_CPUID on `/dev/kvm`: api.rst 4.118, and Hyper-V's Top Level Functional Specification for the leaves.

use harness::kvm::{
    CpuidEntry, EINVAL, KVM_CAP_MAX_VCPUS, KVM_CAP_SYS_HYPERV_CPUID, KVM_GET_SUPPORTED_HV_CPUID, Kvm,
};
use harness::{Outcome, claim, equal, fails};

use super::lists::ListCommand;
use super::supported_cpuid_leaves::leaf;

const LIST: ListCommand<CpuidEntry> = ListCommand::of_cpuid(KVM_GET_SUPPORTED_HV_CPUID, 0);

/// HYPERV_CPUID_VENDOR_AND_MAX_FUNCTIONS to HYPERV_CPUID_IMPLEMENT_LIMITS, the three of the synthetic debugger, and
/// HYPERV_CPUID_NESTED_FEATURES.
const LEAVES: [u32; 10] = [
    0x4000_0000,
    0x4000_0001,
    0x4000_0002,
    0x4000_0003,
    0x4000_0004,
    0x4000_0005,
    0x4000_000a,
    0x4000_0080,
    0x4000_0081,
    0x4000_0082,
];

/// The name in EBX, ECX and EDX of a leaf.
fn name(leaf: CpuidEntry) -> String {
    let bytes: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn refuses_too_small_a_count(kvm: Kvm, count: u32) -> Outcome {
    LIST.refuses_fewer(&kvm, count)
}
claim!(
    refuses_too_small_a_count,
    "KVM_GET_SUPPORTED_HV_CPUID answers E2BIG to too small a count, and leaves count and entries as they were",
    [Api("4.118 KVM_GET_SUPPORTED_HV_CPUID"), Code("kvm_get_hv_cpuid, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn fits_exactly(kvm: Kvm) -> Outcome {
    LIST.fits_exactly(&kvm)
}
claim!(
    fits_exactly,
    "KVM_GET_SUPPORTED_HV_CPUID fills exactly as many entries as it stores the count of",
    [Api("4.118 KVM_GET_SUPPORTED_HV_CPUID")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn takes_a_larger_count(kvm: Kvm, more: u32) -> Outcome {
    LIST.takes_more(&kvm, more)
}
claim!(
    takes_a_larger_count,
    "KVM_GET_SUPPORTED_HV_CPUID lowers a larger count to the number of entries, and leaves the rest alone",
    [Api("4.118 KVM_GET_SUPPORTED_HV_CPUID")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn stops_at_its_end(kvm: Kvm) -> Outcome {
    LIST.stops_at_its_end(&kvm)
}
claim!(
    stops_at_its_end,
    "KVM_GET_SUPPORTED_HV_CPUID touches nothing behind its last entry, whatever the count",
    [Code("kvm_get_hv_cpuid, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn needs_its_room(kvm: Kvm) -> Outcome {
    LIST.needs_its_room(&kvm)
}
claim!(
    needs_its_room,
    "KVM_GET_SUPPORTED_HV_CPUID answers EFAULT where its last entry cannot be written",
    [Code("kvm_get_hv_cpuid, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn answers_alike_when_asked_again(kvm: Kvm) -> Outcome {
    LIST.reads_alike(&kvm, |entry| *entry)
}
claim!(
    answers_alike_when_asked_again,
    "KVM_GET_SUPPORTED_HV_CPUID answers the same when asked again",
    [Api("4.118 KVM_GET_SUPPORTED_HV_CPUID")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn has_ten_leaves(kvm: Kvm) -> Outcome {
    let mut answered: Vec<_> = LIST.read(&kvm)?.iter().map(|entry| entry.function).collect();
    answered.sort_unstable();
    equal(answered, LEAVES.to_vec())
}
claim!(
    has_ten_leaves,
    "KVM_GET_SUPPORTED_HV_CPUID on /dev/kvm answers the ten leaves that api.rst names",
    [Api("4.118 KVM_GET_SUPPORTED_HV_CPUID")],
    Has(KVM_CAP_SYS_HYPERV_CPUID),
    Kernel(">=6.1")
);

fn signs_as_linux(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    let first = leaf(&list, 0x4000_0000, 0)?;
    equal((first.eax, name(first)), (0x4000_0082, "Linux KVM Hv".into()))?;
    equal(leaf(&list, 0x4000_0001, 0)?.eax, u32::from_le_bytes(*b"Hv#1"))
}
claim!(
    signs_as_linux,
    "KVM_GET_SUPPORTED_HV_CPUID answers the vendor Linux KVM Hv, the interface Hv#1, and 0x40000082 as the last leaf",
    [Code("kvm_get_hv_cpuid, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn limits_are_kvms(kvm: Kvm) -> Outcome {
    let most = leaf(&LIST.read(&kvm)?, 0x4000_0005, 0)?.eax;
    equal(i32::try_from(most).unwrap_or(-1), kvm.check_extension(KVM_CAP_MAX_VCPUS)?)
}
claim!(
    limits_are_kvms,
    "KVM_GET_SUPPORTED_HV_CPUID answers KVM_CAP_MAX_VCPUS as the largest number of virtual processors",
    [Code("kvm_get_hv_cpuid, arch/x86/kvm/hyperv.c")],
    Has(KVM_CAP_SYS_HYPERV_CPUID)
);

fn is_unknown_without_its_capability(kvm: Kvm) -> Outcome {
    fails(EINVAL, LIST.ask(&kvm, 10, 10).answer)
}
claim!(
    is_unknown_without_its_capability,
    "KVM_GET_SUPPORTED_HV_CPUID is unknown to /dev/kvm without KVM_CAP_SYS_HYPERV_CPUID",
    [Api("4.118 KVM_GET_SUPPORTED_HV_CPUID"), Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")],
    Not(&Has(KVM_CAP_SYS_HYPERV_CPUID))
);
