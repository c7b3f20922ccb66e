//! KVM_GET_EMULATED_CPUID: api.rst 4.88.

use harness::kvm::{
    CpuidEntry, E2BIG, EINVAL, KVM_GET_EMULATED_CPUID, KVM_GET_SUPPORTED_CPUID, Kvm, abi, list_over,
};
use harness::{Outcome, claim, each, equal, fails, holds};

use super::lists::ListCommand;

/// The list of what KVM emulates. It wants room for one entry more than it has: having filled the last, it still asks for the
/// extended and the hypervisor leaves, of which there are none, and finds its room used up.
const LIST: ListCommand<CpuidEntry> = ListCommand::of_cpuid(KVM_GET_EMULATED_CPUID, 1);

/// KVM_MAX_CPUID_ENTRIES: behind so many entries the padding is not looked at.
const LIMIT: u32 = 256;
/// MOVBE in leaf 1, ECX.
const MOVBE: u32 = 1 << 22;
/// RDPID in leaf 7, ECX.
const RDPID: u32 = 1 << 22;
/// RDTSCP in leaf 0x80000001, EDX.
const RDTSCP: u32 = 1 << 27;

fn refuses_too_small_a_count(kvm: Kvm, count: u32) -> Outcome {
    LIST.refuses_fewer(&kvm, count)
}
claim!(
    refuses_too_small_a_count,
    "KVM_GET_EMULATED_CPUID answers E2BIG to too small a count, and leaves count and entries as they were",
    [Api("4.88 KVM_GET_EMULATED_CPUID"), Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn wants_room_for_one_more(kvm: Kvm) -> Outcome {
    let length = LIST.length(&kvm)?;
    fails(E2BIG, LIST.ask(&kvm, length, length).answer)?;
    LIST.fits_exactly(&kvm)
}
// api.rst says that the call succeeds where the number of entries is just right.
claim!(
    wants_room_for_one_more,
    "KVM_GET_EMULATED_CPUID answers E2BIG to the count that it stores, and succeeds with one more",
    [Code("__do_cpuid_func_emulated, arch/x86/kvm/cpuid.c")]
);

fn takes_a_larger_count(kvm: Kvm, more: u32) -> Outcome {
    LIST.takes_more(&kvm, more)
}
// api.rst says ENOMEM for too large a count, which no kernel has answered.
claim!(
    takes_a_larger_count,
    "KVM_GET_EMULATED_CPUID lowers a larger count to the number of entries, and leaves the rest alone",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn refuses_dirty_padding(kvm: Kvm, at: u8, word: u8, bits: std::num::NonZeroU32) -> Outcome {
    let mut room = vec![CpuidEntry::default(); 256];
    room[usize::from(at)].padding[usize::from(word % 3)] = bits.get();
    let before = room.clone();
    let list = list_over(&kvm, KVM_GET_EMULATED_CPUID, 8, LIMIT, &room);
    fails(EINVAL, list.answer)?;
    holds(list.entries == before && list.count == LIMIT, "count and entries are as they were")
}
claim!(
    refuses_dirty_padding,
    "KVM_GET_EMULATED_CPUID refuses an entry with padding that is not zero, and writes nothing",
    [Code("sanity_check_entries, arch/x86/kvm/cpuid.c")]
);

fn ignores_padding_behind_the_limit(kvm: Kvm) -> Outcome {
    let mut room = vec![CpuidEntry::default(); 257];
    room[256].padding = [u32::MAX; 3];
    equal(list_over(&kvm, KVM_GET_EMULATED_CPUID, 8, LIMIT + 1, &room).answer?, 0)
}
claim!(
    ignores_padding_behind_the_limit,
    "KVM_GET_EMULATED_CPUID does not look at entries from KVM_MAX_CPUID_ENTRIES on",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn cannot_read_its_room(kvm: Kvm, room: u8) -> Outcome {
    fails(EINVAL, LIST.ask(&kvm, LIMIT, room.into()).answer)
}
// Not EFAULT: the look at the padding answers "not clean" also where it cannot be read.
claim!(
    cannot_read_its_room,
    "KVM_GET_EMULATED_CPUID answers EINVAL where an entry cannot be read",
    [Code("sanity_check_entries, arch/x86/kvm/cpuid.c")]
);

fn answers_alike_when_asked_again(kvm: Kvm) -> Outcome {
    LIST.reads_alike(&kvm, |entry| *entry)
}
claim!(
    answers_alike_when_asked_again,
    "KVM_GET_EMULATED_CPUID answers the same when asked again",
    [Api("4.88 KVM_GET_EMULATED_CPUID")]
);

fn entries_are_well_formed(kvm: Kvm) -> Outcome {
    LIST.has_nothing_twice(&kvm, |entry| (entry.function, entry.index))?;
    let list = LIST.read(&kvm)?;
    let last = list.iter().find(|entry| entry.function == 0).map_or(0, |entry| entry.eax);
    each(list, |entry| {
        holds(entry.function <= last, format_args!("leaf 0 says that leaf {last:#x} is the last"))?;
        equal(entry.padding, [0; 3])?;
        equal(entry.flags & !abi::KVM_CPUID_FLAG_SIGNIFCANT_INDEX, 0)
    })
}
claim!(
    entries_are_well_formed,
    "KVM_GET_EMULATED_CPUID answers leaves up to the one that leaf 0 names, each once, with clean padding",
    [Api("4.88 KVM_GET_EMULATED_CPUID")]
);

fn emulates_movbe(kvm: Kvm) -> Outcome {
    let list = LIST.read(&kvm)?;
    let leaf = list.iter().find(|entry| entry.function == 1);
    equal(leaf.map(|entry| (entry.eax, entry.ebx, entry.ecx, entry.edx)), Some((0, 0, MOVBE, 0)))
}
claim!(
    emulates_movbe,
    "KVM_GET_EMULATED_CPUID names MOVBE, and nothing else of leaf 1",
    [Code("__do_cpuid_func_emulated, arch/x86/kvm/cpuid.c")]
);

fn emulates_rdpid_with_rdtscp(kvm: Kvm) -> Outcome {
    let supported = ListCommand::<CpuidEntry>::of_cpuid(KVM_GET_SUPPORTED_CPUID, 0).read(&kvm)?;
    let has_rdtscp = supported.iter().any(|entry| entry.function == 0x8000_0001 && entry.edx & RDTSCP != 0);
    let emulates = LIST.read(&kvm)?.iter().any(|entry| entry.function == 7 && entry.ecx & RDPID != 0);
    equal(emulates, has_rdtscp)
}
claim!(
    emulates_rdpid_with_rdtscp,
    "KVM_GET_EMULATED_CPUID names RDPID exactly where RDTSCP is supported",
    [Code("__do_cpuid_func_emulated, arch/x86/kvm/cpuid.c")],
    Kernel(">=6.1")
);
