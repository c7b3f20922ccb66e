//! Commands sent to the wrong kind of descriptor: the classes of ioctls in api.rst 1.

use harness::kvm::{Descriptor, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm};
use harness::{Outcome, claim};

use super::lesser::{Memfd, VcpuStats, Vfio, VmStats};
use super::stranger::{of_other_kinds, unknown_to};

fn refused(of: &impl Descriptor) -> Outcome {
    unknown_to(of, of_other_kinds(of.kind()))
}

// api.rst 4.111 and 4.112 call KVM_MEMORY_ENCRYPT_REG_REGION and its opposite system ioctls; only a VM knows them.
fn system(kvm: Kvm) -> Outcome {
    refused(&kvm)
}
claim!(
    system,
    "The system descriptor refuses every VM, vCPU and device command with EINVAL and touches no argument",
    [Api("1. General description"), Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")]
);

fn vm(vm: Vm) -> Outcome {
    refused(&vm)
}
claim!(
    vm,
    "A VM refuses every system, vCPU and device command with ENOTTY and changes nothing",
    [Api("1. General description"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")]
);

fn vcpu(vcpu: Vcpu) -> Outcome {
    refused(&vcpu)
}
claim!(
    vcpu,
    "A vCPU refuses every system, VM and device command with EINVAL and changes nothing",
    [Api("1. General description"), Code("kvm_arch_vcpu_ioctl, arch/x86/kvm/x86.c")]
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device)
}
claim!(
    device,
    "A kvm-vfio device refuses every system, VM and vCPU command with ENOTTY and touches no argument",
    [Api("1. General description"), Code("kvm_device_ioctl, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd)
}
claim!(
    guest_memfd,
    "A guest_memfd knows no KVM command and answers each with ENOTTY",
    [Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn vm_statistics(of: VmStats) -> Outcome {
    refused(&of.stats)
}
claim!(
    vm_statistics,
    "A VM's statistics descriptor knows no KVM command and answers each with ENOTTY",
    [Code("kvm_vm_stats_fops, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);

fn vcpu_statistics(of: VcpuStats) -> Outcome {
    refused(&of.stats)
}
claim!(
    vcpu_statistics,
    "A vCPU's statistics descriptor knows no KVM command and answers each with ENOTTY",
    [Code("kvm_vcpu_stats_fops, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
