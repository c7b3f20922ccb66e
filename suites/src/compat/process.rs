//! 32-bit callers in a process that is not the VM's: api.rst 1, ioctls of a VM from the process that made it alone.

use harness::kvm::{
    Command, Compat, Descriptor, EIO, Errno, KVM_CAP_DEVICE_CTRL, KVM_CHECK_EXTENSION, KVM_GET_API_VERSION,
    KVM_GET_DIRTY_LOG, KVM_GET_REGS, KVM_HAS_DEVICE_ATTR, KVM_RUN, KVM_SET_SIGNAL_MASK, Kvm, Vcpu, Vm, abi,
};
use harness::process::{Ended, in_child};
use harness::{Outcome, Stop, claim, each, equal};

use super::alike::errno;

/// What a forked child that is a 32-bit caller is answered.
fn child_32(to: &impl Descriptor, command: Command) -> Result<Ended<Result<i32, Errno>>, Stop> {
    in_child(|| errno(Compat.value(to, command, 0)))
}

/// A number that no kernel gave to a KVM command.
const UNKNOWN: Command = Command::unknown(0xaeff);
/// KVM_X86_SET_MSR_FILTER as 32-bit programs number it.
const FILTER: Command = Command::unknown(0x4104_aec6);

fn vms_are_their_process(vm: Vm) -> Outcome {
    each([KVM_CHECK_EXTENSION, KVM_GET_DIRTY_LOG, FILTER, UNKNOWN], |&command| {
        equal(child_32(&vm, command)?, Ended::Returned(Err(EIO)))
    })
}
claim!(
    vms_are_their_process,
    "A VM refuses every command of a 32-bit caller in another process with EIO",
    [Api("1. General description"), Code("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn vcpus_are_their_process(vcpu: Vcpu) -> Outcome {
    each([KVM_RUN, KVM_GET_REGS, KVM_SET_SIGNAL_MASK, UNKNOWN], |&command| {
        equal(child_32(&vcpu, command)?, Ended::Returned(Err(EIO)))
    })
}
claim!(
    vcpus_are_their_process,
    "A vCPU refuses every command of a 32-bit caller in another process with EIO",
    [Api("1. General description"), Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn devices_are_their_process(vm: Vm) -> Outcome {
    /// KVM_DEV_TYPE_VFIO.
    const VFIO: u32 = 4;
    if vm.create_device(VFIO, abi::KVM_CREATE_DEVICE_TEST).is_err() {
        return Err(Stop::Skip("this KVM has no VFIO device".into()));
    }
    let device = Compat.create_device(&vm, VFIO)?;
    each([KVM_HAS_DEVICE_ATTR, UNKNOWN], |&command| {
        equal(child_32(&device, command)?, Ended::Returned(Err(EIO)))
    })
}
claim!(
    devices_are_their_process,
    "A device refuses every command of a 32-bit caller in another process with EIO",
    [Api("1. General description"), Code("kvm_device_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
    Has(KVM_CAP_DEVICE_CTRL),
);

fn the_system_is_everybodys(kvm: Kvm) -> Outcome {
    equal(child_32(&kvm, KVM_GET_API_VERSION)?, Ended::Returned(Ok(12)))
}
claim!(
    the_system_is_everybodys,
    "The system descriptor answers a 32-bit caller in a process other than the one that opened it",
    [Code("kvm_dev_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);
