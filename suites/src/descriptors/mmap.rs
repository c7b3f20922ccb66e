//! mmap() of the descriptors that share no pages: all but a vCPU's.

use harness::kvm::{Descriptor, EACCES, ENODEV, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vm};
use harness::{Outcome, claim, each, fails};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};

// The numbers of <asm-generic/mman-common.h>.
const READ: i32 = 1;
const WRITE: i32 = 2;
/// PROT_READ | PROT_WRITE.
pub(crate) const READ_WRITE: i32 = READ | WRITE;
/// MAP_SHARED.
pub(crate) const SHARED: i32 = 1;
const PRIVATE: i32 = 2;

/// The ways to map a page that a file open for reading and writing allows.
const WAYS: [(i32, i32, u64); 5] = [
    (READ, SHARED, 0),
    (READ_WRITE, SHARED, 0),
    (READ, PRIVATE, 0),
    (READ_WRITE, PRIVATE, 0),
    (READ_WRITE, SHARED, 0x1000),
];

fn refused(of: &impl Descriptor) -> Outcome {
    each(WAYS, |(protection, sharing, offset)| fails(ENODEV, of.map(0x1000, *protection, *sharing, *offset)))
}

fn system_and_vm(kvm: Kvm, vm: Vm) -> Outcome {
    refused(&kvm)?;
    refused(&vm)
}
claim!(
    system_and_vm,
    "A system or VM descriptor cannot be mapped: mmap() fails with ENODEV",
    [Code("kvm_chardev_ops, kvm_vm_fops, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device)
}
claim!(
    device,
    "A kvm-vfio device cannot be mapped: mmap() fails with ENODEV",
    [Code("kvm_device_mmap, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd)
}
claim!(
    guest_memfd,
    "A guest_memfd made without flags cannot be mapped: mmap() fails with ENODEV",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    for stats in [&of.stats, &vcpu.stats] {
        fails(ENODEV, stats.map(0x1000, READ, SHARED, 0))?;
        fails(ENODEV, stats.map(0x1000, READ_WRITE, PRIVATE, 0))?;
        fails(EACCES, stats.map(0x1000, READ_WRITE, SHARED, 0))?;
    }
    Ok(())
}
claim!(
    statistics,
    "Statistics cannot be mapped: mmap() fails with EACCES where it would share writes, and else with ENODEV",
    [Code("kvm_vm_stats_fops, kvm_vcpu_stats_fops, virt/kvm/kvm_main.c"), Code("do_mmap, mm/mmap.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
