//! KVM_SET_IDENTITY_MAP_ADDR: api.rst 4.40.

use harness::kvm::{
    Argument, Descriptor, EFAULT, EINVAL, KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM_SET_IDENTITY_MAP_ADDR, Vm,
};
use harness::{Outcome, claim, fails};

use super::step::Answer::{Fails, Works};
use super::step::Step::{IdentityMapAddr, Vcpu};
use super::step::in_order;

/// Where the identity map lies unless it is set.
const DEFAULT: u64 = 0xfffb_c000;

fn does_not_follow_a_vcpu(vm: Vm) -> Outcome {
    in_order(
        &vm,
        &[(IdentityMapAddr(DEFAULT), Works), (Vcpu(0), Works), (IdentityMapAddr(DEFAULT), Fails(EINVAL))],
    )
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_SET_IDENTITY_MAP_ADDR is refused with EINVAL once there is a vCPU",
    [Api("4.40 KVM_SET_IDENTITY_MAP_ADDR"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_IDENTITY_MAP_ADDR)
);

fn may_be_set_again(vm: Vm) -> Outcome {
    in_order(
        &vm,
        &[
            (IdentityMapAddr(0xfeff_c000), Works),
            (IdentityMapAddr(0), Works),
            (IdentityMapAddr(DEFAULT), Works),
        ],
    )
}
claim!(
    may_be_set_again,
    "KVM_SET_IDENTITY_MAP_ADDR may be repeated, and takes 0 for the default",
    [Api("4.40 KVM_SET_IDENTITY_MAP_ADDR")],
    Has(KVM_CAP_SET_IDENTITY_MAP_ADDR)
);

fn takes_addresses_above_4_gib(vm: Vm) -> Outcome {
    // The documentation says that the page must lie below 4 GiB; no kernel looks.
    in_order(&vm, &[(IdentityMapAddr(1 << 40), Works), (IdentityMapAddr(u64::MAX), Works)])
}
claim!(
    takes_addresses_above_4_gib,
    "KVM_SET_IDENTITY_MAP_ADDR takes addresses above 4 GiB and between pages without a word",
    [Observed("kvm_vm_ioctl_set_identity_map_addr of Linux 5.10 to 7.3")],
    Has(KVM_CAP_SET_IDENTITY_MAP_ADDR)
);

fn reads_the_address(vm: Vm) -> Outcome {
    fails(EFAULT, vm.send(KVM_SET_IDENTITY_MAP_ADDR, Argument::Inaccessible))
}
claim!(
    reads_the_address,
    "KVM_SET_IDENTITY_MAP_ADDR takes the address of its argument, and is refused with EFAULT where that cannot be read",
    // The documentation gives the parameter as an unsigned long, which is what KVM_SET_TSS_ADDR takes: this one takes a pointer.
    [Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_IDENTITY_MAP_ADDR)
);
