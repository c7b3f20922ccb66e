//! KVM_GET_TSC_KHZ of a fresh vCPU: api.rst 4.56.

use harness::kvm::{Descriptor, KVM_CAP_GET_TSC_KHZ, KVM_CAP_VM_TSC_CONTROL, KVM_GET_TSC_KHZ, Vm};
use harness::{Outcome, claim, equal, holds};

use super::fresh::each_fresh;

fn is_a_frequency() -> Outcome {
    each_fresh(|vcpu| {
        let khz = vcpu.value(KVM_GET_TSC_KHZ, 0)?;
        holds(khz > 0, format_args!("{khz} kHz is a frequency"))
    })
}
claim!(
    is_a_frequency,
    "KVM_GET_TSC_KHZ of a fresh vCPU is positive",
    [Api("4.56 KVM_GET_TSC_KHZ")],
    Has(KVM_CAP_GET_TSC_KHZ)
);

fn is_the_same_of_all(vm: Vm) -> Outcome {
    let first = vm.create_vcpu(0)?.value(KVM_GET_TSC_KHZ, 0)?;
    equal(vm.create_vcpu(1)?.value(KVM_GET_TSC_KHZ, 0)?, first)
}
claim!(
    is_the_same_of_all,
    "KVM_GET_TSC_KHZ of all fresh vCPUs of a VM is the same",
    [Api("4.56 KVM_GET_TSC_KHZ")],
    Has(KVM_CAP_GET_TSC_KHZ)
);

fn is_the_vms(vm: Vm) -> Outcome {
    let of_vm = vm.value(KVM_GET_TSC_KHZ, 0)?;
    equal(vm.create_vcpu(0)?.value(KVM_GET_TSC_KHZ, 0)?, of_vm)
}
claim!(
    is_the_vms,
    "KVM_GET_TSC_KHZ of a fresh vCPU is that of its VM",
    [Api("4.55 KVM_SET_TSC_KHZ"), Api("4.56 KVM_GET_TSC_KHZ")],
    Has(KVM_CAP_GET_TSC_KHZ),
    Has(KVM_CAP_VM_TSC_CONTROL)
);
