//! The local APIC as memory (xAPIC), the kernel's and ours: Intel SDM volume 3, chapter 12 "Advanced programmable interrupt controller".

use guests::script::{Op, Said, Script};
use harness::kvm::{KVM_CAP_IRQCHIP, KVM_CAP_PIT2};
use harness::twins::{Allowed, Rule, agree, each_is_needed};
use harness::{Outcome, Source, claim, each, equal};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use vmm::irq::LocalApic;

use super::twins::twins;

twins!("local APIC");

const PAGE: u32 = 0xfee0_0000;
const ID: u32 = PAGE + 0x20;
const TPR: u32 = PAGE + 0x80;
const ARBITRATION: u32 = PAGE + 0x90;
const EOI: u32 = PAGE + 0xb0;
const SPURIOUS: u32 = PAGE + 0xf0;
const ERRORS: u32 = PAGE + 0x280;
const COMMAND: u32 = PAGE + 0x300;
const COMMAND_TO: u32 = PAGE + 0x310;
const TIMER: u32 = PAGE + 0x320;
const LINT0: u32 = PAGE + 0x350;
const LINT1: u32 = PAGE + 0x360;
const ERROR: u32 = PAGE + 0x370;
const COUNT: u32 = PAGE + 0x380;
const COUNT_LEFT: u32 = PAGE + 0x390;
const DIVIDE: u32 = PAGE + 0x3e0;

const MASKED: u32 = 1 << 16;
const SELF: u32 = 1 << 18;

/// What a guest does to its local APIC: registers are written and read, it sends itself interrupts, takes them and ends them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lapic(pub(super) Script);

/// Enabled, with no interrupt from elsewhere: without firmware, each begins with other virtual wires.
pub(super) const READY: [Op; 3] =
    [Op::Write(SPURIOUS, 0x1ff), Op::Write(LINT0, MASKED), Op::Write(LINT1, MASKED)];

/// A command that sends an interrupt to the one that there is, or to nobody.
fn command() -> impl Strategy<Value = u32> {
    let vector = prop_oneof![8 => 0x20..=0xff_u32, 1 => 0..0x20_u32];
    let shorthand = prop::sample::select(&[1_u32, 1, 1, 0, 0, 2, 3][..]);
    let bits = prop::sample::select(&[0_u32, 1 << 11, 1 << 14, 1 << 14 | 1 << 15, 1 << 15][..]);
    (vector, 0..2_u32, shorthand, bits, prop::bool::weighted(0.1)).prop_map(
        |(vector, delivery, shorthand, bits, reserved)| {
            vector | delivery << 8 | shorthand << 18 | bits | if reserved { 0xfff3_3000 } else { 0 }
        },
    )
}

fn registers() -> Vec<u32> {
    let low = [0x20, 0x30, 0x80, 0x90, 0xa0, 0xd0, 0xe0, 0xf0, 0x280, 0x300, 0x310, 0x380, 0x390, 0x3e0];
    let vectors = (0x100..0x280).step_by(0x10);
    let lvt = (0x320..0x380).step_by(0x10);
    low.into_iter().chain(vectors).chain(lvt).map(|offset| PAGE + offset).collect()
}

