//! What KVM's descriptors are called in `/proc/self/fd`.

use harness::kvm::{Descriptor, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Vm};
use harness::{Outcome, claim, each, equal, holds, succeeds};

use super::lesser::{Memfd, Vfio, VmStats};

/// vCPU ids with one to three digits, which every kernel takes.
const IDS: [u64; 4] = [0, 7, 42, 255];

fn vm(vm: Vm) -> Outcome {
    equal(succeeds(vm.link())?, "anon_inode:kvm-vm".into())
}
claim!(
    vm,
    "A VM's descriptor is named anon_inode:kvm-vm",
    [Code("kvm_dev_ioctl_create_vm, virt/kvm/kvm_main.c")]
);

fn vcpu(vm: Vm) -> Outcome {
    each(IDS, |id| {
        let vcpu = succeeds(vm.create_vcpu(*id))?;
        equal(succeeds(vcpu.link())?, format!("anon_inode:kvm-vcpu:{id}"))
    })
}
claim!(
    vcpu,
    "A vCPU's descriptor is named anon_inode:kvm-vcpu: and the vCPU's id",
    [Code("create_vcpu_fd, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    equal(succeeds(vfio.device.link())?, "anon_inode:kvm-vfio".into())
}
claim!(
    device,
    "A kvm-vfio device's descriptor is named anon_inode:kvm-vfio",
    [Code("kvm_ioctl_create_device, virt/kvm/kvm_main.c"), Code("kvm_vfio_ops, virt/kvm/vfio.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    let name = succeeds(memory.memfd.link())?;
    holds(name.contains("[kvm-gmem]"), format_args!("{name} contains [kvm-gmem]"))
}
claim!(
    guest_memfd,
    "A guest_memfd's name contains [kvm-gmem]",
    [Code("__kvm_gmem_create, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn vm_statistics(of: VmStats) -> Outcome {
    equal(succeeds(of.stats.link())?, "anon_inode:kvm-vm-stats".into())
}
claim!(
    vm_statistics,
    "A VM's statistics descriptor is named anon_inode:kvm-vm-stats",
    [Code("kvm_vm_ioctl_get_stats_fd, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn vcpu_statistics(vm: Vm) -> Outcome {
    each(IDS, |id| {
        let vcpu = succeeds(vm.create_vcpu(*id))?;
        let stats = succeeds(vcpu.get_stats_fd())?;
        equal(succeeds(stats.link())?, format!("anon_inode:kvm-vcpu-stats:{id}"))
    })
}
claim!(
    vcpu_statistics,
    "A vCPU's statistics descriptor is named anon_inode:kvm-vcpu-stats: and the vCPU's id",
    [Code("kvm_vcpu_ioctl_get_stats_fd, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
