//! Whatever a guest does to the PCI bus, its functions and the drives behind them, nothing panics, nothing grows without a bound, the
//! ROM stays what it is, and a reset makes all of it as it was.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use std::sync::atomic::{AtomicUsize, Ordering};

use board::Board;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use vmm::clock::Clock;
use vmm::{Disk, Media, Ram, Region, Space, Target, Wires};

/// Something that a hostile guest does.
#[derive(Clone, Debug)]
enum Deed {
    Configure { function: u8, register: u8, bytes: Vec<u8> },
    Look { function: u8, register: u8, width: usize },
    Write { space: Space, address: u64, bytes: Vec<u8> },
    Read { space: Space, address: u64, width: usize },
    Save,
}

const DEVICES: [&str; 9] = [
    "i440fx",
    "piix3",
    "piix-ide",
    "piix4-pm",
    "pci-testdev",
    "piix3-reset",
    "virtio-blk-pci",
    "virtio-console-pci",
    "virtio-rng-pci",
];
const ROM: u64 = 0xffff_0000;

fn board() -> Board {
    let wires = Wires::new(Ram::new(0x10_0000).unwrap(), Clock::stepped(), 1);
    wires.ram.burn(&[0xb5; 0x1_0000]).unwrap();
    for (number, media) in [Media::Disk, Media::Cdrom, Media::Cdrom, Media::Disk].into_iter().enumerate() {
        assert!(wires.drives.put(number, media(Disk::in_memory(vec![0x5a; 0x8000], number == 3))));
    }
    wires.disks.add(Disk::in_memory(vec![0; 0x2000], false));
    let board = Board::of(&DEVICES, wires);
    let rom = Target::Ram { block: 1, offset: 0, writable: false };
    board.bus.map().add("ROM", 0, &[(Region::memory(ROM, u32::MAX.into()), rom)]).unwrap();
    // As firmware leaves it, from where a guest goes on.
    for (function, register, bytes) in
        [(9, 0x04, vec![1]), (9, 0x40, vec![0, 0x80, 0, 0x80]), (11, 0x40, vec![1, 6]), (11, 0x80, vec![1])]
    {
        board.set_config(function, register, &bytes);
    }
    for slot in 0..3 {
        board.enable(slot);
    }
    board
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<u8>().prop_map(|byte| vec![byte]),
        any::<u16>().prop_map(|word| word.to_le_bytes().to_vec()),
        any::<u32>().prop_map(|word| word.to_le_bytes().to_vec()),
        // Addresses that meet each other.
        prop::sample::select(vec![
            0xe000_0000_u32,
            0xe000_4000,
            0xffff_0000,
            0xfee0_0000,
            0xa_0000,
            0xcf8,
            0x1f0
        ])
        .prop_map(|word| word.to_le_bytes().to_vec()),
    ]
}

fn function() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => prop::sample::select(vec![0_u8, 8, 9, 11, 4 << 3, 5 << 3, 6 << 3, 31 << 3]),
        1 => any::<u8>()
    ]
}

fn register() -> impl Strategy<Value = u8> {
    let known = vec![0x04, 0x10, 0x14, 0x20, 0x24, 0x40, 0x42, 0x59, 0x5a, 0x5f, 0x60, 0x72, 0x80];
    prop_oneof![4 => prop::sample::select(known), 1 => any::<u8>()]
}

fn place() -> impl Strategy<Value = (Space, u64)> {
    let ports = prop_oneof![
        6 => (0..8_u64).prop_map(|register| 0x1f0 + register),
        6 => (0..8_u64).prop_map(|register| 0x170 + register),
        1 => Just(0x3f6),
        2 => 0xcf8..0xd00_u64,
        1 => 0x600..0x640_u64,
        1 => 0..0x1_0000_u64,
    ];
    let memory = prop_oneof![
        4 => (0..3_u64, 0..0x40_u64).prop_map(|(slot, at)| 0xe000_0000 + 0x1_0000 * slot + at),
        2 => (0..3_u64, 0..0x4000_u64).prop_map(|(slot, at)| 0xe000_0000 + 0x1_0000 * slot + at),
        2 => (0..3_u64, 0..0x1000_u64).prop_map(|(slot, at)| 0xe100_0000 + 0x1000 * slot + at),
        1 => 0xa_0000..0x10_0000_u64,
        1 => ROM..0x1_0000_0000_u64,
        1 => any::<u64>(),
    ];
    prop_oneof![
        3 => ports.prop_map(|port| (Space::Ports, port)),
        2 => memory.prop_map(|address| (Space::Memory, address))
    ]
}

