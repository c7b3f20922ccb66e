//! Whatever a guest does to any device, nothing panics, no work is without a bound, and the state can be saved and loaded.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use board::Board;
use proptest::prelude::*;
use serde_json::Value;
use vmm::{Region, Space};

/// One thing that a guest or the world does.
#[derive(Clone, Debug)]
enum Deed {
    Read { region: usize, offset: u64, width: usize },
    Write { region: usize, offset: u64, data: Vec<u8> },
    Pass(u64),
    Type(Vec<u8>),
    Reset,
    Save,
}

fn deed() -> impl Strategy<Value = Deed> {
    let width = prop_oneof![Just(1_usize), Just(2), Just(4), Just(8), 1..16_usize];
    let data = prop_oneof![
        proptest::collection::vec(any::<u8>(), 1..9),
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u32>().prop_map(|word| word.to_le_bytes().to_vec()),
    ];
    let offset = || prop_oneof![0..16_u64, (0..64_u64).prop_map(|word| word * 16), any::<u64>()];
    prop_oneof![
        4 => (0..5_usize, offset(), width).prop_map(|(region, offset, width)| Deed::Read { region, offset, width }),
        8 => (0..5_usize, offset(), data).prop_map(|(region, offset, data)| Deed::Write { region, offset, data }),
        2 => (0..3_000_000_u64).prop_map(Deed::Pass),
        1 => any::<u64>().prop_map(|nanos| Deed::Pass(nanos >> 8)),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Deed::Type),
        1 => Just(Deed::Reset),
        1 => Just(Deed::Save),
    ]
}

fn space_and_address(region: &Region, offset: u64) -> (Space, u64) {
    (region.space(), region.first() + offset % region.length())
}

fn does(board: &Board, name: &str, regions: &[Region], deed: &Deed) {
    match deed {
        Deed::Read { region, offset, width } => {
            if let Some(region) = regions.get(*region) {
                let (space, address) = space_and_address(region, *offset);
                board.bus.read(space, address, &mut vec![0; *width]);
            }
        }
        Deed::Write { region, offset, data } => {
            if let Some(region) = regions.get(*region) {
                let (space, address) = space_and_address(region, *offset);
                board.bus.write(space, address, data);
            }
        }
        // In one leap: a machine that was stopped for long.
        Deed::Pass(nanos) => {
            let clock = &board.wires.clock;
            clock.set(clock.now().saturating_add(*nanos));
            board.bus.poll();
        }
        Deed::Type(text) => {
            board.wires.serial.iter().for_each(|console| console.type_in(text));
            board.send(text);
            board.bus.poll();
        }
        Deed::Reset => board.bus.reset(),
        Deed::Save => {
            let saved = board.state();
            board.bus.load(name, saved.clone()).unwrap();
            assert_eq!(board.state(), saved, "{name}");
        }
    }
}

/// A number that a device might not expect.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..40_u64).prop_map(Value::from),
        any::<u8>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        Just(Value::Null),
    ]
}

/// A saved state with other numbers at some places.
fn changed(mut state: Value, changes: &[(prop::sample::Index, Value)]) -> Value {
    for (place, number) in changes {
        let mut numbers = Vec::new();
        collect(&mut state, &mut numbers);
        if !numbers.is_empty() {
            let place = place.index(numbers.len());
            *numbers.swap_remove(place) = number.clone();
        }
    }
    state
}

fn collect<'a>(state: &'a mut Value, numbers: &mut Vec<&'a mut Value>) {
    match state {
        Value::Number(_) | Value::Null => numbers.push(state),
        Value::Array(parts) => parts.iter_mut().for_each(|part| collect(part, numbers)),
        Value::Object(parts) => parts.values_mut().for_each(|part| collect(part, numbers)),
        Value::Bool(_) | Value::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_device_minds(deeds in proptest::collection::vec(deed(), 1..60)) {
        for (name, regions) in Board::all() {
            let board = Board::with(&[name]);
            for deed in &deeds {
                does(&board, name, &regions, deed);
            }
        }
    }

    #[test]
    fn no_state_breaks_a_device(
        before in proptest::collection::vec(deed(), 1..20),
        deeds in proptest::collection::vec(deed(), 1..20),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), number()), 1..6),
    ) {
        for (name, regions) in Board::all() {
            let board = Board::with(&[name]);
            for deed in &before {
                does(&board, name, &regions, deed);
            }
            let held = board.state();
            if board.bus.load(name, changed(held.clone(), &changes)).is_err() {
                assert_eq!(board.state(), held, "{} refuses and stays as it is", name);
            }
            for deed in &deeds {
                does(&board, name, &regions, deed);
            }
        }
    }
}

#[test]
fn a_reset_makes_every_device_as_it_was() {
    // A battery keeps what an MC146818 has.
    for (name, regions) in Board::all().into_iter().filter(|(name, _)| *name != "mc146818") {
        let board = Board::with(&[name]);
        let fresh = board.state();
        for region in &regions {
            let (space, first) = (region.space(), region.first());
            for offset in 0..region.length().min(64) {
                board.bus.write(space, first + offset, &[0x5a]);
                board.bus.write(space, first + offset, &[0x12, 0x34, 0x56, 0x78]);
            }
        }
        board.bus.reset();
        assert_eq!(board.state(), fresh, "{}", name);
    }
}
