//! The model-specific registers of a fresh vCPU: what the processors' manuals say of them after a reset.

use harness::kvm::{Descriptor, KVM_GET_MSRS, Vcpu};
use harness::{Outcome, Stop, claim, each, equal};

use super::fresh::each_fresh;

const IA32_APIC_BASE: u32 = 0x1b;
const IA32_PAT: u32 = 0x277;
const IA32_MTRR_DEF_TYPE: u32 = 0x2ff;
const IA32_SYSENTER: [u32; 3] = [0x174, 0x175, 0x176];
/// EFER, STAR, LSTAR, CSTAR, FMASK, KernelGSbase. Not FS.base and GS.base, which AMD's KVM did not know in 5.10.
const LONG_MODE: [u32; 6] = [0xc000_0080, 0xc000_0081, 0xc000_0082, 0xc000_0083, 0xc000_0084, 0xc000_0102];

/// KVM_GET_MSRS of one register, which KVM knows.
#[track_caller]
fn msr(vcpu: &Vcpu, index: u32) -> Result<u64, Stop> {
    // The number of entries, and one entry: index and reserved word, value.
    let mut msrs = [1, u64::from(index), 0];
    equal(vcpu.update(KVM_GET_MSRS, &mut msrs)?, 1)?;
    Ok(msrs[2])
}

fn page_attributes_are_those_of_old() -> Outcome {
    each_fresh(|vcpu| equal(msr(vcpu, IA32_PAT)?, 0x0007_0406_0007_0406))
}
claim!(
    page_attributes_are_those_of_old,
    "A fresh vCPU's IA32_PAT is 0x0007040600070406",
    [Manual("Intel SDM vol. 3A, Programming the PAT"), Manual("AMD APM vol. 2 7.8.1 PAT Register")]
);

fn memory_types_are_off() -> Outcome {
    each_fresh(|vcpu| equal(msr(vcpu, IA32_MTRR_DEF_TYPE)?, 0))
}
claim!(
    memory_types_are_off,
    "A fresh vCPU's IA32_MTRR_DEF_TYPE is 0: memory is uncacheable",
    [Manual("Intel SDM vol. 3A, MTRR Initialization")]
);

fn system_calls_lead_nowhere() -> Outcome {
    each_fresh(|vcpu| {
        each(IA32_SYSENTER, |index| equal(msr(vcpu, *index)?, 0))?;
        each(LONG_MODE, |index| equal(msr(vcpu, *index)?, 0))
    })
}
claim!(
    system_calls_lead_nowhere,
    "A fresh vCPU's registers for SYSENTER, SYSCALL and SWAPGS are zero",
    [
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State"),
        Manual("Intel SDM vol. 3A, Processor State After Reset")
    ]
);

fn apic_base_is_the_usual_one() -> Outcome {
    each_fresh(|vcpu| {
        let base = msr(vcpu, IA32_APIC_BASE)?;
        equal(base & !0x100, 0xfee0_0800)?;
        equal(vcpu.get_sregs()?.apic_base, base)
    })
}
claim!(
    apic_base_is_the_usual_one,
    "A fresh vCPU's IA32_APIC_BASE is 0xfee00000 and enabled, and KVM_GET_SREGS tells the same as KVM_GET_MSRS",
    [Manual("Intel SDM vol. 3A, Local APIC Status and Location"), Api("4.13 KVM_GET_SREGS")]
);
