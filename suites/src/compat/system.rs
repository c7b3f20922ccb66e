//! The system descriptor for 32-bit callers: kvm_dev_ioctl, which is its compat entry too.

use harness::kvm::{
    CAPS, Compat, EINVAL, KVM_CAP_MCE, KVM_CHECK_EXTENSION, KVM_GET_API_VERSION, KVM_GET_VCPU_MMAP_SIZE,
    KVM_X86_GET_MCE_CAP_SUPPORTED, Kvm, Vm,
};
use harness::{Outcome, claim, each, equal, fails};

use super::alike::fills_alike;

fn api_version(kvm: Kvm, compat: Compat) -> Outcome {
    equal(compat.value(&kvm, KVM_GET_API_VERSION, 0)?, 12)
}
claim!(
    api_version,
    "KVM_GET_API_VERSION answers 12 to a 32-bit caller",
    [Api("4.1 KVM_GET_API_VERSION")],
    Compat32,
);

fn mmap_size(kvm: Kvm, compat: Compat) -> Outcome {
    let size = usize::try_from(compat.value(&kvm, KVM_GET_VCPU_MMAP_SIZE, 0)?);
    equal(size, Ok(kvm.get_vcpu_mmap_size()?))
}
claim!(
    mmap_size,
    "KVM_GET_VCPU_MMAP_SIZE answers a 32-bit caller what it answers a 64-bit one",
    [Api("4.5 KVM_GET_VCPU_MMAP_SIZE")],
    Compat32,
);

fn arguments_are_refused(kvm: Kvm, compat: Compat, argument: u32) -> Outcome {
    let argument = argument.max(1);
    each([KVM_GET_API_VERSION, KVM_GET_VCPU_MMAP_SIZE], |&command| {
        fails(EINVAL, compat.value(&kvm, command, argument))
    })
}
claim!(
    arguments_are_refused,
    "KVM_GET_API_VERSION and KVM_GET_VCPU_MMAP_SIZE refuse any argument of a 32-bit caller but zero",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn capabilities(kvm: Kvm, compat: Compat) -> Outcome {
    each(CAPS, |cap| equal(compat.value(&kvm, KVM_CHECK_EXTENSION, cap.number)?, kvm.check_extension(**cap)?))
}
claim!(
    capabilities,
    "KVM_CHECK_EXTENSION answers a 32-bit caller every capability as it answers a 64-bit one",
    [Api("4.4 KVM_CHECK_EXTENSION")],
    Compat32,
);

fn capabilities_of_a_vm(vm: Vm, compat: Compat) -> Outcome {
    each(CAPS, |cap| equal(compat.value(&vm, KVM_CHECK_EXTENSION, cap.number)?, vm.check_extension(**cap)?))
}
claim!(
    capabilities_of_a_vm,
    "KVM_CHECK_EXTENSION of a VM answers a 32-bit caller every capability as it answers a 64-bit one",
    [Api("4.4 KVM_CHECK_EXTENSION")],
    Compat32,
);

fn unknown_capabilities(kvm: Kvm, compat: Compat) -> Outcome {
    // KVM_CAP_USER_MEMORY, and what becomes it with bits lost.
    equal(compat.value(&kvm, KVM_CHECK_EXTENSION, 3)?, 1)?;
    each([0x1003, 0x1_0003, 0x8000_0003, u32::MAX], |&number| {
        equal(compat.value(&kvm, KVM_CHECK_EXTENSION, number)?, 0)
    })
}
claim!(
    unknown_capabilities,
    "KVM_CHECK_EXTENSION answers 0 to a 32-bit caller that asks about a capability that there is none of",
    [Api("4.4 KVM_CHECK_EXTENSION")],
    Compat32,
);

fn mce_capabilities(kvm: Kvm) -> Outcome {
    fills_alike(&kvm, KVM_X86_GET_MCE_CAP_SUPPORTED, &[])
}
claim!(
    mce_capabilities,
    "KVM_X86_GET_MCE_CAP_SUPPORTED fills the same eight bytes for a 32-bit caller",
    [Api("4.104 KVM_X86_GET_MCE_CAP_SUPPORTED")],
    Compat32,
    Has(KVM_CAP_MCE),
);
