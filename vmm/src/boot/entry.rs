//! The states in which processors are handed to kernels.

use kvm_bindings::{kvm_regs, kvm_segment};

use crate::accel::{Cpu, CpuError};

const PROTECTED: u64 = 1;

/// Flat 32-bit protected mode without paging and without interrupts, with code selector 8 and data selector 16.
pub(super) fn flat(cpu: &mut dyn Cpu, regs: kvm_regs) -> Result<(), CpuError> {
    let mut sregs = cpu.sregs()?;
    let flat = kvm_segment { limit: u32::MAX, present: 1, s: 1, db: 1, g: 1, ..Default::default() };
    let data = kvm_segment { selector: 0x10, type_: 3, ..flat };
    sregs.cs = kvm_segment { selector: 8, type_: 0xb, ..flat };
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (0x10 | PROTECTED, 0, 0, 0);
    cpu.set_sregs(&sregs)?;
    cpu.set_regs(&kvm_regs { rflags: 2, ..regs })
}
