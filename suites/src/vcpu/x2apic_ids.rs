//! KVM_X2APIC_API_USE_32BIT_IDS and KVM_GET_LAPIC: api.rst 4.57 and 7.7.

use harness::kvm::{
    Descriptor, EINVAL, KVM_CAP_IRQCHIP, KVM_CAP_X2APIC_API, KVM_GET_LAPIC, KVM_SET_CPUID2, KVM_SET_LAPIC,
    Vcpu, abi,
};
use harness::{Controllers, Outcome, Stop, claim, each, equal, fails, succeeds};

/// The bit of IA32_APIC_BASE that switches to x2APIC mode.
const EXTD: u64 = 1 << 10;
/// The bit of CPUID 1, ECX that tells of x2APIC mode.
const X2APIC: u32 = 1 << 21;

/// A vCPU in x2APIC mode, of a VM for which KVM_CAP_X2APIC_API was enabled with `features`.
#[track_caller]
fn in_x2apic_mode(id: u32, features: u32) -> Result<Vcpu, Stop> {
    let vm = Controllers::Kernel.vm()?;
    vm.enable_cap(KVM_CAP_X2APIC_API, [features.into(), 0, 0, 0])?;
    let vcpu = vm.create_vcpu(id.into())?;
    // One entry, padding; leaf 1, whose ECX alone is set.
    let cpuid: [u32; 12] = [1, 0, 1, 0, 0, 0, 0, X2APIC, 0, 0, 0, 0];
    vcpu.write(KVM_SET_CPUID2, &cpuid)?;
    let sregs = vcpu.get_sregs()?;
    vcpu.set_sregs(&abi::kvm_sregs { apic_base: sregs.apic_base | EXTD, ..sregs })?;
    Ok(vcpu)
}

fn ids_have_8_bits_by_default() -> Outcome {
    each([0, 1, 254], |id| equal(in_x2apic_mode(*id, 0)?.read::<[u32; 256]>(KVM_GET_LAPIC)?[8], id << 24))
}
claim!(
    ids_have_8_bits_by_default,
    "Without KVM_X2APIC_API_USE_32BIT_IDS, KVM_GET_LAPIC in x2APIC mode tells the id in bits 31:24",
    [Api("4.57 KVM_GET_LAPIC")],
    Has(KVM_CAP_X2APIC_API),
    Has(KVM_CAP_IRQCHIP)
);

fn ids_have_32_bits() -> Outcome {
    each([0, 1, 254, 300], |id| {
        let vcpu = in_x2apic_mode(*id, abi::KVM_X2APIC_API_USE_32BIT_IDS)?;
        equal(vcpu.read::<[u32; 256]>(KVM_GET_LAPIC)?[8], *id)
    })
}
claim!(
    ids_have_32_bits,
    "With KVM_X2APIC_API_USE_32BIT_IDS, KVM_GET_LAPIC in x2APIC mode tells all 32 bits of the id",
    [Api("4.57 KVM_GET_LAPIC"), Api("7.7 KVM_CAP_X2APIC_API")],
    Has(KVM_CAP_X2APIC_API),
    Has(KVM_CAP_IRQCHIP)
);

fn ids_cannot_be_set() -> Outcome {
    let vcpu = in_x2apic_mode(1, abi::KVM_X2APIC_API_USE_32BIT_IDS)?;
    let ours = vcpu.read::<[u32; 256]>(KVM_GET_LAPIC)?;
    succeeds(vcpu.write(KVM_SET_LAPIC, &ours))?;
    each([0, 2, 1 << 24, u32::MAX], |id| {
        let mut other = ours;
        other[8] = *id;
        fails(EINVAL, vcpu.write(KVM_SET_LAPIC, &other))?;
        equal(vcpu.read::<[u32; 256]>(KVM_GET_LAPIC)?, ours)
    })
}
claim!(
    ids_cannot_be_set,
    "With KVM_X2APIC_API_USE_32BIT_IDS, KVM_SET_LAPIC in x2APIC mode is refused with EINVAL for another id",
    [Code("kvm_apic_state_fixup, arch/x86/kvm/lapic.c")],
    Has(KVM_CAP_X2APIC_API),
    Has(KVM_CAP_IRQCHIP)
);
