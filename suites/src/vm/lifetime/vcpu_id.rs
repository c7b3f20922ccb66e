//! A vCPU's id, which is taken until the VM is freed.

use harness::kvm::{EEXIST, Vm};
use harness::{Outcome, claim, fails, succeeds, unchanged};

use crate::descriptors::state::{open_descriptors, state};

fn is_taken_while_open(vm: Vm) -> Outcome {
    let vcpu = vm.create_vcpu(3)?;
    unchanged(|| Ok::<_, harness::Stop>((state(&vm)?, state(&vcpu)?)), || fails(EEXIST, vm.create_vcpu(3)))
}
claim!(
    is_taken_while_open,
    "KVM_CREATE_VCPU refuses the id of another vCPU of the VM with EEXIST and leaves that vCPU as it is",
    [Code("kvm_vm_ioctl_create_vcpu, virt/kvm/kvm_main.c")]
);

fn stays_taken(vm: Vm) -> Outcome {
    drop(vm.create_vcpu(0)?);
    unchanged(open_descriptors, || fails(EEXIST, vm.create_vcpu(0)))?;
    succeeds(vm.create_vcpu(1)).map(drop)
}
claim!(
    stays_taken,
    "A vCPU's id stays taken when its descriptor is closed: KVM_CREATE_VCPU answers EEXIST",
    [Code("kvm_vcpu_release, kvm_vm_ioctl_create_vcpu, virt/kvm/kvm_main.c")]
);

fn is_free_in_the_next_vm(first: Vm, second: Vm) -> Outcome {
    succeeds(first.create_vcpu(0))?;
    succeeds(second.create_vcpu(0))?;
    drop(first);
    fails(EEXIST, second.create_vcpu(0))?;
    succeeds(second.create_vcpu(1)).map(drop)
}
claim!(
    is_free_in_the_next_vm,
    "vCPU ids are counted by VM: two VMs may each have the id 0",
    [Api("4.7 KVM_CREATE_VCPU")]
);
