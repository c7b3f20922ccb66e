//! KVM_GET_LAPIC of a fresh vCPU: api.rst 4.57, and the state of a local APIC after a reset.

use harness::kvm::{Descriptor, EINVAL, KVM_CAP_IRQCHIP, KVM_GET_LAPIC, Refused, Vcpu, Vm};
use harness::{Controllers, Outcome, claim, each, equal, fails, within};

/// KVM_GET_LAPIC: the first 32 bits of every 16 bytes are a register.
#[track_caller]
fn lapic(vcpu: &Vcpu) -> Result<impl Fn(usize) -> u32 + use<>, Refused> {
    let words = vcpu.read::<[u32; 256]>(KVM_GET_LAPIC)?;
    Ok(move |register: usize| words[register / 4])
}

fn needs_one_in_the_kernel(vm: Vm) -> Outcome {
    each([0, 1], |id| fails(EINVAL, vm.create_vcpu(*id)?.read::<[u32; 256]>(KVM_GET_LAPIC)))
}
claim!(
    needs_one_in_the_kernel,
    "KVM_GET_LAPIC is refused with EINVAL without an in-kernel irqchip",
    [Code("kvm_arch_vcpu_ioctl, arch/x86/kvm/x86.c")]
);

fn id_is_the_vcpus() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vm = controllers.vm()?;
        each([0, 1, 7, 128, 254], |id| {
            let lapic = lapic(&vm.create_vcpu(u64::from(*id))?)?;
            equal(lapic(0x20), id << 24)
        })
    })
}
claim!(
    id_is_the_vcpus,
    "A fresh local APIC's id is that of its vCPU, in bits 31:24",
    [Api("4.7 KVM_CREATE_VCPU"), Api("4.57 KVM_GET_LAPIC")],
    Has(KVM_CAP_IRQCHIP)
);

fn version_is_integrated() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let version = lapic(&controllers.vm()?.create_vcpu(0)?)?(0x30);
        equal(version & 0xff, 0x14)?;
        // Entries of the local vector table, less one.
        within(version >> 16 & 0xff, 5, 6)
    })
}
claim!(
    version_is_integrated,
    "A fresh local APIC's version is 0x14, with 6 or 7 entries in the local vector table",
    [
        Manual("Intel SDM vol. 3A, Local APIC Version Register"),
        Code("kvm_apic_set_version, arch/x86/kvm/lapic.c")
    ],
    Has(KVM_CAP_IRQCHIP)
);

fn is_disabled_by_software() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vm = controllers.vm()?;
        each([0, 1], |id| equal(lapic(&vm.create_vcpu(*id)?)?(0xf0), 0xff))
    })
}
claim!(
    is_disabled_by_software,
    "A fresh local APIC's spurious interrupt vector register is 0xff: disabled by software",
    [Manual("Intel SDM vol. 3A, Local APIC State After Power-Up or Reset")],
    Has(KVM_CAP_IRQCHIP)
);

fn vectors_are_masked() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vm = controllers.vm()?;
        each([0, 1], |id| {
            let lapic = lapic(&vm.create_vcpu(*id)?)?;
            // Timer, thermal sensor, performance counters, LINT1, error; LINT0 is a quirk's.
            each([0x320, 0x330, 0x340, 0x360, 0x370], |register| equal(lapic(*register), 0x10000))
        })
    })
}
claim!(
    vectors_are_masked,
    "A fresh local APIC masks its local vector table, but for LINT0",
    [Manual("Intel SDM vol. 3A, Local APIC State After Power-Up or Reset")],
    Has(KVM_CAP_IRQCHIP)
);

fn application_processors_mask_lint0() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        equal(lapic(&controllers.vm()?.create_vcpu(1)?)?(0x350), 0x10000)
    })
}
claim!(
    application_processors_mask_lint0,
    "A fresh application processor's LVT LINT0 is 0x10000: masked",
    [Manual("Intel SDM vol. 3A, Local APIC State After Power-Up or Reset")],
    Has(KVM_CAP_IRQCHIP)
);

fn nothing_is_set() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let lapic = lapic(&controllers.vm()?.create_vcpu(0)?)?;
        // Task priority, processor priority, logical destination, error status, commands, timer.
        each([0x80, 0xa0, 0xd0, 0x280, 0x300, 0x310, 0x380, 0x390, 0x3e0], |register| {
            equal(lapic(*register), 0)
        })?;
        // In service, trigger mode, requested: eight registers each.
        each((0x100..0x280).step_by(16), |register| equal(lapic(*register), 0))?;
        equal(lapic(0xe0), 0xffff_ffff)
    })
}
claim!(
    nothing_is_set,
    "A fresh local APIC has nothing in service or requested, no priority, no timer, and the flat model",
    [Manual("Intel SDM vol. 3A, Local APIC State After Power-Up or Reset")],
    Has(KVM_CAP_IRQCHIP)
);
