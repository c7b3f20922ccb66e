//! VMs beside each other: nothing that is done to one is seen in another.

use harness::kvm::{
    Descriptor, EEXIST, ENXIO, KVM_CAP_IRQCHIP, KVM_CAP_SPLIT_IRQCHIP, KVM_CREATE_IRQCHIP, KVM_GET_IRQCHIP,
    KVM_SET_USER_MEMORY_REGION, Refused, Vcpu, Vm, abi,
};
use harness::{Outcome, claim, equal, fails, succeeds, unchanged};

use super::counting_guest::{CountingGuest, next, number, set_number};
use crate::descriptors::state::state;

fn registers(first: Vcpu, second: Vcpu, value: u64) -> Outcome {
    unchanged(
        || state(&second),
        || {
            let mut regs = first.get_regs()?;
            (regs.rax, regs.rip, regs.rflags) = (value, value & 0xffff, 2);
            succeeds(first.set_regs(&regs))?;
            let mut sregs = first.get_sregs()?;
            sregs.cr2 = value;
            succeeds(first.set_sregs(&sregs))?;
            equal((first.get_regs()?.rax, first.get_sregs()?.cr2), (value, value))
        },
    )
}
claim!(
    registers,
    "Setting the registers of a vCPU leaves those of another VM's vCPU with the same id alone",
    [Api("4.12 KVM_SET_REGS"), Api("4.14 KVM_SET_SREGS")]
);

fn memory(first: CountingGuest, second: CountingGuest) -> Outcome {
    set_number(&second.memory, 100)?;
    equal(next(&first.vcpu)?, 0)?;
    equal(next(&second.vcpu)?, 100)?;
    equal(next(&first.vcpu)?, 1)?;
    equal(next(&second.vcpu)?, 101)?;
    equal((number(&first.memory)?, number(&second.memory)?), (1, 101))
}
claim!(
    memory,
    "Two VMs with the same slot number at the same address each see their own memory",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION")]
);

fn shared_memory(first: CountingGuest, second: CountingGuest) -> Outcome {
    equal(next(&second.vcpu)?, 0)?;
    succeeds(second.vm.write(KVM_SET_USER_MEMORY_REGION, &abi::kvm_userspace_memory_region::default()))?;
    second.vm.set_memory(0, 0, 0, &first.memory)?;
    equal(next(&first.vcpu)?, 0)?;
    equal(next(&second.vcpu)?, 1)?;
    equal(next(&first.vcpu)?, 2)?;
    equal(next(&second.vcpu)?, 3)?;
    equal(number(&first.memory)?, 3)
}
claim!(
    shared_memory,
    "Two VMs may have slots of the same memory, and each sees what the other's guest writes there",
    [Api("4.35 KVM_SET_USER_MEMORY_REGION")]
);

fn one_goes_the_other_stays(first: CountingGuest, second: CountingGuest) -> Outcome {
    equal(next(&first.vcpu)?, 0)?;
    equal(next(&second.vcpu)?, 0)?;
    drop(first);
    equal(next(&second.vcpu)?, 1)?;
    equal(next(&second.vcpu)?, 2)
}
claim!(
    one_goes_the_other_stays,
    "A guest runs on when another VM with the same memory layout is freed",
    [Api("2. File descriptors")]
);

/// Whether the VM has an interrupt controller in the kernel.
fn get_irqchip(vm: &Vm) -> Result<abi::kvm_irqchip, Refused> {
    vm.read(KVM_GET_IRQCHIP)
}

fn irqchip(first: Vm, second: Vm) -> Outcome {
    succeeds(first.value(KVM_CREATE_IRQCHIP, 0))?;
    succeeds(get_irqchip(&first))?;
    fails(ENXIO, get_irqchip(&second))?;
    succeeds(second.value(KVM_CREATE_IRQCHIP, 0))?;
    drop(first);
    succeeds(get_irqchip(&second)).map(drop)
}
claim!(
    irqchip,
    "KVM_CREATE_IRQCHIP gives interrupt controllers to its VM and to no other",
    [Api("4.24 KVM_CREATE_IRQCHIP"), Api("4.26 KVM_GET_IRQCHIP")],
    Has(KVM_CAP_IRQCHIP)
);

fn enabled_capability(first: Vm, second: Vm) -> Outcome {
    succeeds(first.enable_cap(KVM_CAP_SPLIT_IRQCHIP, [24, 0, 0, 0]))?;
    // A split irqchip forbids KVM_CREATE_IRQCHIP; the other VM has none.
    fails(EEXIST, first.create_irqchip())?;
    succeeds(second.create_irqchip())
}
claim!(
    enabled_capability,
    "A capability that is enabled for a VM is enabled for no other",
    [Api("4.37 KVM_ENABLE_CAP"), Api("7.5 KVM_CAP_SPLIT_IRQCHIP")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_IRQCHIP)
);
