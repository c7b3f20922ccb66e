//! What a vCPU's commands fill for 32-bit callers: kvm_vcpu_compat_ioctl hands them on as they are.

use harness::kvm::{
    Compat, Descriptor, KVM_CAP_DEBUGREGS, KVM_CAP_GET_TSC_KHZ, KVM_CAP_IRQCHIP, KVM_CAP_MP_STATE,
    KVM_CAP_SREGS2, KVM_CAP_VCPU_EVENTS, KVM_CAP_XCRS, KVM_CAP_XSAVE, KVM_CAP_XSAVE2, KVM_GET_DEBUGREGS,
    KVM_GET_FPU, KVM_GET_LAPIC, KVM_GET_MP_STATE, KVM_GET_REGS, KVM_GET_SREGS, KVM_GET_SREGS2,
    KVM_GET_TSC_KHZ, KVM_GET_VCPU_EVENTS, KVM_GET_XCRS, KVM_GET_XSAVE, KVM_GET_XSAVE2, KVM_TRANSLATE, Vcpu,
    Vm,
};
use harness::{Outcome, claim, each, equal};

use super::alike::{errno, fills_alike};

/// One claim for each command that fills a structure of a vCPU without an in-kernel local APIC.
macro_rules! filled {
    ($($function:ident: $command:ident, $section:literal $(, $need:expr)*;)*) => {
        $(
            fn $function(vcpu: Vcpu) -> Outcome {
                fills_alike(&vcpu, $command, &[])
            }
            claim!(
                $function,
                concat!(stringify!($command), " fills the same bytes for a 32-bit caller as for a 64-bit one"),
                [Api($section), Code("kvm_vcpu_compat_ioctl, virt/kvm/kvm_main.c")],
                Compat32,
                $($need),*
            );
        )*
    };
}

filled! {
    regs: KVM_GET_REGS, "4.11 KVM_GET_REGS";
    sregs: KVM_GET_SREGS, "4.13 KVM_GET_SREGS";
    sregs2: KVM_GET_SREGS2, "4.131 KVM_GET_SREGS2", Has(KVM_CAP_SREGS2);
    fpu: KVM_GET_FPU, "4.22 KVM_GET_FPU";
    mp_state: KVM_GET_MP_STATE, "4.38 KVM_GET_MP_STATE", Has(KVM_CAP_MP_STATE);
    vcpu_events: KVM_GET_VCPU_EVENTS, "4.31 KVM_GET_VCPU_EVENTS", Has(KVM_CAP_VCPU_EVENTS);
    debugregs: KVM_GET_DEBUGREGS, "4.33 KVM_GET_DEBUGREGS", Has(KVM_CAP_DEBUGREGS);
    xsave: KVM_GET_XSAVE, "4.42 KVM_GET_XSAVE", Has(KVM_CAP_XSAVE);
    xsave2: KVM_GET_XSAVE2, "4.134 KVM_GET_XSAVE2", Has(KVM_CAP_XSAVE2);
    xcrs: KVM_GET_XCRS, "4.44 KVM_GET_XCRS", Has(KVM_CAP_XCRS);
}

fn lapic(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    fills_alike(&vm.create_vcpu(0)?, KVM_GET_LAPIC, &[])
}
claim!(
    lapic,
    "KVM_GET_LAPIC fills the same bytes for a 32-bit caller as for a 64-bit one",
    [Api("4.57 KVM_GET_LAPIC")],
    Compat32,
    Has(KVM_CAP_IRQCHIP),
);

fn translate(vcpu: Vcpu) -> Outcome {
    each([0u64, 0xffff_fff0, 0x1_0000_1000, 0xffff_8000_0000_0000], |address| {
        fills_alike(&vcpu, KVM_TRANSLATE, &address.to_le_bytes())
    })
}
claim!(
    translate,
    "KVM_TRANSLATE takes 64 bits of a linear address from a 32-bit caller, and answers as to a 64-bit one",
    [Api("4.15 KVM_TRANSLATE")],
    Compat32,
);

fn tsc_khz(vcpu: Vcpu, compat: Compat) -> Outcome {
    // EIO for either where the host's TSC is not stable.
    equal(errno(compat.value(&vcpu, KVM_GET_TSC_KHZ, 0)), errno(vcpu.value(KVM_GET_TSC_KHZ, 0)))
}
claim!(
    tsc_khz,
    "KVM_GET_TSC_KHZ answers a 32-bit caller what it answers a 64-bit one",
    [Api("4.56 KVM_GET_TSC_KHZ")],
    Compat32,
    Has(KVM_CAP_GET_TSC_KHZ),
);
