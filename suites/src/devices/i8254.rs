//! The i8254 interval timer, the kernel's and ours: 8254 data sheet (231164). What tells the time is not compared: counts while they
//! run, and outputs.

use guests::script::{Op, Script};
use harness::kvm::{KVM_CAP_IRQCHIP, KVM_CAP_PIT_STATE2, KVM_CAP_PIT2};
use harness::twins::{Allowed, Rule, agree, each_is_needed};
use harness::{Outcome, Source, claim};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::twins::twins;

twins!("i8254");

const COUNTERS: u16 = 0x40;
const CONTROL: u16 = 0x43;
const SPEAKER: u16 = 0x61;

/// What a guest does to the timer: counters are programmed, written, latched and read, and the gate of the third is opened and shut.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pit(Script);

/// A control word for each counter: before, nothing of it is defined (data sheet, "Programming the 8254").
fn programmed() -> Vec<Op> {
    let word = |counter: u8| {
        let port = COUNTERS + u16::from(counter);
        vec![Op::Out(CONTROL, counter << 6 | 0x34), Op::Out(port, 0), Op::Out(port, 0x80)]
    };
    (0..3).flat_map(word).collect()
}

impl Arbitrary for Pit {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let counter = || 0..3_u16;
        let byte = prop_oneof![Just(0), Just(1), 0x10..=0x99_u8, any::<u8>()];
        let both = |counter: u16, op: fn(u16) -> Op| vec![op(COUNTERS + counter), op(COUNTERS + counter)];
        let step = prop_oneof![
            // Control words that program, and those that latch.
            4 => (0..3_u8, 1..4_u8, 0..16_u8).prop_map(|(counter, access, mode)| vec![
                Op::Out(CONTROL, counter << 6 | access << 4 | mode)
            ]),
            2 => (0..3_u8).prop_map(|counter| vec![Op::Out(CONTROL, counter << 6)]),
            4 => (0..64_u8).prop_map(|what| vec![Op::Out(CONTROL, 0xc0 | what)]),
            6 => (counter(), byte.clone(), byte)
                .prop_map(|(counter, low, high)| vec![Op::Out(COUNTERS + counter, low), Op::Out(COUNTERS + counter, high)]),
            2 => (counter(), any::<u8>()).prop_map(|(counter, byte)| vec![Op::Out(COUNTERS + counter, byte)]),
            4 => counter().prop_map(move |counter| both(counter, Op::In)),
            3 => counter().prop_map(|counter| vec![Op::In(COUNTERS + counter)]),
            3 => (0..4_u8).prop_map(|bits| vec![Op::Out(SPEAKER, bits)]),
            2 => Just(vec![Op::In(SPEAKER)]),
        ];
        let steps = prop::collection::vec(step, 1..24).prop_map(|steps| steps.concat());
        steps.prop_map(|steps| Self(Script([programmed(), steps].concat()))).boxed()
    }
}

/// What of a counter decides what a read of it is: data sheet, "Read Operations".
#[derive(Clone, Copy, Default)]
struct Reads {
    access: u8,
    is_status_latched: bool,
    /// How many bytes of a latched count are still to be read.
    latched: u8,
    /// Whether the next byte of a count that is not latched is the upper one.
    is_high_next: bool,
    /// Whether the lower byte of a count was written and the upper was not.
    is_high_due: bool,
    is_bcd: bool,
}

impl Reads {
    /// After some steps.
    fn of(ops: &[Op]) -> [Self; 3] {
        let mut all = [Self::default(); 3];
        for op in ops {
            match *op {
                Op::Out(CONTROL, word) if word >> 6 == 3 => {
                    let wanted = |index: &usize| word & 2 << index != 0;
                    for index in (0..3).filter(wanted) {
                        if word & 0x20 == 0 {
                            all[index].latch();
                        }
                        all[index].is_status_latched |= word & 0x10 == 0;
                    }
                }
                Op::Out(CONTROL, word) => {
                    let counter = &mut all[usize::from(word >> 6)];
                    match word >> 4 & 3 {
                        0 => counter.latch(),
                        access => {
                            *counter = Self { access, is_bcd: word & 1 != 0, ..Self::default() };
                        }
                    }
                }
                Op::In(port @ 0x40..=0x42) => all[usize::from(port - COUNTERS)].read(),
                Op::Out(port @ 0x40..=0x42, _) => {
                    let counter = &mut all[usize::from(port - COUNTERS)];
                    counter.is_high_due = counter.access == 3 && !counter.is_high_due;
                }
                _ => {}
            }
        }
        all
    }

    fn latch(&mut self) {
        if self.latched == 0 {
            self.latched = if self.access == 3 { 2 } else { 1 };
        }
    }

    fn read(&mut self) {
        if std::mem::take(&mut self.is_status_latched) {
        } else if self.latched > 0 {
            self.latched -= 1;
        } else {
            self.is_high_next = self.access == 3 && !self.is_high_next;
        }
    }
}

/// The counter that the last step is about, as it was before, and its number.
fn read(ops: &[Op]) -> Option<Reads> {
    let (Op::In(port @ 0x40..=0x42), before) = ops.split_last()? else { return None };
    Some(Reads::of(before)[usize::from(port - COUNTERS)])
}

fn is_status(ops: &[Op]) -> bool {
    read(ops).is_some_and(|counter| counter.is_status_latched)
}

