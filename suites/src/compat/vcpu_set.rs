//! What 32-bit callers store in a vCPU, and read back through either entry.

use harness::kvm::{
    Compat, CompatBuffer, Descriptor, KVM_CAP_DEBUGREGS, KVM_CAP_EXT_CPUID, KVM_CAP_IRQCHIP,
    KVM_CAP_MP_STATE, KVM_CAP_SREGS2, KVM_CAP_VCPU_EVENTS, KVM_CAP_XCRS, KVM_CAP_XSAVE, KVM_GET_CPUID2,
    KVM_GET_DEBUGREGS, KVM_GET_FPU, KVM_GET_LAPIC, KVM_GET_MP_STATE, KVM_GET_MSRS, KVM_GET_REGS,
    KVM_GET_SREGS, KVM_GET_SREGS2, KVM_GET_SUPPORTED_CPUID, KVM_GET_VCPU_EVENTS, KVM_GET_XCRS, KVM_GET_XSAVE,
    KVM_SET_CPUID2, KVM_SET_DEBUGREGS, KVM_SET_FPU, KVM_SET_LAPIC, KVM_SET_MP_STATE, KVM_SET_MSRS,
    KVM_SET_REGS, KVM_SET_SREGS, KVM_SET_SREGS2, KVM_SET_VCPU_EVENTS, KVM_SET_XCRS, KVM_SET_XSAVE, Kvm, Vcpu,
    Vm, abi,
};
use harness::{Outcome, Stop, claim, differs, equal};

use super::alike::{by_32, by_64, stores_alike};

fn regs(vcpu: Vcpu, values: [u64; 16], ip: u64) -> Outcome {
    // RAX to R15, then RIP and RFLAGS.
    stores_alike::<[u64; 18]>(&vcpu, KVM_GET_REGS, KVM_SET_REGS, |regs| {
        regs[..16].copy_from_slice(&values);
        regs[16] = ip;
        regs[17] = 0xcd7;
    })
}
claim!(
    regs,
    "KVM_SET_REGS stores all 64 bits of every register that a 32-bit caller lays down",
    [Api("4.12 KVM_SET_REGS")],
    Compat32,
);

fn sregs(vcpu: Vcpu, cr2: u64, base: u32, limit: u16) -> Outcome {
    stores_alike::<abi::kvm_sregs>(&vcpu, KVM_GET_SREGS, KVM_SET_SREGS, |sregs| {
        (sregs.cr2, sregs.ldt.base, sregs.gdt.limit) = (cr2, base.into(), limit);
        sregs.gdt.base = 0xffff_8000_0000_0000 | u64::from(base);
    })
}
claim!(
    sregs,
    "KVM_SET_SREGS stores what a 32-bit caller lays down, for either to read",
    [Api("4.14 KVM_SET_SREGS")],
    Compat32,
);

fn sregs2(vcpu: Vcpu, cr2: u64, base: u32) -> Outcome {
    stores_alike::<abi::kvm_sregs2>(&vcpu, KVM_GET_SREGS2, KVM_SET_SREGS2, |sregs| {
        (sregs.cr2, sregs.ldt.base) = (cr2, base.into());
        sregs.idt.base = 0xffff_8000_0000_0000 | u64::from(base);
    })
}
claim!(
    sregs2,
    "KVM_SET_SREGS2 stores what a 32-bit caller lays down, for either to read",
    [Api("4.132 KVM_SET_SREGS2")],
    Compat32,
    Has(KVM_CAP_SREGS2),
);

fn fpu(vcpu: Vcpu, xmm: [u8; 16], last_ip: u64) -> Outcome {
    stores_alike::<abi::kvm_fpu>(&vcpu, KVM_GET_FPU, KVM_SET_FPU, |fpu| {
        (fpu.xmm[0], fpu.xmm[15]) = (xmm, xmm);
        (fpu.fcw, fpu.last_ip) = (0x27f, last_ip);
    })
}
claim!(
    fpu,
    "KVM_SET_FPU stores what a 32-bit caller lays down, for either to read",
    [Api("4.23 KVM_SET_FPU")],
    Compat32,
);

