//! KVM_CAP_X2APIC_API: api.rst 7.7.

use harness::kvm::{
    Descriptor, EINVAL, KVM_CAP_IRQCHIP, KVM_CAP_SIGNAL_MSI, KVM_CAP_X2APIC_API, KVM_SIGNAL_MSI, Vm, abi,
};
use harness::{Controllers, Outcome, claim, each, equal, fails, succeeds};

use super::bits;
use super::step::{at_any_time, in_order};

const USE_32BIT_IDS: u64 = abi::KVM_X2APIC_API_USE_32BIT_IDS as u64;
const DISABLE_BROADCAST_QUIRK: u64 = abi::KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK as u64;

fn takes_the_bits_it_tells(vm: Vm) -> Outcome {
    let known = u64::from(vm.check_extension(KVM_CAP_X2APIC_API)?.unsigned_abs());
    bits::refuses_all_but(known, &vm, KVM_CAP_X2APIC_API)
}
claim!(
    takes_the_bits_it_tells,
    "KVM_CAP_X2APIC_API is refused with EINVAL for bits that KVM_CHECK_EXTENSION does not answer",
    [Api("7.7 KVM_CAP_X2APIC_API")],
    Has(KVM_CAP_X2APIC_API)
);

fn may_be_enabled_at_any_time(vm: Vm) -> Outcome {
    in_order(&vm, &at_any_time(KVM_CAP_X2APIC_API, USE_32BIT_IDS | DISABLE_BROADCAST_QUIRK))
}
claim!(
    may_be_enabled_at_any_time,
    "KVM_CAP_X2APIC_API may be enabled before and after vCPUs, and more than once",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X2APIC_API)
);

/// An MSI to vCPU 0 that says `high` in its upper address.
fn msi(high: u32) -> abi::kvm_msi {
    abi::kvm_msi { address_lo: 0xfee0_0000, address_hi: high, data: 0x40, ..Default::default() }
}

fn makes_msis_look_at_the_upper_address() -> Outcome {
    let vm = Controllers::Kernel.vm()?;
    let _vcpu = vm.create_vcpu(0)?;
    each([0, 1, 0xff], |high| succeeds(vm.write(KVM_SIGNAL_MSI, &msi(*high))).map(drop))?;
    equal(vm.enable_cap(KVM_CAP_X2APIC_API, [USE_32BIT_IDS, 0, 0, 0])?, 0)?;
    succeeds(vm.write(KVM_SIGNAL_MSI, &msi(0)))?;
    each((0..8).map(|bit| 1 << bit), |high| fails(EINVAL, vm.write(KVM_SIGNAL_MSI, &msi(*high))))
}
claim!(
    makes_msis_look_at_the_upper_address,
    "With KVM_X2APIC_API_USE_32BIT_IDS, KVM_SIGNAL_MSI is refused with EINVAL for bits 7:0 of the upper address",
    [Api("4.71 KVM_SIGNAL_MSI"), Api("7.7 KVM_CAP_X2APIC_API")],
    Has(KVM_CAP_X2APIC_API),
    Has(KVM_CAP_SIGNAL_MSI),
    Has(KVM_CAP_IRQCHIP)
);
