//! The segments of a fresh vCPU: what the processors' manuals say of them after a reset.

use harness::kvm::abi::{self, kvm_segment};
use harness::{Outcome, claim, each, equal};

use super::fresh::each_fresh;

/// The bit of a segment's type that tells whether it was accessed, on which the vendors do not agree.
const ACCESSED: u8 = 1;

/// A segment of 64 KiB as real mode has it.
fn real_mode(selector: u16, base: u64, kind: u8) -> kvm_segment {
    kvm_segment { selector, base, limit: 0xffff, type_: kind, present: 1, s: 1, ..Default::default() }
}

/// The segment without its accessed bit.
fn untouched(segment: kvm_segment) -> kvm_segment {
    kvm_segment { type_: segment.type_ & !ACCESSED, ..segment }
}

fn data_segments(sregs: &abi::kvm_sregs) -> [kvm_segment; 5] {
    [sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss]
}

fn code_is_below_4_gib() -> Outcome {
    each_fresh(|vcpu| equal(untouched(vcpu.get_sregs()?.cs), real_mode(0xf000, 0xffff_0000, 0b1010)))
}
claim!(
    code_is_below_4_gib,
    "A fresh vCPU's CS is 0xf000 with base 0xffff0000 and limit 0xffff, readable and executable",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn data_is_at_zero() -> Outcome {
    each_fresh(|vcpu| {
        each(data_segments(&vcpu.get_sregs()?), |it| equal(untouched(*it), real_mode(0, 0, 0b0010)))
    })
}
claim!(
    data_is_at_zero,
    "A fresh vCPU's data segments are 0 with base 0 and limit 0xffff, and writable",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn tables_are_at_zero() -> Outcome {
    each_fresh(|vcpu| {
        let sregs = vcpu.get_sregs()?;
        equal((sregs.gdt.base, sregs.gdt.limit), (0, 0xffff))?;
        equal((sregs.idt.base, sregs.idt.limit), (0, 0xffff))
    })
}
claim!(
    tables_are_at_zero,
    "A fresh vCPU's GDTR and IDTR have base 0 and limit 0xffff",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn ldtr_is_at_zero() -> Outcome {
    each_fresh(|vcpu| {
        let ldt = kvm_segment { limit: 0xffff, type_: 2, present: 1, ..Default::default() };
        equal(vcpu.get_sregs()?.ldt, ldt)
    })
}
claim!(
    ldtr_is_at_zero,
    "A fresh vCPU's LDTR is 0 with base 0 and limit 0xffff, and holds a local descriptor table",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);

fn task_register_is_at_zero() -> Outcome {
    each_fresh(|vcpu| {
        let tr = vcpu.get_sregs()?.tr;
        // A busy task state segment of 16 bits is 3, and one of 32 bits is 11: AMD begins with the one, Intel with the other.
        let busy = kvm_segment { limit: 0xffff, type_: 3, present: 1, ..Default::default() };
        equal(kvm_segment { type_: tr.type_ & 0b0111, ..tr }, busy)
    })
}
claim!(
    task_register_is_at_zero,
    "A fresh vCPU's TR is 0 with base 0 and limit 0xffff, and holds a busy task state segment",
    [
        Manual("Intel SDM vol. 3A, Processor State After Reset"),
        Manual("AMD APM vol. 2 14.1.3 Processor Initialization State")
    ]
);