fn lapic(vm: Vm, destination: u8) -> Outcome {
    vm.create_irqchip()?;
    // The logical destination register, whose upper byte alone is used.
    stores_alike::<[u8; 1024]>(&vm.create_vcpu(0)?, KVM_GET_LAPIC, KVM_SET_LAPIC, |regs| {
        regs[0xd3] = destination;
    })
}
claim!(
    lapic,
    "KVM_SET_LAPIC stores what a 32-bit caller lays down, for either to read",
    [Api("4.58 KVM_SET_LAPIC")],
    Compat32,
    Has(KVM_CAP_IRQCHIP),
);

fn mp_state(vm: Vm) -> Outcome {
    vm.create_irqchip()?;
    stores_alike::<abi::kvm_mp_state>(&vm.create_vcpu(0)?, KVM_GET_MP_STATE, KVM_SET_MP_STATE, |state| {
        state.mp_state = abi::KVM_MP_STATE_HALTED;
    })
}
claim!(
    mp_state,
    "KVM_SET_MP_STATE stores what a 32-bit caller lays down, for either to read",
    [Api("4.39 KVM_SET_MP_STATE")],
    Compat32,
    Has(KVM_CAP_MP_STATE),
    Has(KVM_CAP_IRQCHIP),
);

fn vcpu_events(vcpu: Vcpu) -> Outcome {
    stores_alike::<abi::kvm_vcpu_events>(&vcpu, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, |events| {
        events.nmi.masked = 1;
    })
}
claim!(
    vcpu_events,
    "KVM_SET_VCPU_EVENTS stores what a 32-bit caller lays down, for either to read",
    [Api("4.32 KVM_SET_VCPU_EVENTS")],
    Compat32,
    Has(KVM_CAP_VCPU_EVENTS),
);

fn debugregs(vcpu: Vcpu, addresses: [u32; 4]) -> Outcome {
    stores_alike::<abi::kvm_debugregs>(&vcpu, KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, |registers| {
        registers.db = addresses.map(|address| 0xffff_8000_0000_0000 | u64::from(address));
        (registers.dr6, registers.dr7) = (0xffff_0ff1, 0x401);
    })
}
claim!(
    debugregs,
    "KVM_SET_DEBUGREGS stores what a 32-bit caller lays down, for either to read",
    [Api("4.34 KVM_SET_DEBUGREGS")],
    Compat32,
    Has(KVM_CAP_DEBUGREGS),
);

fn xsave(vcpu: Vcpu, xmm: [u8; 16]) -> Outcome {
    stores_alike::<[u8; 4096]>(&vcpu, KVM_GET_XSAVE, KVM_SET_XSAVE, |area| {
        area[160..176].copy_from_slice(&xmm); // XMM0
        area[512] |= 2; // XSTATE_BV: SSE
    })
}
claim!(
    xsave,
    "KVM_SET_XSAVE stores what a 32-bit caller lays down, for either to read",
    [Api("4.43 KVM_SET_XSAVE")],
    Compat32,
    Has(KVM_CAP_XSAVE),
);

fn xcrs(kvm: Kvm, vcpu: Vcpu) -> Outcome {
    give_all_leaves(&kvm, &vcpu)?;
    if vcpu.read::<abi::kvm_xcrs>(KVM_GET_XCRS)?.nr_xcrs == 0 {
        return Err(Stop::Skip("the processor has no XSAVE".into()));
    }
    stores_alike::<abi::kvm_xcrs>(&vcpu, KVM_GET_XCRS, KVM_SET_XCRS, |xcrs| xcrs.xcrs[0].value = 3)
}
claim!(
    xcrs,
    "KVM_SET_XCRS stores what a 32-bit caller lays down, for either to read",
    [Api("4.45 KVM_SET_XCRS")],
    Compat32,
    Has(KVM_CAP_XCRS),
    Has(KVM_CAP_EXT_CPUID),
);

