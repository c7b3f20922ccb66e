//! What a processor is after power-up: SDM volume 3, table 10-1 "IA-32 and Intel 64 processor states".

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};

/// The general registers: execution begins at the last 16 bytes of the first segment.
pub(super) fn regs() -> kvm_regs {
    // RDX has the family, model and stepping of nothing that anybody looks for.
    kvm_regs { rip: 0xfff0, rflags: 2, rdx: 0x600, ..Default::default() }
}

/// The segments, tables and control registers; the base address of the local APIC stays.
pub(super) fn sregs(before: kvm_sregs) -> kvm_sregs {
    let data = kvm_segment { limit: 0xffff, type_: 3, present: 1, s: 1, unusable: 0, ..Default::default() };
    let table = kvm_dtable { limit: 0xffff, ..Default::default() };
    kvm_sregs {
        cs: kvm_segment { base: 0xffff_0000, selector: 0xf000, type_: 0xb, ..data },
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: kvm_segment { type_: 0xb, s: 0, ..data },
        ldt: kvm_segment { type_: 2, s: 0, ..data },
        gdt: table,
        idt: table,
        cr0: 0x6000_0010,
        apic_base: before.apic_base,
        ..Default::default()
    }
}
