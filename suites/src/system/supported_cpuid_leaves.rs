//! What the leaves of KVM_GET_SUPPORTED_CPUID say of the list itself, of KVM and of the host: api.rst 4.46 and 9.1.

use std::collections::BTreeSet;

use harness::kvm::{
    CpuidEntry, KVM_CAP_EXT_CPUID, KVM_CAP_STEAL_TIME, KVM_CAP_XCRS, KVM_CAP_XSAVE2, Kvm,
    abi::KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
};
use harness::{Broken, Outcome, Stop, claim, each, equal, holds, within};

use super::get_supported_cpuid::LIST;

/// KVM_CPUID_SIGNATURE.
const SIGNATURE: u32 = 0x4000_0000;
/// KVM_CPUID_FEATURES.
const FEATURES: u32 = 0x4000_0001;
/// The first of the extended leaves.
const EXTENDED: u32 = 0x8000_0000;
/// The first of Centaur's leaves.
const CENTAUR: u32 = 0xc000_0000;

/// The entry for a leaf and a subleaf.
#[track_caller]
pub(super) fn leaf(list: &[CpuidEntry], function: u32, index: u32) -> Result<CpuidEntry, Stop> {
    let found = list.iter().find(|entry| entry.function == function && entry.index == index);
    found
        .copied()
        .ok_or_else(|| Broken::new(format!("there is no leaf {function:#x}, subleaf {index}")).into())
}

fn padding_is_clean(kvm: Kvm) -> Outcome {
    each(LIST.read(&kvm)?, |entry| equal(entry.padding, [0; 3]))
}
claim!(
    padding_is_clean,
    "KVM_GET_SUPPORTED_CPUID answers entries with clean padding",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")],
    Has(KVM_CAP_EXT_CPUID)
);

fn flags_say_whether_the_index_counts(kvm: Kvm) -> Outcome {
    each(LIST.read(&kvm)?, |entry| {
        within(entry.flags, 0, KVM_CPUID_FLAG_SIGNIFCANT_INDEX)?;
        holds(entry.flags != 0 || entry.index == 0, "an index that does not count is 0")
    })
}
claim!(
    flags_say_whether_the_index_counts,
    "KVM_GET_SUPPORTED_CPUID flags an entry with KVM_CPUID_FLAG_SIGNIFCANT_INDEX or nothing, and then its index is 0",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")]
);

fn no_entry_comes_twice(kvm: Kvm) -> Outcome {
    LIST.has_nothing_twice(&kvm, |entry| (entry.function, entry.index))
}
claim!(
    no_entry_comes_twice,
    "KVM_GET_SUPPORTED_CPUID answers each leaf and subleaf once",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")]
);

fn flags_are_alike_in_a_leaf(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    each(&list, |entry| equal(entry.flags, leaf(&list, entry.function, 0)?.flags))
}
claim!(
    flags_are_alike_in_a_leaf,
    "KVM_GET_SUPPORTED_CPUID answers subleaf 0 of every leaf, and flags all subleaves of it alike",
    [Code("do_host_cpuid, arch/x86/kvm/cpuid.c")]
);

fn ranges_are_whole(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    each([(0, SIGNATURE), (SIGNATURE, EXTENDED), (EXTENDED, CENTAUR)], |(first, end)| {
        let last = leaf(&list, *first, 0)?.eax.max(*first);
        let answered: BTreeSet<_> = list
            .iter()
            .map(|entry| entry.function)
            .filter(|function| (*first..*end).contains(function))
            .collect();
        equal(answered, (*first..=last).collect())
    })
}
claim!(
    ranges_are_whole,
    "KVM_GET_SUPPORTED_CPUID answers every leaf up to the one that a range's first leaf names, and none behind it",
    [Code("get_cpuid_func, arch/x86/kvm/cpuid.c")]
);

