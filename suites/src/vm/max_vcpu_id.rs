//! KVM_CAP_MAX_VCPU_ID, as a capability that is enabled on a VM: api.rst 7.32.

use harness::kvm::{EINVAL, KVM_CAP_MAX_VCPU_ID, KVM_CAP_SET_BOOT_CPU_ID, Kvm, Vm};
use harness::{Outcome, Stop, claim, each};

use super::step::Answer::{Fails, Works};
use super::step::Step::{self, BootCpuId, Enable, Vcpu};
use super::step::in_order;

const fn limit(ids: u64) -> Step {
    Enable(KVM_CAP_MAX_VCPU_ID, ids)
}

/// The kernel's own limit.
fn greatest(vm: &Vm) -> Result<u64, Stop> {
    Ok(u64::from(vm.check_extension(KVM_CAP_MAX_VCPU_ID)?.unsigned_abs()))
}

fn lowers_the_limit(kvm: Kvm) -> Outcome {
    each([1, 2, 8, 100], |ids| {
        let last = (Vcpu(ids - 1), Works);
        in_order(&kvm.create_vm(0)?, &[(limit(*ids), Works), (Vcpu(*ids), Fails(EINVAL)), last])
    })
}
claim!(
    lowers_the_limit,
    "Once KVM_CAP_MAX_VCPU_ID lowered the limit, KVM_CREATE_VCPU is refused with EINVAL from there on",
    [Api("7.32 KVM_CAP_MAX_VCPU_ID"), Code("kvm_arch_vcpu_precreate, arch/x86/kvm/x86.c")],
    Kernel(">=6.0")
);

fn stays_within_the_kernels(vm: Vm) -> Outcome {
    let greatest = greatest(&vm)?;
    each([greatest + 1, 1 << 31, 1 << 32, (1 << 32) | 1, u64::MAX], |ids| {
        in_order(&vm, &[(limit(*ids), Fails(EINVAL))])
    })?;
    in_order(&vm, &[(limit(greatest), Works), (Vcpu(greatest - 1), Works)])
}
claim!(
    stays_within_the_kernels,
    "KVM_CAP_MAX_VCPU_ID is refused with EINVAL above what KVM_CHECK_EXTENSION answers",
    [Api("7.32 KVM_CAP_MAX_VCPU_ID")],
    Kernel(">=6.0")
);

fn is_set_once(vm: Vm) -> Outcome {
    in_order(
        &vm,
        &[(limit(8), Works), (limit(4), Fails(EINVAL)), (limit(16), Fails(EINVAL)), (Vcpu(7), Works)],
    )
}
claim!(
    is_set_once,
    "KVM_CAP_MAX_VCPU_ID is refused with EINVAL where another limit is set already",
    [Api("7.32 KVM_CAP_MAX_VCPU_ID")],
    Kernel(">=6.0")
);

fn may_be_repeated(vm: Vm) -> Outcome {
    // The documentation says EINVAL "if it has been set"; the same limit passes.
    in_order(&vm, &[(limit(8), Works), (limit(8), Works), (Vcpu(0), Works), (limit(8), Works)])
}
claim!(
    may_be_repeated,
    "KVM_CAP_MAX_VCPU_ID with the limit that is set already succeeds, even after a vCPU is created",
    [Observed("kvm_vm_ioctl_enable_cap of Linux 6.0 to 7.3")],
    Kernel(">=6.0")
);

fn does_not_follow_a_vcpu(vm: Vm) -> Outcome {
    in_order(&vm, &[(Vcpu(0), Works), (limit(8), Fails(EINVAL)), (limit(0), Fails(EINVAL)), (Vcpu(8), Works)])
}
claim!(
    does_not_follow_a_vcpu,
    "KVM_CAP_MAX_VCPU_ID is refused with EINVAL once there is a vCPU",
    [Api("7.32 KVM_CAP_MAX_VCPU_ID")],
    Kernel(">=6.0")
);

fn falls_back_to_the_kernels(vm: Vm) -> Outcome {
    let greatest = greatest(&vm)?;
    in_order(&vm, &[(Vcpu(0), Works), (limit(greatest), Works), (limit(greatest - 1), Fails(EINVAL))])
}
claim!(
    falls_back_to_the_kernels,
    "With the first vCPU the limit becomes what KVM_CHECK_EXTENSION answers to KVM_CAP_MAX_VCPU_ID",
    [Api("7.32 KVM_CAP_MAX_VCPU_ID"), Code("kvm_arch_vcpu_precreate, arch/x86/kvm/x86.c")],
    Kernel(">=6.0")
);

fn takes_zero_for_no_limit(vm: Vm) -> Outcome {
    let last = greatest(&vm)? - 1;
    in_order(&vm, &[(limit(0), Works), (Vcpu(last), Works)])?;
    in_order(&Kvm::open()?.create_vm(0)?, &[(limit(0), Works), (limit(2), Works), (Vcpu(2), Fails(EINVAL))])
}
claim!(
    takes_zero_for_no_limit,
    "KVM_CAP_MAX_VCPU_ID of 0 sets no limit, and may still be followed by one",
    [Api("7.32 KVM_CAP_MAX_VCPU_ID")],
    Kernel(">=6.0")
);

fn leaves_the_bootstrap_processor_in(vm: Vm) -> Outcome {
    in_order(&vm, &[(BootCpuId(5), Works), (limit(4), Fails(EINVAL)), (limit(6), Works), (Vcpu(5), Works)])
}
claim!(
    leaves_the_bootstrap_processor_in,
    "KVM_CAP_MAX_VCPU_ID is refused with EINVAL below the id of the bootstrap processor",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Kernel(">=6.11")
);

fn can_leave_the_bootstrap_processor_out_by_one(vm: Vm) -> Outcome {
    // The kernel compares with > where the bootstrap processor's id is out already when it equals the limit.
    in_order(&vm, &[(BootCpuId(5), Works), (limit(5), Works), (Vcpu(5), Fails(EINVAL))])
}
claim!(
    can_leave_the_bootstrap_processor_out_by_one,
    "KVM_CAP_MAX_VCPU_ID takes the id of the bootstrap processor, which can be created no more",
    [Observed("kvm_vm_ioctl_enable_cap of Linux 6.0 to 7.3")],
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Kernel(">=6.0")
);
