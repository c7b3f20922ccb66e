//! KVM_SET_TSC_KHZ and KVM_GET_TSC_KHZ on a VM: api.rst 4.55 and 4.56.

use harness::kvm::{Descriptor, EINVAL, KVM_CAP_VM_TSC_CONTROL, KVM_GET_TSC_KHZ, KVM_SET_TSC_KHZ, Vm};
use harness::{Outcome, claim, equal, holds, succeeds};

use super::step::Answer::{Fails, Works};
use super::step::Step::{TscKhz, Vcpu};
use super::step::in_order;

fn sets_the_frequency_of_later_vcpus(vm: Vm) -> Outcome {
    let half = vm.value(KVM_GET_TSC_KHZ, 0)? / 2;
    succeeds(vm.value(KVM_SET_TSC_KHZ, u64::from(half.unsigned_abs())))?;
    equal(vm.value(KVM_GET_TSC_KHZ, 0)?, half)?;
    equal(vm.create_vcpu(0)?.value(KVM_GET_TSC_KHZ, 0)?, half)
}
claim!(
    sets_the_frequency_of_later_vcpus,
    "KVM_SET_TSC_KHZ on a VM sets the frequency that later vCPUs begin with",
    [Api("4.55 KVM_SET_TSC_KHZ")],
    Has(KVM_CAP_VM_TSC_CONTROL)
);

fn has_a_limit(vm: Vm) -> Outcome {
    in_order(&vm, &[(TscKhz(0xffff_ffff), Fails(EINVAL)), (TscKhz(0x8000_0000), Fails(EINVAL))])
}
claim!(
    has_a_limit,
    "KVM_SET_TSC_KHZ on a VM is refused with EINVAL for frequencies beyond the processor's scaling",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_VM_TSC_CONTROL)
);

fn does_not_follow_a_vcpu(vm: Vm) -> Outcome {
    in_order(&vm, &[(TscKhz(0), Works), (Vcpu(0), Works), (TscKhz(0), Fails(EINVAL))])
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_SET_TSC_KHZ on a VM is refused with EINVAL once there is a vCPU",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Kernel(">=6.17")
);

fn takes_zero_for_the_host(vm: Vm) -> Outcome {
    succeeds(vm.value(KVM_SET_TSC_KHZ, 0))?;
    let host = vm.value(KVM_GET_TSC_KHZ, 0)?;
    holds(host > 0, format_args!("{host} kHz is a frequency"))?;
    equal(vm.create_vcpu(0)?.value(KVM_GET_TSC_KHZ, 0)?, host)
}
claim!(
    takes_zero_for_the_host,
    "KVM_SET_TSC_KHZ on a VM takes 0 for the host's own frequency, which later vCPUs begin with",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Kernel(">=5.19")
);

fn looks_at_32_bits(vm: Vm) -> Outcome {
    succeeds(vm.value(KVM_SET_TSC_KHZ, 0))?;
    let host = vm.value(KVM_GET_TSC_KHZ, 0)?;
    succeeds(vm.value(KVM_SET_TSC_KHZ, 1 << 32))?;
    equal(vm.value(KVM_GET_TSC_KHZ, 0)?, host)
}
claim!(
    looks_at_32_bits,
    "KVM_SET_TSC_KHZ on a VM drops what stands above 32 bits of its argument",
    [Observed("kvm_arch_vm_ioctl of Linux 5.19 to 7.3")],
    Kernel(">=5.19")
);
