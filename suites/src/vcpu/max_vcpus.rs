//! KVM_CAP_NR_VCPUS and KVM_CAP_MAX_VCPUS, the recommended and the greatest number of vCPUs: api.rst 4.7.

use harness::kvm::{Cap, EINVAL, KVM_CAP_MAX_VCPUS, KVM_CAP_NR_VCPUS, Vm};
use harness::{Outcome, Stop, claim, fails, succeeds};

fn count(vm: &Vm, cap: Cap) -> Result<u64, Stop> {
    Ok(u64::from(vm.check_extension(cap)?.unsigned_abs()))
}

/// Creates vCPUs and closes their descriptors: they live on with the VM, and the limit on descriptors does not count.
#[track_caller]
fn create(vm: &Vm, ids: std::ops::Range<u64>) -> Outcome {
    for id in ids {
        drop(succeeds(vm.create_vcpu(id))?);
    }
    Ok(())
}

fn recommended_can_be_made(vm: Vm) -> Outcome {
    create(&vm, 0..count(&vm, KVM_CAP_NR_VCPUS)?)
}
claim!(
    recommended_can_be_made,
    "A VM can have as many vCPUs as KVM_CAP_NR_VCPUS recommends",
    [Api("4.7 KVM_CREATE_VCPU")],
    Has(KVM_CAP_NR_VCPUS)
);

fn most_can_be_made_and_no_more(vm: Vm) -> Outcome {
    let most = count(&vm, KVM_CAP_MAX_VCPUS)?;
    create(&vm, 0..most)?;
    fails(EINVAL, vm.create_vcpu(most))?;
    fails(EINVAL, vm.create_vcpu(0))
}
claim!(
    most_can_be_made_and_no_more,
    "A VM can have KVM_CAP_MAX_VCPUS vCPUs, and KVM_CREATE_VCPU is refused with EINVAL for one more",
    [Api("4.7 KVM_CREATE_VCPU"), Code("kvm_vm_ioctl_create_vcpu, virt/kvm/kvm_main.c")],
    Has(KVM_CAP_MAX_VCPUS)
);
