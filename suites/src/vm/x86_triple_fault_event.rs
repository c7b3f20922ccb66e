//! KVM_CAP_X86_TRIPLE_FAULT_EVENT: api.rst 4.31, 4.32.

use harness::kvm::{
    Descriptor, EINVAL, KVM_CAP_X86_TRIPLE_FAULT_EVENT, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, Kvm, Vm,
    abi,
};
use harness::{Outcome, claim, each, equal, fails, succeeds};

use super::step::{at_any_time, in_order};

fn may_be_set_at_any_time(kvm: Kvm) -> Outcome {
    each([0, 1, u64::MAX], |on| {
        in_order(&kvm.create_vm(0)?, &at_any_time(KVM_CAP_X86_TRIPLE_FAULT_EVENT, *on))
    })
}
claim!(
    may_be_set_at_any_time,
    "KVM_CAP_X86_TRIPLE_FAULT_EVENT may be switched on and off before and after vCPUs, and more than once",
    [Api("4.31 KVM_GET_VCPU_EVENTS"), Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT)
);

fn makes_events_tell_triple_faults(vm: Vm) -> Outcome {
    let vcpu = vm.create_vcpu(0)?;
    each([0, 1, 0, u64::MAX, 1 << 63], |on| {
        vm.enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, [*on, 0, 0, 0])?;
        let events = vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?;
        equal(events.flags & abi::KVM_VCPUEVENT_VALID_TRIPLE_FAULT != 0, *on != 0)?;
        equal(events.triple_fault.pending, 0)
    })
}
claim!(
    makes_events_tell_triple_faults,
    "KVM_GET_VCPU_EVENTS sets KVM_VCPUEVENT_VALID_TRIPLE_FAULT while KVM_CAP_X86_TRIPLE_FAULT_EVENT is enabled",
    [Api("4.31 KVM_GET_VCPU_EVENTS")],
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT)
);

fn lets_events_set_triple_faults(vm: Vm) -> Outcome {
    let vcpu = vm.create_vcpu(0)?;
    let flags = abi::KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    let pending = abi::kvm_vcpu_events { flags, triple_fault: pending(), ..Default::default() };
    fails(EINVAL, vcpu.write(KVM_SET_VCPU_EVENTS, &pending))?;
    vm.enable_cap(KVM_CAP_X86_TRIPLE_FAULT_EVENT, [1, 0, 0, 0])?;
    succeeds(vcpu.write(KVM_SET_VCPU_EVENTS, &pending))?;
    equal(vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?.triple_fault.pending, 1)
}
claim!(
    lets_events_set_triple_faults,
    "KVM_SET_VCPU_EVENTS with a triple fault is refused with EINVAL unless KVM_CAP_X86_TRIPLE_FAULT_EVENT is enabled",
    [Api("4.32 KVM_SET_VCPU_EVENTS"), Code("kvm_vcpu_ioctl_x86_set_vcpu_events, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT)
);

fn is_looked_at_last(vm: Vm) -> Outcome {
    // A refused call should change nothing: this one looks at the flag after it has set all the rest.
    let vcpu = vm.create_vcpu(0)?;
    let flags = abi::KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    let mut events = abi::kvm_vcpu_events { flags, triple_fault: pending(), ..Default::default() };
    events.nmi.masked = 1;
    fails(EINVAL, vcpu.write(KVM_SET_VCPU_EVENTS, &events))?;
    equal(vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?.nmi.masked, 1)
}
claim!(
    is_looked_at_last,
    "KVM_SET_VCPU_EVENTS that is refused for its triple fault has set the other events nevertheless",
    [Observed("kvm_vcpu_ioctl_x86_set_vcpu_events of Linux 6.0 to 7.3")],
    Has(KVM_CAP_X86_TRIPLE_FAULT_EVENT)
);

fn pending() -> abi::kvm_vcpu_events__bindgen_ty_5 {
    abi::kvm_vcpu_events__bindgen_ty_5 { pending: 1 }
}
