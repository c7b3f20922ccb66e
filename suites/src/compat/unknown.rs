//! Commands that a descriptor does not know, sent by 32-bit callers.

use harness::kvm::{
    COMMANDS, Command, Compat, Descriptor, EINVAL, ENOTTY, Errno, KVM_CAP_BINARY_STATS_FD,
    KVM_CAP_DEVICE_CTRL, KVM_CAP_GUEST_MEMFD, Kvm, Vcpu, Vm, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails};

use super::alike::errno;

/// Numbers that no kernel gave to a KVM command: with an argument of each direction, and of other subsystems.
const UNKNOWN: [u32; 6] = [0xaeff, 0x4008_aeff, 0x8008_aeff, 0xc0ff_aeff, 0x1234, 0xdead_beef];

/// Refuses every unknown number with this error, and knows nothing of other kinds' commands that a 64-bit caller would not
/// be told of alike.
fn refuses_unknown(to: &impl Descriptor, refusal: Errno) -> Outcome {
    each(UNKNOWN, |&number| fails(refusal, Compat.value(to, Command::unknown(number), 0)))?;
    let foreign = COMMANDS.iter().filter(|command| !command.kinds.contains(&to.kind()));
    each(foreign, |&&command| {
        fails(refusal, Compat.value(to, command, 0))?;
        equal(errno(Compat.value(to, command, 0)), errno(to.value(command, 0)))
    })
}

fn of_the_system(kvm: Kvm) -> Outcome {
    refuses_unknown(&kvm, EINVAL)
}
claim!(
    of_the_system,
    "The system descriptor refuses a 32-bit caller's unknown command with EINVAL, as a 64-bit caller's",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")],
    Compat32,
);

fn of_a_vm(vm: Vm) -> Outcome {
    refuses_unknown(&vm, ENOTTY)
}
claim!(
    of_a_vm,
    "A VM refuses a 32-bit caller's unknown command with ENOTTY, as a 64-bit caller's",
    [Code("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c"), Code("kvm_arch_vm_ioctl, arch/x86/kvm/x86.c")],
    Compat32,
);

fn of_a_vcpu(vcpu: Vcpu) -> Outcome {
    refuses_unknown(&vcpu, EINVAL)
}
claim!(
    of_a_vcpu,
    "A vCPU refuses a 32-bit caller's unknown command with EINVAL, as a 64-bit caller's",
    [Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c"), Code("kvm_arch_vcpu_ioctl, arch/x86/kvm/x86.c")],
    Compat32,
);

fn of_a_device(vm: Vm) -> Outcome {
    /// KVM_DEV_TYPE_VFIO.
    const VFIO: u32 = 4;
    if vm.create_device(VFIO, abi::KVM_CREATE_DEVICE_TEST).is_err() {
        return Err(Stop::Skip("this KVM has no VFIO device".into()));
    }
    match vm.create_device(VFIO, 0)? {
        Some(device) => refuses_unknown(&device, ENOTTY),
        None => Err(Stop::Skip("no device was made".into())),
    }
}
claim!(
    of_a_device,
    "A device refuses a 32-bit caller's unknown command with ENOTTY, as a 64-bit caller's",
    [Code("kvm_device_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
    Has(KVM_CAP_DEVICE_CTRL),
);

fn of_guest_memory(vm: Vm) -> Outcome {
    refuses_unknown(&vm.create_guest_memfd(4096, 0)?, ENOTTY)
}
claim!(
    of_guest_memory,
    "Guest memory knows no command of a 32-bit caller, and refuses each with ENOTTY",
    [Code("COMPAT_SYSCALL_DEFINE3(ioctl), fs/ioctl.c")],
    Compat32,
    Has(KVM_CAP_GUEST_MEMFD),
);

fn of_statistics(vm: Vm, vcpu: Vcpu) -> Outcome {
    refuses_unknown(&vm.get_stats_fd()?, ENOTTY)?;
    refuses_unknown(&vcpu.get_stats_fd()?, ENOTTY)
}
claim!(
    of_statistics,
    "Statistics know no command of a 32-bit caller, and refuse each with ENOTTY",
    [Code("COMPAT_SYSCALL_DEFINE3(ioctl), fs/ioctl.c")],
    Compat32,
    Has(KVM_CAP_BINARY_STATS_FD),
);

/// KVM_MEMORY_ENCRYPT_OP as the compiler of a 32-bit program numbers it: its argument is an `unsigned long`.
const KVM_MEMORY_ENCRYPT_OP_COMPAT: Command = Command::unknown(0xc004_aeba);

fn encryption_is_out_of_reach(vm: Vm, vcpu: Vcpu, compat: Compat) -> Outcome {
    fails(ENOTTY, compat.value(&vm, KVM_MEMORY_ENCRYPT_OP_COMPAT, 0))?;
    fails(EINVAL, compat.value(&vcpu, KVM_MEMORY_ENCRYPT_OP_COMPAT, 0))
}
claim!(
    encryption_is_out_of_reach,
    "KVM_MEMORY_ENCRYPT_OP by the number that a 32-bit program has for it, 0xc004aeba, is unknown",
    // The command is declared with an unsigned long, so that its number depends on the caller; no kernel translates it.
    [Observed("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);
