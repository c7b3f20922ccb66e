//! The I/O APIC, the kernel's and ours: Intel 82093AA data sheet (290566).

use guests::script::{Op, Script};
use harness::kvm::{KVM_CAP_IRQCHIP, KVM_CAP_PIT2, KVM_CAP_SPLIT_IRQCHIP};
use harness::twins::{Allowed, Rule, Twin, agree, each_is_needed};
use harness::{Outcome, Source, claim};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::twins::twins;

twins!("IOAPIC", split);

const SHEET: &str = "Intel 82093AA data sheet (290566), 3.0 Register Description";

const SELECT: u32 = 0xfec0_0000;
const WINDOW: u32 = 0xfec0_0010;
const SPURIOUS: u32 = 0xfee0_00f0;
const EOI: u32 = 0xfee0_00b0;
const LOGICAL: u32 = 0xfee0_00d0;
const PIC_MASK: u16 = 0x21;

/// What a guest does to the controller: pins are routed, go up and down, and interrupts are taken and ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct IoApic(Script);

/// The local APIC takes interrupts, of the logical destination 1 too, and the i8259 pair has none.
const READY: [Op; 4] = [
    Op::Write(SPURIOUS, 0x1ff),
    Op::Write(LOGICAL, 0x0100_0000),
    Op::Out(PIC_MASK, 0xff),
    Op::Out(0xa1, 0xff),
];

fn write(register: u8, value: u32) -> Vec<Op> {
    vec![Op::Write(SELECT, register.into()), Op::Write(WINDOW, value)]
}

fn read(register: u8) -> Vec<Op> {
    vec![Op::Write(SELECT, register.into()), Op::Read(SELECT), Op::Read(WINDOW)]
}

/// Both halves of a pin's entry, as a guest programs them.
fn routed(pin: u8, low: u32, to: u8) -> Vec<Op> {
    let register = 0x10 + 2 * pin;
    [write(register + 1, u32::from(to) << 24), write(register, low)].concat()
}

impl Arbitrary for IoApic {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        // The timer's line is at another pin in each.
        let pin = || prop::sample::select(&[3_u8, 4, 8, 16, 23][..]);
        // Few vectors, so that pins share one; fixed or lowest priority, either destination mode, polarity and trigger.
        let low = || {
            (0..4_u32, 0..2_u32, 0..2_u32, 0..2_u32, 0..2_u32, prop::bool::weighted(0.2)).prop_map(
                |(vector, delivery, logical, polarity, level, masked)| {
                    (0x31 + 0x10 * vector)
                        | delivery << 8
                        | logical << 11
                        | polarity << 13
                        | level << 15
                        | u32::from(masked) << 16
                },
            )
        };
        let to = || prop::sample::select(&[0_u8, 0, 1, 1, 0xff, 2][..]);
        let register = || prop_oneof![0..4_u8, 0x10..0x40_u8];
        let step = prop_oneof![
            6 => (pin(), low(), to()).prop_map(|(pin, low, to)| routed(pin, low, to)),
            2 => (pin(), low()).prop_map(|(pin, low)| write(0x10 + 2 * pin, low)),
            7 => pin().prop_map(|pin| vec![Op::Line(pin, true)]),
            4 => pin().prop_map(|pin| vec![Op::Line(pin, false)]),
            6 => Just(vec![Op::Take]),
            5 => Just(vec![Op::Write(EOI, 0)]),
            4 => pin().prop_map(|pin| read(0x10 + 2 * pin)),
            2 => register().prop_map(read),
            1 => (0..3_u8, any::<u32>()).prop_map(|(register, value)| write(register, value)),
            1 => (pin(), any::<u32>()).prop_map(|(pin, value)| write(0x11 + 2 * pin, value)),
            1 => any::<u8>().prop_map(|register| vec![Op::Write(SELECT, register.into()), Op::Read(SELECT)]),
        ];
        let steps = prop::collection::vec(step, 1..24).prop_map(|steps| steps.concat());
        steps.prop_map(|steps| Self(Script([&READY[..], &steps].concat()))).boxed()
    }
}

/// The register that the window shows.
fn selected(ops: &[Op]) -> u32 {
    let selected = ops.iter().rev().find_map(|op| match op {
        Op::Write(SELECT, register) => Some(register & 0xff),
        _ => None,
    });
    selected.unwrap_or(0)
}

/// The register that the last step reads in the window.
fn reads(ops: &[Op]) -> Option<u32> {
    matches!(ops.last(), Some(Op::Read(WINDOW))).then(|| selected(ops))
}

