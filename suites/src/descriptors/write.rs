//! write() on KVM's descriptors.

use harness::kvm::{
    Descriptor, EBADF, EINVAL, Errno, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm,
};
use harness::{Outcome, claim, fails, unchanged};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};
use super::state::state;

fn refused(of: &impl Descriptor, errno: Errno) -> Outcome {
    unchanged(
        || state(of),
        || {
            fails(errno, rustix::io::write(of, b"0123456789"))?;
            fails(errno, rustix::io::write(of, b""))
        },
    )
}

fn kvm_vm_and_vcpu(kvm: Kvm, vm: Vm, vcpu: Vcpu) -> Outcome {
    refused(&kvm, EINVAL)?;
    refused(&vm, EINVAL)?;
    refused(&vcpu, EINVAL)
}
claim!(
    kvm_vm_and_vcpu,
    "write() on a system, VM or vCPU descriptor fails with EINVAL and changes nothing",
    [Code("kvm_chardev_ops, kvm_vm_fops, kvm_vcpu_fops, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device, EINVAL)
}
claim!(
    device,
    "write() on a kvm-vfio device fails with EINVAL",
    [Code("kvm_device_fops, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd, EINVAL)
}
claim!(
    guest_memfd,
    "write() on a guest_memfd fails with EINVAL",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    refused(&of.stats, EBADF)?;
    refused(&vcpu.stats, EBADF)
}
claim!(
    statistics,
    "write() on statistics fails with EBADF, since they are open for reading only",
    [Code("kvm_vm_ioctl_get_stats_fd, kvm_vcpu_ioctl_get_stats_fd, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
