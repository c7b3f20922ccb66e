//! lseek() on KVM's descriptors.

use harness::kvm::{Descriptor, ESPIPE, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim, each, equal, fails, succeeds, unchanged};
use rustix::fs::{SeekFrom, seek};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};
use super::state::state;

/// The ways to ask for a position.
fn ways() -> [SeekFrom; 7] {
    use SeekFrom::{Current, End, Start};
    [Start(0), Start(1), Start(0x7fff_ffff_ffff_ffff), Current(1), Current(-1), End(0), End(i64::MIN)]
}

fn stays_at(of: &impl Descriptor, position: u64) -> Outcome {
    each(ways(), |way| equal(succeeds(seek(of, *way))?, position))
}

fn refused(of: &impl Descriptor) -> Outcome {
    unchanged(|| state(of), || each(ways(), |way| fails(ESPIPE, seek(of, *way))))
}

fn system(kvm: Kvm) -> Outcome {
    stays_at(&kvm, 0)
}
claim!(
    system,
    "lseek() on the system descriptor answers 0, wherever it is told to go",
    [Code("kvm_chardev_ops, virt/kvm/kvm_main.c"), Code("noop_llseek, fs/read_write.c")]
);

fn vm_and_vcpu(vm: Vm, vcpu: Vcpu) -> Outcome {
    stays_at(&vm, 0)?;
    stays_at(&vcpu, 0)
}
claim!(
    vm_and_vcpu,
    "lseek() on a VM or vCPU descriptor answers 0, wherever it is told to go",
    [Code("kvm_vm_fops, kvm_vcpu_fops, virt/kvm/kvm_main.c"), Code("noop_llseek, fs/read_write.c")],
    Kernel(">=6.0")
);

// Only since 6.0 does an anonymous file with an llseek operation count as one that can be positioned.
fn vm_and_vcpu_before_6_0(vm: Vm, vcpu: Vcpu) -> Outcome {
    refused(&vm)?;
    refused(&vcpu)
}
claim!(
    vm_and_vcpu_before_6_0,
    "lseek() on a VM or vCPU descriptor fails with ESPIPE before Linux 6.0",
    [Code("alloc_file, fs/file_table.c")],
    Kernel("<6.0")
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device)
}
claim!(
    device,
    "lseek() on a kvm-vfio device fails with ESPIPE",
    [Code("kvm_device_fops, virt/kvm/kvm_main.c"), Code("vfs_llseek, fs/read_write.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd)
}
claim!(
    guest_memfd,
    "lseek() on a guest_memfd fails with ESPIPE",
    [Code("kvm_gmem_fops, virt/kvm/guest_memfd.c"), Code("vfs_llseek, fs/read_write.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

// api.rst 4.133 says that lseek makes statistics readable again; noop_llseek does not move, and only pread does what it says.
fn statistics(of: VmStats, vcpu: VcpuStats) -> Outcome {
    statistics_stay(&of.stats)?;
    statistics_stay(&vcpu.stats)
}
claim!(
    statistics,
    "lseek() on statistics answers the position of read() and does not move it",
    [
        Code("kvm_vm_stats_fops, kvm_vcpu_stats_fops, virt/kvm/kvm_main.c"),
        Code("noop_llseek, fs/read_write.c")
    ],
    Has(KVM_CAP_BINARY_STATS_FD),
    Kernel(">=6.0")
);

fn statistics_stay(of: &impl Descriptor) -> Outcome {
    stays_at(of, 0)?;
    let (mut first, mut second, mut expected) = ([0_u8; 24], [0_u8; 24], [0_u8; 24]);
    succeeds(rustix::io::read(of, &mut first))?;
    stays_at(of, 24)?;
    succeeds(rustix::io::read(of, &mut second))?;
    succeeds(rustix::io::pread(of, &mut expected, 24))?;
    equal(second, expected)
}
