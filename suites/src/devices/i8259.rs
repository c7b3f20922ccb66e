//! The pair of i8259 interrupt controllers, the kernel's and ours: 8259A data sheet (231468); 82371SB data sheet, "ELCR".

use guests::script::{Op, Script};
use harness::kvm::{KVM_CAP_IRQCHIP, KVM_CAP_PIT2};
use harness::twins::{Allowed, Rule, Twin, agree, each_is_needed};
use harness::{Outcome, claim};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use vmm::irq::I8259;

use super::twins::twins;

twins!("i8259", split);

/// The data sheet, and the kernel's own words where it departs from that.
const SHEET: &str = "Intel 8259A data sheet (231468)";

/// What a guest does to the pair: it is initialized, its pins go up and down, and interrupts are taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pic(Script);

/// The ports of a chip.
const PORTS: [u16; 2] = [0x20, 0xa0];
const ELCR: u16 = 0x4d0;
/// OCW3 that has the request register read, or the service register.
const READ_REQUESTS: u8 = 0x0a;
const READ_IN_SERVICE: u8 = 0x0b;

fn initialized(chip: usize, icw1: u8, base: u8, icw4: u8) -> Vec<Op> {
    let port = PORTS[chip];
    let mut ops = vec![
        Op::Out(port, 0x10 | icw1),
        Op::Out(port + 1, base.max(0x20) & 0xf8),
        Op::Out(port + 1, [4, 2][chip]),
    ];
    if icw1 & 1 != 0 {
        ops.push(Op::Out(port + 1, icw4));
    }
    ops
}

/// Both chips as a PC's firmware leaves them, with no pin masked.
fn as_firmware_does() -> Vec<Op> {
    [initialized(0, 1, 0x20, 1), initialized(1, 1, 0x28, 1)].concat()
}

/// Reads of everything that a chip shows.
fn looked_at(chip: usize) -> Vec<Op> {
    let port = PORTS[chip];
    [READ_REQUESTS, READ_IN_SERVICE]
        .into_iter()
        .flat_map(|word| [Op::Out(port, word), Op::In(port)])
        .chain([Op::In(port + 1), Op::In(ELCR + u16::from(chip != 0))])
        .collect()
}

impl Arbitrary for Pic {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        // Pin 2 is the second chip's.
        let line = || (0..15_u8).prop_map(|pin| if pin < 2 { pin } else { pin + 1 });
        let one = |op: Op| vec![op];
        let step = prop_oneof![
            6 => line().prop_map(move |pin| one(Op::Line(pin, true))),
            3 => line().prop_map(move |pin| one(Op::Line(pin, false))),
            6 => Just(one(Op::Take)),
            4 => (0..2_usize).prop_map(looked_at),
            // Ends of interrupts, and rotations.
            5 => (0..2_usize, 0..8_u8, 0..8_u8).prop_map(move |(chip, does, pin)| one(Op::Out(PORTS[chip], does << 5 | pin))),
            3 => (0..2_usize, any::<u8>()).prop_map(move |(chip, mask)| one(Op::Out(PORTS[chip] + 1, mask))),
            1 => (0..2_usize, 0..16_u8).prop_map(move |(chip, bits)| {
                one(Op::Out(PORTS[chip], 0x08 | bits & 7 | (bits & 8) << 3))
            }),
            2 => (0..2_u16, any::<u8>()).prop_map(move |(chip, pins)| one(Op::Out(ELCR + chip, pins))),
            1 => (0..2_usize, prop::sample::select(&[1, 1, 1, 0, 9, 3][..]), any::<u8>(), any::<u8>())
                .prop_map(|(chip, icw1, base, icw4)| initialized(chip, icw1, base, icw4)),
        ];
        let steps = prop::collection::vec(step, 1..24).prop_map(|steps| steps.concat());
        steps.prop_map(|steps| Self(Script([as_firmware_does(), steps].concat()))).boxed()
    }
}

/// The pair by its model, after some steps.
struct After {
    pic: I8259,
    lines: u16,
}

impl After {
    fn of(ops: &[Op]) -> Self {
        let mut after = Self { pic: I8259::default(), lines: 0 };
        ops.iter().for_each(|op| after.go_on(*op));
        after
    }

