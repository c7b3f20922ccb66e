//! KVM_CAP_EXCEPTION_PAYLOAD: api.rst 7.17.

use harness::kvm::{Descriptor, KVM_CAP_EXCEPTION_PAYLOAD, KVM_GET_VCPU_EVENTS, Kvm, Vm, abi};
use harness::{Outcome, claim, each, equal};

use super::step::{at_any_time, in_order};

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, 1, u64::MAX], |on| in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_EXCEPTION_PAYLOAD, *on)))
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_EXCEPTION_PAYLOAD may be switched on and off before and after vCPUs, and more than once",
    [Api("7.17 KVM_CAP_EXCEPTION_PAYLOAD"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD)
);

fn makes_events_tell_payloads(vm: Vm) -> Outcome {
    let vcpu = vm.create_vcpu(0)?;
    each([0, 1, 0, u64::MAX, 1 << 63], |on| {
        vm.enable_cap(KVM_CAP_EXCEPTION_PAYLOAD, [*on, 0, 0, 0])?;
        let events = vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?;
        equal(events.flags & abi::KVM_VCPUEVENT_VALID_PAYLOAD != 0, *on != 0)
    })
}
claim!(
    makes_events_tell_payloads,
    "KVM_GET_VCPU_EVENTS sets KVM_VCPUEVENT_VALID_PAYLOAD while KVM_CAP_EXCEPTION_PAYLOAD is enabled",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Api("7.17 KVM_CAP_EXCEPTION_PAYLOAD")],
    Has(KVM_CAP_EXCEPTION_PAYLOAD)
);
