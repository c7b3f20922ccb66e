//! The registers of a fresh vCPU: what the processors' manuals say of them after a reset.

use harness::kvm::{
    Descriptor, KVM_CAP_DEBUGREGS, KVM_CAP_VCPU_EVENTS, KVM_CAP_XCRS, KVM_CAP_XSAVE, KVM_GET_DEBUGREGS,
    KVM_GET_FPU, KVM_GET_VCPU_EVENTS, KVM_GET_XCRS, KVM_GET_XSAVE, Vcpu, abi,
};
use harness::{Outcome, claim, each, equal};

use super::fresh::each_fresh;

/// The word of the XSAVE area that holds MXCSR.
const MXCSR: usize = 24 / 4;

fn begins_at_the_reset_vector() -> Outcome {
    each_fresh(|vcpu| {
        let (regs, sregs) = (vcpu.get_regs()?, vcpu.get_sregs()?);
        equal(regs.rip, 0xfff0)?;
        equal(sregs.cs.base + regs.rip, 0xffff_fff0)
    })
}
claim!(
    begins_at_the_reset_vector,
    "A fresh vCPU's RIP is 0xfff0, which is 0xfffffff0 with the base of its code segment",
    [
        Manual("Intel SDM vol. 3A, First Instruction Executed"),
        Manual("AMD APM vol. 2 14.1.5 Fetching the First Instruction")
    ]
);

fn flags_are_clear() -> Outcome {
    each_fresh(|vcpu| equal(vcpu.get_regs()?.rflags, 2))
}
claim!(
    flags_are_clear,
    "A fresh vCPU's RFLAGS is 2: every flag is clear",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn general_registers_are_zero() -> Outcome {
    each_fresh(|vcpu| {
        let regs = vcpu.get_regs()?;
        let kept = abi::kvm_regs { rip: regs.rip, rflags: regs.rflags, rdx: regs.rdx, ..Default::default() };
        equal(regs, kept)
    })
}
claim!(
    general_registers_are_zero,
    "A fresh vCPU's general registers are zero, but for RDX",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn rdx_tells_the_processor() -> Outcome {
    each_fresh(|vcpu| equal(vcpu.get_regs()?.rdx, 0x600))
}
claim!(
    rdx_tells_the_processor,
    "A fresh vCPU's RDX is 0x600: family 6, which stands for the CPUID that is not set yet",
    [Manual("Intel SDM vol. 3A, Processor State After Reset"), Code("kvm_vcpu_reset, arch/x86/kvm/x86.c")],
    Kernel(">=5.15")
);

fn cr0_disables_the_cache() -> Outcome {
    each_fresh(|vcpu| equal(vcpu.get_sregs()?.cr0, 0x6000_0010))
}
claim!(
    cr0_disables_the_cache,
    "A fresh vCPU's CR0 is 0x60000010: CD, NW and ET",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn other_control_registers_are_zero() -> Outcome {
    each_fresh(|vcpu| {
        let sregs = vcpu.get_sregs()?;
        equal([sregs.cr2, sregs.cr3, sregs.cr4, sregs.cr8, sregs.efer], [0; 5])
    })
}
claim!(
    other_control_registers_are_zero,
    "A fresh vCPU's CR2, CR3, CR4, CR8 and EFER are zero",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn debug_registers_are_fixed() -> Outcome {
    each_fresh(|vcpu| {
        let state = vcpu.read::<abi::kvm_debugregs>(KVM_GET_DEBUGREGS)?;
        equal(state.db, [0; 4])?;
        equal((state.dr6, state.dr7), (0xffff_0ff0, 0x400))?;
        equal((state.flags, state.reserved), (0, [0; 9]))
    })
}
claim!(
    debug_registers_are_fixed,
    "A fresh vCPU's DR0 to DR3 are zero, DR6 is 0xffff0ff0, and DR7 is 0x400",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ],
    Has(KVM_CAP_DEBUGREGS)
);

fn no_interrupt_is_queued() -> Outcome {
    each_fresh(|vcpu| equal(vcpu.get_sregs()?.interrupt_bitmap, [0; 4]))
}
claim!(no_interrupt_is_queued, "A fresh vCPU has no external interrupt queued", [Api("4.13 KVM_GET_SREGS")]);

fn nothing_is_pending() -> Outcome {
    each_fresh(|vcpu| {
        let events = vcpu.read::<abi::kvm_vcpu_events>(KVM_GET_VCPU_EVENTS)?;
        equal(events, abi::kvm_vcpu_events { flags: events.flags, ..Default::default() })
    })
}
claim!(
    nothing_is_pending,
    "A fresh vCPU has no exception, interrupt, NMI, SMI or SIPI pending, and no interrupt shadow",
    [Api("4.31 KVM_GET_VCPU_EVENTS")],
    Has(KVM_CAP_VCPU_EVENTS)
);

fn xcr0_is_x87_alone() -> Outcome {
    each_fresh(|vcpu| {
        let xcrs = vcpu.read::<abi::kvm_xcrs>(KVM_GET_XCRS)?;
        equal((xcrs.nr_xcrs, xcrs.flags), (1, 0))?;
        equal((xcrs.xcrs[0].xcr, xcrs.xcrs[0].value), (0, 1))
    })
}
claim!(
    xcr0_is_x87_alone,
    "A fresh vCPU's XCR0 is 1: x87 state alone is enabled",
    [
        Api("4.44 KVM_GET_XCRS"),
        Manual("Intel SDM vol. 1, Enabling the XSAVE Feature Set and XSAVE-Enabled Features")
    ],
    Has(KVM_CAP_XCRS)
);

fn vector_registers_are_zero() -> Outcome {
    each_fresh(|vcpu| {
        each(vcpu.read::<abi::kvm_fpu>(KVM_GET_FPU)?.xmm, |register| equal(*register, [0; 16]))?;
        equal(vcpu.read::<[u32; 1024]>(KVM_GET_XSAVE)?[MXCSR], 0x1f80)
    })
}
claim!(
    vector_registers_are_zero,
    "A fresh vCPU's XMM registers are zero, and MXCSR is 0x1f80",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ],
    Has(KVM_CAP_XSAVE)
);

fn mxcsr_is_not_told_with_the_fpu(vcpu: Vcpu) -> Outcome {
    // struct kvm_fpu has a field for it, which neither KVM_GET_FPU nor KVM_SET_FPU looks at.
    equal(vcpu.read::<abi::kvm_fpu>(KVM_GET_FPU)?.mxcsr, 0)
}
claim!(
    mxcsr_is_not_told_with_the_fpu,
    "KVM_GET_FPU leaves mxcsr 0, whatever MXCSR is",
    [Observed("kvm_arch_vcpu_ioctl_get_fpu of Linux 5.10 to 7.3")]
);

fn x87_is_as_after_fninit(vcpu: Vcpu) -> Outcome {
    // After a reset the control word of a processor is 0x40 and its tags say zero, not empty: KVM begins with FNINIT's state.
    let fpu = vcpu.read::<abi::kvm_fpu>(KVM_GET_FPU)?;
    equal((fpu.fcw, fpu.fsw, fpu.ftwx), (0x37f, 0, 0))?;
    equal((fpu.last_opcode, fpu.last_ip, fpu.last_dp), (0, 0, 0))?;
    equal(fpu.fpr, [[0; 16]; 8])
}
claim!(
    x87_is_as_after_fninit,
    "A fresh vCPU's x87 state is that of FNINIT, with a control word of 0x37f, and not that of a reset",
    [Observed("fpu_alloc_guest_fpstate and fx_init of Linux 5.10 to 7.3")]
);
