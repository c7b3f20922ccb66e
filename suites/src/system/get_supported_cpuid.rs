//! KVM_GET_SUPPORTED_CPUID as a command: api.rst 4.46. What the leaves say is in `supported_cpuid_leaves.rs`.

use harness::kvm::{
    CpuidEntry, KVM_GET_CPUID2, KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2, Kvm, Vcpu, list, list_over,
};
use harness::{Outcome, claim, each, equal, succeeds};

use super::lists::ListCommand;

/// The list of what hardware and KVM support.
pub(super) const LIST: ListCommand<CpuidEntry> = ListCommand::of_cpuid(KVM_GET_SUPPORTED_CPUID, 0);

/// The counts around KVM_MAX_CPUID_ENTRIES.
const AROUND_THE_LIMIT: [u32; 4] = [255, 256, 257, 1 << 31];

fn refuses_too_small_a_count(kvm: Kvm, count: u32) -> Outcome {
    LIST.refuses_fewer(&kvm, count)
}
claim!(
    refuses_too_small_a_count,
    "KVM_GET_SUPPORTED_CPUID answers E2BIG to too small a count, and leaves count and entries as they were",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID"), Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn fits_exactly(kvm: Kvm) -> Outcome {
    LIST.fits_exactly(&kvm)
}
claim!(
    fits_exactly,
    "KVM_GET_SUPPORTED_CPUID fills exactly as many entries as it stores the count of",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")]
);

fn takes_a_larger_count(kvm: Kvm, more: u32) -> Outcome {
    LIST.takes_more(&kvm, more)
}
// api.rst says ENOMEM for too large a count, which no kernel has answered.
claim!(
    takes_a_larger_count,
    "KVM_GET_SUPPORTED_CPUID lowers a larger count to the number of entries, and leaves the rest alone",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn takes_more_than_its_limit(kvm: Kvm) -> Outcome {
    each(AROUND_THE_LIMIT, |count| LIST.takes(&kvm, *count))
}
claim!(
    takes_more_than_its_limit,
    "KVM_GET_SUPPORTED_CPUID takes counts around and above KVM_MAX_CPUID_ENTRIES",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn stops_at_its_end(kvm: Kvm) -> Outcome {
    LIST.stops_at_its_end(&kvm)
}
claim!(
    stops_at_its_end,
    "KVM_GET_SUPPORTED_CPUID touches nothing behind its last entry, whatever the count",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn needs_its_room(kvm: Kvm) -> Outcome {
    LIST.needs_its_room(&kvm)
}
claim!(
    needs_its_room,
    "KVM_GET_SUPPORTED_CPUID answers EFAULT where its last entry cannot be written",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn accepts_dirty_padding(kvm: Kvm, padding: [u32; 3]) -> Outcome {
    let length = LIST.length(&kvm)?;
    let dirty = CpuidEntry { padding, ..CpuidEntry::default() };
    let room = vec![dirty; LIST.read(&kvm)?.len()];
    let list = list_over(&kvm, KVM_GET_SUPPORTED_CPUID, 8, length, &room);
    succeeds(list.answer)?;
    each(list.entries, |entry| equal(entry.padding, [0; 3]))
}
claim!(
    accepts_dirty_padding,
    "KVM_GET_SUPPORTED_CPUID accepts any padding in the entries, and clears it",
    [Code("sanity_check_entries, arch/x86/kvm/cpuid.c")]
);

fn answers_alike_when_asked_again(kvm: Kvm) -> Outcome {
    LIST.reads_alike(&kvm, |entry| (entry.function, entry.index, entry.flags))
}
claim!(
    answers_alike_when_asked_again,
    "KVM_GET_SUPPORTED_CPUID answers the same leaves in the same order when asked again",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")]
);

fn is_what_a_vcpu_takes(kvm: Kvm, vcpu: Vcpu) -> Outcome {
    let supported = LIST.read(&kvm)?;
    equal(succeeds(list_over(&vcpu, KVM_SET_CPUID2, 8, LIST.length(&kvm)?, &supported).answer)?, 0)
}
claim!(
    is_what_a_vcpu_takes,
    "What KVM_GET_SUPPORTED_CPUID answers can be passed to KVM_SET_CPUID2 as it is",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID"), Api("9.1. x86, KVM_GET_SUPPORTED_CPUID issues")]
);

fn is_what_a_vcpu_keeps(kvm: Kvm, vcpu: Vcpu) -> Outcome {
    let (supported, length) = (LIST.read(&kvm)?, LIST.length(&kvm)?);
    list_over(&vcpu, KVM_SET_CPUID2, 8, length, &supported).answer?;
    let kept = list::<CpuidEntry>(&vcpu, KVM_GET_CPUID2, 8, length, supported.len());
    succeeds(kept.answer)?;
    let leaf = |entry: &CpuidEntry| (entry.function, entry.index, entry.flags);
    let kept: Vec<_> = kept.entries.iter().take(usize::try_from(kept.count).unwrap_or(0)).map(leaf).collect();
    equal(supported.iter().map(leaf).filter(|leaf| !kept.contains(leaf)).collect::<Vec<_>>(), vec![])?;
    equal(kept.len(), supported.len())
}
claim!(
    is_what_a_vcpu_keeps,
    "A vCPU keeps every leaf that KVM_GET_SUPPORTED_CPUID answers and KVM_SET_CPUID2 was given",
    [Code("kvm_set_cpuid, arch/x86/kvm/cpuid.c")]
);
