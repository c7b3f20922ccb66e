//! Duplicates of descriptors, which lead to the same VM and vCPU.

use std::sync::Arc;

use harness::kvm::{Descriptor, EEXIST, KVM_SET_USER_MEMORY_REGION, Kvm, Memory, Vcpu, Vm, abi};
use harness::{Outcome, claim, equal, fails, succeeds};

use super::counting_guest::{CountingGuest, next, number, set_number};

fn same_vm(vm: Vm) -> Outcome {
    let other = vm.another()?;
    let vcpu = succeeds(vm.create_vcpu(0))?;
    fails(EEXIST, other.create_vcpu(0))?;
    let second = succeeds(other.create_vcpu(1))?;
    fails(EEXIST, vm.create_vcpu(1))?;
    drop(vm);
    fails(EEXIST, other.create_vcpu(0))?;
    drop(other);
    succeeds(vcpu.get_regs())?;
    succeeds(second.get_regs()).map(drop)
}
claim!(
    same_vm,
    "A duplicate of a VM's descriptor is the same VM, and works without the first",
    [Api("2. File descriptors")]
);

fn same_vcpu(vcpu: Vcpu, value: u64) -> Outcome {
    let other = vcpu.another()?;
    let mut regs = vcpu.get_regs()?;
    regs.rbx = value;
    succeeds(other.set_regs(&regs))?;
    equal(succeeds(vcpu.get_regs())?, regs)?;
    drop(vcpu);
    equal(succeeds(other.get_regs())?, regs)
}
claim!(
    same_vcpu,
    "A duplicate of a vCPU's descriptor is the same vCPU, and works without the first",
    [Api("2. File descriptors")]
);

fn same_run_page(vcpu: Vcpu, byte: u8) -> Outcome {
    let other = vcpu.another()?;
    vcpu.run_page()?.put(0x1fff, byte);
    equal(other.run_page()?.get::<u8>(0x1fff), byte)?;
    other.run_page()?.put(0x1fff, !byte);
    equal(vcpu.run_page()?.get::<u8>(0x1fff), !byte)
}
claim!(
    same_run_page,
    "Both descriptors of a duplicated vCPU map the same pages",
    [Code("kvm_vcpu_fault, virt/kvm/kvm_main.c")]
);

fn same_memory(guest: CountingGuest) -> Outcome {
    let (vm, vcpu) = (guest.vm.another()?, guest.vcpu.another()?);
    equal(next(&guest.vcpu)?, 0)?;
    equal(next(&vcpu)?, 1)?;
    // A slot that is made through the duplicate is the VM's: the number lies in other memory from now on.
    let replacement = Arc::new(Memory::new(guest.memory.len())?);
    replacement.write(0, &guest.memory.read(0, guest.memory.len())?)?;
    set_number(&replacement, 40)?;
    delete_slot(&vm)?;
    vm.set_memory(0, 0, 0, &replacement)?;
    equal(next(&guest.vcpu)?, 41)?;
    equal(number(&guest.memory)?, 1)
}
claim!(
    same_memory,
    "A memory slot that is replaced through a duplicate of the VM's descriptor is replaced for the VM",
    [Api("2. File descriptors"), Api("4.35 KVM_SET_USER_MEMORY_REGION")]
);

/// Takes the guest's memory away: a slot of size 0.
fn delete_slot(vm: &Vm) -> Outcome {
    let none = abi::kvm_userspace_memory_region::default();
    succeeds(vm.write(KVM_SET_USER_MEMORY_REGION, &none)).map(drop)
}

fn another_system(kvm: Kvm) -> Outcome {
    let (first, second) = (Kvm::open()?, Kvm::from_fd(kvm.duplicate()?));
    drop(kvm);
    let vm = succeeds(first.create_vm(0))?;
    drop(first);
    let other = succeeds(second.create_vm(0))?;
    succeeds(vm.create_vcpu(0))?;
    succeeds(other.create_vcpu(0)).map(drop)
}
claim!(
    another_system,
    "System descriptors, opened or duplicated, work without each other",
    [Api("2. File descriptors")]
);
