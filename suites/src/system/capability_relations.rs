//! What one capability's answer says of another's: `kvm_vm_ioctl_check_extension`, and api.rst 4.7 for the numbers of vCPUs.

use harness::kvm::{
    Cap, KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_HYPERV, KVM_CAP_HYPERV_CPUID,
    KVM_CAP_HYPERV_ENFORCE_CPUID, KVM_CAP_HYPERV_EVENTFD, KVM_CAP_HYPERV_SEND_IPI, KVM_CAP_HYPERV_SPIN,
    KVM_CAP_HYPERV_SYNIC, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_HYPERV_TIME, KVM_CAP_HYPERV_TLBFLUSH,
    KVM_CAP_HYPERV_VAPIC, KVM_CAP_HYPERV_VP_INDEX, KVM_CAP_MAX_VCPU_ID, KVM_CAP_MAX_VCPUS,
    KVM_CAP_MULTI_ADDRESS_SPACE, KVM_CAP_NR_VCPUS, KVM_CAP_PIT, KVM_CAP_PIT_STATE2, KVM_CAP_PIT2,
    KVM_CAP_PMU_CAPABILITY, KVM_CAP_REINJECT_CONTROL, KVM_CAP_STEAL_TIME, KVM_CAP_SYS_HYPERV_CPUID,
    KVM_CAP_TSC_CONTROL, KVM_CAP_VM_TSC_CONTROL, KVM_CAP_X86_SMM, KVM_CAP_XEN_HVM, Kvm,
};
use harness::{Outcome, Stop, claim, each, equal, within};

/// What there is with Hyper-V's interface and not without it.
const HYPERV: [Cap; 12] = [
    KVM_CAP_HYPERV_VAPIC,
    KVM_CAP_HYPERV_SPIN,
    KVM_CAP_HYPERV_TIME,
    KVM_CAP_HYPERV_SYNIC,
    KVM_CAP_HYPERV_SYNIC2,
    KVM_CAP_HYPERV_VP_INDEX,
    KVM_CAP_HYPERV_EVENTFD,
    KVM_CAP_HYPERV_TLBFLUSH,
    KVM_CAP_HYPERV_SEND_IPI,
    KVM_CAP_HYPERV_CPUID,
    KVM_CAP_HYPERV_ENFORCE_CPUID,
    KVM_CAP_SYS_HYPERV_CPUID,
];

/// KVM_XEN_HVM_CONFIG_RUNSTATE.
const XEN_RUNSTATE: i32 = 1 << 3;

#[track_caller]
fn answer_alike(kvm: &Kvm, one: Cap, others: &[Cap]) -> Outcome {
    let answer = kvm.check_extension(one)?;
    each(others, |other| equal(kvm.check_extension(**other)?, answer))
}

/// The processors that are online, from a list of ranges such as `0-3,6`.
fn online_processors() -> Result<i32, Stop> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online")
        .map_err(|error| Stop::Skip(format!("/sys does not say which processors are online: {error}")))?;
    let count = |range: &str| -> Option<i32> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(last.parse::<i32>().ok()? - first.parse::<i32>().ok()? + 1)
    };
    text.trim()
        .split(',')
        .map(count)
        .sum::<Option<i32>>()
        .ok_or_else(|| Stop::Skip(format!("/sys says that {text:?} is online")))
}

fn numbers_of_vcpus_are_ordered(kvm: Kvm) -> Outcome {
    let recommended = kvm.check_extension(KVM_CAP_NR_VCPUS)?;
    let most = kvm.check_extension(KVM_CAP_MAX_VCPUS)?;
    within(recommended, 1, most)?;
    within(kvm.check_extension(KVM_CAP_MAX_VCPU_ID)?, most, i32::MAX)
}
claim!(
    numbers_of_vcpus_are_ordered,
    "KVM_CAP_NR_VCPUS is at least 1 and at most KVM_CAP_MAX_VCPUS, and that at most KVM_CAP_MAX_VCPU_ID",
    [Api("4.7 KVM_CREATE_VCPU")]
);