/// What begins something at a channel: a command with whatever is in the registers, or a packet.
fn command() -> impl Strategy<Value = Vec<Deed>> {
    let commands =
        vec![0x20, 0x24, 0x30, 0x34, 0x40, 0x91, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6, 0xec, 0xef, 0x08, 0x90, 0xf8];
    let write = |port: u64, byte: u8| Deed::Write { space: Space::Ports, address: port, bytes: vec![byte] };
    (any::<bool>(), any::<[u8; 6]>(), prop::sample::select(commands), any::<[u8; 12]>(), 0..600_usize)
        .prop_map(move |(is_second, registers, command, packet, words)| {
            let base: u64 = if is_second { 0x170 } else { 0x1f0 };
            let data =
                |bytes: &[u8]| Deed::Write { space: Space::Ports, address: base, bytes: bytes.to_vec() };
            let set = (1..).zip(registers).map(|(register, byte)| write(base + register, byte));
            let moved = (0..words).map(|_| Deed::Read { space: Space::Ports, address: base, width: 4 });
            set.chain([write(base + 7, command)]).chain(packet.chunks(2).map(data)).chain(moved).collect()
        })
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => (function(), register(), bytes())
            .prop_map(|(function, register, bytes)| Deed::Configure { function, register, bytes }),
        2 => (function(), register(), 1..5_usize)
            .prop_map(|(function, register, width)| Deed::Look { function, register, width }),
        6 => (place(), bytes()).prop_map(|((space, address), bytes)| Deed::Write { space, address, bytes }),
        4 => (place(), 1..9_usize).prop_map(|((space, address), width)| Deed::Read { space, address, width }),
        1 => Just(Deed::Save),
    ];
    let some = prop_oneof![3 => deed.prop_map(|deed| vec![deed]), 1 => command()];
    proptest::collection::vec(some, 1..40).prop_map(|deeds| deeds.concat())
}

fn does(board: &Board, deed: &Deed) {
    match deed {
        Deed::Configure { function, register, bytes } => {
            board.set_config(u32::from(*function), u32::from(*register), bytes);
        }
        Deed::Look { function, register, width } => {
            board.config(u32::from(*function), u32::from(*register & !3));
            board.bus.read(Space::Ports, 0xcfc, &mut vec![0; *width]);
        }
        Deed::Write { space, address, bytes } => {
            board.bus.write(*space, *address, bytes);
        }
        Deed::Read { space, address, width } => {
            board.bus.read(*space, *address, &mut vec![0; *width]);
        }
        Deed::Save => {
            for (name, state) in board.bus.states().unwrap() {
                match board.bus.load(&name, state.clone()) {
                    Ok(()) => {
                        let states = board.bus.states().unwrap();
                        assert!(states.contains(&(name.clone(), state)), "{name}");
                    }
                    // A driver can have set a ring up where none can be, which no state may have.
                    Err(error) => assert!(name.starts_with("virtio"), "{error}"),
                }
            }
        }
    }
}

#[test]
fn no_function_minds() {
    let mut runner = TestRunner::new(ProptestConfig { cases: 200, ..ProptestConfig::default() });
    let moved = AtomicUsize::new(0);
    let tried = runner.run(&deeds(), |deeds| {
        let board = board();
        // The timer of power management is not reset.
        let states = |board: &Board| -> Vec<_> {
            board.bus.states().unwrap().into_iter().filter(|(name, _)| name != "piix4-pm").collect()
        };
        board.bus.reset();
        let fresh = states(&board);
        let board = self::board();
        let view = board.bus.map().view(Space::Memory);
        for deed in &deeds {
            does(&board, deed);
        }
        moved.fetch_add((board.bus.map().view(Space::Memory) != view).into(), Ordering::Relaxed);
        prop_assert!(board.bus.map().view(Space::Memory).ranges().len() < 64);
        prop_assert!(board.bus.map().view(Space::Ports).ranges().len() < 64);
        board.bus.reset();
        prop_assert_eq!(states(&board), fresh);
        let mut rom = vec![0; 0x1_0000];
        board.bus.read(Space::Memory, ROM, &mut rom);
        prop_assert!(rom.iter().all(|byte| *byte == 0xb5));
        Ok(())
    });
    tried.unwrap();
    assert!(moved.into_inner() > 20, "some of it changes what is decoded");
}