fn leaf_7_names_its_last_subleaf(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    let answered: Vec<_> = list.iter().filter(|entry| entry.function == 7).map(|entry| entry.index).collect();
    let last = list.iter().find(|entry| entry.function == 7).map_or(0, |entry| entry.eax);
    equal(answered.is_empty() || answered == (0..=last).collect::<Vec<_>>(), true)
}
claim!(
    leaf_7_names_its_last_subleaf,
    "KVM_GET_SUPPORTED_CPUID answers as many subleaves of leaf 7 as its EAX names",
    [Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")]
);

fn caches_end_with_none(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    each([4, 0x8000_001d], |function| {
        let types: Vec<_> =
            list.iter().filter(|entry| entry.function == *function).map(|e| e.eax & 0x1f).collect();
        let Some((last, caches)) = types.split_last() else { return Ok(()) };
        holds(
            *last == 0 && caches.iter().all(|kind| *kind != 0),
            format_args!("cache types {types:?} end with 0"),
        )
    })
}
claim!(
    caches_end_with_none,
    "KVM_GET_SUPPORTED_CPUID answers cache subleaves up to the first of type 0",
    [Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")]
);

fn vendor_is_the_hosts(kvm: Kvm) -> Outcome {
    let (host, leaf) = (std::arch::x86_64::__cpuid(0), leaf(&LIST.read(&kvm)?, 0, 0)?);
    equal((leaf.ebx, leaf.ecx, leaf.edx), (host.ebx, host.ecx, host.edx))
}
claim!(
    vendor_is_the_hosts,
    "KVM_GET_SUPPORTED_CPUID answers the vendor of the host's processor",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")]
);

fn last_leaf_is_at_most_the_hosts(kvm: Kvm) -> Outcome {
    within(leaf(&LIST.read(&kvm)?, 0, 0)?.eax, 0, std::arch::x86_64::__cpuid(0).eax)
}
claim!(
    last_leaf_is_at_most_the_hosts,
    "KVM_GET_SUPPORTED_CPUID names no higher basic leaf than the host's processor has",
    [Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")]
);

fn signs_with_kvms_name(kvm: Kvm) -> Outcome {
    let leaf = leaf(&LIST.read(&kvm)?, SIGNATURE, 0)?;
    equal(leaf.eax, FEATURES)?;
    let name: Vec<u8> = [leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes).collect();
    equal(String::from_utf8_lossy(&name), "KVMKVMKVM\0\0\0".into())
}
claim!(
    signs_with_kvms_name,
    "KVM_GET_SUPPORTED_CPUID answers KVMKVMKVM in leaf 0x40000000, and 0x40000001 as the last leaf",
    [Doc("virt/kvm/x86/cpuid.rst: KVM CPUID bits")]
);

fn address_widths_are_a_processors(kvm: Kvm) -> Outcome {
    let leaf = leaf(&LIST.read(&kvm)?, 0x8000_0008, 0)?;
    within(leaf.eax & 0xff, 32, 52)?;
    holds([48, 57].contains(&(leaf.eax >> 8 & 0xff)), "linear addresses have 48 or 57 bits")
}
claim!(
    address_widths_are_a_processors,
    "KVM_GET_SUPPORTED_CPUID answers 48 or 57 bits of linear address, and at most 52 of physical address",
    [Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")]
);

fn hides_the_hosts_topology(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    each(list.iter().filter(|entry| [0xb, 0x1f, 0x8000_001e].contains(&entry.function)), |entry| {
        equal((entry.index, entry.eax, entry.ebx, entry.ecx), (0, 0, 0, 0))
    })?;
    holds(!list.is_empty(), "there are leaves")
}
claim!(
    hides_the_hosts_topology,
    "KVM_GET_SUPPORTED_CPUID answers zeroes in the topology leaves",
    [Api("9.1. x86, CPU topology")],
    Kernel(">=6.2")
);

fn xsave2_is_the_size_in_leaf_d(kvm: Kvm) -> Outcome {
    let size = i32::try_from(leaf(&LIST.read(&kvm)?, 0xd, 0)?.ebx).unwrap_or(i32::MAX);
    equal(kvm.check_extension(KVM_CAP_XSAVE2)?, size.max(4096))
}
claim!(
    xsave2_is_the_size_in_leaf_d,
    "KVM_CAP_XSAVE2 answers the size that leaf 0xD of KVM_GET_SUPPORTED_CPUID has in EBX, and at least 4096",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_XSAVE2),
    Has(KVM_CAP_XCRS)
);

fn steal_time_is_a_feature(kvm: Kvm) -> Outcome {
    let has_feature = leaf(&LIST.read(&kvm)?, FEATURES, 0)?.eax >> 5 & 1 == 1;
    equal(has_feature, kvm.check_extension(KVM_CAP_STEAL_TIME)? != 0)
}
claim!(
    steal_time_is_a_feature,
    "KVM_GET_SUPPORTED_CPUID answers KVM_FEATURE_STEAL_TIME exactly where KVM_CAP_STEAL_TIME is there",
    [Code("__do_cpuid_func, arch/x86/kvm/cpuid.c")]
);