/// The pin whose lower half the last step writes, and what.
fn routes(ops: &[Op]) -> Option<(u32, u32)> {
    let Some(Op::Write(WINDOW, value)) = ops.last() else { return None };
    let register = selected(ops).checked_sub(0x10).filter(|register| register % 2 == 0 && *register < 48)?;
    Some((register / 2, *value))
}

fn delivers_otherwise(ops: &[Op]) -> bool {
    routes(ops).is_some_and(|(_, value)| value >> 8 & 7 > 1)
}

/// Reserved bits of an entry's halves.
const RESERVED: u64 = 0x00ff_ffff_fffe_0000;

const ALLOWED: [Allowed; 4] = [
    Allowed {
        what: "the kernel's is version 0x11, as the data sheet has it, and ours has the EOI register of version 0x20",
        source: Source::Manual("Intel I/O Controller Hub 9 data sheet (316972), 13.5.5 VER, 13.5.3 EOIR"),
        rule: Rule::Said(|ops| if reads(ops) == Some(1) { 0xff } else { 0 }),
        example: &[Op::Write(SELECT, 1), Op::Read(WINDOW)],
    },
    Allowed {
        what: "registers that there are not read as all ones in the kernel",
        source: Source::Code("ioapic_read_indirect, arch/x86/kvm/ioapic.c; the data sheet is silent"),
        rule: Rule::Said(|ops| match reads(ops) {
            Some(3..0x10 | 0x40..) => 0xffff_ffff,
            _ => 0,
        }),
        example: &[Op::Write(SELECT, 0x80), Op::Read(WINDOW)],
    },
    Allowed {
        what: "the kernel keeps what is written to reserved bits",
        source: Source::Code("union kvm_ioapic_redirect_entry, arch/x86/kvm/ioapic.h"),
        rule: Rule::Both(
            |ops| match reads(ops) {
                Some(register @ 0x10..0x40) if register % 2 == 0 => RESERVED & 0xffff_ffff,
                Some(0x10..0x40) => RESERVED >> 32,
                _ => 0,
            },
            |part| if part.starts_with("IOAPIC pin") { RESERVED } else { 0 },
        ),
        example: &[Op::Write(SELECT, 0x16), Op::Write(WINDOW, 0xffff_0031), Op::Read(WINDOW)],
    },
    Allowed {
        what: "the kernel waits for the end of level-triggered messages that no service register has, such as an NMI",
        source: Source::Manual(
            "Intel 82093AA data sheet (290566), 3.2.4 Delivery Mode: NMI and INIT are edges",
        ),
        rule: Rule::Rest(delivers_otherwise),
        // The one of the reserved modes that KVM has a meaning for: a wake-up, of a processor that is awake.
        example: &[Op::Write(SELECT, 0x16), Op::Write(WINDOW, 0x8331), Op::Line(3, true), Op::Read(WINDOW)],
    },
];

fn compared(script: &Script, with: Twin) -> Outcome {
    agree(script, &[KERNEL, with], &ALLOWED.iter().collect::<Vec<_>>())
}

fn the_kernels_is_as_ours(script: IoApic) -> Outcome {
    compared(&script.0, USER)
}
claim!(
    the_kernels_is_as_ours,
    "The kernel's IOAPIC and ours answer every script of registers, lines and interrupts alike, and end in the same state",
    [Manual(SHEET), Api("4.26 KVM_GET_IRQCHIP")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2),
    // What other modules do with interrupts that are in service is a claim about the local APIC.
    Any(&[Amd, Intel])
);

fn the_kernels_is_as_ours_with_its_local_apic(script: IoApic) -> Outcome {
    compared(&script.0, SPLIT)
}
claim!(
    the_kernels_is_as_ours_with_its_local_apic,
    "The kernel's IOAPIC and ours in front of the kernel's local APIC answer every script alike, and end in the same state",
    [Manual(SHEET), Api("7.5 KVM_CAP_SPLIT_IRQCHIP")],
    Has(KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_PIT2),
    Any(&[Amd, Intel])
);

fn differences_are_there() -> Outcome {
    each_is_needed(&[KERNEL, USER], &ALLOWED, &READY)
}
claim!(
    differences_are_there,
    "The kernel's IOAPIC differs from ours in each way that their comparison allows",
    [Observed("arch/x86/kvm/ioapic.c of Linux 6.1 to 6.18")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2)
);