impl Arbitrary for Lapic {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let one = |op: Op| vec![op];
        let lvt = prop::sample::select(&[0x330_u32, 0x340, 0x350, 0x360, 0x370][..]);
        let step = prop_oneof![
            8 => command().prop_map(move |command| one(Op::Write(COMMAND, command))),
            3 => prop::sample::select(&[0_u32, 1, 2, 0xff][..])
                .prop_map(move |to| one(Op::Write(COMMAND_TO, to << 24))),
            8 => Just(one(Op::Take)),
            6 => Just(one(Op::Write(EOI, 0))),
            4 => any::<u8>().prop_map(move |priority| one(Op::Write(TPR, priority.into()))),
            8 => prop::sample::select(registers()).prop_map(move |register| one(Op::Read(register))),
            2 => (lvt, any::<u32>()).prop_map(move |(entry, value)| one(Op::Write(PAGE + entry, value | MASKED))),
            // Without a count that runs out; not until the time stamp counter has a value.
            1 => any::<u32>().prop_map(move |value| one(Op::Write(TIMER, value & !(1 << 18) | MASKED))),
            1 => any::<u32>().prop_map(move |count| one(Op::Write(COUNT, count))),
            1 => any::<u32>().prop_map(move |divide| one(Op::Write(DIVIDE, divide))),
            1 => any::<u32>().prop_map(move |bits| one(Op::Write(PAGE + 0xd0, bits))),
            1 => any::<u32>().prop_map(move |model| one(Op::Write(PAGE + 0xe0, model))),
            1 => (any::<u32>(), prop::bool::weighted(0.7))
                .prop_map(move |(value, on)| one(Op::Write(SPURIOUS, value & !0x100 | u32::from(on) << 8))),
            1 => any::<u32>().prop_map(move |value| one(Op::Write(ERRORS, value))),
            1 => any::<u8>().prop_map(move |id| one(Op::Write(ID, u32::from(id) << 24))),
        ];
        let steps = prop::collection::vec(step, 1..32).prop_map(|steps| steps.concat());
        steps.prop_map(|steps| Self(Script([&READY[..], &steps].concat()))).boxed()
    }
}

fn written(ops: &[Op], register: u32) -> Option<u32> {
    match ops.last() {
        Some(Op::Write(at, value)) if *at == register => Some(*value),
        _ => None,
    }
}

/// A local APIC by its model, after these steps: what it has requested.
fn has_requests(ops: &[Op]) -> bool {
    let mut apic = LocalApic::new(0);
    for op in ops {
        match *op {
            Op::Write(at, value) => {
                if let vmm::irq::Effect::Send(command) = apic.write(u64::from(at - PAGE), value, 0)
                    && apic.is_addressed(command.to, Some(0))
                {
                    apic.accept(command.delivery, command.vector, command.is_level);
                }
            }
            Op::Take => drop(apic.next(true, None::<fn() -> u8>)),
            _ => {}
        }
    }
    (0x200..0x280).step_by(0x10).any(|register| apic.read(register, 0) != 0)
}

fn disables_with_requests(ops: &[Op]) -> bool {
    written(ops, SPURIOUS)
        .is_some_and(|value| value & 0x100 == 0 && has_requests(&ops[..ops.len().saturating_sub(1)]))
}

fn sends_an_illegal_vector(ops: &[Op]) -> bool {
    written(ops, COMMAND).is_some_and(|command| command & 0xff < 16)
}

fn takes_a_level_away(ops: &[Op]) -> bool {
    written(ops, COMMAND).is_some_and(|command| command & 0xc000 == 0x8000)
}

/// Of an entry of the local vector table: delivery status and remote IRR.
const READ_ONLY: u64 = 1 << 12 | 1 << 14;
/// Of the interrupt command register.
const RESERVED: u64 = 0xfff3_2000 | 1 << 12;
/// Of the spurious-interrupt vector register: focus processor checking, and what is above.
const NO_FOCUS: u64 = 0xffff_fe00;

/// The task priority, and the processor priority that follows it: Intel SDM volume 3, 12.8.3.1.
fn has_sub_class(at: u32) -> bool {
    at == TPR || at == PAGE + 0xa0
}

fn is_lvt(at: u32) -> bool {
    (TIMER..=ERROR).contains(&at)
}

fn hides(ops: &[Op], of: fn(u32) -> bool, bits: u64) -> u64 {
    match ops.last() {
        Some(Op::Read(at)) if of(*at) => bits,
        _ => 0,
    }
}

fn part(name: &str, of: fn(u32) -> bool, bits: u64) -> u64 {
    let at = name.strip_prefix("local APIC 0x").and_then(|at| u32::from_str_radix(at, 16).ok());
    if at.is_some_and(|at| of(PAGE + at)) { bits } else { 0 }
}