/// Every CPUID leaf that the kernel supports, as the bytes of a `struct kvm_cpuid2`.
fn supported_leaves(kvm: &Kvm) -> Result<Vec<u8>, Stop> {
    let (answer, mut bytes) = by_64(kvm, KVM_GET_SUPPORTED_CPUID, 8 + 256 * 40, &[0, 1, 0, 0, 0, 0, 0, 0]);
    equal(answer, Ok(0))?;
    bytes.truncate(8 + usize::from(bytes[0]) * 40);
    Ok(bytes)
}

/// Gives the vCPU every CPUID leaf that the kernel supports.
fn give_all_leaves(kvm: &Kvm, vcpu: &Vcpu) -> Outcome {
    let leaves = supported_leaves(kvm)?;
    equal(by_64(vcpu, KVM_SET_CPUID2, leaves.len(), &leaves).0, Ok(0))
}

fn cpuid2(kvm: Kvm, one: Vcpu, other: Vcpu) -> Outcome {
    let leaves = supported_leaves(&kvm)?;
    equal(by_32(&one, KVM_SET_CPUID2, leaves.len(), &leaves)?, (Ok(0), leaves.clone()))?;
    equal(by_64(&other, KVM_SET_CPUID2, leaves.len(), &leaves), (Ok(0), leaves.clone()))?;
    let asked = &leaves[..8];
    let expected = by_64(&other, KVM_GET_CPUID2, leaves.len(), asked);
    equal(expected.0, Ok(0))?;
    differs(expected.1[8..48].to_vec(), vec![0; 40])?;
    equal(by_64(&one, KVM_GET_CPUID2, leaves.len(), asked), expected.clone())?;
    equal(by_32(&one, KVM_GET_CPUID2, leaves.len(), asked)?, expected)
}
claim!(
    cpuid2,
    "KVM_SET_CPUID2 takes the same leaves from a 32-bit caller as from a 64-bit one, and KVM_GET_CPUID2 tells both alike",
    [Code("kvm_vcpu_ioctl_set_cpuid2 and kvm_vcpu_ioctl_get_cpuid2, arch/x86/kvm/cpuid.c")],
    Compat32,
    Has(KVM_CAP_EXT_CPUID),
);

/// STAR, LSTAR and KERNEL_GS_BASE.
const MSRS: [u32; 3] = [0xc000_0081, 0xc000_0082, 0xc000_0102];

fn msrs(vcpu: Vcpu, compat: Compat, values: [u32; 3]) -> Outcome {
    let head = |values: [u64; 3]| {
        let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0];
        for (index, value) in MSRS.into_iter().zip(values) {
            bytes.extend(index.to_le_bytes());
            bytes.extend([0; 4]);
            bytes.extend(value.to_le_bytes());
        }
        bytes
    };
    let stored = head(values.map(|value| 0xffff_8000_0000_0000 | u64::from(value)));
    let mut bytes = CompatBuffer::zeroed(stored.len())?;
    for (at, byte) in stored.iter().enumerate() {
        bytes.put(at, *byte);
    }
    equal(compat.send(&vcpu, KVM_SET_MSRS, &mut bytes)?, 3)?;
    let asked = head([0; 3]);
    equal(by_64(&vcpu, KVM_GET_MSRS, asked.len(), &asked), (Ok(3), stored.clone()))?;
    equal(by_32(&vcpu, KVM_GET_MSRS, asked.len(), &asked)?, (Ok(3), stored))
}
claim!(
    msrs,
    "KVM_SET_MSRS stores all 64 bits of every MSR that a 32-bit caller lays down",
    [Api("4.19 KVM_SET_MSRS")],
    Compat32,
);
