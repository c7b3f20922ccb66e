//! The close-on-exec flag that KVM's descriptors are born with.

use std::os::fd::AsFd;

use harness::kvm::{KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Vcpu, Vm};
use harness::{Outcome, claim, equal, succeeds};
use rustix::io::{FdFlags, fcntl_getfd};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};

fn is(of: &impl AsFd, expected: FdFlags) -> Outcome {
    equal(succeeds(fcntl_getfd(of))?, expected)
}

fn vm(vm: Vm) -> Outcome {
    is(&vm, FdFlags::CLOEXEC)
}
claim!(
    vm,
    "KVM_CREATE_VM answers with a descriptor that is closed on exec",
    [Code("kvm_dev_ioctl_create_vm, virt/kvm/kvm_main.c")]
);

fn vcpu(vcpu: Vcpu) -> Outcome {
    is(&vcpu, FdFlags::CLOEXEC)
}
claim!(
    vcpu,
    "KVM_CREATE_VCPU answers with a descriptor that is closed on exec",
    [Code("create_vcpu_fd, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    is(&vfio.device, FdFlags::CLOEXEC)
}
claim!(
    device,
    "KVM_CREATE_DEVICE makes a descriptor that is closed on exec",
    [Code("kvm_ioctl_create_device, virt/kvm/kvm_main.c")]
);

fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    is(&of.stats, FdFlags::CLOEXEC)?;
    is(&vcpu.stats, FdFlags::CLOEXEC)
}
claim!(
    statistics,
    "KVM_GET_STATS_FD answers with a descriptor that is closed on exec",
    [Code("kvm_vm_ioctl_get_stats_fd, kvm_vcpu_ioctl_get_stats_fd, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

// Alone of all KVM's descriptors, and the documentation does not say so: __kvm_gmem_create asks for one with no flags.
fn guest_memfd(memory: Memfd) -> Outcome {
    is(&memory.memfd, FdFlags::empty())
}
claim!(
    guest_memfd,
    "KVM_CREATE_GUEST_MEMFD answers with a descriptor that stays open on exec",
    [Code("__kvm_gmem_create, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);