fn is_count(ops: &[Op]) -> bool {
    read(ops).is_some_and(|counter| !counter.is_status_latched)
}

fn is_speaker(ops: &[Op]) -> bool {
    matches!(ops.last(), Some(Op::In(SPEAKER)))
}

fn hides_time(ops: &[Op]) -> u64 {
    match ops {
        _ if is_count(ops) => 0xff,
        // The output.
        _ if is_status(ops) => 0x80,
        // The output, and the refresh of memory.
        _ if is_speaker(ops) => 0x30,
        _ => 0,
    }
}

/// The counters that the last step latches, as they were before.
fn latches(ops: &[Op]) -> Vec<Reads> {
    let Some((Op::Out(CONTROL, word), before)) = ops.split_last() else { return Vec::new() };
    let all = Reads::of(before);
    let is_latched = |index: &usize| match word >> 6 {
        3 => word & 0x20 == 0 && word & 2 << index != 0,
        counter => usize::from(counter) == *index && word >> 4 & 3 == 0,
    };
    (0..3).filter(is_latched).map(|index| all[index]).collect()
}

fn latches_between_two_bytes(ops: &[Op]) -> bool {
    latches(ops).iter().any(|counter| counter.is_high_next)
}

/// The counter that the last step programs anew, as it was before.
fn programs(ops: &[Op]) -> Option<Reads> {
    let (Op::Out(CONTROL, word), before) = ops.split_last()? else { return None };
    let counter = usize::from(word >> 6);
    (word >> 4 & 3 != 0).then_some(())?;
    Reads::of(before).get(counter).copied()
}

fn programs_what_is_latched(ops: &[Op]) -> bool {
    programs(ops).is_some_and(|counter| counter.is_status_latched || counter.latched > 0)
}

fn writes_what_is_no_digit(ops: &[Op]) -> bool {
    let Some((Op::Out(port @ 0x40..=0x42, byte), before)) = ops.split_last() else { return false };
    let is_digit = |digit: u8| digit < 10;
    Reads::of(before)[usize::from(port - COUNTERS)].is_bcd && !(is_digit(byte & 0xf) && is_digit(byte >> 4))
}

const ALLOWED: [Allowed; 5] = [
    Allowed {
        what: "counts while they run, outputs and the refresh of memory tell the time",
        source: Source::Manual("Intel 8254 data sheet (231164), Mode Definitions"),
        rule: Rule::Said(hides_time),
        example: &[
            Op::Out(CONTROL, 0xb4),
            Op::Out(0x42, 0),
            Op::Out(0x42, 0x80),
            Op::Out(SPEAKER, 0),
            Op::Out(CONTROL, 0xe8),
            Op::In(0x42),
        ],
    },
    Allowed {
        what: "the kernel never says that a count is not yet loaded",
        source: Source::Code(
            "pit_latch_status, arch/x86/kvm/i8254.c: \"Return NULL COUNT\" is left to be done",
        ),
        rule: Rule::Said(|ops| if is_status(ops) { 0x40 } else { 0 }),
        example: &[Op::Out(CONTROL, 0x34), Op::Out(CONTROL, 0xe2), Op::In(0x40)],
    },
    Allowed {
        what: "the kernel keeps what is latched of a counter that is programmed anew",
        source: Source::Manual(
            "Intel 8254 data sheet (231164), Counter Latch Command: held \"until the Counter is reprogrammed\"",
        ),
        rule: Rule::Rest(programs_what_is_latched),
        example: &[Op::Out(CONTROL, 0x34), Op::Out(CONTROL, 0x00), Op::Out(CONTROL, 0x34)],
    },
    Allowed {
        what: "a count that is latched between two bytes begins anew in the kernel",
        source: Source::Manual(
            "Intel 8254 data sheet (231164), Counter Latch Command: \"two bytes must be read\"",
        ),
        rule: Rule::Rest(latches_between_two_bytes),
        example: &[Op::Out(CONTROL, 0x34), Op::In(0x40), Op::Out(CONTROL, 0x00)],
    },
    Allowed {
        what: "the kernel does not count in decimal digits, and so takes any for one",
        source: Source::Code("pit_load_count, arch/x86/kvm/i8254.c"),
        rule: Rule::Rest(writes_what_is_no_digit),
        example: &[Op::Out(CONTROL, 0x35), Op::Out(0x40, 0xfa), Op::Out(0x40, 0)],
    },
];

fn the_kernels_is_as_ours(script: Pit) -> Outcome {
    agree(&script.0, &[KERNEL, USER], &ALLOWED.iter().collect::<Vec<_>>())
}
claim!(
    the_kernels_is_as_ours,
    "The kernel's i8254 and ours answer every script of ports alike but for the time, and end in the same state",
    [Manual("Intel 8254 data sheet (231164)"), Api("4.100 KVM_GET_PIT2")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_PIT_STATE2)
);

fn differences_are_there() -> Outcome {
    each_is_needed(&[KERNEL, USER], &ALLOWED, &programmed())
}
claim!(
    differences_are_there,
    "The kernel's i8254 departs from its data sheet in each way that its comparison with ours allows",
    [Observed("arch/x86/kvm/i8254.c of Linux 6.1 to 6.18")],
    Has(KVM_CAP_IRQCHIP),
    Has(KVM_CAP_PIT2),
    Has(KVM_CAP_PIT_STATE2)
);