pub(super) const ALLOWED: [Allowed; 13] = [
    Allowed {
        what: "between two exits AMD's KVM keeps the task priority in CR8, which has no sub-class",
        source: Source::Code("sync_cr8_to_lapic, arch/x86/kvm/svm/svm.c"),
        rule: Rule::Both(|ops| hides(ops, has_sub_class, 0xf), |name| part(name, has_sub_class, 0xf)),
        example: &[],
    },
    Allowed {
        what: "the kernel has no errors in the error status register",
        source: Source::Code("kvm_lapic_reg_write, arch/x86/kvm/lapic.c: APIC_ESR"),
        rule: Rule::Both(
            |ops| hides(ops, |at| at == ERRORS, u64::MAX),
            |name| part(name, |at| at == ERRORS, u64::MAX),
        ),
        example: &[
            Op::Write(SPURIOUS, 0x1ff),
            Op::Write(PAGE + 0x30, 0),
            Op::Write(ERRORS, 0),
            Op::Read(ERRORS),
        ],
    },
    Allowed {
        what: "the kernel accepts vectors below 16",
        source: Source::Manual("Intel SDM volume 3, 12.5.3 Error Handling: Send Illegal Vector"),
        rule: Rule::Rest(sends_an_illegal_vector),
        example: &[Op::Write(SPURIOUS, 0x1ff), Op::Write(COMMAND, SELF | 3), Op::Read(PAGE + 0x200)],
    },
    Allowed {
        what: "a level-triggered command that asserts nothing sends nothing in the kernel",
        source: Source::Code("__apic_accept_irq, arch/x86/kvm/lapic.c: trig_mode && !level"),
        rule: Rule::Rest(takes_a_level_away),
        example: &[Op::Write(SPURIOUS, 0x1ff), Op::Write(COMMAND, SELF | 0x8031), Op::Read(PAGE + 0x210)],
    },
    Allowed {
        what: "the kernel lets a guest change its identity",
        source: Source::Manual(
            "Intel SDM volume 3, 12.4.6 Local APIC ID: that it can be written is model specific",
        ),
        rule: Rule::Rest(|ops| written(ops, ID).is_some()),
        example: &[Op::Write(ID, 0x0500_0000), Op::Read(ID)],
    },
    Allowed {
        what: "what is pending is still taken from the kernel's while it is disabled by software",
        source: Source::Manual(
            "Intel SDM volume 3, 12.4.7.2 Local APIC State After It Has Been Software Disabled: \"held\"",
        ),
        rule: Rule::Rest(disables_with_requests),
        example: &[
            Op::Write(SPURIOUS, 0x1ff),
            Op::Write(LINT0, MASKED),
            Op::Write(COMMAND, SELF | 0x31),
            Op::Write(SPURIOUS, 0xff),
            Op::Take,
        ],
    },
    Allowed {
        what: "the kernel keeps read-only bits of the local vector table",
        source: Source::Code("apic_lvt_mask, arch/x86/kvm/lapic.c"),
        rule: Rule::Both(|ops| hides(ops, is_lvt, READ_ONLY), |name| part(name, is_lvt, READ_ONLY)),
        example: &[Op::Write(SPURIOUS, 0x1ff), Op::Write(LINT1, MASKED | 0x1000), Op::Read(LINT1)],
    },
    Allowed {
        what: "the kernel keeps reserved bits of the interrupt command register",
        source: Source::Code("kvm_lapic_reg_write, arch/x86/kvm/lapic.c: APIC_ICR"),
        rule: Rule::Both(
            |ops| hides(ops, |at| at == COMMAND, RESERVED),
            |name| part(name, |at| at == COMMAND, RESERVED),
        ),
        example: &[Op::Write(SPURIOUS, 0x1ff), Op::Write(COMMAND, SELF | 0x0100_0031), Op::Read(COMMAND)],
    },
    Allowed {
        what: "the kernel keeps the bit for focus processor checking",
        source: Source::Manual(
            "Intel SDM volume 3, 12.9 Spurious Interrupt: not in Pentium 4 and Xeon processors",
        ),
        rule: Rule::Both(
            |ops| hides(ops, |at| at == SPURIOUS, NO_FOCUS),
            |name| part(name, |at| at == SPURIOUS, NO_FOCUS),
        ),
        example: &[Op::Write(SPURIOUS, 0x3ff), Op::Read(SPURIOUS)],
    },
    Allowed {
        what: "how many entries its local vector table has, and whether ends are broadcast, is told by the version",
        source: Source::Manual("Intel SDM volume 3, 12.4.8 Local APIC Version Register"),
        rule: Rule::Said(|ops| hides(ops, |at| at == PAGE + 0x30, 0x01ff_0000)),
        example: &[],
    },
    Allowed {
        what: "the arbitration priority reads as the processor's in ours, which no processor since has",
        source: Source::Manual("Intel SDM volume 3, table 12-1: not in Pentium 4 and Xeon processors"),
        rule: Rule::Said(|ops| hides(ops, |at| at == ARBITRATION, u64::MAX)),
        example: &[Op::Write(TPR, 0x50), Op::Read(ARBITRATION)],
    },
    Allowed {
        what: "the current count tells the time",
        source: Source::Manual("Intel SDM volume 3, 12.5.4 APIC Timer"),
        rule: Rule::Said(|ops| hides(ops, |at| at == COUNT_LEFT, u64::MAX)),
        example: &[],
    },
    Allowed {
        what: "timer modes that neither has are kept by one",
        source: Source::Manual(
            "Intel SDM volume 3, 12.5.4.1 TSC-Deadline Mode: CPUID says whether there is one",
        ),
        rule: Rule::Both(
            |ops| hides(ops, |at| at == TIMER, 1 << 18),
            |name| part(name, |at| at == TIMER, 1 << 18),
        ),
        example: &[],
    },
];

