//! KVM_GET_MSR_INDEX_LIST: api.rst 4.3.

use harness::kvm::{
    CpuidEntry, KVM_CAP_HYPERV, KVM_CAP_X86_SMM, KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS,
    KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2, Kvm, MsrEntry, Vcpu, list_over,
};
use harness::{Outcome, claim, each, equal, holds, succeeds};

use super::lists::ListCommand;
use super::msrs::{
    HV_X64_MSR_GUEST_OS_ID, MSR_CORE_PERF_GLOBAL_CTRL, MSR_CSTAR, MSR_IA32_CR_PAT, MSR_IA32_MC0_CTL,
    MSR_IA32_MC0_CTL2, MSR_IA32_SMBASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_EIP, MSR_IA32_SYSENTER_ESP,
    MSR_IA32_TSC, MSR_KERNEL_GS_BASE, MSR_KVM_ASYNC_PF_ACK, MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK,
    MSR_KVM_WALL_CLOCK_NEW, MSR_LSTAR, MSR_STAR, MSR_SYSCALL_MASK,
};

const LIST: ListCommand<u32> = ListCommand::of_msrs(KVM_GET_MSR_INDEX_LIST);

/// What every 64-bit guest has, on every processor.
const OF_EVERY_GUEST: [u32; 10] = [
    MSR_IA32_SYSENTER_CS,
    MSR_IA32_SYSENTER_ESP,
    MSR_IA32_SYSENTER_EIP,
    MSR_STAR,
    MSR_LSTAR,
    MSR_CSTAR,
    MSR_SYSCALL_MASK,
    MSR_KERNEL_GS_BASE,
    MSR_IA32_TSC,
    MSR_IA32_CR_PAT,
];

/// The banks that KVM_X86_SETUP_MCE can set up, each of four registers and a CTL2.
const MCE_BANKS: u32 = 32;

