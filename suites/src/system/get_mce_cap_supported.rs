//! KVM_X86_GET_MCE_CAP_SUPPORTED: api.rst 4.104, in the format of MSR_IA32_MCG_CAP.

use harness::kvm::{
    Descriptor, KVM_CAP_MCE, KVM_X86_GET_MCE_CAP_SUPPORTED, KVM_X86_SETUP_MCE, Kvm, Refused, Vcpu,
};
use harness::{HostFault, Outcome, Stop, claim, equal, holds, succeeds};

/// The banks in MSR_IA32_MCG_CAP.
const BANKS: u64 = 0xff;
/// MCG_CTL_P: there is MSR_IA32_MCG_CTL.
const CTL_P: u64 = 1 << 8;
/// MCG_CMCI_P: corrected errors interrupt.
const CMCI_P: u64 = 1 << 10;
/// MCG_SER_P: software can recover.
const SER_P: u64 = 1 << 24;
/// MCG_LMCE_P: machine checks go to one processor.
const LMCE_P: u64 = 1 << 27;

#[track_caller]
fn supported(kvm: &Kvm) -> Result<u64, Refused> {
    kvm.read(KVM_X86_GET_MCE_CAP_SUPPORTED)
}

fn has_control_and_recovery(kvm: Kvm) -> Outcome {
    equal(supported(&kvm)? & (CTL_P | SER_P), CTL_P | SER_P)
}
claim!(
    has_control_and_recovery,
    "KVM_X86_GET_MCE_CAP_SUPPORTED always has MCG_CTL_P and MCG_SER_P",
    [Code("kvm_x86_vendor_init, arch/x86/kvm/x86.c")]
);

fn has_nothing_unknown(kvm: Kvm) -> Outcome {
    let supported = supported(&kvm)?;
    holds(
        supported & !(CTL_P | CMCI_P | SER_P | LMCE_P) == 0,
        format_args!("{supported:#x} has known bits only"),
    )
}
claim!(
    has_nothing_unknown,
    "KVM_X86_GET_MCE_CAP_SUPPORTED has no bit but MCG_CTL_P, MCG_CMCI_P, MCG_SER_P and MCG_LMCE_P, and no bank count",
    [Code("vmx_hardware_setup, arch/x86/kvm/vmx/vmx.c")],
    Kernel("<7.4")
);

fn on_amd(kvm: Kvm) -> Outcome {
    equal(supported(&kvm)?, CTL_P | SER_P)
}
claim!(
    on_amd,
    "KVM_X86_GET_MCE_CAP_SUPPORTED has MCG_CTL_P and MCG_SER_P alone on AMD",
    [Code("kvm_x86_vendor_init, arch/x86/kvm/x86.c")],
    Amd,
    Kernel("<7.4")
);

fn on_intel(kvm: Kvm) -> Outcome {
    equal(supported(&kvm)?, CTL_P | CMCI_P | SER_P | LMCE_P)
}
claim!(
    on_intel,
    "KVM_X86_GET_MCE_CAP_SUPPORTED has MCG_CMCI_P and MCG_LMCE_P too on Intel",
    [Code("vmx_hardware_setup, arch/x86/kvm/vmx/vmx.c")],
    Intel,
    Kernel(">=6.1, <7.4")
);

fn can_be_set_up(kvm: Kvm, vcpu: Vcpu) -> Outcome {
    let banks = u64::try_from(kvm.check_extension(KVM_CAP_MCE)?)
        .map_err(|_| Stop::HostFault(HostFault("KVM_CAP_MCE is negative".into())))?;
    equal(succeeds(vcpu.write(KVM_X86_SETUP_MCE, &(supported(&kvm)? | banks & BANKS)))?, 0)
}
claim!(
    can_be_set_up,
    "KVM_X86_SETUP_MCE takes all that KVM_X86_GET_MCE_CAP_SUPPORTED has, with as many banks as KVM_CAP_MCE says",
    [Api("4.104 KVM_X86_GET_MCE_CAP_SUPPORTED"), Api("4.105 KVM_X86_SETUP_MCE")]
);
