//! KVM_CREATE_IRQCHIP: api.rst 4.24.

use harness::kvm::{EEXIST, EINVAL, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, Vm};
use harness::{Outcome, claim};

use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Irqchip, Vcpu};
use super::step::in_order;

fn is_made_once(vm: Vm) -> Outcome {
    in_order(&vm, &[(Irqchip, Works), (Irqchip, Fails(EEXIST))])
}
claim!(
    is_made_once,
    "KVM_CREATE_IRQCHIP is refused with EEXIST where the irqchip is in the kernel already",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP)
);

fn does_not_follow_a_split_irqchip(vm: Vm) -> Outcome {
    in_order(&vm, &[(Enable(KVM_CAP_SPLIT_IRQCHIP, 24), Works), (Irqchip, Fails(EEXIST))])
}
claim!(
    does_not_follow_a_split_irqchip,
    "KVM_CREATE_IRQCHIP is refused with EEXIST where there is a split irqchip",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SPLIT_IRQCHIP)
);

fn does_not_follow_a_vcpu(vm: Vm) -> Outcome {
    in_order(&vm, &[(Vcpu(0), Works), (Irqchip, Fails(EINVAL)), (Vcpu(1), Works), (Irqchip, Fails(EINVAL))])
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_CREATE_IRQCHIP is refused with EINVAL once there is a vCPU",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP)
);

fn tells_first_of_the_irqchip_and_then_of_vcpus(vm: Vm) -> Outcome {
    in_order(&vm, &[(Irqchip, Works), (Vcpu(0), Works), (Irqchip, Fails(EEXIST))])
}
claim!(
    tells_first_of_the_irqchip_and_then_of_vcpus,
    "KVM_CREATE_IRQCHIP is refused with EEXIST, not EINVAL, where there is an irqchip and a vCPU",
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_IRQCHIP)
);
