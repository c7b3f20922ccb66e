//! What holds of every device model: it can be saved and restored at any time, and a guest meets it as the bus has it.

use guests::script::{Op, Said, Script};
use harness::kvm::KVM_CAP_USER_MEMORY;
use harness::twins::{Answers, Twin, agree};
use harness::{Outcome, Stop, claim, equal};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmm::{Builder, IrqChip, Space, accel, machine_class};

use super::board::{Board, Deed, deeds, fault};
use super::ours;
use super::parts::{Parts, put};

/// The models of a PC that a guest reaches by ports.
const MODELS: [&str; 14] = [
    "i440fx",
    "piix3",
    "i8237",
    "i8259",
    "i8254",
    "mc146818",
    "i8042",
    "com1",
    "com2",
    "fw-cfg",
    "port80",
    "port92",
    "pvpanic",
    "pc-testdev",
];

/// Their ports, those that are reached by bytes.
fn ports() -> Vec<u16> {
    let ranges =
        [0x20..0x22, 0xa0..0xa2, 0x40..0x44, 0x60..0x62, 0x64..0x65, 0x70..0x72, 0x80..0x81, 0x92..0x93];
    let more =
        [0x3f8..0x400_u16, 0x2f8..0x300, 0x511..0x512, 0xe0..0xec, 0x505..0x506, 0x4d0..0x4d2, 0x00..0x10];
    let bridges = [0xb2..0xb4, 0xc0..0xe0, 0x81..0x90, 0xcfc..0xd00];
    ranges.into_iter().chain(more).chain(bridges).flatten().collect()
}

/// What guest and world do to all of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Deeds(Vec<Deed>);

impl Arbitrary for Deeds {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        deeds(ports(), 40).prop_map(Self).boxed()
    }
}

fn restored_anywhere(before: Deeds, behind: Deeds) -> Outcome {
    let (one, other) = (Board::of(&MODELS)?, Board::of(&MODELS)?);
    for deed in &before.0 {
        one.does(deed);
    }
    other.wires.clock.set(one.wires.clock.now());
    for (name, state) in one.bus.states().map_err(fault)? {
        other.bus.load(&name, state).map_err(fault)?;
    }
    equal(other.bus.states().map_err(fault)?, one.bus.states().map_err(fault)?)?;
    // What was typed and not yet taken is the console's, which is not part of any device.
    while let Some(byte) = one.wires.serial[0].typed() {
        other.wires.serial[0].type_in(&[byte]);
        one.wires.serial[1].type_in(&[byte]);
    }
    while let Some(byte) = one.wires.serial[1].typed() {
        one.wires.serial[0].type_in(&[byte]);
    }
    for (index, deed) in behind.0.iter().enumerate() {
        let at = format!("after the restore, step {}: {deed:?}", index + 1);
        equal(other.does(deed), one.does(deed)).map_err(|stop| stop.during(&at))?;
        equal(
            (0..16).map(|line| other.is_high(line)).collect::<Vec<_>>(),
            (0..16).map(|line| one.is_high(line)).collect(),
        )
        .map_err(|stop| stop.during(at))?;
    }
    equal(other.bus.states().map_err(fault)?, one.bus.states().map_err(fault)?)
}
claim!(
    restored_anywhere,
    "Whatever a guest did to them, devices that are restored from their state go on as those that the state was taken of",
    [Doc("QEMU, docs/devel/migration/main.rst, Data structures")]
);

/// A script of ports for devices that do not tell the time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Timeless(Script);

impl Arbitrary for Timeless {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> BoxedStrategy<Self> {
        let ports = [
            0x80..0x81,
            0x60..0x61,
            0x64..0x65,
            0x3f9..0x400_u16,
            0x511..0x512,
            0xe0..0xe4,
            0xe8..0xec,
            0x20..0x22,
        ];
        let port = prop::sample::select(ports.into_iter().flatten().collect::<Vec<_>>());
        // Resets of the machine end its run, and are claimed elsewhere.
        let resets = |port: u16, byte: u8| port == 0x64 && (byte & 0xf1 == 0xf0 || byte == 0xd1);
        let op = prop_oneof![
            (port.clone(), any::<u8>()).prop_map(move |(port, byte)| {
                Op::Out(port, if resets(port, byte) { 0xaa } else { byte })
            }),
            port.prop_map(Op::In),
        ];
        prop::collection::vec(op, 1..40).prop_map(|ops| Self(Script(ops))).boxed()
    }
}

/// The same devices on a bus that nothing runs on.
fn over_the_bus(script: &Script) -> Result<Answers, Stop> {
    let (_, hypervisor) = accel::open("qtest").map_err(fault)?;
    let pc = machine_class("pc").ok_or_else(|| fault("there is no PC"))?;
    let machine = Builder::with_cpus(hypervisor, ours::RAM.into(), 1, IrqChip::User)
        .and_then(pc.furnish)
        .and_then(|builder| builder.model("pc-testdev"))
        .and_then(Builder::build)
        .map_err(fault)?;
    let bus = machine.bus();
    let mut answers = Answers::default();
    for (index, op) in script.0.iter().enumerate() {
        match *op {
            Op::In(port) => {
                let mut byte = [0];
                bus.read(Space::Ports, port.into(), &mut byte);
                answers.said.push((index, Said::Value(byte[0].into())));
            }
            Op::Out(port, byte) => drop(bus.write(Space::Ports, port.into(), &[byte])),
            _ => {}
        }
    }
    answers.state = timeless(&bus.states().map_err(fault)?);
    Ok(answers)
}

/// All numbers in the states of the devices that do not tell the time.
fn timeless(states: &[(String, Value)]) -> Parts {
    let mut parts = Parts::new();
    for (name, state) in states {
        if ["com1", "i8042", "fw-cfg", "port80", "pc-testdev", "i8259"].contains(&name.as_str()) {
            flatten(&mut parts, name, state);
        }
    }
    parts.retain(|part, _| !part.ends_with("timeout"));
    parts
}

fn flatten(parts: &mut Parts, name: &str, state: &Value) {
    match state {
        Value::Object(fields) => {
            fields.iter().for_each(|(field, value)| flatten(parts, &format!("{name} {field}"), value));
        }
        // Whole memories, by what they come to: 64-bit FNV-1a.
        Value::Array(items) if items.len() > 256 => {
            let bytes = items.iter().map(|item| item.as_u64().unwrap_or(0));
            put(
                parts,
                name,
                bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ byte).wrapping_mul(0x100_0000_01b3)),
            );
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| flatten(parts, &format!("{name} {index}"), value));
        }
        Value::Number(number) => put(parts, name, number.as_u64().unwrap_or(u64::MAX)),
        Value::Bool(value) => put(parts, name, u64::from(*value)),
        _ => {}
    }
}

const GUEST: Twin = Twin { name: "a guest", answer: |script| ours::told(script, IrqChip::User, timeless) };
const BUS: Twin = Twin { name: "the bus", answer: over_the_bus };

fn a_guest_meets_what_the_bus_has(script: Timeless) -> Outcome {
    agree(&script.0, &[GUEST, BUS], &[])
}
claim!(
    a_guest_meets_what_the_bus_has,
    "A guest's IN and OUT reach each device of our machine as accesses of the bus do, with the same answers and the same state",
    [Manual("Intel SDM volume 1, 19.3 I/O Address Space")],
    Has(KVM_CAP_USER_MEMORY)
);
