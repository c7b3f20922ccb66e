//! KVM_CAP_X86_APIC_BUS_CYCLES_NS: api.rst 7.35.

use harness::kvm::{
    EINVAL, ENXIO, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X86_APIC_BUS_CYCLES_NS, Kvm, Vm,
};
use harness::{Controllers, Outcome, claim, each, equal};

use super::step::Answer::{Fails, Works};
use super::step::Step::{self, Irqchip, Vcpu};
use super::step::in_order;

/// The longest cycle with which the longest timer that a local APIC can be set to still fits into 64 bits of nanoseconds.
const LONGEST: u64 = u64::MAX / (u32::MAX as u64 * 128);

const fn cycle(ns: u64) -> Step {
    Step::Enable(KVM_CAP_X86_APIC_BUS_CYCLES_NS, ns)
}

fn defaults_to_a_nanosecond(kvm: Kvm) -> Outcome {
    equal(kvm.check_extension(KVM_CAP_X86_APIC_BUS_CYCLES_NS)?, 1)?;
    equal(kvm.create_vm(0)?.check_extension(KVM_CAP_X86_APIC_BUS_CYCLES_NS)?, 1)
}
claim!(
    defaults_to_a_nanosecond,
    "KVM_CHECK_EXTENSION answers KVM_CAP_X86_APIC_BUS_CYCLES_NS with the default of 1 ns",
    [Api("7.35 KVM_CAP_X86_APIC_BUS_CYCLES_NS")],
    Has(KVM_CAP_X86_APIC_BUS_CYCLES_NS)
);

fn needs_local_apics(vm: Vm) -> Outcome {
    in_order(&vm, &[(cycle(40), Fails(ENXIO)), (Vcpu(0), Works), (cycle(40), Fails(ENXIO))])
}
claim!(
    needs_local_apics,
    "KVM_CAP_X86_APIC_BUS_CYCLES_NS is refused with ENXIO without an in-kernel irqchip",
    [Api("7.35 KVM_CAP_X86_APIC_BUS_CYCLES_NS")],
    Has(KVM_CAP_X86_APIC_BUS_CYCLES_NS)
);

fn is_early() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let steps = [(cycle(40), Works), (cycle(10), Works), (Vcpu(0), Works), (cycle(40), Fails(EINVAL))];
        in_order(&controllers.vm()?, &steps)
    })
}
claim!(
    is_early,
    "KVM_CAP_X86_APIC_BUS_CYCLES_NS may be set more than once, and is refused with EINVAL once there is a vCPU",
    // The documentation asks for KVM_CREATE_IRQCHIP; a split irqchip will do, too.
    [Api("7.35 KVM_CAP_X86_APIC_BUS_CYCLES_NS")],
    Has(KVM_CAP_X86_APIC_BUS_CYCLES_NS),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);

fn has_limits(vm: Vm) -> Outcome {
    in_order(
        &vm,
        &[(cycle(0), Fails(EINVAL)), (Irqchip, Works), (cycle(1), Works), (cycle(LONGEST), Works)],
    )?;
    each([0, LONGEST + 1, 1 << 32, u64::MAX], |ns| in_order(&vm, &[(cycle(*ns), Fails(EINVAL))]))
}
claim!(
    has_limits,
    "KVM_CAP_X86_APIC_BUS_CYCLES_NS is refused with EINVAL for 0, and where the longest timer would overflow",
    [Api("7.35 KVM_CAP_X86_APIC_BUS_CYCLES_NS"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_APIC_BUS_CYCLES_NS),
    Has(KVM_CAP_IRQCHIP)
);

fn is_told_of_the_vm(kvm: Kvm) -> Outcome {
    let vm = Controllers::Split.vm()?;
    in_order(&vm, &[(cycle(40), Works)])?;
    equal(vm.check_extension(KVM_CAP_X86_APIC_BUS_CYCLES_NS)?, 40)?;
    equal(kvm.check_extension(KVM_CAP_X86_APIC_BUS_CYCLES_NS)?, 1)
}
claim!(
    is_told_of_the_vm,
    "KVM_CHECK_EXTENSION on a VM answers KVM_CAP_X86_APIC_BUS_CYCLES_NS with the cycle that was set there",
    [Code("kvm_vm_ioctl_check_extension, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_APIC_BUS_CYCLES_NS),
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Kernel(">=7.3")
);
