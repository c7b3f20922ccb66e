//! KVM_SET_TSS_ADDR: api.rst 4.36.

use harness::kvm::{Descriptor, EEXIST, EINVAL, KVM_CAP_SET_TSS_ADDR, KVM_SET_TSS_ADDR, Kvm, Vm};
use harness::{Outcome, claim, each, succeeds};

use super::step::Answer::{Fails, Works};
use super::step::Step::{TssAddr, Vcpu};
use super::step::in_order;

/// The last address from which three pages fit below 4 GiB.
const LAST: u64 = 0xffff_d000;

fn ends_below_4_gib(vm: Vm) -> Outcome {
    each([LAST + 1, LAST + 0x1000, 0xffff_ffff, 1 << 32, 1 << 52, u64::MAX], |address| {
        in_order(&vm, &[(TssAddr(*address), Fails(EINVAL))])
    })
}
claim!(
    ends_below_4_gib,
    "KVM_SET_TSS_ADDR is refused with EINVAL where three pages from there do not fit below 4 GiB",
    [Api("4.36 KVM_SET_TSS_ADDR"), Code("kvm_vm_ioctl_set_tss_addr, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_TSS_ADDR)
);

fn takes_the_last_three_pages(vm: Vm) -> Outcome {
    succeeds(vm.value(KVM_SET_TSS_ADDR, LAST)).map(drop)
}
claim!(
    takes_the_last_three_pages,
    "KVM_SET_TSS_ADDR takes the last three pages below 4 GiB",
    [Api("4.36 KVM_SET_TSS_ADDR"), Code("kvm_vm_ioctl_set_tss_addr, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_TSS_ADDR)
);

fn may_follow_a_vcpu(kvm: Kvm) -> Outcome {
    in_order(&kvm.create_vm(0)?, &[(Vcpu(0), Works), (TssAddr(0xfffb_d000), Works)])
}
claim!(
    may_follow_a_vcpu,
    "KVM_SET_TSS_ADDR succeeds before and after a vCPU is created",
    [Code("kvm_vm_ioctl_set_tss_addr, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_TSS_ADDR)
);

fn may_be_set_again(vm: Vm) -> Outcome {
    in_order(&vm, &[(TssAddr(0xfffb_d000), Works), (TssAddr(0xfffb_d000), Works), (TssAddr(0x1000), Works)])
}
claim!(
    may_be_set_again,
    "KVM_SET_TSS_ADDR may be repeated where KVM needs no task state segment in the guest's memory",
    [Code("svm_set_tss_addr, arch/x86/kvm/svm/svm.c"), Code("vmx_set_tss_addr, arch/x86/kvm/vmx/vmx.c")],
    Has(KVM_CAP_SET_TSS_ADDR),
    Any(&[Amd, Param("kvm_intel", "unrestricted_guest", "Y")])
);

fn is_set_once(vm: Vm) -> Outcome {
    in_order(&vm, &[(TssAddr(0xfffb_d000), Works), (TssAddr(0xfffb_d000), Fails(EEXIST))])
}
claim!(
    is_set_once,
    "KVM_SET_TSS_ADDR is refused with EEXIST the second time on a processor without unrestricted guests",
    [Code("vmx_set_tss_addr, arch/x86/kvm/vmx/vmx.c")],
    Has(KVM_CAP_SET_TSS_ADDR),
    Param("kvm_intel", "unrestricted_guest", "N")
);
