//! KVM_CAP_PMU_CAPABILITY: api.rst 8.35.

use harness::kvm::{EINVAL, KVM_CAP_PMU_CAPABILITY, Vm, abi};
use harness::{Outcome, claim, each};

use super::bits;
use super::step::Answer::{Fails, Works};
use super::step::Step::{Enable, Vcpu};
use super::step::in_order;

const DISABLE: u64 = abi::KVM_PMU_CAP_DISABLE as u64;

fn is_early(vm: Vm) -> Outcome {
    let disable = Enable(KVM_CAP_PMU_CAPABILITY, DISABLE);
    let nothing = Enable(KVM_CAP_PMU_CAPABILITY, 0);
    let steps = [
        (disable, Works),
        (nothing, Works),
        (disable, Works),
        (Vcpu(0), Works),
        (disable, Fails(EINVAL)),
        (nothing, Fails(EINVAL)),
    ];
    in_order(&vm, &steps)
}
claim!(
    is_early,
    "KVM_CAP_PMU_CAPABILITY may be enabled more than once, and is refused with EINVAL once there is a vCPU",
    [Api("8.35 KVM_CAP_PMU_CAPABILITY")],
    Has(KVM_CAP_PMU_CAPABILITY)
);

fn takes_what_it_tells(vm: Vm) -> Outcome {
    let told = u64::from(vm.check_extension(KVM_CAP_PMU_CAPABILITY)?.unsigned_abs());
    bits::refuses_all_but(told, &vm, KVM_CAP_PMU_CAPABILITY)
}
claim!(
    takes_what_it_tells,
    "KVM_CAP_PMU_CAPABILITY is refused with EINVAL for bits that KVM_CHECK_EXTENSION does not answer",
    [Api("8.35 KVM_CAP_PMU_CAPABILITY")],
    Has(KVM_CAP_PMU_CAPABILITY)
);

fn needs_a_pmu(vm: Vm) -> Outcome {
    each([0, DISABLE], |bits| in_order(&vm, &[(Enable(KVM_CAP_PMU_CAPABILITY, *bits), Fails(EINVAL))]))
}
claim!(
    needs_a_pmu,
    "KVM_CAP_PMU_CAPABILITY is refused with EINVAL where kvm.enable_pmu is off",
    [Code("kvm_vm_ioctl_enable_cap, arch/x86/kvm/x86.c")],
    Param("kvm", "enable_pmu", "N")
);
