//! KVM_GET_MSR_FEATURE_INDEX_LIST: api.rst 4.3.

use harness::kvm::{KVM_GET_MSR_FEATURE_INDEX_LIST, Kvm};
use harness::{Outcome, claim, each, equal, holds};

use super::lists::ListCommand;
use super::msrs::{
    MSR_AMD64_DE_CFG, MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_UCODE_REV, MSR_IA32_VMX_BASIC, MSR_IA32_VMX_VMFUNC,
};

/// The list of the MSRs that describe features.
pub(super) const LIST: ListCommand<u32> = ListCommand::of_msrs(KVM_GET_MSR_FEATURE_INDEX_LIST);

fn refuses_too_small_a_count(kvm: Kvm, count: u32) -> Outcome {
    LIST.refuses_fewer(&kvm, count)
}
claim!(
    refuses_too_small_a_count,
    "KVM_GET_MSR_FEATURE_INDEX_LIST answers E2BIG to too small a count, stores the number of MSRs, and lists none",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn tells_the_count_without_room(kvm: Kvm) -> Outcome {
    equal(LIST.ask(&kvm, 0, 0).count, LIST.length(&kvm)?)
}
claim!(
    tells_the_count_without_room,
    "KVM_GET_MSR_FEATURE_INDEX_LIST with a count of 0 and no room stores the number of MSRs",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn fits_exactly(kvm: Kvm) -> Outcome {
    LIST.fits_exactly(&kvm)
}
claim!(
    fits_exactly,
    "KVM_GET_MSR_FEATURE_INDEX_LIST fills exactly the number of indices that it stored",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn takes_a_larger_count(kvm: Kvm, more: u32) -> Outcome {
    LIST.takes_more(&kvm, more)
}
claim!(
    takes_a_larger_count,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lowers a larger count to the number of MSRs, and leaves the rest alone",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn stops_at_its_end(kvm: Kvm) -> Outcome {
    LIST.stops_at_its_end(&kvm)
}
claim!(
    stops_at_its_end,
    "KVM_GET_MSR_FEATURE_INDEX_LIST touches nothing behind the last MSR, whatever the count",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn needs_its_room(kvm: Kvm) -> Outcome {
    LIST.needs_its_room(&kvm)
}
claim!(
    needs_its_room,
    "KVM_GET_MSR_FEATURE_INDEX_LIST answers EFAULT where the last index cannot be written",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn does_not_change(kvm: Kvm) -> Outcome {
    LIST.reads_alike(&kvm, |index| *index)
}
claim!(
    does_not_change,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lists the same MSRs in the same order when asked again",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn lists_nothing_twice(kvm: Kvm) -> Outcome {
    LIST.has_nothing_twice(&kvm, |index| *index)
}
claim!(
    lists_nothing_twice,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lists no MSR twice",
    [Code("kvm_init_msr_lists, arch/x86/kvm/x86.c")]
);

#[track_caller]
fn lists(kvm: &Kvm, wanted: impl IntoIterator<Item = u32>, is_wanted: bool) -> Outcome {
    let list = LIST.read(kvm)?;
    let what = if is_wanted { "it is listed" } else { "it is not listed" };
    each(wanted, |index| holds(list.contains(index) == is_wanted, what))
}

fn lists_what_all_vendors_have(kvm: Kvm) -> Outcome {
    lists(&kvm, [MSR_IA32_UCODE_REV, MSR_IA32_ARCH_CAPABILITIES], true)
}
claim!(
    lists_what_all_vendors_have,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lists the microcode revision and the architectural capabilities",
    [Code("kvm_get_feature_msr, arch/x86/kvm/x86.c")]
);

fn lists_de_cfg_on_amd(kvm: Kvm) -> Outcome {
    lists(&kvm, [MSR_AMD64_DE_CFG], true)?;
    lists(&kvm, MSR_IA32_VMX_BASIC..=MSR_IA32_VMX_VMFUNC, false)
}
claim!(
    lists_de_cfg_on_amd,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lists MSR_AMD64_DE_CFG and nothing of VMX on AMD",
    [Code("svm_get_feature_msr, arch/x86/kvm/svm/svm.c")],
    Amd
);

fn lists_vmx_where_nested(kvm: Kvm) -> Outcome {
    lists(&kvm, MSR_IA32_VMX_BASIC..=MSR_IA32_VMX_VMFUNC, true)
}
claim!(
    lists_vmx_where_nested,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lists the MSRs of VMX on Intel with nesting",
    [Code("vmx_get_feature_msr, arch/x86/kvm/vmx/vmx.c")],
    Intel,
    Param("kvm_intel", "nested", "Y")
);

fn lists_no_vmx_where_not_nested(kvm: Kvm) -> Outcome {
    lists(&kvm, MSR_IA32_VMX_BASIC..=MSR_IA32_VMX_VMFUNC, false)
}
claim!(
    lists_no_vmx_where_not_nested,
    "KVM_GET_MSR_FEATURE_INDEX_LIST lists nothing of VMX on Intel without nesting",
    [Code("vmx_get_feature_msr, arch/x86/kvm/vmx/vmx.c")],
    Intel,
    Param("kvm_intel", "nested", "N")
);
