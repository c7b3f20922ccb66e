//! The order in which a VM is put together, where it does not matter. Where it does is said in the file of each step.

use harness::kvm::{
    Descriptor, KVM_CAP_DIRTY_LOG_RING, KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_HALT_POLL, KVM_CAP_IRQCHIP,
    KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_CAP_SET_BOOT_CPU_ID, KVM_CAP_X2APIC_API,
    KVM_CAP_X86_DISABLE_EXITS, KVM_CAP_X86_USER_SPACE_MSR, KVM_GET_MP_STATE, Vm, abi,
};
use harness::{Outcome, claim, equal};
use proptest::arbitrary::Arbitrary;
use proptest::strategy::{BoxedStrategy, Just, Strategy};
use serde::{Deserialize, Serialize};

use super::step::Answer::Works;
use super::step::Step::{self, BootCpuId, Enable, IdentityMapAddr, Irqchip, TssAddr};
use super::step::in_order;

/// Steps of which none depends on another.
const STEPS: [Step; 11] = [
    Irqchip,
    BootCpuId(1),
    TssAddr(0xfffb_d000),
    IdentityMapAddr(0xfffb_c000),
    Enable(KVM_CAP_DIRTY_LOG_RING, 64 << 10),
    Enable(KVM_CAP_EXCEPTION_PAYLOAD, 1),
    Enable(KVM_CAP_HALT_POLL, 1000),
    Enable(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1),
    Enable(KVM_CAP_X2APIC_API, 3),
    Enable(KVM_CAP_X86_DISABLE_EXITS, abi::KVM_X86_DISABLE_EXITS_PAUSE as u64),
    Enable(KVM_CAP_X86_USER_SPACE_MSR, 7),
];

/// An order in which to take them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Order(Vec<usize>);

impl Arbitrary for Order {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        Just((0..STEPS.len()).collect::<Vec<_>>()).prop_shuffle().prop_map(Self).boxed()
    }
}

fn does_not_matter_before_vcpus(vm: Vm, order: Order) -> Outcome {
    for step in order.0.iter().filter_map(|index| STEPS.get(*index)) {
        let is_there = match step {
            Enable(cap, _) => vm.check_extension(*cap)? != 0,
            _ => true,
        };
        if is_there {
            in_order(&vm, &[(*step, Works)])?;
        }
    }
    let vcpu = vm.create_vcpu(1)?;
    equal(vcpu.get_sregs()?.apic_base, 0xfee0_0900)?;
    equal(vcpu.read::<abi::kvm_mp_state>(KVM_GET_MP_STATE)?.mp_state, abi::KVM_MP_STATE_RUNNABLE)
}
claim!(
    does_not_matter_before_vcpus,
    "The irqchip, the boot CPU, the addresses and the capabilities of a VM may be set in any order before the first vCPU",
    [
        Api("4.24 KVM_CREATE_IRQCHIP"),
        Api("4.36 KVM_SET_TSS_ADDR"),
        Api("4.37 KVM_ENABLE_CAP"),
        Api("4.40 KVM_SET_IDENTITY_MAP_ADDR"),
        Api("4.41 KVM_SET_BOOT_CPU_ID")
    ],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_SET_BOOT_CPU_ID)
);
