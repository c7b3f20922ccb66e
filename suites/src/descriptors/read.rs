//! read() on KVM's descriptors.

use harness::kvm::{Descriptor, EINVAL, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim, equal, fails, holds, succeeds, unchanged};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};
use super::state::state;

/// The size of the statistics' header, `struct kvm_stats_header`, in bytes.
const HEADER: usize = 24;

fn refused(of: &impl Descriptor) -> Outcome {
    let mut buffer = [0x5a_u8; 16];
    unchanged(|| state(of), || fails(EINVAL, rustix::io::read(of, &mut buffer)))?;
    equal(buffer, [0x5a; 16])?;
    fails(EINVAL, rustix::io::read(of, &mut [0_u8; 0]))
}

fn kvm_vm_and_vcpu(kvm: Kvm, vm: Vm, vcpu: Vcpu) -> Outcome {
    refused(&kvm)?;
    refused(&vm)?;
    refused(&vcpu)
}
claim!(
    kvm_vm_and_vcpu,
    "read() on a system, VM or vCPU descriptor fails with EINVAL, whatever its length",
    [Code("kvm_chardev_ops, kvm_vm_fops, kvm_vcpu_fops, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device)
}
claim!(
    device,
    "read() on a kvm-vfio device fails with EINVAL",
    [Code("kvm_device_fops, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd)
}
claim!(
    guest_memfd,
    "read() on a guest_memfd fails with EINVAL",
    [Api("4.142 KVM_CREATE_GUEST_MEMFD"), Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn read_to_the_end(of: &impl Descriptor) -> Outcome {
    let mut whole = vec![0; 1 << 20];
    let length = succeeds(rustix::io::pread(of, &mut whole, 0))?;
    holds(HEADER < length && length < whole.len(), "there is more than a header, and it ends")?;
    let mut pieces = Vec::new();
    let mut piece = [0; 999];
    loop {
        match succeeds(rustix::io::read(of, &mut piece))? {
            0 => break,
            got => pieces.extend_from_slice(&piece[..got]),
        }
    }
    equal(pieces.len(), length)?;
    // The values at the end may have moved on meanwhile; the header may not.
    equal(&pieces[..HEADER], &whole[..HEADER])?;
    equal(succeeds(rustix::io::read(of, &mut piece))?, 0)
}

fn statistics_in_pieces(of: VmStats, vcpu: VcpuStats) -> Outcome {
    read_to_the_end(&of.stats)?;
    read_to_the_end(&vcpu.stats)
}
claim!(
    statistics_in_pieces,
    "read() goes through statistics from the header to the end, where it answers 0 bytes",
    [Api("4.133 KVM_GET_STATS_FD"), Code("kvm_stats_read, virt/kvm/binary_stats.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
