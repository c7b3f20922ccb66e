//! KVM_CHECK_EXTENSION on `/dev/kvm` and on a VM, for numbers of every kind: api.rst 4.4.

use std::num::NonZeroU32;

use harness::kvm::{
    CAPS, Cap, Descriptor, KVM_CAP_CHECK_EXTENSION_VM, KVM_CAP_GUEST_MEMFD, KVM_CAP_GUEST_MEMFD_FLAGS,
    KVM_CAP_MEMORY_ATTRIBUTES, KVM_CAP_X2APIC_API, KVM_CHECK_EXTENSION, Kvm, Vm,
};
use harness::{Outcome, claim, each, equal, holds, within};

use super::arguments::above_32_bits;

/// What a default VM may have less of than `/dev/kvm` offers: private memory is for other types of VM, and suppressed EOI
/// broadcasts want a split interrupt controller.
const FOR_SOME_VMS: [Cap; 4] =
    [KVM_CAP_X2APIC_API, KVM_CAP_MEMORY_ATTRIBUTES, KVM_CAP_GUEST_MEMFD, KVM_CAP_GUEST_MEMFD_FLAGS];

/// The numbers up to 4096 that no capability has.
fn unnamed() -> impl Iterator<Item = u64> {
    (0..=4096).filter(|number| CAPS.iter().all(|cap| u64::from(cap.number) != *number))
}

#[track_caller]
fn answers_zero(descriptor: &impl Descriptor, extension: u64) -> Outcome {
    equal(descriptor.value(KVM_CHECK_EXTENSION, extension)?, 0)
}

fn answers_zero_to_unnamed_numbers(kvm: Kvm) -> Outcome {
    each(unnamed(), |number| answers_zero(&kvm, *number))
}
claim!(
    answers_zero_to_unnamed_numbers,
    "KVM_CHECK_EXTENSION answers 0 to every number up to 4096 that no capability has",
    [Api("4.4 KVM_CHECK_EXTENSION")],
    Kernel("<7.4")
);

fn answers_zero_to_large_numbers(kvm: Kvm, extension: u64) -> Outcome {
    answers_zero(&kvm, extension.max(4096))?;
    answers_zero(&kvm, u64::MAX)
}
claim!(
    answers_zero_to_large_numbers,
    "KVM_CHECK_EXTENSION answers 0 to every number from 4096 on, and to -1",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);

fn looks_at_all_64_bits(kvm: Kvm, high: NonZeroU32) -> Outcome {
    each(CAPS, |cap| answers_zero(&kvm, above_32_bits(high, cap.number)))
}
claim!(
    looks_at_all_64_bits,
    "KVM_CHECK_EXTENSION does not take a number above 32 bits for the capability in its low half",
    [Code("kvm_vm_ioctl_check_extension_generic, virt/kvm/kvm_main.c")]
);

fn never_fails(kvm: Kvm) -> Outcome {
    each(0..=4096_u64, |number| within(kvm.value(KVM_CHECK_EXTENSION, *number)?, 0, i32::MAX))
}
claim!(
    never_fails,
    "KVM_CHECK_EXTENSION answers 0 or a positive integer, and never fails",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);

fn answers_alike_when_asked_again(kvm: Kvm) -> Outcome {
    let other = Kvm::open()?;
    each(CAPS, |cap| {
        let first = kvm.check_extension(**cap)?;
        equal(kvm.check_extension(**cap)?, first)?;
        equal(other.check_extension(**cap)?, first)
    })
}
claim!(
    answers_alike_when_asked_again,
    "KVM_CHECK_EXTENSION answers the same when asked again, and on another descriptor of /dev/kvm",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);

fn is_answered_by_vms(kvm: Kvm, vm: Vm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_CHECK_EXTENSION_VM)?, 1)?;
    equal(vm.check_extension(KVM_CAP_CHECK_EXTENSION_VM)?, 1)
}
claim!(
    is_answered_by_vms,
    "A VM answers KVM_CHECK_EXTENSION, as KVM_CAP_CHECK_EXTENSION_VM says",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);

fn vm_answers_as_the_system(kvm: Kvm, vm: Vm) -> Outcome {
    each(CAPS.iter().filter(|cap| !FOR_SOME_VMS.contains(cap)), |cap| {
        equal(vm.check_extension(**cap)?, kvm.check_extension(**cap)?)
    })
}
claim!(
    vm_answers_as_the_system,
    "A default VM answers KVM_CHECK_EXTENSION as /dev/kvm does, but for what is left to other VMs",
    [Api("4.4 KVM_CHECK_EXTENSION"), Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")]
);

fn vm_offers_no_more_than_the_system(kvm: Kvm, vm: Vm) -> Outcome {
    each(FOR_SOME_VMS, |cap| {
        let (here, there) = (vm.check_extension(*cap)?, kvm.check_extension(*cap)?);
        holds(here & !there == 0, format_args!("the VM's {here:#x} is part of /dev/kvm's {there:#x}"))
    })
}
claim!(
    vm_offers_no_more_than_the_system,
    "A default VM offers no part of a capability that /dev/kvm does not",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);

fn vm_answers_zero_to_what_is_no_capability(vm: Vm, high: NonZeroU32) -> Outcome {
    answers_zero(&vm, u64::MAX)?;
    each([4096, 1 << 31, u64::from(u32::MAX)], |number| answers_zero(&vm, *number))?;
    each(CAPS, |cap| answers_zero(&vm, above_32_bits(high, cap.number)))
}
claim!(
    vm_answers_zero_to_what_is_no_capability,
    "A VM answers KVM_CHECK_EXTENSION with 0 for -1, for large numbers, and for capabilities with high bits set",
    [Api("4.4 KVM_CHECK_EXTENSION")]
);