    fn go_on(&mut self, op: Op) {
        match op {
            Op::Line(pin, level) => {
                let bit = 1 << pin;
                self.lines = if level { self.lines | bit } else { self.lines & !bit };
                self.pic.set(pin, level);
            }
            Op::Take if self.pic.asks() => drop(self.pic.acknowledge()),
            Op::Out(port @ (ELCR | 0x4d1), byte) => self.pic.set_elcr(usize::from(port & 1), byte),
            Op::Out(port, byte) => self.pic.write(usize::from(port >> 7 & 1), (port & 1).into(), byte),
            Op::In(port) if port < ELCR => drop(self.pic.read(usize::from(port >> 7 & 1), (port & 1).into())),
            _ => {}
        }
    }

    /// What a chip would show of its requests, or of what is in service.
    fn shows(&self, chip: usize, word: u8) -> u8 {
        let mut pic = self.pic.clone();
        pic.write(chip, 0, word);
        pic.read(chip, 0)
    }

    fn requests(&self, chip: usize) -> u8 {
        self.shows(chip, READ_REQUESTS)
    }

    /// The levels of a chip's pins.
    fn levels(&self, chip: usize) -> u8 {
        self.lines.to_le_bytes()[chip]
    }
}

/// The pair before the last step, and that step.
fn before(ops: &[Op]) -> Option<(After, Op)> {
    ops.split_last().map(|(last, before)| (After::of(before), *last))
}

/// Whether the step is an ICW1, of which chip.
fn icw1(op: Op) -> Option<(usize, u8)> {
    match op {
        Op::Out(port @ (0x20 | 0xa0), byte) if byte & 0x10 != 0 => Some((usize::from(port >> 7 & 1), byte)),
        _ => None,
    }
}

/// Whether the step is an OCW3 with all of these bits.
fn ocw3(ops: &[Op], bits: u8) -> bool {
    matches!(ops.last(), Some(Op::Out(0x20 | 0xa0, byte)) if byte & 0x18 == 0x08 && byte & bits == bits)
}

fn asks_for_single_or_level(ops: &[Op]) -> bool {
    ops.last().and_then(|op| icw1(*op)).is_some_and(|(_, byte)| byte & 0x0a != 0)
}

fn initializes_in_service(ops: &[Op]) -> bool {
    let Some((after, op)) = before(ops) else { return false };
    icw1(op).is_some_and(|(chip, _)| after.shows(chip, READ_IN_SERVICE) != 0)
}

fn falls_before_it_is_taken(ops: &[Op]) -> bool {
    let Some((after, Op::Line(pin, false))) = before(ops) else { return false };
    let (chip, bit) = (usize::from(pin >> 3), 1 << (pin & 7));
    let is_edge = after.pic.elcr(chip) & bit == 0;
    is_edge && after.levels(chip) & after.requests(chip) & bit != 0
}

fn changes_how_a_busy_pin_is_triggered(ops: &[Op]) -> bool {
    let Some((after, Op::Out(port @ (ELCR | 0x4d1), byte))) = before(ops) else { return false };
    let chip = usize::from(port & 1);
    let mut changed = after.pic.clone();
    changed.set_elcr(chip, byte);
    let changed = changed.elcr(chip) ^ after.pic.elcr(chip);
    changed & (after.levels(chip) | after.requests(chip)) != 0
}

fn takes_the_second_chips_request_back(ops: &[Op]) -> bool {
    let Some((mut after, op)) = before(ops) else { return false };
    let asked = after.requests(0) & 4 != 0;
    after.go_on(op);
    op != Op::Take && asked && after.requests(0) & 4 == 0
}

fn asks_for_special_fully_nested(ops: &[Op]) -> bool {
    let [.., first, _, _, Op::Out(0x21 | 0xa1, icw4)] = ops else { return false };
    icw1(*first).is_some_and(|(_, byte)| byte & 1 != 0) && icw4 & 0x10 != 0
}

