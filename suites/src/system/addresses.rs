//! The commands of `/dev/kvm` that take an address, with addresses that lead nowhere.

use harness::kvm::{
    Argument, Cap, Command, Descriptor, E2BIG, EFAULT, KVM_CAP_EXT_CPUID, KVM_CAP_EXT_EMUL_CPUID,
    KVM_CAP_GET_MSR_FEATURES, KVM_CAP_MCE, KVM_CAP_SYS_ATTRIBUTES, KVM_CAP_SYS_HYPERV_CPUID,
    KVM_CAP_USER_MEMORY, KVM_GET_DEVICE_ATTR, KVM_GET_EMULATED_CPUID, KVM_GET_MSR_FEATURE_INDEX_LIST,
    KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS, KVM_GET_SUPPORTED_CPUID, KVM_GET_SUPPORTED_HV_CPUID,
    KVM_HAS_DEVICE_ATTR, KVM_X86_GET_MCE_CAP_SUPPORTED, Kvm,
};
use harness::{Outcome, Stop, claim, each, equal, fails};

use super::arguments::NoAddress;

/// Every command of `/dev/kvm` that takes an address, and the capability that comes with it.
const COMMANDS: [(Command, Cap); 9] = [
    (KVM_GET_MSR_INDEX_LIST, KVM_CAP_USER_MEMORY),
    (KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_CAP_GET_MSR_FEATURES),
    (KVM_GET_MSRS, KVM_CAP_GET_MSR_FEATURES),
    (KVM_GET_SUPPORTED_CPUID, KVM_CAP_EXT_CPUID),
    (KVM_GET_EMULATED_CPUID, KVM_CAP_EXT_EMUL_CPUID),
    (KVM_GET_SUPPORTED_HV_CPUID, KVM_CAP_SYS_HYPERV_CPUID),
    (KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_CAP_MCE),
    (KVM_GET_DEVICE_ATTR, KVM_CAP_SYS_ATTRIBUTES),
    (KVM_HAS_DEVICE_ATTR, KVM_CAP_SYS_ATTRIBUTES),
];

/// Those of the commands that the host has.
fn commands(kvm: &Kvm) -> Result<Vec<Command>, Stop> {
    let mut there = Vec::new();
    for (command, cap) in COMMANDS {
        if kvm.check_extension(cap)? != 0 {
            there.push(command);
        }
    }
    Ok(there)
}

fn refuse_an_inaccessible_page(kvm: Kvm) -> Outcome {
    each(commands(&kvm)?, |command| fails(EFAULT, kvm.send(*command, Argument::Inaccessible)))
}
claim!(
    refuse_an_inaccessible_page,
    "Every /dev/kvm command that takes an address answers EFAULT for a page that cannot be accessed",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn refuse_an_address_that_is_none(kvm: Kvm, address: NoAddress) -> Outcome {
    each(commands(&kvm)?, |command| fails(EFAULT, kvm.value(*command, address.0)))
}
claim!(
    refuse_an_address_that_is_none,
    "Every /dev/kvm command that takes an address answers EFAULT for the first page and for what is not user space",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn need_to_write(kvm: Kvm) -> Outcome {
    let writers = [KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_X86_GET_MCE_CAP_SUPPORTED];
    each(writers, |command| fails(EFAULT, kvm.send(*command, Argument::ReadOnly)))
}
claim!(
    need_to_write,
    "The MSR lists and the MCE capabilities answer EFAULT where nothing can be written, even to a count of 0",
    [
        Api("4.3 KVM_GET_MSR_INDEX_LIST, KVM_GET_MSR_FEATURE_INDEX_LIST"),
        Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")
    ]
);

fn need_not_write_a_count(kvm: Kvm) -> Outcome {
    let lists = [KVM_GET_SUPPORTED_CPUID, KVM_GET_EMULATED_CPUID];
    each(lists, |command| fails(E2BIG, kvm.send(*command, Argument::ReadOnly)))
}
claim!(
    need_not_write_a_count,
    "The CPUID lists answer E2BIG, not EFAULT, to a count of 0 where nothing can be written",
    [Code("kvm_dev_ioctl_get_cpuid, arch/x86/kvm/cpuid.c")]
);

fn only_read_an_attribute(kvm: Kvm) -> Outcome {
    equal(kvm.send(KVM_HAS_DEVICE_ATTR, Argument::ReadOnly)?, 0)?;
    fails(EFAULT, kvm.send(KVM_GET_DEVICE_ATTR, Argument::ReadOnly))
}
claim!(
    only_read_an_attribute,
    "KVM_HAS_DEVICE_ATTR on /dev/kvm only reads its structure, and KVM_GET_DEVICE_ATTR writes where the structure says",
    [Api("4.81 KVM_HAS_DEVICE_ATTR")],
    Has(KVM_CAP_SYS_ATTRIBUTES)
);
