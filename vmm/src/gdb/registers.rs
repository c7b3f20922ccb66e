//! A vCPU's registers in the debugger's form.

use gdbstub_arch::x86::reg::{X86_64CoreRegs, X86SegmentRegs, X87FpuInternalRegs};
use kvm_bindings::{kvm_fpu, kvm_regs, kvm_sregs};

use crate::accel::{Cpu, CpuError};

pub(super) fn read(cpu: &dyn Cpu) -> Result<X86_64CoreRegs, CpuError> {
    let (regs, sregs, fpu) = (cpu.regs()?, cpu.sregs()?, cpu.fpu()?);
    let mut told = X86_64CoreRegs {
        regs: general(&regs),
        // The upper half is reserved.
        eflags: (regs.rflags & 0xffff_ffff) as u32,
        rip: regs.rip,
        segments: segments(&sregs),
        fpu: X87FpuInternalRegs {
            fctrl: fpu.fcw.into(),
            fstat: fpu.fsw.into(),
            ftag: fpu.ftwx.into(),
            fop: fpu.last_opcode.into(),
            fioff: (fpu.last_ip & 0xffff_ffff) as u32,
            fooff: (fpu.last_dp & 0xffff_ffff) as u32,
            ..Default::default()
        },
        mxcsr: fpu.mxcsr,
        ..Default::default()
    };
    for (told, held) in told.st.iter_mut().zip(fpu.fpr) {
        told.copy_from_slice(&held[..10]);
    }
    for (told, held) in told.xmm.iter_mut().zip(fpu.xmm) {
        *told = u128::from_le_bytes(held);
    }
    Ok(told)
}

/// Segments are shown, and not set: what is behind a selector is not told.
pub(super) fn write(cpu: &mut dyn Cpu, told: &X86_64CoreRegs) -> Result<(), CpuError> {
    let [rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15] = told.regs;
    let (rip, rflags) = (told.rip, told.eflags.into());
    cpu.set_regs(&kvm_regs {
        rax,
        rbx,
        rcx,
        rdx,
        rsi,
        rdi,
        rsp,
        rbp,
        r8,
        r9,
        r10,
        r11,
        r12,
        r13,
        r14,
        r15,
        rip,
        rflags,
    })?;
    let before = cpu.fpu()?;
    let mut fpu = kvm_fpu { mxcsr: told.mxcsr, ..before };
    let half = |word: u32| (word & 0xffff) as u16;
    (fpu.fcw, fpu.fsw) = (half(told.fpu.fctrl), half(told.fpu.fstat));
    fpu.ftwx = (told.fpu.ftag & 0xff) as u8;
    for (held, told) in fpu.fpr.iter_mut().zip(told.st) {
        held[..10].copy_from_slice(&told);
    }
    for (held, told) in fpu.xmm.iter_mut().zip(told.xmm) {
        *held = told.to_le_bytes();
    }
    if fpu == before { Ok(()) } else { cpu.set_fpu(&fpu) }
}

/// In the debugger's order.
fn general(regs: &kvm_regs) -> [u64; 16] {
    let kvm_regs { rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, .. } = *regs;
    let kvm_regs { r8, r9, r10, r11, r12, r13, r14, r15, .. } = *regs;
    [rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15]
}

fn segments(sregs: &kvm_sregs) -> X86SegmentRegs {
    let [cs, ss, ds, es, fs, gs] = [sregs.cs, sregs.ss, sregs.ds, sregs.es, sregs.fs, sregs.gs]
        .map(|segment| u32::from(segment.selector));
    X86SegmentRegs { cs, ss, ds, es, fs, gs }
}
