//! KVM_GET_MSRS on `/dev/kvm`, which reads the MSRs that describe features: api.rst 4.18.

use harness::kvm::{
    Argument, Descriptor, E2BIG, EFAULT, Guarded, KVM_CAP_GET_MSR_FEATURES, KVM_GET_MSR_INDEX_LIST,
    KVM_GET_MSRS, Kvm, List, MsrEntry, list, list_over,
};
use harness::{Outcome, Stop, claim, each, equal, fails, holds};

use super::get_msr_feature_index_list::LIST;
use super::lists::ListCommand;
use super::msrs::{MSR_IA32_TSC, MSR_IA32_VMX_BASIC, MSR_IA32_VMX_VMFUNC};

/// The bytes of `struct kvm_msrs` before its entries.
const HEADER: usize = 8;
/// MAX_IO_MSRS: from this count on the command is refused.
const LIMIT: u32 = 256;
/// What stands in `data` beforehand.
const UNREAD: u64 = 0xdead_beef_dead_beef;

/// An entry that asks for an MSR.
fn entry(index: u32) -> MsrEntry {
    MsrEntry { index, reserved: 0, data: UNREAD }
}

/// Asks for these MSRs.
#[track_caller]
fn get(kvm: &Kvm, entries: &[MsrEntry]) -> Result<List<MsrEntry>, Stop> {
    let count = u32::try_from(entries.len()).map_err(|_| Stop::Skip("too many MSRs to ask for".into()))?;
    Ok(list_over(kvm, KVM_GET_MSRS, HEADER, count, entries))
}

/// The entries for every MSR that describes a feature.
#[track_caller]
fn features(kvm: &Kvm) -> Result<Vec<MsrEntry>, Stop> {
    Ok(LIST.read(kvm)?.into_iter().map(entry).collect())
}

/// Whether an MSR is neither of the features nor one that a vCPU has, all of which newer kernels read. Those of VMX are left out:
/// without nesting, older kernels refuse them in a way of their own.
fn is_in_no_list(kvm: &Kvm, index: u32) -> Result<bool, Stop> {
    if (MSR_IA32_VMX_BASIC..=MSR_IA32_VMX_VMFUNC).contains(&index) {
        return Ok(false);
    }
    let of_vcpus: ListCommand<u32> = ListCommand::of_msrs(KVM_GET_MSR_INDEX_LIST);
    Ok(!LIST.read(kvm)?.contains(&index) && !of_vcpus.read(kvm)?.contains(&index))
}

fn data(list: &List<MsrEntry>) -> Vec<u64> {
    list.entries.iter().map(|entry| entry.data).collect()
}

