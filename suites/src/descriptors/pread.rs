//! pread() and pwrite() on KVM's descriptors.

use harness::kvm::{
    Descriptor, EINVAL, ESPIPE, Errno, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm,
};
use harness::{Outcome, claim, each, equal, fails, succeeds, unchanged};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};
use super::state::state;

/// Offsets that a file may have.
const OFFSETS: [u64; 4] = [0, 1, 4096, 0x7fff_ffff_ffff_0000];

fn refused(of: &impl Descriptor, errno: Errno) -> Outcome {
    unchanged(
        || state(of),
        || {
            each(OFFSETS, |offset| {
                let mut buffer = [0x5a_u8; 16];
                fails(errno, rustix::io::pread(of, &mut buffer, *offset))?;
                equal(buffer, [0x5a; 16])?;
                fails(errno, rustix::io::pwrite(of, &buffer, *offset))
            })
        },
    )
}

fn system(kvm: Kvm) -> Outcome {
    refused(&kvm, EINVAL)
}
claim!(
    system,
    "pread() and pwrite() on the system descriptor fail with EINVAL",
    [Code("kvm_chardev_ops, virt/kvm/kvm_main.c")]
);

fn vm_and_vcpu(vm: Vm, vcpu: Vcpu) -> Outcome {
    refused(&vm, ESPIPE)?;
    refused(&vcpu, ESPIPE)
}
claim!(
    vm_and_vcpu,
    "pread() and pwrite() on a VM or vCPU descriptor fail with ESPIPE",
    [Code("kvm_vm_fops, kvm_vcpu_fops, virt/kvm/kvm_main.c"), Code("ksys_pread64, fs/read_write.c")]
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device, ESPIPE)
}
claim!(
    device,
    "pread() and pwrite() on a kvm-vfio device fail with ESPIPE",
    [Code("kvm_device_fops, virt/kvm/kvm_main.c"), Code("ksys_pread64, fs/read_write.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd, ESPIPE)
}
claim!(
    guest_memfd,
    "pread() and pwrite() on a guest_memfd fail with ESPIPE",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics_refuse_pwrite(of: VmStats, vcpu: VcpuStats) -> Outcome {
    unchanged(
        || Ok::<_, harness::Stop>((state(&of.stats)?, state(&vcpu.stats)?)),
        || {
            fails(ESPIPE, rustix::io::pwrite(&of.stats, b"0", 0))?;
            fails(ESPIPE, rustix::io::pwrite(&vcpu.stats, b"0", 0))
        },
    )
}
claim!(
    statistics_refuse_pwrite,
    "pwrite() on statistics fails with ESPIPE",
    [Code("kvm_vm_ioctl_get_stats_fd, virt/kvm/kvm_main.c"), Code("ksys_pwrite64, fs/read_write.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn keeps_the_position(of: VmStats) -> Outcome {
    let (mut first, mut again, mut read) = ([0_u8; 24], [0_u8; 24], [0_u8; 24]);
    equal(succeeds(rustix::io::pread(&of.stats, &mut first, 0))?, 24)?;
    equal(succeeds(rustix::io::pread(&of.stats, &mut again, 0))?, 24)?;
    equal(again, first)?;
    equal(succeeds(rustix::io::read(&of.stats, &mut read))?, 24)?;
    equal(read, first)
}
claim!(
    keeps_the_position,
    "pread() of statistics can be repeated and leaves the position of read() alone",
    [Api("4.133 KVM_GET_STATS_FD")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn past_the_end(of: VmStats, vcpu: VcpuStats, beyond: u32) -> Outcome {
    let mut buffer = [0x5a_u8; 16];
    let offset = (1 << 20) + u64::from(beyond);
    equal(succeeds(rustix::io::pread(&of.stats, &mut buffer, offset))?, 0)?;
    equal(succeeds(rustix::io::pread(&vcpu.stats, &mut buffer, offset))?, 0)?;
    equal(buffer, [0x5a; 16])
}
claim!(
    past_the_end,
    "pread() past the end of statistics answers 0 bytes",
    [Code("kvm_stats_read, virt/kvm/binary_stats.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
