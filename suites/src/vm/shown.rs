//! What a VM and its vCPUs show of themselves, so that a refused step can be seen to have changed nothing.

use std::collections::BTreeMap;
use std::fmt::Debug;

use harness::kvm::{
    CAPS, Descriptor, KVM_GET_DEBUGREGS, KVM_GET_IRQCHIP, KVM_GET_LAPIC, KVM_GET_MP_STATE,
    KVM_GET_NR_MMU_PAGES, KVM_GET_PIT2, KVM_GET_TSC_KHZ, KVM_GET_VCPU_EVENTS, Refused, Vcpu, Vm, abi,
};
use harness::{Outcome, Stop, equal};

/// What can be read of a VM and its vCPUs, by what reads it.
#[derive(Debug)]
pub(crate) struct Shown(BTreeMap<String, String>);

impl Shown {
    /// Reads it all. What cannot be read in this VM is there with the error.
    #[track_caller]
    pub(crate) fn of(vm: &Vm, vcpus: &[Vcpu]) -> Result<Self, Stop> {
        let mut shown = BTreeMap::new();
        for cap in CAPS.iter().filter(|cap| cap.on_x86) {
            shown.insert(cap.name.to_owned(), vm.check_extension(*cap)?.to_string());
        }
        for chip in 0..3_u32 {
            let mut state = [0_u32; 130];
            state[0] = chip;
            let read = vm.update(KVM_GET_IRQCHIP, &mut state);
            shown.insert(format!("KVM_GET_IRQCHIP {chip}"), text(read.map(|_| state)));
        }
        shown.insert("KVM_GET_PIT2".into(), text(vm.read::<abi::kvm_pit_state2>(KVM_GET_PIT2)));
        shown.insert("KVM_GET_TSC_KHZ".into(), text(vm.value(KVM_GET_TSC_KHZ, 0)));
        shown.insert("KVM_GET_NR_MMU_PAGES".into(), text(vm.value(KVM_GET_NR_MMU_PAGES, 0)));
        for (index, vcpu) in vcpus.iter().enumerate() {
            shown.extend(registers(vcpu).map(|(name, text)| (format!("{name} of vCPU {index}"), text)));
        }
        Ok(Self(shown))
    }

    /// Reads it all again, and finds nothing changed.
    #[track_caller]
    pub(crate) fn is_still(&self, vm: &Vm, vcpus: &[Vcpu]) -> Outcome {
        let now = Self::of(vm, vcpus)?;
        let changes: Vec<_> = self
            .0
            .iter()
            .filter(|(name, before)| now.0.get(*name) != Some(before))
            .map(|(name, before)| {
                format!("{name}: {before} -> {}", now.0.get(name).map_or("", String::as_str))
            })
            .collect();
        equal(changes, Vec::new())
    }
}

fn registers(vcpu: &Vcpu) -> [(&'static str, String); 7] {
    [
        ("KVM_GET_REGS", text(vcpu.get_regs())),
        ("KVM_GET_SREGS", text(vcpu.get_sregs())),
        ("KVM_GET_DEBUGREGS", text(vcpu.read::<abi::kvm_debugregs>(KVM_GET_DEBUGREGS))),
        ("KVM_GET_MP_STATE", text(vcpu.read::<abi::kvm_mp_state>(KVM_GET_MP_STATE))),
        ("KVM_GET_VCPU_EVENTS", text(vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS))),
        ("KVM_GET_LAPIC", text(vcpu.read::<[u32; 256]>(KVM_GET_LAPIC))),
        ("KVM_GET_TSC_KHZ", text(vcpu.value(KVM_GET_TSC_KHZ, 0))),
    ]
}

fn text(answer: Result<impl Debug, Refused>) -> String {
    match answer {
        Ok(state) => format!("{state:x?}"),
        Err(refused) => refused.errno.to_string(),
    }
}
