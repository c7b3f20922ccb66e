//! The state that a guest is entered with, between the plain data of `guests` and the structures of KVM.

use guests::{EntryState, Registers, Segment};

use crate::kvm::abi;

/// The special registers that enter a guest in this state; what the state does not name stays as `sregs` has it.
pub fn sregs(state: &EntryState, mut sregs: abi::kvm_sregs) -> abi::kvm_sregs {
    sregs.cs = segment(&state.cs);
    sregs.ds = segment(&state.ds);
    sregs.es = segment(&state.es);
    sregs.fs = segment(&state.fs);
    sregs.gs = segment(&state.gs);
    sregs.ss = segment(&state.ss);
    sregs.tr = segment(&state.tr);
    sregs.ldt = segment(&state.ldt);
    (sregs.gdt.base, sregs.gdt.limit) = (state.gdt.base, state.gdt.limit);
    (sregs.idt.base, sregs.idt.limit) = (state.idt.base, state.idt.limit);
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (state.cr0, state.cr3, state.cr4, state.efer);
    sregs
}

fn segment(segment: &Segment) -> abi::kvm_segment {
    abi::kvm_segment {
        base: segment.base,
        limit: segment.limit,
        selector: segment.selector,
        type_: segment.type_,
        present: segment.present.into(),
        dpl: segment.dpl,
        db: segment.db.into(),
        s: segment.s.into(),
        l: segment.l.into(),
        g: segment.g.into(),
        avl: 0,
        unusable: (!segment.present).into(),
        padding: 0,
    }
}

macro_rules! same_registers {
    ($($name:ident),+) => {
        /// The general registers as KVM_SET_REGS takes them.
        pub fn regs(registers: &Registers) -> abi::kvm_regs {
            abi::kvm_regs { $($name: registers.$name),+ }
        }

        /// The general registers as KVM_GET_REGS gave them.
        pub fn registers(registers: &abi::kvm_regs) -> Registers {
            Registers { $($name: registers.$name),+ }
        }
    };
}

same_registers!(rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags);
