//! KVM_CAP_DISABLE_QUIRKS and KVM_CAP_DISABLE_QUIRKS2: api.rst 7.31.

use harness::kvm::{
    Cap, Descriptor, EINVAL, KVM_CAP_DISABLE_QUIRKS, KVM_CAP_DISABLE_QUIRKS2, KVM_CAP_IRQCHIP, KVM_GET_LAPIC,
    Kvm, Vm, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal};

use super::bits;
use super::step::Answer::{Fails, Works};
use super::step::Step::Enable;
use super::step::{at_any_time, in_order};

const LINT0_REENABLED: u64 = abi::KVM_X86_QUIRK_LINT0_REENABLED as u64;
/// The word of the local APIC's registers that holds LVT LINT0.
const LVT_LINT0: usize = 0x350 / 4;

fn takes_any_quirks(kvm: Kvm) -> Outcome {
    each([0, 1, u64::MAX, 1 << 63], |quirks| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_DISABLE_QUIRKS, *quirks))
    })
}
claim!(
    takes_any_quirks,
    "KVM_CAP_DISABLE_QUIRKS may be enabled at any time, and takes quirks that the kernel does not know",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_DISABLE_QUIRKS)
);

fn second_takes_the_quirks_it_tells(kvm: Kvm) -> Outcome {
    let vm = kvm.create_vm(0)?;
    let known = u64::from(vm.check_extension(KVM_CAP_DISABLE_QUIRKS2)?.unsigned_abs());
    bits::refuses_all_but(known, &vm, KVM_CAP_DISABLE_QUIRKS2)?;
    in_order(&vm, &at_any_time(KVM_CAP_DISABLE_QUIRKS2, known))
}
claim!(
    second_takes_the_quirks_it_tells,
    "KVM_CAP_DISABLE_QUIRKS2 takes the quirks that KVM_CHECK_EXTENSION answers, and is refused with EINVAL for others",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2")],
    Has(KVM_CAP_DISABLE_QUIRKS2)
);

fn second_looks_after_vcpus_too(vm: Vm) -> Outcome {
    let steps =
        [(super::step::Step::Vcpu(0), Works), (Enable(KVM_CAP_DISABLE_QUIRKS2, 1 << 63), Fails(EINVAL))];
    in_order(&vm, &steps)
}
claim!(
    second_looks_after_vcpus_too,
    "KVM_CAP_DISABLE_QUIRKS2 is refused with EINVAL for an unknown quirk after a vCPU is created, too",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2")],
    Has(KVM_CAP_DISABLE_QUIRKS2)
);

/// LVT LINT0 of a fresh bootstrap processor, after `cap` disabled the quirk that changes it, if there is one.
fn lint0_without_quirk(cap: Option<Cap>) -> Result<u32, Stop> {
    let vm = Controllers::Kernel.vm()?;
    if let Some(cap) = cap {
        vm.enable_cap(cap, [LINT0_REENABLED, 0, 0, 0])?;
    }
    Ok(vm.create_vcpu(0)?.read::<[u32; 256]>(KVM_GET_LAPIC)?[LVT_LINT0])
}

fn lint0_begins_as_extint() -> Outcome {
    equal(lint0_without_quirk(None)?, 0x700)
}
claim!(
    lint0_begins_as_extint,
    "A fresh bootstrap processor's LVT LINT0 is 0x700: it takes interrupts from the PIC",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2")],
    Has(KVM_CAP_IRQCHIP)
);

fn lint0_begins_masked() -> Outcome {
    equal(lint0_without_quirk(Some(KVM_CAP_DISABLE_QUIRKS))?, 0x10000)
}
claim!(
    lint0_begins_masked,
    "Without KVM_X86_QUIRK_LINT0_REENABLED, a fresh bootstrap processor's LVT LINT0 is 0x10000: masked",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2")],
    Has(KVM_CAP_DISABLE_QUIRKS),
    Has(KVM_CAP_IRQCHIP)
);

fn second_masks_lint0_too() -> Outcome {
    equal(lint0_without_quirk(Some(KVM_CAP_DISABLE_QUIRKS2))?, 0x10000)
}
claim!(
    second_masks_lint0_too,
    "KVM_CAP_DISABLE_QUIRKS2 disables KVM_X86_QUIRK_LINT0_REENABLED as KVM_CAP_DISABLE_QUIRKS does",
    [Api("7.31 KVM_CAP_DISABLE_QUIRKS2")],
    Has(KVM_CAP_DISABLE_QUIRKS2),
    Has(KVM_CAP_IRQCHIP)
);
