//! The access modes of KVM's descriptors, and what the mode that `/dev/kvm` is opened with is good for.

use std::fs::OpenOptions;
use std::os::fd::AsFd;

use harness::kvm::{KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, KVM_CAP_USER_MEMORY, Kvm, Vcpu, Vm};
use harness::{Outcome, claim, each, equal, succeeds};
use rustix::fs::{OFlags, fcntl_getfl};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};

fn is(of: &impl AsFd, expected: OFlags) -> Outcome {
    equal(succeeds(fcntl_getfl(of))? & OFlags::ACCMODE, expected)
}

fn vm_and_vcpu(vm: Vm, vcpu: Vcpu) -> Outcome {
    is(&vm, OFlags::RDWR)?;
    is(&vcpu, OFlags::RDWR)
}
claim!(
    vm_and_vcpu,
    "VM and vCPU descriptors are open for reading and writing",
    [Code("kvm_dev_ioctl_create_vm, create_vcpu_fd, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    is(&vfio.device, OFlags::RDWR)
}
claim!(
    device,
    "KVM_CREATE_DEVICE makes a descriptor that is open for reading and writing",
    [Code("kvm_ioctl_create_device, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    is(&memory.memfd, OFlags::RDWR)
}
claim!(
    guest_memfd,
    "A guest_memfd is open for reading and writing, though neither works",
    [Code("__kvm_gmem_create, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    is(&of.stats, OFlags::RDONLY)?;
    is(&vcpu.stats, OFlags::RDONLY)
}
claim!(
    statistics,
    "KVM_GET_STATS_FD answers with a descriptor that is open for reading only",
    [Code("kvm_vm_ioctl_get_stats_fd, kvm_vcpu_ioctl_get_stats_fd, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn nothing_is_inherited() -> Outcome {
    each([(true, false), (false, true), (true, true)], |(read, write)| {
        let file = succeeds(OpenOptions::new().read(*read).write(*write).open("/dev/kvm"))?;
        let kvm = Kvm::from_fd(file.into());
        equal(succeeds(kvm.get_api_version())?, 12)?;
        let vm = succeeds(kvm.create_vm(0))?;
        is(&vm, OFlags::RDWR)?;
        equal(succeeds(vm.check_extension(KVM_CAP_USER_MEMORY))?, 1)
    })
}
claim!(
    nothing_is_inherited,
    "KVM_CREATE_VM works alike on a /dev/kvm that is open for reading, for writing, or for both",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);
