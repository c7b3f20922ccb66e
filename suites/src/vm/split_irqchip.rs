//! KVM_CAP_SPLIT_IRQCHIP: api.rst 7.5.

use harness::kvm::{
    Descriptor, EEXIST, EINVAL, ENOENT, ENXIO, KVM_CAP_IRQCHIP, KVM_CAP_PIT2, KVM_CAP_SPLIT_IRQCHIP,
    KVM_GET_IRQCHIP, KVM_GET_LAPIC, Kvm, Vm,
};
use harness::{Controllers, Outcome, claim, each, fails, succeeds};

use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Irqchip, Pit, Pit2, Vcpu};
use super::step::{Step, in_order};

/// The most routes that can be kept for IOAPIC pins, which is the most that a VM can have: KVM_MAX_IRQ_ROUTES.
const MOST_PINS: u64 = 4096;
const SPLIT: Step = Enable(KVM_CAP_SPLIT_IRQCHIP, 24);

fn takes_as_many_pins_as_there_are_routes(kvm: Kvm) -> Outcome {
    each([0, 1, 24, MOST_PINS - 1, MOST_PINS], |pins| {
        in_order(&kvm.create_vm(0)?, &[(Enable(KVM_CAP_SPLIT_IRQCHIP, *pins), Works)])
    })?;
    each([MOST_PINS + 1, 1 << 16, 1 << 31, 1 << 32, u64::MAX], |pins| {
        in_order(
            &kvm.create_vm(0)?,
            &[(Enable(KVM_CAP_SPLIT_IRQCHIP, *pins), Fails(EINVAL)), (Irqchip, Works)],
        )
    })
}
claim!(
    takes_as_many_pins_as_there_are_routes,
    "KVM_CAP_SPLIT_IRQCHIP reserves up to 4096 routes, and is refused with EINVAL for more",
    [Api("7.5 KVM_CAP_SPLIT_IRQCHIP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);

fn is_enabled_once(vm: Vm) -> Outcome {
    in_order(&vm, &[(SPLIT, Works), (SPLIT, Fails(EEXIST))])
}
claim!(
    is_enabled_once,
    "KVM_CAP_SPLIT_IRQCHIP is refused with EEXIST the second time",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn does_not_follow_a_full_irqchip(vm: Vm) -> Outcome {
    in_order(&vm, &[(Irqchip, Works), (SPLIT, Fails(EEXIST))])
}
claim!(
    does_not_follow_a_full_irqchip,
    "KVM_CAP_SPLIT_IRQCHIP is refused with EEXIST after KVM_CREATE_IRQCHIP",
    [Api("7.5 KVM_CAP_SPLIT_IRQCHIP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);

fn does_not_follow_a_vcpu(vm: Vm) -> Outcome {
    in_order(&vm, &[(Vcpu(0), Works), (SPLIT, Fails(EEXIST))])
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_CAP_SPLIT_IRQCHIP is refused with EEXIST once there is a vCPU",
    // KVM_CREATE_IRQCHIP says EINVAL in the same place, and both are documented without their errors.
    [Api("7.5 KVM_CAP_SPLIT_IRQCHIP"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn looks_at_its_argument_first(vm: Vm) -> Outcome {
    let too_many = Enable(KVM_CAP_SPLIT_IRQCHIP, MOST_PINS + 1);
    in_order(&vm, &[(SPLIT, Works), (Vcpu(0), Works), (too_many, Fails(EINVAL))])
}
claim!(
    looks_at_its_argument_first,
    "KVM_CAP_SPLIT_IRQCHIP with too many routes is refused with EINVAL, not EEXIST, where it is enabled already",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn leaves_no_room_for_a_pit(vm: Vm) -> Outcome {
    in_order(&vm, &[(SPLIT, Works), (Pit2, Fails(ENOENT)), (Pit, Fails(ENOENT))])
}
claim!(
    leaves_no_room_for_a_pit,
    "With a split irqchip, KVM_CREATE_PIT and KVM_CREATE_PIT2 are refused with ENOENT",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_PIT2),
    Kernel(">=6.12")
);

fn has_local_apics_and_nothing_else() -> Outcome {
    let vm = Controllers::Split.vm()?;
    succeeds(vm.create_vcpu(0)?.read::<[u8; 1024]>(KVM_GET_LAPIC))?;
    each(0..3_u32, |chip| {
        let mut state = [0_u32; 130];
        state[0] = *chip;
        fails(ENXIO, vm.update(KVM_GET_IRQCHIP, &mut state))
    })
}
claim!(
    has_local_apics_and_nothing_else,
    "With a split irqchip, vCPUs have a local APIC, and KVM_GET_IRQCHIP is refused with ENXIO",
    [Api("7.5 KVM_CAP_SPLIT_IRQCHIP"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);