fn recommends_a_vcpu_for_each_processor(kvm: Kvm) -> Outcome {
    let most = kvm.check_extension(KVM_CAP_MAX_VCPUS)?;
    equal(kvm.check_extension(KVM_CAP_NR_VCPUS)?, online_processors()?.min(most))
}
claim!(
    recommends_a_vcpu_for_each_processor,
    "KVM_CAP_NR_VCPUS is the number of online processors, where a VM can have so many vCPUs",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.1")
);

fn pit_comes_whole(kvm: Kvm) -> Outcome {
    answer_alike(&kvm, KVM_CAP_PIT, &[KVM_CAP_PIT2, KVM_CAP_PIT_STATE2, KVM_CAP_REINJECT_CONTROL])
}
claim!(
    pit_comes_whole,
    "KVM_CAP_PIT, KVM_CAP_PIT2, KVM_CAP_PIT_STATE2 and KVM_CAP_REINJECT_CONTROL answer alike",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")]
);

fn hyperv_comes_whole(kvm: Kvm) -> Outcome {
    answer_alike(&kvm, KVM_CAP_HYPERV, &HYPERV)
}
claim!(
    hyperv_comes_whole,
    "The capabilities of the Hyper-V interface answer as KVM_CAP_HYPERV does",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.1")
);

fn dirty_rings_are_alike(kvm: Kvm) -> Outcome {
    answer_alike(&kvm, KVM_CAP_DIRTY_LOG_RING, &[KVM_CAP_DIRTY_LOG_RING_ACQ_REL])
}
claim!(
    dirty_rings_are_alike,
    "KVM_CAP_DIRTY_LOG_RING_ACQ_REL answers as KVM_CAP_DIRTY_LOG_RING does",
    [Api("8.29 KVM_CAP_DIRTY_LOG_RING/KVM_CAP_DIRTY_LOG_RING_ACQ_REL")],
    Kernel(">=6.1")
);

fn tsc_is_scaled_for_vms_and_vcpus(kvm: Kvm) -> Outcome {
    answer_alike(&kvm, KVM_CAP_TSC_CONTROL, &[KVM_CAP_VM_TSC_CONTROL])
}
claim!(
    tsc_is_scaled_for_vms_and_vcpus,
    "KVM_CAP_VM_TSC_CONTROL answers as KVM_CAP_TSC_CONTROL does",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Kernel(">=6.1")
);

fn smm_has_an_address_space(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_MULTI_ADDRESS_SPACE)?, 2)
}
claim!(
    smm_has_an_address_space,
    "A host with KVM_CAP_X86_SMM has two address spaces",
    [Code("kvm_vm_ioctl_check_extension_generic, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_X86_SMM)
);

fn xen_runstate_is_steal_time(kvm: Kvm) -> Outcome {
    let has_runstate = kvm.check_extension(KVM_CAP_XEN_HVM)? & XEN_RUNSTATE != 0;
    equal(has_runstate, kvm.check_extension(KVM_CAP_STEAL_TIME)? != 0)
}
claim!(
    xen_runstate_is_steal_time,
    "KVM_CAP_XEN_HVM offers the Xen runstate exactly where KVM_CAP_STEAL_TIME is there",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_XEN_HVM),
    Kernel(">=6.1")
);

fn pmu_can_be_disabled(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_PMU_CAPABILITY)?, 1)
}
claim!(
    pmu_can_be_disabled,
    "KVM_CAP_PMU_CAPABILITY offers KVM_PMU_CAP_DISABLE where the module has the PMU enabled",
    [Api("8.35 KVM_CAP_PMU_CAPABILITY")],
    Param("kvm", "enable_pmu", "Y")
);

fn pmu_is_off(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_PMU_CAPABILITY)?, 0)
}
claim!(
    pmu_is_off,
    "KVM_CAP_PMU_CAPABILITY answers 0 where the module has the PMU disabled",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Param("kvm", "enable_pmu", "N")
);
