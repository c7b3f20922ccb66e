//! Whatever a driver lays into the rings of a virtio device, nothing panics, no work is without a bound, nothing outside of what it
//! has handed over is written, and the device works again after a reset.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod board;

use std::sync::atomic::{AtomicUsize, Ordering};

use board::Board;
use board::driver::{
    AVAILABLE, BUFFERS, DESCRIPTORS, Driver, INDIRECT, NEXT, SIZE, USED, WRITE, descriptor, register,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use vmm::virtio::model_classes;

/// Something that a hostile driver does.
#[derive(Clone, Debug)]
enum Deed {
    /// A descriptor of a queue, or one of a table of indirect ones.
    Describe {
        place: u64,
        address: u64,
        length: u32,
        flags: u16,
        next: u16,
    },
    /// Entries and index of a queue's available ring.
    Offer {
        queue: u32,
        entries: Vec<u16>,
        index: u16,
    },
    /// Anything at all in any ring.
    Scribble {
        at: u64,
        word: u16,
    },
    Register {
        register: u64,
        value: u32,
    },
    Notify(u32),
    /// The world does something.
    Type(Vec<u8>),
    Save,
}

/// Where all that a driver hands over lies: between its rings and the end of RAM.
const OWN: std::ops::Range<u64> = 0x1_0000..0x10_0000;

fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => BUFFERS..BUFFERS + 0x4000,
        2 => OWN.end - 0x100..OWN.end + 0x100,
        1 => any::<u64>(),
        // The rings themselves.
        2 => DESCRIPTORS..USED + 0x100,
    ]
}

fn deed() -> impl Strategy<Value = Deed> {
    let length = prop_oneof![
        Just(1_u32),
        Just(16),
        Just(512),
        Just(16 * u32::from(SIZE)),
        0..0x2000_u32,
        any::<u32>()
    ];
    let flags =
        prop_oneof![Just(0_u16), Just(NEXT), Just(WRITE), Just(NEXT | WRITE), Just(INDIRECT), any::<u16>()];
    let next = prop_oneof![8 => 0..SIZE, 1 => any::<u16>()];
    let place = prop_oneof![
        8 => (0..3_u64, 0..u64::from(SIZE)).prop_map(|(queue, index)| DESCRIPTORS + 0x4000 * queue + 16 * index),
        1 => (0..16_u64).prop_map(|index| BUFFERS + 16 * index),
    ];
    let entries = proptest::collection::vec(prop_oneof![8 => 0..SIZE, 1 => any::<u16>()], 8);
    let known = prop_oneof![
        Just(register::STATUS),
        Just(register::QUEUE_READY),
        Just(register::QUEUE_NUM),
        Just(register::QUEUE_DESC),
        Just(register::QUEUE_DRIVER),
        Just(register::QUEUE_DEVICE),
        Just(register::QUEUE_SEL),
        (0..0x80_u64).prop_map(|word| word * 4)
    ];
    prop_oneof![
        8 => (place, address(), length, flags, next).prop_map(|(place, address, length, flags, next)| {
            Deed::Describe { place, address, length, flags, next }
        }),
        4 => (0..3_u32, entries, prop_oneof![8 => 0..12_u16, 1 => any::<u16>()])
            .prop_map(|(queue, entries, index)| Deed::Offer { queue, entries, index }),
        1 => (DESCRIPTORS..USED + 0x100, any::<u16>()).prop_map(|(at, word)| Deed::Scribble { at, word }),
        1 => (known, prop_oneof![0..0x100_u32, any::<u32>()])
            .prop_map(|(register, value)| Deed::Register { register, value }),
        6 => (0..4_u32).prop_map(Deed::Notify),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Deed::Type),
        1 => Just(Deed::Save),
    ]
}

fn does(board: &Board, driver: &Driver<'_>, name: &str, deed: &Deed) {
    let ram = &board.wires.ram;
    match deed {
        Deed::Describe { place, address, length, flags, next } => {
            ram.write(*place, &descriptor(*address, *length, *flags, *next)).unwrap();
        }
        Deed::Offer { queue, entries, index } => {
            let at = AVAILABLE + 0x4000 * u64::from(*queue);
            let entries: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            ram.write(at + 4, &entries).unwrap();
            ram.write(at + 2, &index.to_le_bytes()).unwrap();
            driver.notify(*queue);
        }
        Deed::Scribble { at, word } => ram.write(*at, &word.to_le_bytes()).unwrap(),
        Deed::Register { register, value } => driver.write(*register, *value),
        Deed::Notify(queue) => driver.notify(*queue),
        Deed::Type(text) => {
            board.wires.hvc.type_in(text);
            board.wires.balloon.aim_at(text.len().try_into().unwrap());
            board.wires.balloon.ask();
            board.send(text);
            board.bus.poll();
        }
        Deed::Save => {
            let saved = board.state();
            // A driver that has laid its rings elsewhere than where they can be is refused: the rings are as they were read.
            if board.bus.load(name, saved.clone()).is_ok() {
                assert_eq!(board.state(), saved);
            }
        }
    }
}

#[test]
fn no_device_minds_its_driver() {
    let config = ProptestConfig { cases: 256, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let used = AtomicUsize::new(0);
    let tried = runner.run(&proptest::collection::vec(deed(), 1..60), |deeds| {
        let names = model_classes().into_iter().map(|class| class.name);
        for name in names.chain(Board::on_pci()) {
            let board = Board::with(&[name]);
            let before = board.bytes(0, usize::try_from(OWN.start).unwrap());
            let mut driver = Driver::start(&board, 0, 0);
            for deed in &deeds {
                does(&board, &driver, name, deed);
            }
            used.fetch_add(driver.used(0).len().min(SIZE.into()), Ordering::Relaxed);
            if !deeds.iter().any(reaches_below) {
                prop_assert_eq!(&board.bytes(0, before.len()), &before, "{}", name);
            }
            board.bus.reset();
            let driver = Driver::start(&board, 0, 0);
            prop_assert_eq!(driver.read(register::STATUS), 0xf, "{}", name);
        }
        Ok(())
    });
    tried.unwrap();
    assert!(used.into_inner() > 100, "some of what it hands over is used");
}

/// Whether a deed hands over what lies below a driver's own memory, or moves a ring.
fn reaches_below(deed: &Deed) -> bool {
    match deed {
        Deed::Describe { address, .. } => *address < OWN.start,
        Deed::Scribble { .. } | Deed::Register { .. } => true,
        _ => false,
    }
}