fn the_kernels_is_as_ours(script: Lapic) -> Outcome {
    agree(&script.0, &[KERNEL, USER], &ALLOWED.iter().collect::<Vec<_>>())
}
claim!(
    the_kernels_is_as_ours,
    "The kernel's local APIC and ours answer every script of registers and interrupts alike, and end in the same state",
    [Manual("Intel SDM volume 3, 12.4 Local APIC, 12.8 Handling Interrupts"), Api("4.57 KVM_GET_LAPIC")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2),
    // What other modules do with interrupts that are in service is a claim of its own.
    Any(&[Amd, Intel])
);

fn what_is_taken_is_in_service() -> Outcome {
    const IN_SERVICE: u32 = PAGE + 0x110;
    let steps = [
        Op::Write(COMMAND, SELF | 0x31),
        Op::Take,
        Op::Read(IN_SERVICE),
        Op::Write(COMMAND, SELF | 0x31),
        Op::Take,
        Op::Write(EOI, 0),
        Op::Read(IN_SERVICE),
        Op::Take,
    ];
    let script = Script([&READY[..], &steps].concat());
    // Interrupted once, in service up to its end, and only then interrupted by what was requested meanwhile.
    let expected = [Said::Raised(0x31), Said::Value(1 << 17), Said::Done, Said::Value(0), Said::Raised(0x31)];
    each([KERNEL, USER], |twin| {
        let said: Vec<Said> = (twin.answer)(&script)?.said.into_iter().map(|(_, said)| said).collect();
        equal(said, expected.to_vec())
    })
}
claim!(
    what_is_taken_is_in_service,
    "An interrupt that a processor has taken is in service, and keeps off others of its priority, until it is ended",
    [Manual(
        "Intel SDM volume 3, 12.8.4 Interrupt Acceptance for Fixed Interrupts, 12.8.5 Signaling Interrupt Servicing Completion"
    )],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2)
);

fn differences_are_there() -> Outcome {
    each_is_needed(&[KERNEL, USER], &ALLOWED, &READY)
}
claim!(
    differences_are_there,
    "The kernel's local APIC differs from ours in each way that their comparison allows",
    [Observed("arch/x86/kvm/lapic.c of Linux 6.1 to 6.18")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2)
);