fn refuses_too_small_a_count(kvm: Kvm, count: u32) -> Outcome {
    LIST.refuses_fewer(&kvm, count)
}
claim!(
    refuses_too_small_a_count,
    "KVM_GET_MSR_INDEX_LIST answers E2BIG to too small a count, stores the number of MSRs, and lists none",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn tells_the_count_without_room(kvm: Kvm) -> Outcome {
    equal(LIST.ask(&kvm, 0, 0).count, LIST.length(&kvm)?)
}
claim!(
    tells_the_count_without_room,
    "KVM_GET_MSR_INDEX_LIST with a count of 0 and no room stores the number of MSRs",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn fits_exactly(kvm: Kvm) -> Outcome {
    LIST.fits_exactly(&kvm)
}
claim!(
    fits_exactly,
    "KVM_GET_MSR_INDEX_LIST fills exactly the number of indices that it stored",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn takes_a_larger_count(kvm: Kvm, more: u32) -> Outcome {
    LIST.takes_more(&kvm, more)
}
claim!(
    takes_a_larger_count,
    "KVM_GET_MSR_INDEX_LIST lowers a larger count to the number of MSRs, and leaves the indices behind them alone",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn stops_at_its_end(kvm: Kvm) -> Outcome {
    LIST.stops_at_its_end(&kvm)
}
claim!(
    stops_at_its_end,
    "KVM_GET_MSR_INDEX_LIST touches nothing behind the last MSR, whatever the count",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn needs_its_room(kvm: Kvm) -> Outcome {
    LIST.needs_its_room(&kvm)
}
claim!(
    needs_its_room,
    "KVM_GET_MSR_INDEX_LIST answers EFAULT where the last index cannot be written",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn does_not_change(kvm: Kvm) -> Outcome {
    LIST.reads_alike(&kvm, |index| *index)
}
claim!(
    does_not_change,
    "KVM_GET_MSR_INDEX_LIST lists the same MSRs in the same order when asked again",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

fn lists_nothing_twice(kvm: Kvm) -> Outcome {
    LIST.has_nothing_twice(&kvm, |index| *index)
}
claim!(
    lists_nothing_twice,
    "KVM_GET_MSR_INDEX_LIST lists no MSR twice",
    [Code("kvm_init_msr_lists, arch/x86/kvm/x86.c")]
);

fn leaves_out_the_mce_banks(kvm: Kvm) -> Outcome {
    let is_of_a_bank = |index: &u32| {
        (MSR_IA32_MC0_CTL..MSR_IA32_MC0_CTL + 4 * MCE_BANKS).contains(index)
            || (MSR_IA32_MC0_CTL2..MSR_IA32_MC0_CTL2 + MCE_BANKS).contains(index)
    };
    each(LIST.read(&kvm)?, |index| holds(!is_of_a_bank(index), "no MCE bank is listed"))
}
claim!(
    leaves_out_the_mce_banks,
    "KVM_GET_MSR_INDEX_LIST lists no MSR of a machine check bank",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST")]
);

#[track_caller]
fn lists(kvm: &Kvm, wanted: impl IntoIterator<Item = u32>) -> Outcome {
    let list = LIST.read(kvm)?;
    each(wanted, |index| holds(list.contains(index), "it is listed"))
}

fn lists_what_every_guest_has(kvm: Kvm) -> Outcome {
    lists(&kvm, OF_EVERY_GUEST)
}
claim!(
    lists_what_every_guest_has,
    "KVM_GET_MSR_INDEX_LIST lists the MSRs of system calls, the TSC and the PAT",
    [Code("msrs_to_save_base, arch/x86/kvm/x86.c")]
);

fn lists_kvms_own(kvm: Kvm) -> Outcome {
    lists(&kvm, [MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME])?;
    lists(&kvm, MSR_KVM_WALL_CLOCK_NEW..=MSR_KVM_ASYNC_PF_ACK)
}
claim!(
    lists_kvms_own,
    "KVM_GET_MSR_INDEX_LIST lists every paravirtual MSR of KVM's",
    [Doc("virt/kvm/x86/msr.rst: KVM-specific MSRs"), Code("emulated_msrs_all, arch/x86/kvm/x86.c")]
);

fn lists_hyperv_with_its_capability(kvm: Kvm) -> Outcome {
    let is_listed = LIST.read(&kvm)?.contains(&HV_X64_MSR_GUEST_OS_ID);
    equal(is_listed, kvm.check_extension(KVM_CAP_HYPERV)? != 0)
}
claim!(
    lists_hyperv_with_its_capability,
    "KVM_GET_MSR_INDEX_LIST lists HV_X64_MSR_GUEST_OS_ID exactly where KVM_CAP_HYPERV is there",
    [Code("emulated_msrs_all, arch/x86/kvm/x86.c")]
);

fn lists_smbase_with_smm(kvm: Kvm) -> Outcome {
    equal(LIST.read(&kvm)?.contains(&MSR_IA32_SMBASE), kvm.check_extension(KVM_CAP_X86_SMM)? != 0)
}
claim!(
    lists_smbase_with_smm,
    "KVM_GET_MSR_INDEX_LIST lists MSR_IA32_SMBASE exactly where KVM_CAP_X86_SMM is there",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")]
);

fn lists_no_pmu_without_one(kvm: Kvm) -> Outcome {
    holds(!LIST.read(&kvm)?.contains(&MSR_CORE_PERF_GLOBAL_CTRL), "MSR_CORE_PERF_GLOBAL_CTRL is not listed")
}
claim!(
    lists_no_pmu_without_one,
    "KVM_GET_MSR_INDEX_LIST lists no MSR of the PMU where the module has it disabled",
    [Code("kvm_init_msr_lists, arch/x86/kvm/x86.c")],
    Param("kvm", "enable_pmu", "N"),
    Kernel(">=6.12")
);

fn each_can_be_read(kvm: Kvm, vcpu: Vcpu) -> Outcome {
    let cpuid: ListCommand<CpuidEntry> = ListCommand::of_cpuid(KVM_GET_SUPPORTED_CPUID, 0);
    list_over(&vcpu, KVM_SET_CPUID2, 8, cpuid.length(&kvm)?, &cpuid.read(&kvm)?).answer?;
    each(LIST.read(&kvm)?, |index| {
        let asked = [MsrEntry { index: *index, ..Default::default() }];
        equal(succeeds(list_over(&vcpu, KVM_GET_MSRS, 8, 1, &asked).answer)?, 1)
    })
}
claim!(
    each_can_be_read,
    "A vCPU with the supported CPUID can read every MSR that KVM_GET_MSR_INDEX_LIST lists",
    [Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST"), Api("4.18 KVM_GET_MSRS")]
);
