//! Known commands with another size or direction in their number: KVM dispatches on the whole number, so that each is a stranger.

use harness::kvm::{
    COMMANDS, Command, Descriptor, KVM_CAP_BINARY_STATS_FD, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm,
};
use harness::{Outcome, claim};

use super::lesser::{Memfd, Vfio, VmStats};
use super::stranger::{is_known, unknown_to};

/// Where the size lies in a number.
const SIZE_SHIFT: u32 = 16;
/// The bits of the size.
const SIZE: u32 = 0x3fff << SIZE_SHIFT;
/// Where the direction lies in a number.
const DIRECTION_SHIFT: u32 = 30;

/// The command's number with each other direction, and with sizes near its own, none, and the largest.
fn misshapen(command: &Command) -> impl Iterator<Item = Command> {
    let number = command.number;
    let size = (number & SIZE) >> SIZE_SHIFT;
    let directions = (1..=3).map(move |other| number ^ (other << DIRECTION_SHIFT));
    let sizes = [size.wrapping_sub(1), size + 1, size + 4, size + 8, size * 2, 0, 0x3fff]
        .map(|other| (number & !SIZE) | ((other << SIZE_SHIFT) & SIZE));
    directions.chain(sizes).filter(|other| !is_known(*other)).map(Command::unknown)
}

fn refused(of: &impl Descriptor) -> Outcome {
    unknown_to(of, COMMANDS.iter().flat_map(misshapen))
}

fn system(kvm: Kvm) -> Outcome {
    refused(&kvm)
}
claim!(
    system,
    "The system descriptor refuses a known command of another size or direction with EINVAL",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")]
);

fn vm(vm: Vm) -> Outcome {
    refused(&vm)
}
claim!(
    vm,
    "A VM refuses a known command of another size or direction with ENOTTY and changes nothing",
    [Code("kvm_vm_ioctl, virt/kvm/kvm_main.c")]
);

fn vcpu(vcpu: Vcpu) -> Outcome {
    refused(&vcpu)
}
claim!(
    vcpu,
    "A vCPU refuses a known command of another size or direction with EINVAL and changes nothing",
    [Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")]
);

fn device(vfio: Vfio) -> Outcome {
    refused(&vfio.device)
}
claim!(
    device,
    "A kvm-vfio device refuses a known command of another size or direction with ENOTTY",
    [Code("kvm_device_ioctl, virt/kvm/kvm_main.c")]
);

fn guest_memfd(memory: Memfd) -> Outcome {
    refused(&memory.memfd)
}
claim!(
    guest_memfd,
    "A guest_memfd refuses a KVM command of another size or direction with ENOTTY",
    [Code("kvm_gmem_fops, virt/kvm/guest_memfd.c")],
    Has(KVM_CAP_GUEST_MEMFD)
);

fn statistics(of: VmStats) -> Outcome {
    refused(&of.stats)
}
claim!(
    statistics,
    "A statistics descriptor refuses a KVM command of another size or direction with ENOTTY",
    [Code("kvm_vm_stats_fops, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_BINARY_STATS_FD)
);