fn reads_each_feature(kvm: Kvm) -> Outcome {
    each(features(&kvm)?, |feature| {
        let list = get(&kvm, &[*feature])?;
        equal(list.answer?, 1)?;
        holds(list.entries.iter().all(|entry| entry.data != UNREAD), "its value was stored")
    })
}
claim!(
    reads_each_feature,
    "KVM_GET_MSRS on /dev/kvm reads each MSR that KVM_GET_MSR_FEATURE_INDEX_LIST lists",
    [Api("4.18 KVM_GET_MSRS"), Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")],
    Has(KVM_CAP_GET_MSR_FEATURES)
);

fn reads_all_at_once(kvm: Kvm) -> Outcome {
    let features = features(&kvm)?;
    let all = get(&kvm, &features)?;
    equal(all.answer.clone()?, i32::try_from(features.len()).unwrap_or(-1))?;
    let one_by_one = features
        .iter()
        .map(|feature| Ok(data(&get(&kvm, &[*feature])?)))
        .collect::<Result<Vec<_>, Stop>>()?;
    equal(data(&all), one_by_one.concat())
}
claim!(
    reads_all_at_once,
    "KVM_GET_MSRS on /dev/kvm reads all features at once as it reads them one by one, and answers their number",
    [Api("4.18 KVM_GET_MSRS")]
);

fn keeps_what_it_only_reads(kvm: Kvm, reserved: u32) -> Outcome {
    let asked: Vec<_> = features(&kvm)?.into_iter().map(|entry| MsrEntry { reserved, ..entry }).collect();
    let list = get(&kvm, &asked)?;
    let kept = |entries: &[MsrEntry]| entries.iter().map(|e| (e.index, e.reserved)).collect::<Vec<_>>();
    equal(list.answer?, i32::try_from(asked.len()).unwrap_or(-1))?;
    equal(kept(&list.entries), kept(&asked))
}
claim!(
    keeps_what_it_only_reads,
    "KVM_GET_MSRS ignores the entries' reserved field, and leaves it and the index as they were",
    [Code("msr_io, arch/x86/kvm/x86.c")]
);

fn ignores_its_padding(kvm: Kvm, pad: u32) -> Outcome {
    let mut bytes = Guarded::zeroed(HEADER);
    bytes.put(4, &pad);
    equal(kvm.send(KVM_GET_MSRS, Argument::Bytes(&mut bytes))?, 0)?;
    equal(bytes.get::<[u32; 2]>(0), [0, pad])
}
claim!(
    ignores_its_padding,
    "KVM_GET_MSRS ignores the padding behind nmsrs, and writes nothing to the header",
    [Code("msr_io, arch/x86/kvm/x86.c")]
);

fn reads_none(kvm: Kvm) -> Outcome {
    equal(list::<MsrEntry>(&kvm, KVM_GET_MSRS, HEADER, 0, 0).answer?, 0)?;
    equal(kvm.send(KVM_GET_MSRS, Argument::ReadOnly)?, 0)
}
claim!(
    reads_none,
    "KVM_GET_MSRS asked for no MSR answers 0, even where nothing could be written",
    [Code("msr_io, arch/x86/kvm/x86.c")]
);

/// Asks for the features with an unknown MSR among them: the list, and where the unknown one stands.
fn ask_with_unknown(kvm: &Kvm, unknown: u32, at: u8) -> Result<(List<MsrEntry>, usize), Stop> {
    let mut asked = features(kvm)?;
    let at = usize::from(at) % (asked.len() + 1);
    asked.insert(at, entry(unknown));
    Ok((get(kvm, &asked)?, at))
}

fn stops_at_an_unknown_msr(kvm: Kvm, unknown: u32, at: u8) -> Outcome {
    if !is_in_no_list(&kvm, unknown)? {
        return Ok(());
    }
    let (list, at) = ask_with_unknown(&kvm, unknown, at)?;
    equal(list.answer.clone()?, i32::try_from(at).unwrap_or(-1))?;
    let (read, rest) = list.entries.split_at(at);
    holds(read.iter().all(|entry| entry.data != UNREAD), "the MSRs before it were read")?;
    holds(rest.iter().skip(1).all(|entry| entry.data == UNREAD), "the MSRs behind it were not read")
}
claim!(
    stops_at_an_unknown_msr,
    "KVM_GET_MSRS on /dev/kvm stops at an MSR that is in no list, and answers how many it read",
    [Api("4.18 KVM_GET_MSRS"), Code("__msr_io, arch/x86/kvm/x86.c")],
    Param("kvm", "ignore_msrs", "N")
);

fn clears_what_it_stops_at(kvm: Kvm, unknown: u32, at: u8) -> Outcome {
    if !is_in_no_list(&kvm, unknown)? {
        return Ok(());
    }
    let (list, at) = ask_with_unknown(&kvm, unknown, at)?;
    equal(data(&list).get(at).copied(), Some(0))
}
claim!(
    clears_what_it_stops_at,
    "KVM_GET_MSRS on /dev/kvm stores 0 for an MSR that is in no list",
    [Code("kvm_do_msr_access, arch/x86/kvm/x86.c")]
);

fn passes_unknown_msrs_when_told(kvm: Kvm, unknown: u32, at: u8) -> Outcome {
    let (list, _) = ask_with_unknown(&kvm, unknown, at)?;
    equal(list.answer.clone()?, i32::try_from(list.entries.len()).unwrap_or(-1))
}
claim!(
    passes_unknown_msrs_when_told,
    "KVM_GET_MSRS on /dev/kvm reads every MSR where the module ignores unknown ones",
    [Code("kvm_do_msr_access, arch/x86/kvm/x86.c")],
    Param("kvm", "ignore_msrs", "Y")
);

/// The answer for MSR_IA32_TSC, which vCPUs have and no feature is, and what was stored for it.
fn ask_for_the_tsc(kvm: &Kvm) -> Result<(i32, Vec<u64>), Stop> {
    let list = get(kvm, &[entry(MSR_IA32_TSC)])?;
    Ok((list.answer.clone()?, data(&list)))
}

fn reads_0_from_what_vcpus_have(kvm: Kvm) -> Outcome {
    equal(ask_for_the_tsc(&kvm)?, (1, vec![0]))
}
// api.rst has the list of features say what can be read here; that zeroes come for all that vCPUs have is a side effect.
claim!(
    reads_0_from_what_vcpus_have,
    "KVM_GET_MSRS on /dev/kvm reads 0 from an MSR that is of vCPUs and no feature, from Linux 6.12 on",
    [Code("kvm_do_msr_access, arch/x86/kvm/x86.c")],
    Kernel(">=6.12")
);

fn refuses_what_vcpus_have(kvm: Kvm) -> Outcome {
    equal(ask_for_the_tsc(&kvm)?, (0, vec![0]))
}
claim!(
    refuses_what_vcpus_have,
    "KVM_GET_MSRS on /dev/kvm does not read an MSR that is of vCPUs and no feature, before Linux 6.12",
    [Code("do_get_msr_feature, arch/x86/kvm/x86.c")],
    Param("kvm", "ignore_msrs", "N"),
    Kernel("<6.12")
);

fn reads_up_to_255(kvm: Kvm) -> Outcome {
    let first = features(&kvm)?.into_iter().take(1).cycle();
    let asked: Vec<_> = first.take(255).collect();
    let list = get(&kvm, &asked)?;
    equal(list.answer.clone()?, 255)?;
    let values = data(&list);
    holds(values.windows(2).all(|pair| pair[0] == pair[1]), "the same MSR has the same value each time")
}
claim!(
    reads_up_to_255,
    "KVM_GET_MSRS reads 255 MSRs at once, and the same one as often as it is asked for",
    [Code("msr_io, arch/x86/kvm/x86.c")]
);

fn refuses_from_256_on(kvm: Kvm, count: u32) -> Outcome {
    each([LIMIT, LIMIT + 1, count.max(LIMIT), u32::MAX], |count| {
        fails(E2BIG, list::<MsrEntry>(&kvm, KVM_GET_MSRS, HEADER, *count, 0).answer)
    })
}
// E2BIG is not among the errors that api.rst names for this command.
claim!(
    refuses_from_256_on,
    "KVM_GET_MSRS refuses to read 256 or more MSRs with E2BIG, before it looks at them",
    [Code("msr_io, arch/x86/kvm/x86.c")]
);

fn needs_its_entries(kvm: Kvm, count: u8) -> Outcome {
    let count = count.max(1);
    let list = list::<MsrEntry>(&kvm, KVM_GET_MSRS, HEADER, count.into(), usize::from(count - 1));
    fails(EFAULT, list.answer)
}
claim!(
    needs_its_entries,
    "KVM_GET_MSRS answers EFAULT where its last entry cannot be read",
    [Code("msr_io, arch/x86/kvm/x86.c")]
);