const ALLOWED: [Allowed; 8] = [
    Allowed {
        what: "the kernel has neither LTIM nor SNGL of ICW1",
        source: harness::Source::Code("pic_ioport_write, arch/x86/kvm/i8259.c: \"not supported\""),
        rule: Rule::Rest(asks_for_single_or_level),
        example: &[
            Op::Out(0x20, 0x19),
            Op::Out(0x21, 0x20),
            Op::Out(0x21, 4),
            Op::Out(0x21, 1),
            Op::Line(1, true),
            Op::Take,
            Op::Out(0x20, 0x0a),
            Op::In(0x20),
        ],
    },
    Allowed {
        what: "a poll of the kernel's ends the interrupt that it takes, and says 7 or 0x87 otherwise",
        source: harness::Source::Code("pic_poll_read, arch/x86/kvm/i8259.c"),
        rule: Rule::Rest(|ops| ocw3(ops, 0x04)),
        example: &[Op::Line(1, true), Op::Out(0x20, 0x0c), Op::In(0x20), Op::Out(0x20, 0x0b), Op::In(0x20)],
    },
    Allowed {
        what: "the kernel keeps special mask mode and does nothing with it",
        source: harness::Source::Code("pic_get_irq, arch/x86/kvm/i8259.c"),
        rule: Rule::Rest(|ops| ocw3(ops, 0x60)),
        example: &[
            Op::Line(1, true),
            Op::Take,
            Op::Out(0x20, 0x68),
            Op::Out(0x21, 0x02),
            Op::Line(3, true),
            Op::Take,
        ],
    },
    Allowed {
        what: "an edge that falls before it is taken stays requested in the kernel",
        source: harness::Source::Manual("Intel 8259A data sheet (231468), Edge and Level Triggered Modes"),
        rule: Rule::Rest(falls_before_it_is_taken),
        example: &[Op::Line(1, true), Op::Line(1, false), Op::In(0x20)],
    },
    Allowed {
        what: "the kernel looks at ELCR only when a line changes",
        source: harness::Source::Code("elcr_ioport_write, arch/x86/kvm/i8259.c"),
        rule: Rule::Rest(changes_how_a_busy_pin_is_triggered),
        example: &[Op::Line(5, true), Op::Take, Op::Out(0x4d0, 0x20), Op::In(0x20)],
    },
    Allowed {
        what: "ICW1 leaves in the kernel what is in service",
        source: harness::Source::Code(
            "kvm_pic_reset, arch/x86/kvm/i8259.c; the data sheet's list of what ICW1 does is silent",
        ),
        rule: Rule::Rest(initializes_in_service),
        example: &[Op::Line(1, true), Op::Take, Op::Out(0x20, 0x11), Op::Out(0x20, 0x0b), Op::In(0x20)],
    },
    Allowed {
        what: "the kernel's second chip pulses the first one's pin, which keeps the edge",
        source: harness::Source::Code("pic_update_irq, arch/x86/kvm/i8259.c"),
        rule: Rule::Rest(takes_the_second_chips_request_back),
        example: &[Op::Line(9, true), Op::Out(0xa1, 0xff), Op::In(0x20)],
    },
    Allowed {
        what: "with special fully nested mode the kernel lets every pin interrupt the second chip's handler",
        source: harness::Source::Code("pic_get_irq, arch/x86/kvm/i8259.c"),
        rule: Rule::Rest(asks_for_special_fully_nested),
        example: &[
            Op::Out(0x20, 0x11),
            Op::Out(0x21, 0x20),
            Op::Out(0x21, 4),
            Op::Out(0x21, 0x11),
            Op::Out(0xa0, 0x11),
            Op::Out(0xa1, 0x28),
            Op::Out(0xa1, 2),
            Op::Out(0xa1, 1),
            Op::Line(9, true),
            Op::Take,
            Op::Line(5, true),
            Op::Take,
        ],
    },
];

fn compared(script: &Script, with: Twin) -> Outcome {
    agree(script, &[KERNEL, with], &ALLOWED.iter().collect::<Vec<_>>())
}

fn the_kernels_is_as_ours(script: Pic) -> Outcome {
    compared(&script.0, USER)
}
claim!(
    the_kernels_is_as_ours,
    "The kernel's i8259 pair and ours answer every script of ports, lines and interrupts alike, and end in the same state",
    [Manual(SHEET), Api("4.26 KVM_GET_IRQCHIP")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2)
);

fn the_kernels_is_as_ours_with_its_local_apic(script: Pic) -> Outcome {
    compared(&script.0, SPLIT)
}
claim!(
    the_kernels_is_as_ours_with_its_local_apic,
    "The kernel's i8259 pair and ours in front of the kernel's local APIC answer every script alike, and end in the same state",
    [Manual(SHEET), Api("7.5 KVM_CAP_SPLIT_IRQCHIP")],
    Has(harness::kvm::KVM_CAP_SPLIT_IRQCHIP),
    Has(KVM_CAP_PIT2)
);

fn differences_are_there() -> Outcome {
    each_is_needed(&[KERNEL, USER], &ALLOWED, &as_firmware_does())
}
claim!(
    differences_are_there,
    "The kernel's i8259 pair departs from its data sheet in each way that its comparison with ours allows",
    [Observed("arch/x86/kvm/i8259.c of Linux 6.1 to 6.18")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2)
);
