//! Lists for 32-bit callers: a count and entries, whose layout is the same for both.

use harness::kvm::{
    Command, Compat, CompatBuffer, CpuidEntry, Descriptor, E2BIG, Errno, KVM_CAP_EXT_CPUID,
    KVM_CAP_EXT_EMUL_CPUID, KVM_CAP_GET_MSR_FEATURES, KVM_GET_EMULATED_CPUID, KVM_GET_MSR_FEATURE_INDEX_LIST,
    KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS, KVM_GET_SUPPORTED_CPUID, Kvm, Plain, list,
};
use harness::{Outcome, Stop, claim, each, equal, fails};

use super::alike::{by_32, by_64, errno};

/// More MSRs than any list has.
const ROOM: u32 = 1024;
/// More CPUID leaves than there are: the most that KVM takes.
const LEAVES: u32 = 256;
/// The header of a list of MSRs: the count alone.
const MSR_HEADER: usize = 4;
/// The header of a list of CPUID leaves or of MSRs with values: the count, and padding.
const HEADER: usize = 8;

/// A list as a 32-bit caller gets it: the answer, the count, and as many entries.
type Got<T> = (Result<i32, Errno>, u32, Vec<T>);

/// Asks for a list with room for `room` entries, as a 32-bit caller.
fn list_32<T: Plain>(
    of: &impl Descriptor,
    command: Command,
    header: usize,
    room: u32,
) -> Result<Got<T>, Stop> {
    let mut bytes = CompatBuffer::zeroed(header + room as usize * size_of::<T>())?;
    bytes.put(0, room);
    let answer = Compat.send(of, command, &mut bytes);
    let count: u32 = bytes.get(0);
    let entries = (0..room.min(count)).map(|at| bytes.get(header + at as usize * size_of::<T>())).collect();
    Ok((errno(answer), count, entries))
}

/// Asks for a list with room for `room` entries, as a 64-bit caller.
fn list_64<T: Plain>(of: &impl Descriptor, command: Command, header: usize, room: u32) -> Got<T> {
    let got = list::<T>(of, command, header, room, room as usize);
    let entries = got.entries.into_iter().take(got.count as usize).collect();
    (errno(got.answer), got.count, entries)
}

/// Both entries answer the list alike: with much room, with none, and with just enough before the inaccessible page.
fn lists_alike(kvm: &Kvm, command: Command) -> Outcome {
    let whole = list_64::<u32>(kvm, command, MSR_HEADER, ROOM);
    equal(whole.0, Ok(0))?;
    let count = whole.1;
    equal(list_32(kvm, command, MSR_HEADER, ROOM)?, whole.clone())?;
    equal(list_32(kvm, command, MSR_HEADER, count)?, whole)?;
    equal(list_32::<u32>(kvm, command, MSR_HEADER, 0)?, (Err(E2BIG), count, vec![]))
}

fn msr_indices(kvm: Kvm) -> Outcome {
    lists_alike(&kvm, KVM_GET_MSR_INDEX_LIST)
}
claim!(
    msr_indices,
    "KVM_GET_MSR_INDEX_LIST fills the same list for a 32-bit caller, and with too little room tells how much it takes",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")],
    Compat32,
);

fn feature_msr_indices(kvm: Kvm) -> Outcome {
    lists_alike(&kvm, KVM_GET_MSR_FEATURE_INDEX_LIST)
}
claim!(
    feature_msr_indices,
    "KVM_GET_MSR_FEATURE_INDEX_LIST fills the same list for a 32-bit caller, and with too little room tells how much it takes",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")],
    Compat32,
    Has(KVM_CAP_GET_MSR_FEATURES),
);

fn feature_msrs(kvm: Kvm) -> Outcome {
    let (_, _, indices) = list_64::<u32>(&kvm, KVM_GET_MSR_FEATURE_INDEX_LIST, MSR_HEADER, ROOM);
    each(indices, |&index| {
        // One entry: the count and padding, the index and padding, and room for the value.
        let head: Vec<u8> = [1, 0, index, 0].into_iter().flat_map(u32::to_le_bytes).collect();
        let answer = by_64(&kvm, KVM_GET_MSRS, 24, &head);
        equal(answer.0, Ok(1))?;
        equal(by_32(&kvm, KVM_GET_MSRS, 24, &head)?, answer)
    })
}
claim!(
    feature_msrs,
    "KVM_GET_MSRS of the system answers a 32-bit caller every feature MSR as it answers a 64-bit one",
    [Api("4.18 KVM_GET_MSRS")],
    Compat32,
    Has(KVM_CAP_GET_MSR_FEATURES),
);

/// A leaf without what it tells of the processor that the kernel happened to ask.
fn placeless(mut entry: CpuidEntry) -> CpuidEntry {
    match entry.function {
        1 => entry.ebx &= 0x00ff_ffff,
        0xb | 0x1f | 0x8000_001e | 0x8000_0026 => {
            (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 0, 0, 0);
        }
        _ => {}
    }
    entry
}

fn cpuid_alike(kvm: &Kvm, command: Command) -> Outcome {
    let settle = |(answer, count, entries): Got<CpuidEntry>| {
        (answer, count, entries.into_iter().map(placeless).collect::<Vec<_>>())
    };
    let whole = settle(list_64(kvm, command, HEADER, LEAVES));
    equal(whole.0, Ok(0))?;
    let count = whole.1;
    equal(settle(list_32(kvm, command, HEADER, LEAVES)?), whole.clone())?;
    let just_enough = settle(list_64(kvm, command, HEADER, count));
    equal(settle(list_32(kvm, command, HEADER, count)?), just_enough)?;
    fails(E2BIG, list_32::<CpuidEntry>(kvm, command, HEADER, 0)?.0)
}

fn supported_cpuid(kvm: Kvm) -> Outcome {
    cpuid_alike(&kvm, KVM_GET_SUPPORTED_CPUID)
}
claim!(
    supported_cpuid,
    "KVM_GET_SUPPORTED_CPUID fills the same leaves for a 32-bit caller, and refuses too little room with E2BIG",
    [Api("4.46 KVM_GET_SUPPORTED_CPUID")],
    Compat32,
    Has(KVM_CAP_EXT_CPUID),
);

fn emulated_cpuid(kvm: Kvm) -> Outcome {
    cpuid_alike(&kvm, KVM_GET_EMULATED_CPUID)
}
claim!(
    emulated_cpuid,
    "KVM_GET_EMULATED_CPUID fills the same leaves for a 32-bit caller, and refuses too little room with E2BIG",
    [Api("4.88 KVM_GET_EMULATED_CPUID")],
    Compat32,
    Has(KVM_CAP_EXT_EMUL_CPUID),
);
