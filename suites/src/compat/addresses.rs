//! Addresses that 32-bit callers hand over: unreadable ones, and those at the very end of their address space.

use harness::kvm::{
    Command, Compat, CompatBuffer, Descriptor, EFAULT, KVM_CREATE_DEVICE, KVM_ENABLE_CAP, KVM_GET_CLOCK,
    KVM_GET_CPUID2, KVM_GET_DIRTY_LOG, KVM_GET_FPU, KVM_GET_MP_STATE, KVM_GET_MSR_INDEX_LIST, KVM_GET_MSRS,
    KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_SUPPORTED_CPUID, KVM_GET_VCPU_EVENTS, KVM_IOEVENTFD, KVM_IRQFD,
    KVM_REGISTER_COALESCED_MMIO, KVM_SET_CLOCK, KVM_SET_CPUID2, KVM_SET_FPU, KVM_SET_MP_STATE, KVM_SET_MSRS,
    KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_USER_MEMORY_REGION, KVM_SET_VCPU_EVENTS, KVM_TRANSLATE, Kvm, Vcpu,
    Vm, abi,
};
use harness::{Outcome, Stop, claim, each, equal, fails, unchanged};

const SYSTEM: [Command; 2] = [KVM_GET_MSR_INDEX_LIST, KVM_GET_SUPPORTED_CPUID];
const VM: [Command; 9] = [
    KVM_GET_DIRTY_LOG,
    KVM_SET_USER_MEMORY_REGION,
    KVM_REGISTER_COALESCED_MMIO,
    KVM_IRQFD,
    KVM_IOEVENTFD,
    KVM_GET_CLOCK,
    KVM_SET_CLOCK,
    KVM_ENABLE_CAP,
    KVM_CREATE_DEVICE,
];
const VCPU: [Command; 16] = [
    KVM_GET_REGS,
    KVM_SET_REGS,
    KVM_GET_SREGS,
    KVM_SET_SREGS,
    KVM_TRANSLATE,
    KVM_GET_MSRS,
    KVM_SET_MSRS,
    KVM_GET_CPUID2,
    KVM_SET_CPUID2,
    KVM_GET_FPU,
    KVM_SET_FPU,
    KVM_GET_MP_STATE,
    KVM_SET_MP_STATE,
    KVM_GET_VCPU_EVENTS,
    KVM_SET_VCPU_EVENTS,
    KVM_ENABLE_CAP,
];

/// Each command is refused with EFAULT at a page that can be neither read nor written, and at address 0.
fn refused_out_of_reach(to: &impl Descriptor, commands: &[Command]) -> Outcome {
    each(commands, |&&command| {
        fails(EFAULT, Compat.send(to, command, &mut CompatBuffer::zeroed(0)?))?;
        fails(EFAULT, Compat.value(to, command, 0))
    })
}

fn of_the_system(kvm: Kvm) -> Outcome {
    refused_out_of_reach(&kvm, &SYSTEM)
}
claim!(
    of_the_system,
    "The system descriptor refuses a 32-bit caller's address that cannot be reached, and 0, with EFAULT",
    [Code("kvm_arch_dev_ioctl, arch/x86/kvm/x86.c")],
    Compat32,
);

fn of_a_vm(vm: Vm) -> Outcome {
    refused_out_of_reach(&vm, &VM)
}
claim!(
    of_a_vm,
    "A VM refuses a 32-bit caller's address that cannot be reached, and 0, with EFAULT",
    [Code("kvm_vm_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn of_a_vcpu(vcpu: Vcpu) -> Outcome {
    unchanged(|| state(&vcpu), || refused_out_of_reach(&vcpu, &VCPU))
}
claim!(
    of_a_vcpu,
    "A vCPU refuses a 32-bit caller's address that cannot be reached, and 0, with EFAULT and changes nothing",
    [Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn state(vcpu: &Vcpu) -> Result<(abi::kvm_regs, abi::kvm_sregs), Stop> {
    Ok((vcpu.get_regs()?, vcpu.get_sregs()?))
}

fn a_byte_short(vcpu: Vcpu) -> Outcome {
    let commands = [KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_GET_FPU, KVM_SET_FPU];
    unchanged(
        || state(&vcpu),
        || {
            each(commands, |&command| {
                fails(EFAULT, Compat.send(&vcpu, command, &mut CompatBuffer::zeroed(command.size() - 1)?))
            })
        },
    )
}
claim!(
    a_byte_short,
    "A structure of a 32-bit caller whose last byte cannot be reached is refused with EFAULT, and nothing is stored",
    [Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);

fn the_last_byte_below_4_gib(vcpu: Vcpu, compat: Compat, values: [u64; 16]) -> Outcome {
    let mut top = CompatBuffer::topmost(KVM_SET_REGS.size())?;
    equal(top.address(), 0xffff_ff70)?;
    top.put(0, values);
    top.put(128, [0u64, 2]);
    equal(compat.send(&vcpu, KVM_SET_REGS, &mut top)?, 0)?;
    equal(vcpu.read::<[u64; 18]>(KVM_GET_REGS)?[..16].to_vec(), values.to_vec())?;
    top.put(0, [0u64; 18]);
    equal(compat.send(&vcpu, KVM_GET_REGS, &mut top)?, 0)?;
    equal(top.get::<[u64; 16]>(0), values)
}
claim!(
    the_last_byte_below_4_gib,
    "A structure of a 32-bit caller may end with the last byte below 4 GiB",
    [Code("compat_ptr, include/linux/compat.h: an address of 32 bits, extended with zeroes")],
    Compat32,
);

fn across_4_gib(vcpu: Vcpu, compat: Compat) -> Outcome {
    unchanged(
        || state(&vcpu),
        || {
            each([1, 8, 143], |&length| {
                let mut top = CompatBuffer::topmost(length)?;
                fails(EFAULT, compat.send(&vcpu, KVM_GET_REGS, &mut top))?;
                fails(EFAULT, compat.send(&vcpu, KVM_SET_REGS, &mut top))
            })
        },
    )
}
claim!(
    across_4_gib,
    "A structure of a 32-bit caller that would go on past 4 GiB is refused with EFAULT and does not wrap to 0",
    [Code("kvm_vcpu_ioctl, virt/kvm/kvm_main.c")],
    Compat32,
);
