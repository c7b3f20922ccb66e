//! KVM_GET_MP_STATE of a fresh vCPU: api.rst 4.38.

use harness::kvm::{
    Descriptor, KVM_CAP_IRQCHIP, KVM_CAP_MP_STATE, KVM_CAP_SET_BOOT_CPU_ID, KVM_GET_MP_STATE,
    KVM_SET_BOOT_CPU_ID, Refused, Vm, abi,
};
use harness::{Controllers, Outcome, claim, each, equal, succeeds};

/// KVM_GET_MP_STATE of a fresh vCPU with this id.
#[track_caller]
fn mp_state(vm: &Vm, id: u64) -> Result<u32, Refused> {
    vm.create_vcpu(id)?.read::<abi::kvm_mp_state>(KVM_GET_MP_STATE).map(|state| state.mp_state)
}

fn bootstrap_processor_is_runnable() -> Outcome {
    each(Controllers::ALL, |controllers| equal(mp_state(&controllers.vm()?, 0)?, abi::KVM_MP_STATE_RUNNABLE))
}
claim!(
    bootstrap_processor_is_runnable,
    "KVM_GET_MP_STATE of a fresh bootstrap processor is KVM_MP_STATE_RUNNABLE",
    [Api("4.38 KVM_GET_MP_STATE")],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_IRQCHIP)
);

fn application_processors_wait_for_init() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vm = controllers.vm()?;
        each([1, 2, 200], |id| equal(mp_state(&vm, *id)?, abi::KVM_MP_STATE_UNINITIALIZED))
    })
}
claim!(
    application_processors_wait_for_init,
    "KVM_GET_MP_STATE of a fresh application processor with a local APIC is KVM_MP_STATE_UNINITIALIZED",
    [Api("4.38 KVM_GET_MP_STATE")],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_IRQCHIP)
);

fn without_local_apic_all_are_runnable(vm: Vm) -> Outcome {
    each([0, 1, 2, 200], |id| equal(mp_state(&vm, *id)?, abi::KVM_MP_STATE_RUNNABLE))
}
claim!(
    without_local_apic_all_are_runnable,
    "Without an in-kernel irqchip, KVM_GET_MP_STATE of every fresh vCPU is KVM_MP_STATE_RUNNABLE",
    [Api("4.38 KVM_GET_MP_STATE"), Code("kvm_arch_vcpu_create, arch/x86/kvm/x86.c")],
    Has(KVM_CAP_MP_STATE)
);

fn follows_the_choice_of_bootstrap_processor() -> Outcome {
    each(Controllers::WITH_LAPIC, |controllers| {
        let vm = controllers.vm()?;
        succeeds(vm.value(KVM_SET_BOOT_CPU_ID, 3))?;
        equal(mp_state(&vm, 0)?, abi::KVM_MP_STATE_UNINITIALIZED)?;
        equal(mp_state(&vm, 3)?, abi::KVM_MP_STATE_RUNNABLE)
    })
}
claim!(
    follows_the_choice_of_bootstrap_processor,
    "The vCPU that KVM_SET_BOOT_CPU_ID chose begins as KVM_MP_STATE_RUNNABLE, and vCPU 0 does not",
    [Api("4.38 KVM_GET_MP_STATE"), Api("4.41 KVM_SET_BOOT_CPU_ID")],
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_SET_BOOT_CPU_ID),
    Has(KVM_CAP_IRQCHIP)
);
